"""Fisher information of the decay distribution and the Cramér–Rao bound, for any parameters."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.integrals import ALL_Q2, mass_quadrature, q2_quadrature, require_phase_space
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import parameter_values, shift_vector
from wilsonvox.theory.q2_ranges import ranges_between

Array = NDArray[np.float64]

N_MASS, N_Q2 = 6, 8
"""Quadrature nodes in each piece of m_Kπ and of q²."""
N_ANGLE = 16
"""Quadrature nodes in each angle."""


@cache
def angular_grid() -> tuple[Array, Array]:
    """Return the angular functions at quadrature nodes and the weights of these nodes.

    The nodes are Gauss–Legendre nodes in the angles θ, in which the functions are analytic, and
    equidistant in chi.

    Returns:
        float64 of shape (n, 11) and (n,); the weights include the factor 9/(32π).
    """
    nodes, weights = np.polynomial.legendre.leggauss(N_ANGLE)
    theta = np.pi * (nodes + 1) / 2
    cosines, cosine_weights = np.cos(theta), np.pi / 2 * weights * np.sin(theta)
    step = 2 * np.pi / N_ANGLE
    chi = (np.arange(N_ANGLE) + 0.5) * step
    grid = np.meshgrid(cosines, cosines, chi, indexing="ij")
    volume = np.einsum("i,j,k->ijk", cosine_weights, cosine_weights, np.full(N_ANGLE, step))
    return angular_functions(*(axis.ravel() for axis in grid)), volume.ravel() * (9 / (32 * np.pi))


def score_moments(polynomials: Array, weights: Array, values: Array) -> tuple[float, Array, Array]:
    """Integrate I, ∂_a I and ∂_a I ∂_b I / I over q² and the angles, where I = Σ J_i f_i.

    Without a cut, these moments give the information of one event,
    E[(∂_a I/I)(∂_b I/I)] − E[∂_a I/I] E[∂_b I/I].

    Args:
        polynomials: J_i as polynomials in k parameters at nodes in q², shape (n, n_monomials, 11).
        weights: weights of the nodes, shape (n,).
        values: values of the parameters, shape (k,).

    Returns:
        The three integrals: a float, and float64 of shape (k,) and (k, k).
    """
    functions, angular_weights = angular_grid()
    density = np.maximum(polynomial_terms(values, 2) @ polynomials @ functions.T, 0.0)
    gradient = polynomial_gradient(values, 2)
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
    factors: Array | None = None,
) -> Array:
    """Compute the Fisher information of one selected event, I_ab = E[∂_a ln p ∂_b ln p].

    p is the density of (m_Kπ, q², angles) of generated events: the line shape times the rate
    normalised at each m_Kπ, normalised again within the selected q² range. The integral uses the
    quadrature of `wilsonvox.theory.integrals` in m_Kπ and q² and that of `angular_grid` in the
    angles; it is accurate to 1e-3.

    Args:
        model: the decay model.
        shifts: complex128 of shape (6,) at which the information is evaluated.
        names: the k parameters, from `PARAMETERS`; all others are taken as known.
        q2_min_gev2: lower cut on q² [GeV²].
        q2_max_gev2: upper cut on q² [GeV²].
        vetoes_gev2: excluded q² windows [GeV²].
        flavour: +1 for B0, −1 for anti-B0.
        factors: factors on the J_i, shape (11,), for samples of mixed flavour or with the angles of
            the positive lepton (`wilsonvox.voxels.image_distribution`); 1 if None. Factors on the
            J_i of the rate (non-zero `RATE_WEIGHTS`) must be 1.

    Returns:
        float64 of shape (k, k), dimensionless.

    Raises:
        UserError: the q² range contains no phase space.
    """
    values = parameter_values(np.asarray(shifts, complex), names)
    powers, gradient = polynomial_terms(values, 2), polynomial_gradient(values, 2)
    ranges = ranges_between(q2_min_gev2, q2_max_gev2, vetoes_gev2)
    require_phase_space(model, ranges)
    masses, mass_weights = mass_quadrature(model, ranges, N_MASS)
    # selected fraction, its derivatives, E[score scoreᵀ] within it
    zeroth, first, second = 0.0, np.zeros(len(values)), np.zeros((len(values), len(values)))
    for m_kpi, mass_weight in zip(masses, mass_weights, strict=True):
        q2, weights = q2_quadrature(model, float(m_kpi), ALL_Q2)
        polynomials = model.polynomials(q2, m_kpi, names, shifts, flavour)
        rate_polynomial = weights @ (polynomials @ RATE_WEIGHTS)
        rate = float(powers @ rate_polynomial)
        log_slope = rate_polynomial @ gradient / rate
        q2, weights = q2_quadrature(model, float(m_kpi), ranges, N_Q2)
        if not len(q2):
            continue
        polynomials = model.polynomials(q2, m_kpi, names, shifts, flavour)
        if factors is not None:
            polynomials = polynomials * factors
        inside, slope, square = score_moments(polynomials, weights * mass_weight / rate, values)
        # the score of the density normalised at this m_Kπ is ∂I/I − ∂rate/rate
        zeroth += inside
        first += slope - log_slope * inside
        crossed = np.outer(log_slope, slope)
        second += square - crossed - crossed.T + np.outer(log_slope, log_slope) * inside
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
    factors: Array | None = None,
) -> Array:
    """Compute the Cramér–Rao bound on the covariance of `names`, (n I)⁻¹, shape (k, k).

    The arguments are those of `fisher_information`, with `n_events` events and the shifts by
    coefficient.

    Raises:
        UserError: the q² range contains no phase space, or the information is singular.
    """
    information = fisher_information(
        model, shift_vector(shifts), names, q2_min_gev2, q2_max_gev2, vetoes_gev2, flavour, factors
    )
    scale = np.sqrt(np.diag(information))
    if np.any(scale == 0) or np.linalg.cond(information / np.outer(scale, scale)) > 1e12:
        raise UserError(f"bound: {', '.join(names)} cannot be determined together from the events")
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
    factors: Array | None = None,
) -> dict[str, float]:
    """Compute the smallest standard deviation of unbiased estimates, by parameter.

    Square roots of the diagonal of `covariance_bound`: all parameters in `names` are estimated
    together.

    Raises:
        UserError: the q² range contains no phase space, or the information is singular.
    """
    covariance = covariance_bound(
        model, shifts, names, n_events, q2_min_gev2, q2_max_gev2, vetoes_gev2, flavour, factors
    )
    return dict(zip(names, map(float, np.sqrt(np.diag(covariance))), strict=True))
