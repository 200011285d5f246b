"""Fisher information of the model and the Cramér–Rao bound on δC9."""

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wilsonvox.errors import UserError
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.coefficients import AngularCoefficients
from wilsonvox.theory.line_shape import line_shape_quantiles

Array = NDArray[np.float64]

N_MASS = 10
"""Quantiles of the line shape that stand for it."""
N_Q2 = 48
"""Gauss–Legendre nodes in each piece of the q² range."""
N_ANGLE = 16
"""Nodes in each angle."""


def _pieces(
    low: float, high: float, cusp: float, vetoes: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The q² range without vetoes, cut where the integrand has a kink or falls steeply."""
    edges = {low, high, cusp, 0.1, 0.5, 2.0}
    for veto in vetoes:
        edges |= set(veto)
    cuts = sorted(edge for edge in edges if low <= edge <= high)
    pairs = itertools.pairwise(cuts)
    return [(a, b) for a, b in pairs if not any(lo <= (a + b) / 2 < hi for lo, hi in vetoes)]


@cache
def _angular_grid() -> tuple[Array, Array]:
    """Angular functions at the nodes, shape (n, 11), and the nodes' weights including 9/(32π)."""
    cosines, cosine_weights = np.polynomial.legendre.leggauss(N_ANGLE)
    step = 2 * np.pi / N_ANGLE
    chi = (np.arange(N_ANGLE) + 0.5) * step
    grid = np.meshgrid(cosines, cosines, chi, indexing="ij")
    weights = np.einsum("i,j,k->ijk", cosine_weights, cosine_weights, np.full(N_ANGLE, step))
    return angular_functions(*(axis.ravel() for axis in grid)), weights.ravel() * (9 / (32 * np.pi))


def score_moments(polynomials: Array, weights: Array, shift: float) -> Array:
    """∫ I dx, ∫ I′ dx and ∫ I′²/I dx over q² and the angles, shape (3,); ′ is ∂/∂δC9.

    I is the rate Σ J_i f_i. Without a cut they give the information of one event,
    E[(I′/I)²] − E[I′/I]².

    Args:
        polynomials: J_i as polynomials in δC9 at nodes in q², shape (n, 3, 11).
        weights: weights of the nodes, shape (n,).
        shift: δC9.
    """
    functions, angular_weights = _angular_grid()
    density = np.maximum(np.array([1.0, shift, shift**2]) @ polynomials @ functions.T, 0.0)
    derivative = np.array([0.0, 1.0, 2 * shift]) @ polynomials @ functions.T
    score = np.divide(derivative, density, out=np.zeros_like(density), where=density > 0)
    weight = weights[:, None] * angular_weights * density
    return np.array([weight.sum(), (weight * score).sum(), (weight * score**2).sum()])


def fisher_information(
    coefficients: AngularCoefficients,
    shift: float,
    q2_min_gev2: float = 0.0,
    q2_max_gev2: float = 20.0,
    vetoes_gev2: Sequence[tuple[float, float]] = (),
) -> float:
    """Fisher information on δC9 of one selected event, I(δC9) = E[(∂ ln p/∂δC9)²], dimensionless.

    p is the density of (m_Kπ, q², angles): the line shape times the rate normalised at each m_Kπ,
    as events are drawn, normalised again within the selected q² range. The integral is over
    quantiles of the line shape, Gauss–Legendre nodes in q² and cosines, and equidistant ones in
    chi; it is good to about 1e-3.

    Raises:
        UserError: nothing is left of the q² range.
    """
    inputs = coefficients.inputs
    mass, cumulative = line_shape_quantiles(inputs)
    quantiles = np.interp((np.arange(N_MASS) + 0.5) / N_MASS, cumulative, mass)
    threshold = coefficients.model.q2_min_gev2
    nodes, node_weights = np.polynomial.legendre.leggauss(N_Q2)

    def at_nodes(m_kpi: float, low: float, high: float) -> tuple[Array, Array]:
        q2 = low + (high - low) * (nodes + 1) / 2
        return coefficients.model.polynomials(q2, np.full_like(q2, m_kpi), ["c9"]), (
            high - low
        ) * node_weights / 2

    total = np.zeros(3)  # selected fraction, its derivative, E[score²] within it
    for m_kpi in quantiles:
        end = (inputs.m_b_meson_gev - m_kpi) ** 2
        powers = np.zeros(3)
        for low, high in _pieces(threshold, end, coefficients.model.charm_threshold_gev2, ()):
            polynomials, weights = at_nodes(m_kpi, low, high)
            powers += weights @ (polynomials @ RATE_WEIGHTS)
        rate, slope = powers @ [1, shift, shift**2], powers @ [0, 1, 2 * shift]
        low, high = max(threshold, q2_min_gev2), min(end, q2_max_gev2)
        pieces = _pieces(low, high, coefficients.model.charm_threshold_gev2, vetoes_gev2) if low < high else []
        for piece in pieces:
            zeroth, first, second = score_moments(*at_nodes(m_kpi, *piece), shift) / rate
            # the score of the density normalised at this m_Kπ is I′/I − slope/rate
            log_slope = slope / rate
            total += [
                zeroth,
                first - log_slope * zeroth,
                second - 2 * log_slope * first + log_slope**2 * zeroth,
            ]
    if total[0] <= 0:
        raise UserError("q2 range: no phase space is left between its ends and the vetoes")
    return float(total[2] / total[0] - (total[1] / total[0]) ** 2)


def cramer_rao_bound(
    coefficients: AngularCoefficients,
    shifts: dict[str, float],
    names: tuple[str, ...],
    n_events: float,
    q2_min_gev2: float = 0.0,
    q2_max_gev2: float = 20.0,
    vetoes_gev2: Sequence[tuple[float, float]] = (),
) -> dict[str, float]:
    """Smallest standard deviation of an unbiased estimate from `n_events` events, by coefficient.

    1/√(N I), dimensionless.

    Raises:
        UserError: a coefficient other than c9.
    """
    others = sorted((set(shifts) | set(names)) - {"c9"})
    if others:
        raise UserError(f"bound: only c9 is implemented, not {', '.join(others)}")
    information = fisher_information(
        coefficients, shifts.get("c9", 0.0), q2_min_gev2, q2_max_gev2, vetoes_gev2
    )
    return {"c9": float(1 / np.sqrt(n_events * information))}
