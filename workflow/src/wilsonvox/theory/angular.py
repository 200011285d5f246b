"""Angular coefficients J_i and angular functions f_i of the decay distribution.

The J_i are in the LHCb convention for B0 (angles cos_theta_mu, cos_theta_k, φ). Relative to the
theory convention of arXiv:0811.1214, those of i = 4, 6s, 7 and 9 have the opposite sign. Events and
images use the angle chi = π − φ.
"""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.amplitudes import Amplitudes

Array = NDArray[np.float64]

NAMES = ("1s", "1c", "2s", "2c", "3", "4", "5", "6s", "7", "8", "9")
"""Names of the J_i, in the order of the last axis of every array. J_6c, which is zero without
scalar operators, is not included."""

ROOT_LAMBDA_BETA = np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1])
"""Power of √λ in each J_i: 1 for J_i with one A_⊥, else 0."""

BETA = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
"""Power of β in each J_i."""


def polar_form(
    a: Amplitudes, b: Amplitudes, q2: Array, lam: Array, beta2: Array, m_lepton: float
) -> Array:
    """Compute the symmetric bilinear forms B_i(a, b) of the reduced J_i, shape (…, 11).

    Each reduced J_i is a real quadratic form of the amplitudes, J_i(a) = B_i(a, a), so that
    J_i(a + b) = J_i(a) + 2 B_i(a, b) + J_i(b). The J_i are those of arXiv:0811.1214, section 3,
    with the lepton mass, in the LHCb convention and without the factors N², √λ (i = 5, 6s, 8, 9)
    and β (i = 5, 6s, 7), so that they are smooth at both ends of phase space.

    Args:
        a: amplitudes, see `wilsonvox.theory.amplitudes.amplitudes`.
        b: amplitudes of the same shape.
        q2: GeV².
        lam: λ of `phase_space` [GeV⁴].
        beta2: β² of `phase_space`.
        m_lepton: GeV.
    """
    mass = 4 * m_lepton**2 / q2
    same = a is b

    def product(x: str, y: str) -> NDArray[np.complex128]:
        """½ (a_x b_y* + b_x a_y*)."""
        first = getattr(a, x) * np.conj(getattr(b, y))
        if same:
            return np.asarray(first)
        return np.asarray((first + getattr(b, x) * np.conj(getattr(a, y))) / 2)

    def both(x: str, y: str, sign: int = 1) -> NDArray[np.complex128]:
        return product(f"{x}_left", f"{y}_left") + sign * product(f"{x}_right", f"{y}_right")

    perp2 = lam * both("perp", "perp").real
    para2 = both("para", "para").real
    zero2 = both("zero", "zero").real
    mixed = lam * product("perp_left", "perp_right").real + product("para_left", "para_right").real
    zero_mixed = product("zero_left", "zero_right").real
    zero_para = both("zero", "para")
    root2 = np.sqrt(2.0)
    parts = (
        (2 + beta2) / 4 * (perp2 + para2) + mass * mixed,
        zero2 + mass * (lam * product("time", "time").real + 2 * zero_mixed),
        beta2 / 4 * (perp2 + para2),
        -beta2 * zero2,
        beta2 / 2 * (perp2 - para2),
        -beta2 / root2 * zero_para.real,
        root2 * both("zero", "perp", -1).real,
        -2 * both("para", "perp", -1).real,
        -root2 * both("zero", "para", -1).imag,
        beta2 / root2 * both("zero", "perp").imag,
        beta2 * both("para", "perp").imag,
    )
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def reduced_coefficients(
    a: Amplitudes, q2: Array, lam: Array, beta2: Array, m_lepton: float
) -> Array:
    """Compute the reduced J_i of given amplitudes, shape (…, 11); see `polar_form`."""
    return polar_form(a, a, q2, lam, beta2, m_lepton)


def kinematic_factors(q2: Array, lam: Array, beta2: Array) -> Array:
    """Compute the factors N² √λ^a β^b between reduced and full J_i, shape (…, 11), N² = q² β √λ.

    The constant of N² is dropped, so that rates are relative.

    Args:
        q2: GeV².
        lam: λ of `phase_space` [GeV⁴]; negative values count as 0.
        beta2: β² of `phase_space`; negative values count as 0.
    """
    root_lambda = np.sqrt(np.maximum(lam, 0.0))[..., None]
    beta = np.sqrt(np.maximum(beta2, 0.0))[..., None]
    return np.asarray(
        np.asarray(q2)[..., None] * beta * root_lambda * root_lambda**ROOT_LAMBDA_BETA * beta**BETA
    )


def _one_angle_factors(
    cos_theta_mu: Array, cos_theta_k: Array, chi: Array
) -> tuple[tuple[Array, ...], ...]:
    """Compute the factors of the f_i in cos_theta_mu, cos_theta_k and chi, as three tuples of 11.

    Each array has the shape of its angle. This is the only definition of the f_i, except for the
    single-precision copy in `wilsonvox.events.generation.kernel`.
    """
    one = np.ones_like(cos_theta_mu)
    sine2 = np.maximum(1 - cos_theta_mu**2, 0.0)
    sine, cosine_2 = np.sqrt(sine2), 2 * cos_theta_mu**2 - 1
    sine_2 = 2 * sine * cos_theta_mu
    leptons = (one, one, cosine_2, cosine_2, sine2, sine_2, sine, cos_theta_mu, sine, sine_2, sine2)
    sine2, cosine2 = np.maximum(1 - cos_theta_k**2, 0.0), cos_theta_k**2
    sine_2 = 2 * np.sqrt(sine2) * cos_theta_k
    hadrons = (sine2, cosine2) * 2 + (sine2, sine_2, sine_2, sine2, sine_2, sine_2, sine2)
    # φ = π − chi
    one, cosine, sine = np.ones_like(chi), -np.cos(chi), np.sin(chi)
    cosine_2, sine_2 = 2 * cosine**2 - 1, 2 * sine * cosine
    planes = (one,) * 4 + (cosine_2, cosine, cosine, one, sine, sine, sine_2)
    return leptons, hadrons, planes


def angular_factors(cos_theta_mu: Array, cos_theta_k: Array, chi: Array) -> tuple[Array, ...]:
    """Compute the factors of the f_i that depend on one angle each.

    The product of the three results is `angular_functions`.

    Args:
        cos_theta_mu: shape (n_mu,).
        cos_theta_k: shape (n_k,).
        chi: shape (n_chi,) [rad].

    Returns:
        Three float64 arrays, of shape (n_mu, 11), (n_k, 11) and (n_chi, 11).
    """
    factors = _one_angle_factors(cos_theta_mu, cos_theta_k, chi)
    return tuple(np.stack(columns, axis=-1) for columns in factors)


def angular_functions(cos_theta_mu: Array, cos_theta_k: Array, chi: Array) -> Array:
    """Compute the functions f_i that multiply the J_i, shape (…, 11).

    d⁴Γ/(dq² dcosθ_μ dcosθ_K dχ) = 9/(32π) Σ_i J_i f_i (arXiv:0811.1214, eqs. 3.9 to 3.11, with
    φ = π − chi). The sine of a cosine outside −1 … 1 (by rounding) is taken as 0.

    Args:
        cos_theta_mu: dimensionless, any shape that broadcasts with the others.
        cos_theta_k: dimensionless.
        chi: rad.
    """
    factors = _one_angle_factors(cos_theta_mu, cos_theta_k, chi)
    products = [lepton * hadron * plane for lepton, hadron, plane in zip(*factors, strict=True)]
    return np.stack(np.broadcast_arrays(*products), axis=-1)


RATE_WEIGHTS = np.array([1.5, 0.75, -0.5, -0.25, 0, 0, 0, 0, 0, 0, 0])
"""Weights of the J_i in dΓ/dq² = 3/4 (2 J1s + J1c) − 1/4 (2 J2s + J2c)."""


def observables(j: Array) -> dict[str, Array]:
    """Compute the observables S_i, F_L and A_FB in the LHCb convention, dimensionless.

    F_L = (3 J1c − J2c)/(4 Γ), A_FB = 3/4 · J6s/Γ, S_i = J_i/Γ (arXiv:0811.1214, section 3).

    Args:
        j: J_i, integrated over q² or not, shape (…, 11).

    Returns:
        float64 arrays of shape (…), by name.
    """
    rate = j @ RATE_WEIGHTS
    index = {name: position for position, name in enumerate(NAMES)}
    result = {f"S{name}": j[..., index[name]] / rate for name in ("3", "4", "5", "7", "8", "9")}
    result["F_L"] = (3 * j[..., index["1c"]] - j[..., index["2c"]]) / (4 * rate)
    result["A_FB"] = 0.75 * j[..., index["6s"]] / rate
    return result
