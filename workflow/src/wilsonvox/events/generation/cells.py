"""Division of the decay variables into the cells of the sampler."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.generation.density_grid import Density
from wilsonvox.theory.angular import angular_factors

Array = NDArray[np.float64]

_SMALLEST = (1, 4, 4, 4, 8)
"""Minimum numbers of cells in each variable; cells in χ have to be narrower than 2 rad."""


def angle_grid(factors: tuple[Array, ...]) -> Array:
    """Multiply three arrays of shape (n, 11) on their grid, shape (n_mu · n_k · n_chi, 11)."""
    leptons, hadrons, planes = factors
    grid = leptons[:, None, None] * hadrons[:, None] * planes
    return np.asarray(grid.reshape(-1, grid.shape[-1]))


def interval_coefficients(density: Density) -> tuple[Array, Array]:
    """Return 9/(32π) J_i at the start and at the end of each interval of q².

    They are densities in a variable y from 0 to 1 in which all intervals have equal width.

    Returns:
        Two float64 arrays of shape (n_m, n_intervals, 11).
    """
    q2 = density.q2_at_nodes(density.m_kpi)
    width = (np.diff(q2) * (q2.shape[1] - 1))[..., None]
    values = density.values[..., :11]
    return values[:, :-1] * width, values[:, 1:] * width


_EDGE_UNITS = 2.0**20
"""Edges of cells are multiples of the inverse of this number."""


def _divide(variation: Array, number: int) -> Array:
    """Return the edges of `number` cells as fractions of the range, denser at large variation."""
    density = np.sqrt(variation)
    # the constant limits the width of cells where the variation vanishes by symmetry
    cumulative = np.concatenate([[0.0], np.cumsum(density + 0.3 * density.mean() + 1e-30)])
    steps = np.linspace(0, 1, len(cumulative))
    edges = np.interp(np.linspace(0, cumulative[-1], number + 1), cumulative, steps)
    # the last bits of results of linear algebra can differ between runs
    return np.asarray(np.round(edges * _EDGE_UNITS) / _EDGE_UNITS)


def _numbers(costs: Array, largest: int) -> list[int]:
    """Choose the numbers of cells in each variable, with a product of at most `largest`.

    The rejections due to a variable are proportional to its cost over its number of cells. Their
    sum is minimal if all are equal.
    """
    costs = np.maximum(costs, 1e-3 * costs.max())
    scale = (largest / np.prod(costs)) ** (1 / len(costs))
    while True:
        numbers = np.maximum(costs * scale, _SMALLEST).astype(int)
        if np.prod(numbers) <= largest:
            return [int(number) for number in numbers]
        scale *= 0.98


def cell_edges(middle: Array, probability: Array, largest: int) -> list[Array]:
    """Choose the edges of the cells in m_Kπ, q², cos θ_μ, cos θ_K and χ.

    The rejections in a cell are proportional to the change of the density across it, so the edges
    follow from the mean of |∂ density| along each variable.

    Args:
        middle: mean coefficients of each interval, shape (n_m, n_intervals, 11).
        probability: probabilities of the n_m − 1 steps of m_Kπ.
        largest: maximum number of cells.

    Returns:
        The edges in each variable, as fractions of its range.
    """
    n_angle = 16
    middles = (np.arange(n_angle) + 0.5) / n_angle
    functions = angle_grid(angular_factors(2 * middles - 1, 2 * middles - 1, 2 * np.pi * middles))
    masses = np.searchsorted(np.cumsum(probability), (np.arange(4) + 0.5) / 4)
    some, few = middle[masses], functions[5::37].T
    values = (some[:, 16::32].reshape(-1, 11) @ functions.T).reshape(-1, *(n_angle,) * 3)
    variations = [
        np.abs(np.diff(middle[:, 8::64] @ few, axis=0)).mean(axis=(1, 2))
        * probability
        * len(probability) ** 2,
        np.abs(np.diff(some[:, 2::4] @ few, axis=1)).mean(axis=(0, 2)) * len(middle[0, 2::4]),
    ]
    for axis in (1, 2, 3):
        others = tuple({0, 1, 2, 3} - {axis})
        variations.append(np.abs(np.diff(values, axis=axis)).mean(axis=others) * n_angle)
    costs = np.array([np.sqrt(variation).mean() ** 2 for variation in variations])
    numbers = _numbers(costs, largest)
    return [_divide(*pair) for pair in zip(variations, numbers, strict=True)]
