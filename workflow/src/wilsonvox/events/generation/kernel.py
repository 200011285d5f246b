"""Compiled loops of the sampler: drawing proposals from a table of cells and accepting them.

All compiled code is in this file, because numba's cache notices changes of the file of a function
but not of other files that the function calls. The loops contain no branches that depend on random
numbers, and each loop does one kind of memory access for a batch of proposals. This is twice as
fast as a single loop over proposals.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

WORDS = 4
"""64-bit random words per proposal: cell; q² and m_Kπ; both cosines; χ and acceptance."""

BATCH = 256
"""Number of proposals processed together; the columns of a batch fit into the L1 cache."""

_UNIT = 2.0**-32


class Batch(NamedTuple):
    """Columns of a batch of proposals, of shape (`BATCH`,).

    `cell` is uint32; `interval`, `column`, `undecided` and `kept` are int32; the others float64.
    """

    cell: Any
    interval: Any
    column: Any
    undecided: Any
    kept: Any
    fraction: Any
    width: Any
    q2: Any
    m_kpi: Any
    cos_theta_mu: Any
    cos_theta_k: Any
    chi: Any
    chi_offset: Any
    level: Any


@numba.njit(cache=True, nogil=True)
def alias_table(weights: NDArray[np.float64], cells: NDArray[np.uint32]) -> float:
    """Fill Walker's alias table for `weights` by Vose's method, and return the sum of the weights.

    Args:
        weights: weights of the cells, float64 of shape (n,).
        cells: table to fill, uint32 of shape (n, 2): the fraction of slot i that belongs to cell i,
            in units of 2⁻³², and the cell to which the rest of the slot belongs.
    """
    n = weights.size
    total = weights.sum()
    scaled = weights * (n / total)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    n_small = n_large = 0
    for i in range(n):
        cells[i, 0], cells[i, 1] = 0xFFFFFFFF, i
        if scaled[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small and n_large:
        n_small -= 1
        less, more = small[n_small], large[n_large - 1]
        cells[less, 0] = np.uint32(scaled[less] * 4294967295.0)
        cells[less, 1] = more
        scaled[more] -= 1.0 - scaled[less]
        if scaled[more] < 1.0:
            n_large -= 1
            small[n_small] = more
            n_small += 1
    return float(total)


@numba.njit(cache=True, nogil=True)
def _choose_cells(words: Any, proposal: Any, batch: Any) -> int:
    """Draw cells; return the number of proposals that cannot be accepted by the lower bound."""
    cells, bounds = proposal.cells, proposal.bounds
    slot_shift = np.uint64(64 - proposal.slot_bits)
    own_shift = np.uint64(32 - proposal.slot_bits)
    for b in range(words.shape[0]):
        slot = words[b, 0] >> slot_shift
        own = ((words[b, 0] >> own_shift) & np.uint64(0xFFFFFFFF)) < cells[slot, 0]
        other = cells[slot, 1]
        batch.cell[b] = np.uint32(slot) if own else other
    n_undecided = 0
    for b in range(words.shape[0]):
        batch.level[b] = (words[b, 3] & np.uint64(0xFFFFFFFF)) * _UNIT
        batch.kept[b] = 1
        batch.undecided[n_undecided] = b
        n_undecided += batch.level[b] >= bounds[batch.cell[b], 1]
    return n_undecided


@numba.njit(cache=True, nogil=True)
def _place(words: Any, density: Any, proposal: Any, batch: Any) -> None:
    """Draw a point in each cell."""
    half, low_bits = np.uint64(32), np.uint64(0xFFFFFFFF)
    ranges, angles, quantiles = proposal.ranges, proposal.angles, proposal.mass_quantiles
    nodes = density.q2_nodes
    n_columns, n_quantiles = np.uint32(angles.shape[0]), quantiles.shape[1] - 1
    for b in range(words.shape[0]):
        row = batch.cell[b] // n_columns
        column = batch.cell[b] - row * n_columns
        # q²: an interval of the row, and a position in it
        y = ranges[row, 1] + ranges[row, 2] * ((words[b, 1] >> half) * _UNIT)
        interval = int(y)
        # m_Kπ: by inverse transform of the line shape within its bin
        z = n_quantiles * ((words[b, 1] & low_bits) * _UNIT)
        node, which = int(z), int(ranges[row, 0])
        m_kpi = quantiles[which, node]
        m_kpi += (z - node) * (quantiles[which, node + 1] - m_kpi)
        span = (density.m_b_meson - m_kpi) ** 2 - density.cusp
        start = nodes[interval, 0] + span * nodes[interval, 1]
        width = nodes[interval + 1, 0] + span * nodes[interval + 1, 1] - start
        batch.column[b], batch.interval[b] = column, interval
        batch.fraction[b], batch.width[b] = y - interval, width
        batch.q2[b], batch.m_kpi[b] = start + (y - interval) * width, m_kpi
        mu, k = (words[b, 2] >> half) * _UNIT, (words[b, 2] & low_bits) * _UNIT
        batch.cos_theta_mu[b] = angles[column, 0] + angles[column, 1] * mu
        batch.cos_theta_k[b] = angles[column, 2] + angles[column, 3] * k
        batch.chi_offset[b] = angles[column, 5] * ((words[b, 3] >> half) * _UNIT - 0.5)
        batch.chi[b] = angles[column, 4] + batch.chi_offset[b]


@numba.njit(cache=True, nogil=True)
def _angular_functions(batch: Any, b: int, angles: Any, f: Any) -> None:
    """Compute the eleven angular functions f_i of one proposal in float32.

    This copy of `wilsonvox.theory.angular.angular_functions` uses single precision, one square root
    for both sines and series instead of cos χ and sin χ. This makes the loop fast, and its rounding
    affects which events are accepted. A test compares the two.
    """
    one, two = np.float32(1), np.float32(2)
    column = batch.column[b]
    c_k, c_mu = np.float32(batch.cos_theta_k[b]), np.float32(batch.cos_theta_mu[b])
    s2_k, s2_mu = one - c_k * c_k, one - c_mu * c_mu
    cos_2mu = one - two * s2_mu
    sin_2k_sin_mu = two * c_k * np.sqrt(max(s2_k * s2_mu, np.float32(0)))
    sin_2k_sin_2mu = two * c_mu * sin_2k_sin_mu
    # series accurate to 1e-9 (cells are at most 2 rad wide), without branches, unlike np.cos
    d = batch.chi_offset[b]
    d2 = d * d
    sine = 1.0 - d2 / 42.0 * (1.0 - d2 / 72.0 * (1.0 - d2 / 110.0))
    sine = d * (1.0 - d2 / 6.0 * (1.0 - d2 / 20.0 * sine))
    cosine = 1.0 - d2 / 56.0 * (1.0 - d2 / 90.0 * (1.0 - d2 / 132.0))
    cosine = 1.0 - d2 / 2.0 * (1.0 - d2 / 12.0 * (1.0 - d2 / 30.0 * cosine))
    # φ = π − χ
    cos_phi = np.float32(angles[column, 7] * sine - angles[column, 6] * cosine)
    sin_phi = np.float32(angles[column, 7] * cosine + angles[column, 6] * sine)
    f[0] = s2_k
    f[1] = one - s2_k
    f[2] = s2_k * cos_2mu
    f[3] = (one - s2_k) * cos_2mu
    f[4] = s2_k * s2_mu * (two * cos_phi * cos_phi - one)
    f[5] = sin_2k_sin_2mu * cos_phi
    f[6] = sin_2k_sin_mu * cos_phi
    f[7] = s2_k * c_mu
    f[8] = sin_2k_sin_mu * sin_phi
    f[9] = sin_2k_sin_2mu * sin_phi
    f[10] = s2_k * s2_mu * two * sin_phi * cos_phi


@numba.njit(cache=True, nogil=True)
def _compare(n_undecided: int, density: Any, proposal: Any, batch: Any) -> tuple[float, float]:
    """Accept or reject the undecided proposals by the density at their position.

    Returns:
        The largest density in units of its bound, and a meaningless number that depends on the
        prefetched values.
    """
    values, angles = density.values, proposal.angles
    last = values.shape[0] - 2
    per_gev = 1.0 / density.m_step
    f, terms = np.zeros(12, np.float32), np.empty(12, np.float32)
    worst = touched = 0.0
    for i in range(n_undecided):
        # prefetch all values; the sum keeps the compiler from removing this loop
        b = batch.undecided[i]
        n, j = batch.interval[b], min(int((batch.m_kpi[b] - density.m_start) * per_gev), last)
        touched += values[j, n, 0] + values[j, n + 1, 10]
        touched += values[j + 1, n, 0] + values[j + 1, n + 1, 10]
    for i in range(n_undecided):
        b = batch.undecided[i]
        n, place = batch.interval[b], batch.fraction[b]
        y = (batch.m_kpi[b] - density.m_start) * per_gev
        j = min(int(y), last)
        # solve place = α σ + (1 − α) σ² for σ
        curve = density.curves[n]
        root = np.sqrt(max(curve * curve + 4.0 * (1.0 - curve) * place, 0.0))
        w_q2 = np.float32(2.0 * place / max(curve + root, 1e-300))
        w_m = np.float32(y - j)
        w11 = w_m * w_q2
        w10, w01 = w_m - w11, w_q2 - w11
        w00 = np.float32(1) - w_m - w01
        _angular_functions(batch, b, angles, f)
        for t in range(12):
            terms[t] = f[t] * (
                w00 * values[j, n, t]
                + w01 * values[j, n + 1, t]
                + w10 * values[j + 1, n, t]
                + w11 * values[j + 1, n + 1, t]
            )
        # fixed order, so that the sum is the same on every processor
        total = (
            (terms[0] + terms[4] + terms[8])
            + (terms[1] + terms[5] + terms[9])
            + (terms[2] + terms[6] + terms[10])
            + (terms[3] + terms[7] + terms[11])
        )
        ratio = total * np.float32(batch.width[b]) / proposal.bounds[batch.cell[b], 0]
        worst = max(worst, float(ratio))
        batch.kept[b] = batch.level[b] < ratio
    return worst, touched


@numba.njit(cache=True, nogil=True)
def draw(
    words: NDArray[np.uint64],
    density: Any,
    proposal: Any,
    filled: int,
    q2: NDArray[np.float32],
    cos_theta_mu: NDArray[np.float32],
    cos_theta_k: NDArray[np.float32],
    chi: NDArray[np.float32],
    m_kpi: NDArray[np.float32],
) -> tuple[int, float, float]:
    """Generate events until the columns are full or the random words are used up.

    Args:
        words: random words, shape (n, `WORDS`).
        density: a `Density`.
        proposal: a `Proposal`.
        filled: number of events already in the columns.
        q2: column to fill [GeV²], float32 of shape (n_events,).
        cos_theta_mu: column to fill.
        cos_theta_k: column to fill.
        chi: column to fill [rad].
        m_kpi: column to fill [GeV].

    Returns:
        The number of events in the columns, the largest density in units of its bound (more than 1
        means distorted events), and a meaningless number, see `_compare`.
    """
    batch = Batch(
        np.empty(BATCH, np.uint32),
        np.empty(BATCH, np.int32),
        np.empty(BATCH, np.int32),
        np.empty(BATCH, np.int32),
        np.empty(BATCH, np.int32),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
        np.empty(BATCH),
    )
    size = q2.size
    # the largest float32 below 2π
    chi_end = np.float32(6.2831850)
    worst = touched = 0.0
    for first in range(0, words.shape[0], BATCH):
        some = words[first : first + BATCH]
        n_undecided = _choose_cells(some, proposal, batch)
        _place(some, density, proposal, batch)
        ratio, number = _compare(n_undecided, density, proposal, batch)
        worst, touched = max(worst, ratio), touched + number
        for b in range(some.shape[0]):
            if filled < size:
                q2[filled] = batch.q2[b]
                cos_theta_mu[filled] = batch.cos_theta_mu[b]
                cos_theta_k[filled] = batch.cos_theta_k[b]
                chi[filled] = min(np.float32(batch.chi[b]), chi_end)
                m_kpi[filled] = batch.m_kpi[b]
                filled += batch.kept[b]
        if filled == size:
            break
    return filled, worst, touched
