"""Table of cells from which events are proposed.

Given an upper bound M of the density in each cell, accept–reject draws a cell with probability
∝ volume · M and a point in it, and accepts the point with probability density/M. With a lower bound
as well, most points are accepted without evaluating the density.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.generation.bounds import cell_bounds
from wilsonvox.events.generation.cells import cell_edges, interval_coefficients
from wilsonvox.events.generation.density_grid import Density
from wilsonvox.events.generation.kernel import alias_table
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.physics_inputs import PhysicsInputs

Array = NDArray[np.float64]

SLOT_BITS = 18
"""Binary logarithm of the maximum number of cells."""

_QUANTILES = 4096


class Proposal(NamedTuple):
    """Table of cells; a cell is a pair of a row (in m_Kπ and q²) and a column (in the angles).

    Attributes:
        slot_bits: binary logarithm of the number of slots of the alias table.
        cells: alias table, uint32 of shape (2^slot_bits, 2), see `alias_table`.
        bounds: upper bound of the density times the width of an interval of q², and lower bound in
            units of the upper one; float32 of shape (2^slot_bits, 2).
        ranges: mass bin, first interval of q² and number of intervals of each row, float64 of shape
            (n_rows, 3).
        angles: start and width in cos θ_μ and in cos θ_K, then middle and width in χ [rad] and
            cosine and sine of this middle, of each column; float64 of shape (n_columns, 8).
        mass_quantiles: masses [GeV] at equal steps of probability in each mass bin, float64 of
            shape (n_bins, n).
        proposals: expected number of proposals per event.
        evaluations: expected number of evaluations of the density per event.
    """

    slot_bits: int
    cells: NDArray[np.uint32]
    bounds: NDArray[np.float32]
    ranges: Array
    angles: Array
    mass_quantiles: Array
    proposals: float
    evaluations: float


def _columns(theta_mu: Array, theta_k: Array, chi: Array) -> Array:
    """Construct the columns of a `Proposal` (its `angles`) from edges [rad]."""
    edges = (np.cos(theta_mu), np.cos(theta_k), chi)
    starts = np.meshgrid(*(axis[:-1] for axis in edges), indexing="ij")
    widths = np.meshgrid(*(np.diff(axis) for axis in edges), indexing="ij")
    pairs = zip(starts, widths, strict=True)
    columns = np.stack([values.ravel() for pair in pairs for values in pair], axis=1)
    columns[:, 4] += columns[:, 5] / 2
    return np.column_stack([columns, np.cos(columns[:, 4]), np.sin(columns[:, 4])])


def _rows(n_bins: int, interval_edges: NDArray[np.int64]) -> Array:
    """Construct the rows of a `Proposal` (its `ranges`)."""
    bins, firsts = np.meshgrid(np.arange(n_bins), interval_edges[:-1], indexing="ij")
    counts = np.broadcast_to(np.diff(interval_edges), bins.shape)
    return np.stack([bins.ravel(), firsts.ravel(), counts.ravel()], axis=1).astype(float)


def make_proposal(density: Density, inputs: PhysicsInputs) -> Proposal:
    """Construct the table of cells for a density and the line shape of `inputs`."""
    starts, ends = coefficients = interval_coefficients(density)
    n_masses, n_intervals = starts.shape[:2]
    mass, cumulative = line_shape_quantiles(inputs)
    below = np.interp(density.m_kpi, mass, cumulative)
    edges = cell_edges((starts + ends) / 2, np.diff(below), 2**SLOT_BITS)
    mass_edges = np.unique(np.rint(edges[0] * (n_masses - 1)).astype(int))
    interval_edges = np.unique(np.rint(edges[1] * n_intervals).astype(int))
    angle_edges = [*(np.arccos(1 - 2 * axis) for axis in edges[2:4]), 2 * np.pi * edges[4]]
    upper, lower = cell_bounds(coefficients, mass_edges, interval_edges, angle_edges)

    below_bins = below[mass_edges]
    angles, ranges = _columns(*angle_edges), _rows(len(below_bins) - 1, interval_edges)
    probability = np.diff(below_bins)[ranges[:, 0].astype(int)] * ranges[:, 2] / n_intervals
    volume = probability[:, None] * np.abs(angles[:, 1:6:2].prod(axis=1))
    weights = np.zeros(2**SLOT_BITS)
    weights[: upper.size] = (volume * upper).ravel()
    cells = np.empty((len(weights), 2), np.uint32)
    bounds = np.ones((len(weights), 2), np.float32)
    bounds[: upper.size, 0] = upper.ravel() / n_intervals
    bounds[: upper.size, 1] = (lower / upper).ravel()
    steps = [np.linspace(*pair, _QUANTILES + 1) for pair in itertools.pairwise(below_bins)]
    return Proposal(
        slot_bits=SLOT_BITS,
        cells=cells,
        bounds=bounds,
        ranges=ranges,
        angles=angles,
        mass_quantiles=np.stack([np.interp(step, cumulative, mass) for step in steps]),
        proposals=float(alias_table(weights, cells)),
        evaluations=float((volume * (upper - lower)).sum()),
    )
