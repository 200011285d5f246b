"""Upper and lower bounds of the event density in each cell.

In a cell, the density is compared with a function that is piecewise linear in each variable and
equal to the density at its nodes, where its extremes are. The bounds are the extremes at the nodes,
widened by the largest distance between the two functions.
"""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.generation.cells import angle_grid
from wilsonvox.theory.angular import angular_factors

Array = NDArray[np.float64]

_MARGIN = 2e-4
"""Relative margin of both bounds, for single precision and for the width of an interval, which
deviates from linear in m by 1e-5."""

_BITS = 12
"""Bits of the mantissa of a bound. Rounding up costs 1e-4 of the proposed events."""

_POINTS_IN_Q2, _POINTS_IN_M = 5, 3
"""Nodes in a row of cells between which the density is compared with straight lines."""

_SAMPLES = 8
"""Points in half a cell of an angle at which a factor is compared with a straight line."""


def refine(edges: Array, parts: int) -> Array:
    """Divide each cell between `edges` into `parts` equal cells."""
    steps = np.arange((len(edges) - 1) * parts + 1) / parts
    return np.interp(steps, np.arange(len(edges)), edges)


def _factors_at(edges: list[Array], parts: int) -> tuple[Array, ...]:
    """Evaluate `angular_factors` at edges of θ_μ, θ_K and χ [rad], refined by `parts`."""
    theta_mu, theta_k, chi = (refine(axis, parts) for axis in edges)
    return angular_factors(np.cos(theta_mu), np.cos(theta_k), chi)


def _one_angle(factors: Array) -> tuple[Array, Array]:
    """Compute the largest |factor| in each cell and its largest distance from linear in half cells.

    Args:
        factors: factors at 2 · `_SAMPLES` steps per cell, shape (2 · `_SAMPLES` · n_cells + 1, 11).

    Returns:
        Two arrays of shape (n_cells, 11).
    """
    windows = np.lib.stride_tricks.sliding_window_view(factors, _SAMPLES + 1, axis=0)
    windows = windows[::_SAMPLES]
    steps = np.linspace(0, 1, _SAMPLES + 1)
    lines = windows[..., :1] + (windows[..., -1:] - windows[..., :1]) * steps
    # between the samples the distance can be larger by a few per cent
    size, distance = np.abs(windows).max(axis=-1), 1.1 * np.abs(windows - lines).max(axis=-1)
    return np.maximum(size[::2], size[1::2]), np.maximum(distance[::2], distance[1::2])


def angle_margins(edges: list[Array]) -> tuple[Array, Array]:
    """Compute bounds of |f_i| in each cell and of the distance of f_i from linear.

    Args:
        edges: edges of θ_μ, θ_K and χ [rad]; the f_i are smoother in θ than in its cosine.

    Returns:
        Two float64 arrays of shape (n_columns, 11).
    """
    fine = _factors_at(edges, 2 * _SAMPLES)
    sizes, distances = zip(*(_one_angle(factors) for factors in fine), strict=True)
    # of a product: the sum over factors of the distance of one times the sizes of the others
    parts = (
        angle_grid(tuple(distances[i] if i == which else sizes[i] for i in range(3)))
        for which in range(3)
    )
    return angle_grid(sizes), sum(parts, np.zeros(1))


def _hats(nodes: NDArray[np.int64], places: NDArray[np.int64]) -> Array:
    """Return the weights of linear interpolation from `nodes` to `places`, (n_places, n_nodes)."""
    return np.stack([np.interp(places, nodes, one) for one in np.eye(len(nodes))], axis=1)


def _row_points(start: Array, end: Array) -> tuple[Array, Array]:
    """Select nodes in (m, q²) of a row of cells.

    Args:
        start: coefficients at the start of each interval, shape (n_m, n, 11).
        end: coefficients at the end of each interval, shape (n_m, n, 11).

    Returns:
        Coefficients at the nodes, shape (n_points, 11), and their largest distance in the row from
        linear interpolation between the nodes, shape (11,).
    """
    n_masses, n = start.shape[:2]
    masses = np.unique(np.linspace(0, n_masses - 1, _POINTS_IN_M).astype(int))
    edges = np.unique(np.linspace(0, n, _POINTS_IN_Q2).astype(int))
    points = np.concatenate([start[:, edges[:-1]], end[:, -1:]], axis=1)[masses]
    in_m = _hats(masses, np.arange(n_masses))
    distance = np.zeros(points.shape[-1])
    for values, places in ((start, np.arange(n)), (end, np.arange(1, n + 1))):
        linear = np.tensordot(in_m, _hats(edges, places) @ points, axes=1)
        distance = np.maximum(distance, np.abs(values - linear).max(axis=(0, 1)))
    return points.reshape(-1, points.shape[-1]), distance


def _extremes(largest: Array, smallest: Array) -> tuple[Array, Array]:
    """Return the largest and smallest of the 3 × 3 × 3 values in each cell, flattened."""
    for axis in range(3):
        before = (slice(None),) * axis
        first, second, third = (
            (*before, part) for part in (slice(0, -1, 2), slice(1, None, 2), slice(2, None, 2))
        )
        largest = np.maximum(np.maximum(largest[first], largest[second]), largest[third])
        smallest = np.minimum(np.minimum(smallest[first], smallest[second]), smallest[third])
    return largest.ravel(), smallest.ravel()


def _coarse(values: Array, rounded: Callable[[Array], Array]) -> NDArray[np.float32]:
    """Round values to a mantissa of `_BITS` bits.

    The last of 53 bits of a result of linear algebra can differ between runs, depending on the
    address of an array. Coarse bounds, and therefore the events, are reproducible.
    """
    mantissa, exponent = np.frexp(values)
    kept = np.ldexp(rounded(np.ldexp(mantissa, _BITS)), exponent - _BITS)
    return np.asarray(kept, dtype=np.float32)


def cell_bounds(
    coefficients: tuple[Array, Array],
    mass_edges: NDArray[np.int64],
    interval_edges: NDArray[np.int64],
    angle_edges: list[Array],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute upper and lower bounds of the density, each of shape (n_rows, n_columns).

    Args:
        coefficients: the two arrays of `interval_coefficients`.
        mass_edges: edges of the mass bins, as indices of the masses of the grid.
        interval_edges: edges of the cells in q², as indices of intervals.
        angle_edges: edges in θ_μ, θ_K and χ [rad].
    """
    shape = [2 * len(edges) - 1 for edges in angle_edges]
    vertices = angle_grid(_factors_at(angle_edges, 2))
    vertices = vertices.T
    margins = np.concatenate(angle_margins(angle_edges), axis=1).T
    upper, lower = [], []
    for masses in itertools.pairwise(mass_edges):
        for intervals in itertools.pairwise(interval_edges):
            row = tuple(
                side[masses[0] : masses[1] + 1, intervals[0] : intervals[1]]
                for side in coefficients
            )
            points, distance = _row_points(*row)
            sizes = np.max([np.abs(side).max(axis=(0, 1)) for side in row], axis=0)
            values = points @ vertices
            largest, smallest = _extremes(
                values.max(axis=0).reshape(shape), values.min(axis=0).reshape(shape)
            )
            margin = np.concatenate([distance, sizes]) @ margins
            # positive, because it is a divisor
            upper.append(np.maximum((largest + margin) * (1 + _MARGIN), 1e-20))
            lower.append(np.maximum((smallest - margin) * (1 - _MARGIN), 0))
    return _coarse(np.stack(upper), np.ceil), _coarse(np.stack(lower), np.floor)
