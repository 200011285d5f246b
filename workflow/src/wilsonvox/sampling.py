"""Unweighted events of the model, drawn in compiled loops.

An event is drawn in the order of EvtGen: m_Kπ from the K* line shape, which knows nothing of the
matrix element; at that m_Kπ, q² from dΓ/dq²; at that q², the angles. Each step is exact for the
tabulated J_i: the first by inverse transform, the others by accept–reject.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from wilsonvox.events import BRANCHES, Events
from wilsonvox.points import SPLITS
from wilsonvox.theory.angular import RATE_WEIGHTS
from wilsonvox.theory.coefficients import AngularCoefficients
from wilsonvox.theory.line_shape import line_shape_quantiles

Array = NDArray[np.float64]

CHUNK = 1 << 18
"""Events a chunk. Each chunk has a random stream of its own, so that memory is constant."""

POLE_POWER = 3
_Q2_CELLS = 64
_MASS_CELLS = 24
_HEADROOM = 1.1


class _Table(NamedTuple):
    """The table at one δC9, flattened for the kernel; names as in `AngularCoefficients`."""

    t_start: float
    t_step: float
    m_start: float
    m_step: float
    values: Array
    q2_low: float
    cusp: float
    m_b_meson: float
    mass_nodes: Array
    mass_cumulative: Array
    envelope: Array
    envelope_cumulative: Array


@dataclass(frozen=True)
class Stream:
    """What keys the random numbers of a campaign: equal streams give equal events."""

    seed: int
    point: str
    split: str
    campaign: int

    def generator(self, chunk: int) -> np.random.Generator:
        """Generator of one chunk, independent of every other chunk, campaign, split and point."""
        key = (zlib.crc32(self.point.encode()), SPLITS.index(self.split), self.campaign, chunk)
        sequence = np.random.SeedSequence(entropy=self.seed, spawn_key=key)
        return np.random.Generator(np.random.SFC64(sequence))


@numba.njit(cache=True, nogil=True, inline="always")
def _grid_variable(q2: float, low: float, cusp: float) -> Any:
    if q2 < cusp:
        return np.arcsin(np.sqrt(max((q2 - low) / (cusp - low), 0.0))) - 0.5 * np.pi
    return np.sqrt(q2 / cusp - 1.0)


@numba.njit(cache=True, nogil=True)
def _coefficients(q2: float, m: float, table: Any, j: Array) -> Any:
    """Fill the eleven J_i at (q2, m) and return dΓ/dq², both up to one constant."""
    x = (_grid_variable(q2, table.q2_low, table.cusp) - table.t_start) / table.t_step
    y = (m - table.m_start) / table.m_step
    column = min(max(int(x), 0), table.values.shape[1] - 2)
    row = min(max(int(y), 0), table.values.shape[0] - 2)
    wx, wy = x - column, y - row
    b, m2 = table.m_b_meson**2, m * m
    lam = b * b + m2 * m2 + q2 * q2 - 2.0 * (b * m2 + m2 * q2 + q2 * b)
    root_lambda = np.sqrt(max(lam, 0.0))
    beta = np.sqrt(max(1.0 - table.q2_low / q2, 0.0))
    common = beta * root_lambda / q2 ** (POLE_POWER - 1)
    v = table.values
    for i in range(11):
        low = (1.0 - wx) * v[row, column, i] + wx * v[row, column + 1, i]
        high = (1.0 - wx) * v[row + 1, column, i] + wx * v[row + 1, column + 1, i]
        j[i] = common * ((1.0 - wy) * low + wy * high)
    j[6] *= root_lambda * beta
    j[7] *= root_lambda * beta
    j[8] *= beta
    j[9] *= root_lambda
    j[10] *= root_lambda
    return 1.5 * j[0] + 0.75 * j[1] - 0.5 * j[2] - 0.25 * j[3]


@numba.njit(cache=True, nogil=True)
def _draw_angles(rng: Any, j: Array) -> tuple[float, float, float]:
    """Draw (cos θ_μ, cos θ_K, φ) at given J_i."""
    sine = 2.0 * j[0] - 2.0 / 3.0 * j[2]  # marginal of cos θ_K: sine · sin² + cosine · cos²
    cosine = 2.0 * j[1] - 2.0 / 3.0 * j[3]
    longitudinal = cosine / (cosine + 2.0 * sine)
    while True:
        u = 2.0 * rng.random() - 1.0
        ck = np.cbrt(u) if rng.random() < longitudinal else 2.0 * np.sin(np.arcsin(u) / 3.0)
        ck = min(max(ck, -1.0), 1.0)
        ck2 = ck * ck
        sk2 = 1.0 - ck2
        s2k = 2.0 * ck * np.sqrt(sk2)
        constant = j[0] * sk2 + j[1] * ck2
        second = j[2] * sk2 + j[3] * ck2
        # I = constant + second cos2θ_μ + … is at most this at any θ_μ, φ
        bound = (
            constant
            + abs(second)
            + sk2 * (np.hypot(j[4], j[10]) + abs(j[7]))
            + abs(s2k) * (np.hypot(j[5], j[9]) + np.hypot(j[6], j[8]))
        )
        # keep cos θ_K with the probability of its marginal: propose (θ_μ, φ) until one is taken
        while True:
            cl = 2.0 * rng.random() - 1.0
            phi = 2.0 * np.pi * rng.random()
            sl2 = 1.0 - cl * cl
            sl = np.sqrt(sl2)
            cos_phi, sin_phi = np.cos(phi), np.sin(phi)
            intensity = (
                constant
                + second * (2.0 * cl * cl - 1.0)
                + sk2 * cl * j[7]
                + sk2
                * sl2
                * (j[4] * (2.0 * cos_phi * cos_phi - 1.0) + 2.0 * j[10] * sin_phi * cos_phi)
                + s2k
                * sl
                * (2.0 * cl * (j[5] * cos_phi + j[9] * sin_phi) + j[6] * cos_phi + j[8] * sin_phi)
            )
            if rng.random() * bound < intensity:
                return cl, ck, phi


@numba.njit(cache=True, nogil=True)
def _draw(
    rng: Any,
    table: Any,
    q2_out: NDArray[np.float32],
    cos_theta_mu: NDArray[np.float32],
    cos_theta_k: NDArray[np.float32],
    chi: NDArray[np.float32],
    m_kpi: NDArray[np.float32],
) -> float:
    """Fill one chunk; return the largest density seen in units of its envelope."""
    j = np.empty(11)
    worst = 0.0
    cells = table.envelope.shape[1]
    for event in range(q2_out.size):
        m = np.interp(rng.random(), table.mass_cumulative, table.mass_nodes)
        where = int(
            (m - table.m_start) / (table.m_step * (table.values.shape[0] - 1)) * _MASS_CELLS
        )
        row = min(max(where, 0), _MASS_CELLS - 1)
        width = (table.m_b_meson - m) ** 2 - table.q2_low
        while True:
            u = rng.random()
            cell = min(np.searchsorted(table.envelope_cumulative[row], u, side="right"), cells - 1)
            # cells are equal in s, q² = low + width s², because of the photon pole at low q²
            s = (cell + rng.random()) / cells
            q2 = table.q2_low + width * s * s
            ratio = s * _coefficients(q2, m, table, j) / table.envelope[row, cell]
            worst = max(worst, ratio)
            if rng.random() < ratio:
                break
        cl, ck, phi = _draw_angles(rng, j)
        angle = np.pi - phi
        q2_out[event] = q2
        cos_theta_mu[event] = cl
        cos_theta_k[event] = ck
        chi[event] = angle if angle >= 0.0 else angle + 2.0 * np.pi
        m_kpi[event] = m
    return worst


def _prepare(
    coefficients: AngularCoefficients, vector: NDArray[np.complex128], flavour: int
) -> _Table:
    model, inputs = coefficients.model, coefficients.inputs
    low, m_b_meson, cusp = model.q2_min_gev2, inputs.m_b_meson_gev, model.charm_threshold_gev2
    n_below = 800
    t = np.arange(-n_below, 760, dtype=np.float64) * (np.pi / 2 / n_below)
    grid = np.where(t < 0, low + (cusp - low) * np.sin(t + np.pi / 2) ** 2, cusp * (1 + t**2))
    masses = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, 65)
    reduced = model.reduced_coefficients(
        *np.broadcast_arrays(grid, masses[:, None]), vector, flavour
    )
    reduced = reduced * grid[:, None] ** POLE_POWER
    mass, cumulative = line_shape_quantiles(inputs)
    # envelope of dΓ/ds, q² = low + width s², in cells of (m, s), from 8 × 8 points a cell
    edges = np.linspace(masses[0], masses[-1], _MASS_CELLS * 8 + 1)
    s = np.linspace(0, 1, _Q2_CELLS * 8 + 1)
    q2 = low + s**2 * ((m_b_meson - edges[:, None]) ** 2 - low)
    exact = model.angular_coefficients(
        q2, np.broadcast_to(edges[:, None], q2.shape), vector, flavour
    )
    rate = exact @ RATE_WEIGHTS * s
    mass_windows = np.lib.stride_tricks.sliding_window_view(rate, 9, axis=0)[::8].max(axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(mass_windows, 9, axis=1)[:, ::8]
    envelope = _HEADROOM * windows.max(axis=-1)
    envelope = np.maximum(envelope, 1e-3 * envelope.max(axis=1, keepdims=True))
    total = np.cumsum(envelope, axis=1)
    return _Table(
        t_start=float(t[0]),
        t_step=float(t[1] - t[0]),
        m_start=float(masses[0]),
        m_step=float(masses[1] - masses[0]),
        values=np.ascontiguousarray(reduced),
        q2_low=low,
        cusp=cusp,
        m_b_meson=m_b_meson,
        mass_nodes=mass,
        mass_cumulative=cumulative,
        envelope=envelope,
        envelope_cumulative=total / total[:, -1:],
    )


def generate(
    table: AngularCoefficients,
    shifts: NDArray[np.complex128],
    n_events: int,
    stream: Stream,
    flavour: int = 1,
) -> Iterator[Events]:
    """Events at `shifts`, in chunks of at most `CHUNK`; memory does not grow with them.

    The q² range is the full one; cuts belong to the voxels.

    Args:
        table: the table of angular coefficients.
        shifts: complex128, shape (6,), dimensionless.
        n_events: number of events.
        stream: keys the random numbers.
        flavour: +1 for B0, −1 for anti-B0.

    Raises:
        RuntimeError: the density exceeded its envelope, so that events would be distorted.
    """
    prepared = _prepare(table, shifts, flavour)
    for chunk, start in enumerate(range(0, n_events, CHUNK)):
        size = min(CHUNK, n_events - start)
        columns = {name: np.empty(size, dtype) for name, dtype in BRANCHES.items()}
        columns["flavour"][:] = flavour
        drawn = (columns[name] for name in BRANCHES if name != "flavour")
        worst = _draw(stream.generator(chunk), prepared, *drawn)
        if worst > 1:
            raise RuntimeError(f"rate exceeds its envelope by a factor {worst:.3f} at {shifts}")
        yield Events(**columns)
