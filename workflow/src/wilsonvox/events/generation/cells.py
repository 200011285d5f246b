"""Where the sampler cuts the density of events into cells."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.generation.density_grid import Density

Array = NDArray[np.float64]

_SMALLEST = (1, 4, 4, 4, 8)
"""Cells that there are at least, in each variable; those of χ keep below 2 rad."""


def angular_factors(cos_theta_mu: Array, cos_theta_k: Array, chi: Array) -> tuple[Array, ...]:
    """The f_i of `theory.angular.angular_functions` as products of functions of one angle each.

    Args:
        cos_theta_mu: shape (n_mu,).
        cos_theta_k: shape (n_k,).
        chi: shape (n_chi,) [rad].

    Returns:
        Three arrays, of shape (n_mu, 11), (n_k, 11) and (n_chi, 11).
    """
    sine2, cosine2 = 1 - cos_theta_k**2, cos_theta_k**2
    double = 2 * np.sqrt(sine2) * cos_theta_k
    hadrons = (sine2, cosine2) * 2 + (sine2, double, double, sine2, double, double, sine2)
    one, sine2 = np.ones_like(cos_theta_mu), 1 - cos_theta_mu**2
    sine, twice = np.sqrt(sine2), 2 * cos_theta_mu**2 - 1
    double = 2 * sine * cos_theta_mu
    leptons = (one, one, twice, twice, sine2, double, sine, cos_theta_mu, sine, double, sine2)
    one, cosine, sine = np.ones_like(chi), -np.cos(chi), np.sin(chi)
    planes = (one,) * 4 + (np.cos(2 * chi), cosine, cosine, one, sine, sine, -np.sin(2 * chi))
    return tuple(np.stack(each, axis=-1) for each in (leptons, hadrons, planes))


def angle_grid(factors: tuple[Array, ...]) -> Array:
    """Products of three arrays of shape (n, 11) on their grid, shape (n_mu · n_k · n_chi, 11)."""
    leptons, hadrons, planes = factors
    grid = leptons[:, None, None] * hadrons[:, None] * planes
    return np.asarray(grid.reshape(-1, grid.shape[-1]))


def interval_coefficients(density: Density) -> tuple[Array, Array]:
    """9/(32π) J_i at the start and the end of each interval of q².

    In the units of a variable y from 0 to 1 in which all intervals are equally long; each of shape
    (n_m, n_intervals, 11).
    """
    q2 = density.q2_at_nodes(density.m_kpi)
    width = (np.diff(q2) * (q2.shape[1] - 1))[..., None]
    values = density.values[..., :11]
    return values[:, :-1] * width, values[:, 1:] * width


_EDGE_UNITS = 2.0**20
"""Edges of cells are multiples of its inverse."""


def _divide(variation: Array, number: int) -> Array:
    """Edges of `number` cells as fractions of the range, closer where there is more variation."""
    density = np.sqrt(variation)
    # no cell is much wider than the others, where the variation is zero by symmetry
    cumulative = np.concatenate([[0.0], np.cumsum(density + 0.3 * density.mean() + 1e-30)])
    steps = np.linspace(0, 1, len(cumulative))
    edges = np.interp(np.linspace(0, cumulative[-1], number + 1), cumulative, steps)
    # not the last bits, which linear algebra rounds differently from run to run
    return np.asarray(np.round(edges * _EDGE_UNITS) / _EDGE_UNITS)


def _numbers(costs: Array, largest: int) -> list[int]:
    """Numbers of cells in each variable, with a product of at most `largest`.

    The rejections due to a variable go as its cost over its number; their sum is smallest where
    all are equal.
    """
    costs = np.maximum(costs, 1e-3 * costs.max())
    scale = (largest / np.prod(costs)) ** (1 / len(costs))
    while True:
        numbers = np.maximum(costs * scale, _SMALLEST).astype(int)
        if np.prod(numbers) <= largest:
            return [int(number) for number in numbers]
        scale *= 0.98


def cell_edges(middle: Array, probability: Array, largest: int) -> list[Array]:
    """Edges of the cells in m_Kπ, q², cos θ_μ, cos θ_K and χ, as fractions of the variable's range.

    A cell costs rejections in proportion to the change of the density across it, so the edges are
    set by the mean of |∂ density| along each variable.

    Args:
        middle: mean coefficients of each interval, shape (n_m, n_intervals, 11).
        probability: of the n_m − 1 steps of m_Kπ.
        largest: number of cells that is not exceeded.
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
    costs = np.array([np.sqrt(each).mean() ** 2 for each in variations])
    numbers = _numbers(costs, largest)
    return [_divide(*pair) for pair in zip(variations, numbers, strict=True)]
