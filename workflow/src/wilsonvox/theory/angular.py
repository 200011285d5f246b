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


def reduced_coefficients(
    a: Amplitudes, q2: Array, lam: Array, beta2: Array, m_muon: float
) -> Array:
    """J_i without the factors N², √λ (i = 5, 6s, 8, 9) and β (i = 5, 6s, 7); shape (…, 11).

    Arguments as given by `amplitudes` and `phase_space`; the formulas are those of
    arXiv:0811.1214, section 3, with the lepton mass, in the LHCb convention. Smooth at both ends
    of phase space.
    """
    mass = 4 * m_muon**2 / q2

    def square(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> Array:
        return np.asarray(np.abs(left) ** 2 + np.abs(right) ** 2)

    perp2 = lam * square(a.perp_left, a.perp_right)
    para2 = square(a.para_left, a.para_right)
    zero2 = square(a.zero_left, a.zero_right)
    mixed = (
        lam * (a.perp_left * a.perp_right.conj()).real + (a.para_left * a.para_right.conj()).real
    )
    zero_para = a.zero_left * a.para_left.conj(), a.zero_right * a.para_right.conj()
    zero_perp = a.zero_left * a.perp_left.conj(), a.zero_right * a.perp_right.conj()
    para_perp = a.para_left * a.perp_left.conj(), a.para_right * a.perp_right.conj()
    root2 = np.sqrt(2.0)
    parts = (
        (2 + beta2) / 4 * (perp2 + para2) + mass * mixed,
        zero2 + mass * (lam * np.abs(a.time) ** 2 + 2 * (a.zero_left * a.zero_right.conj()).real),
        beta2 / 4 * (perp2 + para2),
        -beta2 * zero2,
        beta2 / 2 * (perp2 - para2),
        -beta2 / root2 * (zero_para[0] + zero_para[1]).real,
        root2 * (zero_perp[0] - zero_perp[1]).real,
        -2 * (para_perp[0] - para_perp[1]).real,
        -root2 * (zero_para[0] - zero_para[1]).imag,
        beta2 / root2 * (zero_perp[0] + zero_perp[1]).imag,
        beta2 * (para_perp[0] + para_perp[1]).imag,
    )
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def kinematic_factors(q2: Array, lam: Array, beta2: Array) -> Array:
    """What `reduced_coefficients` leaves out: N² √λ^a β^b, shape (…, 11), N² = q² β √λ.

    The constant of N² is dropped; rates are relative.
    """
    root_lambda = np.sqrt(np.maximum(lam, 0.0))[..., None]
    beta = np.sqrt(np.maximum(beta2, 0.0))[..., None]
    return np.asarray(
        np.asarray(q2)[..., None] * beta * root_lambda * root_lambda**ROOT_LAMBDA_BETA * beta**BETA
    )


def angular_functions(cos_theta_mu: Array, cos_theta_k: Array, chi: Array) -> Array:
    """The functions f_i that multiply the J_i, shape (…, 11).

    d⁴Γ/(dq² dcosθ_μ dcosθ_K dχ) = 9/(32π) Σ_i J_i f_i (arXiv:0811.1214, eqs. 3.9 to 3.11, with
    φ = π − chi). Angles dimensionless and in rad.
    """
    sin2_k, cos2_k = 1 - cos_theta_k**2, cos_theta_k**2
    sin2_mu = 1 - cos_theta_mu**2
    sin_mu, sin_k = np.sqrt(sin2_mu), np.sqrt(sin2_k)
    cos_2mu, sin_2mu = 2 * cos_theta_mu**2 - 1, 2 * sin_mu * cos_theta_mu
    sin_2k = 2 * sin_k * cos_theta_k
    cos_phi, sin_phi = -np.cos(chi), np.sin(chi)
    parts = (
        sin2_k,
        cos2_k,
        sin2_k * cos_2mu,
        cos2_k * cos_2mu,
        sin2_k * sin2_mu * (2 * cos_phi**2 - 1),
        sin_2k * sin_2mu * cos_phi,
        sin_2k * sin_mu * cos_phi,
        sin2_k * cos_theta_mu,
        sin_2k * sin_mu * sin_phi,
        sin_2k * sin_2mu * sin_phi,
        sin2_k * sin2_mu * 2 * sin_phi * cos_phi,
    )
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


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
