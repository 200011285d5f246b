"""Tabulated event density on a grid in (m_Kπ, q²) adapted to the distribution of the events.

The range of q² at each m_Kπ is divided into intervals with about equal numbers of events. Their
edges, the nodes, are at fixed values of a variable s, which is −1 at 4m_ℓ², 0 at the charm cusp
c = 4m_c² and 1 at the end of phase space:

- below the cusp, q² = c (4m_ℓ²/c)^((1 − u²)²) with u = 1 + s, logarithmic near the photon pole;
- above the cusp, q² = c + w s²(3 − 2s) with w = (m_B − m_Kπ)² − c.

At every node q² = a + b w. Where J_i contains square roots of q² (at both ends and at the cusp), q²
is quadratic in s. Within an interval, J_i is therefore linear in m_Kπ and in a variable σ from 0 to
1 with f = α σ + (1 − α) σ², where f is the fraction of the interval below q².
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from wilsonvox.theory.angular import RATE_WEIGHTS
from wilsonvox.theory.coefficient_table import POLE_POWER, AngularCoefficients, grid_variable
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.model import DecayModel

Array = NDArray[np.float64]

INTERVALS = 1024
MASSES = 65
"""Numbers of intervals of q² and of masses (uniform in m_Kπ) of the grid."""

_UNIFORM = 0.2
"""Fraction of the intervals that is uniform in s, for regions with few events."""


class Density(NamedTuple):
    """Density of (m_Kπ, q², angles), in the form that the compiled loop reads.

    Attributes:
        cusp: 4m_c² [GeV²].
        m_b_meson: mass of the B [GeV].
        m_start: first of the `MASSES` masses [GeV].
        m_step: distance of the masses [GeV].
        q2_nodes: a [GeV²] and b (dimensionless) of each node, float64 of shape
            (`INTERVALS` + 1, 2).
        curves: α of each interval, float64 of shape (`INTERVALS`,).
        values: 9/(32π) J_i at the nodes, normalised to ∫ dΓ = 1 at each mass [GeV⁻²], float32 of
            shape (`MASSES`, `INTERVALS` + 1, 12); the twelfth value is zero padding.
    """

    cusp: float
    m_b_meson: float
    m_start: float
    m_step: float
    q2_nodes: Array
    curves: Array
    values: NDArray[np.float32]

    @property
    def m_kpi(self) -> Array:
        """Masses of the grid [GeV]."""
        return np.asarray(
            self.m_start + self.m_step * np.arange(len(self.values)), dtype=np.float64
        )

    def q2_at_nodes(self, m_kpi: Array) -> Array:
        """Return q² of the nodes [GeV²], shape (n, `INTERVALS` + 1), at masses of shape (n,)."""
        span = (self.m_b_meson - np.asarray(m_kpi)) ** 2 - self.cusp
        return np.asarray(self.q2_nodes[:, 0] + span[:, None] * self.q2_nodes[:, 1])


def _q2_parts(s: Array, model: DecayModel) -> tuple[Array, Array]:
    """Return a and b of q² = a + b w at `s`, and their derivatives; both of shape (n, 2)."""
    low, cusp = model.q2_min_gev2, model.charm_threshold_gev2
    u, p = 1 + np.minimum(s, 0), np.maximum(s, 0)
    power = np.log(low / cusp)
    a = cusp * np.exp(power * (1 - u * u) ** 2)
    a_slope = np.where(s < 0, -4 * power * a * u * (1 - u * u), 0.0)
    b, b_slope = p * p * (3 - 2 * p), 6 * p * (1 - p)
    return np.stack([a, b], axis=1), np.stack([a_slope, b_slope], axis=1)


def _coefficients(table: AngularCoefficients, reduced: Array, q2: Array, m_kpi: Array) -> Array:
    """Interpolate the J_i of the table in q² by cubic splines, shape (n_m, n, 11).

    Args:
        table: table of angular coefficients.
        reduced: its reduced J_i times q⁴ on the t grid at each mass, shape (n_m, n_t, 11).
        q2: shape (n_m, n) [GeV²]; columns below the cusp are equal at all masses.
        m_kpi: shape (n_m,) [GeV].
    """
    t = grid_variable(q2, table.model)
    cusp = int(np.searchsorted(table.t, -1e-9))
    below = q2[0] < table.model.charm_threshold_gev2
    result = np.empty((*q2.shape, reduced.shape[-1]))
    result[:, below] = CubicSpline(table.t[: cusp + 1], reduced[:, : cusp + 1], axis=1)(t[0, below])
    for row in range(len(m_kpi)):
        spline = CubicSpline(table.t[cusp:], reduced[row, cusp:])
        result[row, ~below] = spline(t[row, ~below])
    factors = table.model.factors(q2, np.broadcast_to(m_kpi[:, None], q2.shape))
    return np.asarray(result * factors / (q2**POLE_POWER)[..., None])


_NODE_UNITS = 2.0**24
"""Nodes of s are multiples of the inverse of this number."""


def _nodes(rate: Array, s: Array) -> Array:
    """Choose `INTERVALS` + 1 nodes of s, one of which is 0.

    Args:
        rate: density of the events in `s`, shape (n,).
        s: uniform grid, shape (n,).
    """
    density = (1 - _UNIFORM) * rate / rate.mean() + _UNIFORM
    cumulative = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    cumulative /= cumulative[-1]
    middle = float(np.interp(0.0, s, cumulative))
    n_below = int(np.clip(round(INTERVALS * middle), 2, INTERVALS - 2))
    parts = (
        np.linspace(0, middle, n_below + 1)[:-1],
        np.linspace(middle, 1, INTERVALS - n_below + 1),
    )
    nodes = PchipInterpolator(cumulative, s)(np.concatenate(parts))
    # rounded, because the last bits of results of linear algebra can differ between runs
    nodes = np.round(nodes * _NODE_UNITS) / _NODE_UNITS
    nodes[[0, n_below, -1]] = -1.0, 0.0, 1.0
    return np.asarray(nodes)


def tabulate_density(
    table: AngularCoefficients, shifts: NDArray[np.complex128], flavour: int
) -> Density:
    """Tabulate the density of events of one flavour.

    Args:
        table: table of angular coefficients.
        shifts: complex128 of shape (6,), dimensionless.
        flavour: +1 for B0, −1 for anti-B0.
    """
    model, inputs = table.model, table.inputs
    cusp = model.charm_threshold_gev2
    m_kpi = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, MASSES)
    mass, cumulative = line_shape_quantiles(inputs)
    some = np.interp((np.arange(4) + 0.5) / 4, cumulative, mass)
    span = model.q2_end(some)[:, None] - cusp
    coarse = np.linspace(-1, 1, 513)
    parts, slopes = _q2_parts(coarse, model)
    q2, slope = (terms[:, 0] + span * terms[:, 1] for terms in (parts, slopes))
    rates = _coefficients(table, table.at(shifts, flavour, some), q2, some) @ RATE_WEIGHTS * slope
    s = _nodes((rates / rates.mean(axis=1, keepdims=True)).mean(axis=0), coarse)

    parts, slopes = _q2_parts(s, model)
    # an interval lies on one side of the cusp, where either a or b is constant
    widths = np.diff(parts, axis=0).sum(axis=1)
    curves = slopes[:-1].sum(axis=1) * np.diff(s) / widths
    density = Density(
        cusp=cusp,
        m_b_meson=inputs.m_b_meson_gev,
        m_start=float(m_kpi[0]),
        m_step=float(m_kpi[1] - m_kpi[0]),
        q2_nodes=parts,
        curves=curves,
        values=np.empty(0, np.float32),
    )
    q2 = density.q2_at_nodes(m_kpi)
    values = _coefficients(table, table.at(shifts, flavour, m_kpi), q2, m_kpi)
    rate = values @ RATE_WEIGHTS
    # ∫ J dq² over an interval, J linear in σ
    first, second = curves / 2 + (1 - curves) / 3, curves / 2 + 2 * (1 - curves) / 3
    total = (np.diff(q2) * (first * rate[:, :-1] + second * rate[:, 1:])).sum(axis=1)
    values *= (9 / (32 * np.pi) / total)[:, None, None]
    padded = np.zeros((*values.shape[:2], 12), np.float32)
    padded[..., :11] = values
    return density._replace(values=padded)
