"""Angular coefficients J_i and the angular distribution.

All J_i here are in the LHCb convention for B0 (angles cos_theta_mu, cos_theta_k, φ); relative to
the theory convention of arXiv:0811.1214 those of i = 4, 6s, 7 and 9 change sign. The papers' angle
is chi = π − φ.
"""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.amplitudes import Amplitudes

Array = NDArray[np.float64]

NAMES = ("1s", "1c", "2s", "2c", "3", "4", "5", "6s", "7", "8", "9")
"""The eleven J_i, in the order of the last axis of every array; J_6c is zero without scalars."""

ROOT_LAMBDA_BETA = np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1])
"""J_i that hold one factor √λ (one A_⊥)."""

BETA = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
"""J_i that hold one factor β."""


def polar_form(
    a: Amplitudes, b: Amplitudes, q2: Array, lam: Array, beta2: Array, m_lepton: float
) -> Array:
    """The symmetric bilinear form behind the reduced J_i, shape (…, 11).

    Each reduced J_i is a real quadratic form of the amplitudes, J_i(a) = B_i(a, a), so that
    J_i(a + b) = J_i(a) + 2 B_i(a, b) + J_i(b). The J_i are those of arXiv:0811.1214, section 3,
    with the lepton mass, in the LHCb convention and without the factors N², √λ (i = 5, 6s, 8, 9)
    and β (i = 5, 6s, 7): smooth at both ends of phase space.

    Args:
        a: amplitudes as given by `amplitudes`.
        b: as `a`.
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
    """Reduced J_i of given amplitudes, shape (…, 11); see `polar_form`."""
    return polar_form(a, a, q2, lam, beta2, m_lepton)


def kinematic_factors(q2: Array, lam: Array, beta2: Array) -> Array:
    """What `reduced_coefficients` leaves out: N² √λ^a β^b, shape (…, 11), N² = q² β √λ.

    The constant of N² is dropped; rates are relative.
    """
    root_lambda = np.sqrt(np.maximum(lam, 0.0))[..., None]
    beta = np.sqrt(np.maximum(beta2, 0.0))[..., None]
    return np.asarray(
        np.asarray(q2)[..., None] * beta * root_lambda * root_lambda**ROOT_LAMBDA_BETA * beta**BETA
    )


def _one_angle_factors(
    cos_theta_mu: Array, cos_theta_k: Array, chi: Array
) -> tuple[tuple[Array, ...], ...]:
    """Factors of the eleven f_i in cos_theta_mu, in cos_theta_k and in chi: three tuples of 11.

    Each array has the shape of its angle. The only place where the f_i are written, but for the
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
    """Return the f_i of `angular_functions` as products of functions of one angle each.

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
    """Return the functions f_i that multiply the J_i, shape (…, 11).

    d⁴Γ/(dq² dcosθ_μ dcosθ_K dχ) = 9/(32π) Σ_i J_i f_i (arXiv:0811.1214, eqs. 3.9 to 3.11, with
    φ = π − chi). A cosine outside −1 … 1 (by rounding) has the sine 0.

    Args:
        cos_theta_mu: dimensionless, any shape that broadcasts with the others.
        cos_theta_k: dimensionless.
        chi: rad.
    """
    factors = _one_angle_factors(cos_theta_mu, cos_theta_k, chi)
    products = [lepton * hadron * plane for lepton, hadron, plane in zip(*factors, strict=True)]
    return np.stack(np.broadcast_arrays(*products), axis=-1)


RATE_WEIGHTS = np.array([1.5, 0.75, -0.5, -0.25, 0, 0, 0, 0, 0, 0, 0])
"""dΓ/dq² = 3/4 (2 J1s + J1c) − 1/4 (2 J2s + J2c), as weights of the J_i."""


def observables(j: Array) -> dict[str, Array]:
    """LHCb-convention observables of (integrated) J_i of shape (…, 11).

    F_L = (3 J1c − J2c)/(4 Γ), A_FB = 3/4 · J6s/Γ, S_i = J_i/Γ (arXiv:0811.1214, section 3; signs
    as LHCb). Dimensionless.
    """
    rate = j @ RATE_WEIGHTS
    index = {name: position for position, name in enumerate(NAMES)}
    result = {f"S{name}": j[..., index[name]] / rate for name in ("3", "4", "5", "7", "8", "9")}
    result["F_L"] = (3 * j[..., index["1c"]] - j[..., index["2c"]]) / (4 * rate)
    result["A_FB"] = 0.75 * j[..., index["6s"]] / rate
    return result
