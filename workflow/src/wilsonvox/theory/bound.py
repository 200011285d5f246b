"""Fisher information of the decay's density and the Cramér–Rao bound, for any parameters."""

import itertools
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wilsonvox.errors import UserError
from wilsonvox.points import parameter_values, shift_vector
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.line_shape import line_shape_quantiles
from wilsonvox.theory.model import DecayModel, monomial_gradient, monomials

Array = NDArray[np.float64]

N_MASS = 10
"""Quantiles of the line shape that stand for it."""
N_Q2 = 48
"""Gauss–Legendre nodes in each piece of the q² range."""
N_ANGLE = 16
"""Nodes in each angle."""


def q2_pieces(
    model: DecayModel, low: float, high: float, vetoes: Sequence[tuple[float, float]] = ()
) -> list[tuple[float, float]]:
    """A q² range [GeV²] without vetoes, cut where the rate has a kink or falls steeply."""
    poles = [model.q2_min_gev2 * 8.0**power for power in range(1, 12)]
    edges = {low, high, model.charm_threshold_gev2, 2.0, *(q2 for q2 in poles if q2 < 2.0)}
    for veto in vetoes:
        edges |= set(veto)
    cuts = sorted(edge for edge in edges if low <= edge <= high)
    pairs = itertools.pairwise(cuts)
    return [(a, b) for a, b in pairs if not any(lo <= (a + b) / 2 < hi for lo, hi in vetoes)]


def q2_nodes(pieces: Sequence[tuple[float, float]], n_nodes: int = N_Q2) -> tuple[Array, Array]:
    """Gauss–Legendre nodes of all pieces and their weights [GeV²], shape (n_pieces · n_nodes,)."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    low, width = np.array([(a, b - a) for a, b in pieces]).reshape(-1, 2).T[:, :, None]
    return (low + width * (nodes + 1) / 2).ravel(), (width * weights / 2).ravel()


@cache
def _angular_grid() -> tuple[Array, Array]:
    """Angular functions at the nodes, shape (n, 11), and the nodes' weights including 9/(32π)."""
    cosines, cosine_weights = np.polynomial.legendre.leggauss(N_ANGLE)
    step = 2 * np.pi / N_ANGLE
    chi = (np.arange(N_ANGLE) + 0.5) * step
    grid = np.meshgrid(cosines, cosines, chi, indexing="ij")
    weights = np.einsum("i,j,k->ijk", cosine_weights, cosine_weights, np.full(N_ANGLE, step))
    return angular_functions(*(axis.ravel() for axis in grid)), weights.ravel() * (9 / (32 * np.pi))


def score_moments(polynomials: Array, weights: Array, values: Array) -> tuple[float, Array, Array]:
    """∫ I dx, ∫ ∂_a I dx and ∫ ∂_a I ∂_b I / I dx over q² and the angles.

    I is the rate Σ J_i f_i. Without a cut they give the information of one event,
    E[(∂_a I/I)(∂_b I/I)] − E[∂_a I/I] E[∂_b I/I].

    Args:
        polynomials: J_i as polynomials in k parameters at nodes in q², (n, n_monomials, 11).
        weights: weights of the nodes, shape (n,).
        values: the parameters, shape (k,).

    Returns:
        A number, shape (k,) and shape (k, k).
    """
    functions, angular_weights = _angular_grid()
    density = np.maximum(monomials(values) @ polynomials @ functions.T, 0.0)
    gradient = monomial_gradient(values)
    derivatives = np.stack([column @ polynomials @ functions.T for column in gradient.T])
    score = np.divide(
        derivatives, density, out=np.zeros_like(derivatives), where=np.asarray(density > 0)
    )
    weight = weights[:, None] * angular_weights * density
    flat = score.reshape(len(values), -1)
    weighted = flat * weight.ravel()
    return float(weight.sum()), weighted.sum(axis=1), weighted @ flat.T


def fisher_information(
    model: DecayModel,
    shifts: NDArray[np.complex128],
    names: Sequence[str] = ("c9",),
    q2_min_gev2: float = 0.0,
    q2_max_gev2: float = 20.0,
    vetoes_gev2: Sequence[tuple[float, float]] = (),
    flavour: int = 1,
) -> Array:
    """Fisher information of one selected event, I_ab = E[∂_a ln p ∂_b ln p], dimensionless.

    p is the density of (m_Kπ, q², angles): the line shape times the rate normalised at each m_Kπ,
    as events are drawn, normalised again within the selected q² range. The integral is over
    quantiles of the line shape, Gauss–Legendre nodes in q² and cosines, and equidistant ones in
    chi; it is good to about 1e-3.

    Args:
        model: the decay.
        shifts: complex128, shape (6,): where the information is taken.
        names: the k parameters, of `PARAMETERS`; all others are known.
        q2_min_gev2: lower cut on q² [GeV²].
        q2_max_gev2: upper cut on q² [GeV²].
        vetoes_gev2: q² windows left out [GeV²].
        flavour: +1 for B0, −1 for anti-B0.

    Returns:
        float64, shape (k, k).

    Raises:
        UserError: nothing is left of the q² range.
    """
    mass, cumulative = line_shape_quantiles(model.inputs)
    quantiles = np.interp((np.arange(N_MASS) + 0.5) / N_MASS, cumulative, mass)
    values = parameter_values(np.asarray(shifts, complex), names)
    powers, gradient = monomials(values), monomial_gradient(values)
    # selected fraction, its derivatives, E[score scoreᵀ] within it
    zeroth, first, second = 0.0, np.zeros(len(values)), np.zeros((len(values), len(values)))
    for m_kpi in quantiles:
        end = float(model.q2_end(m_kpi))
        q2, weights = q2_nodes(q2_pieces(model, model.q2_min_gev2, end))
        polynomials = model.polynomials(q2, m_kpi, names, shifts, flavour)
        rate_polynomial = weights @ (polynomials @ RATE_WEIGHTS)
        rate, log_slope = (
            float(powers @ rate_polynomial),
            rate_polynomial @ gradient / (powers @ rate_polynomial),
        )
        low, high = max(model.q2_min_gev2, q2_min_gev2), min(end, q2_max_gev2)
        pieces = q2_pieces(model, low, high, vetoes_gev2) if low < high else []
        for piece in pieces:
            q2, weights = q2_nodes([piece])
            polynomials = model.polynomials(q2, m_kpi, names, shifts, flavour)
            inside, slope, square = score_moments(polynomials, weights, values)
            # the score of the density normalised at this m_Kπ is ∂I/I − ∂rate/rate
            zeroth += inside / rate
            first += (slope - log_slope * inside) / rate
            crossed = np.outer(log_slope, slope)
            second += (
                square - crossed - crossed.T + np.outer(log_slope, log_slope) * inside
            ) / rate
    if zeroth <= 0:
        raise UserError("q2 range: no phase space is left between its ends and the vetoes")
    mean = first / zeroth
    return np.asarray(second / zeroth - np.outer(mean, mean))


def covariance_bound(
    model: DecayModel,
    shifts: Mapping[str, complex],
    names: Sequence[str],
    n_events: float,
    q2_min_gev2: float = 0.0,
    q2_max_gev2: float = 20.0,
    vetoes_gev2: Sequence[tuple[float, float]] = (),
    flavour: int = 1,
) -> Array:
    """Smallest covariance of unbiased estimates of `names` from `n_events` events, shape (k, k).

    (n I)⁻¹, dimensionless; arguments as of `fisher_information`, the shifts by coefficient.

    Raises:
        UserError: nothing is left of the q² range, or the parameters cannot be told apart.
    """
    information = fisher_information(
        model, shift_vector(shifts), names, q2_min_gev2, q2_max_gev2, vetoes_gev2, flavour
    )
    scale = np.sqrt(np.diag(information))
    if np.any(scale == 0) or np.linalg.cond(information / np.outer(scale, scale)) > 1e12:
        raise UserError(f"bound: the events cannot tell {', '.join(names)} apart")
    return np.asarray(np.linalg.inv(information) / n_events)


def cramer_rao_bound(
    model: DecayModel,
    shifts: Mapping[str, complex],
    names: Sequence[str],
    n_events: float,
    q2_min_gev2: float = 0.0,
    q2_max_gev2: float = 20.0,
    vetoes_gev2: Sequence[tuple[float, float]] = (),
    flavour: int = 1,
) -> dict[str, float]:
    """Smallest standard deviation of an unbiased estimate from `n_events` events, by parameter.

    With several parameters that of each while all others of `names` are estimated, too: roots of
    the diagonal of `covariance_bound`.
    """
    covariance = covariance_bound(
        model, shifts, names, n_events, q2_min_gev2, q2_max_gev2, vetoes_gev2, flavour
    )
    return dict(zip(names, map(float, np.sqrt(np.diag(covariance))), strict=True))
