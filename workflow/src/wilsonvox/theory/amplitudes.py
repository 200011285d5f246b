"""Transversity amplitudes of B0 → K*0 μ+ μ− (Altmannshofer et al., arXiv:0811.1214, section 3)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.charm_loop import c9_effective
from wilsonvox.theory.form_factors import form_factors, kallen
from wilsonvox.theory.physics_inputs import PhysicsInputs
from wilsonvox.theory.points import COEFFICIENTS

Array = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class Amplitudes:
    """Transversity amplitudes without kinematic factors, seven complex128 arrays of one shape.

    The full amplitudes are N √λ times `perp_*` and `time`, and N times the others, with
    N² ∝ q² β √λ. Without √λ they are smooth at the end of phase space.
    """

    perp_left: ComplexArray
    perp_right: ComplexArray
    para_left: ComplexArray
    para_right: ComplexArray
    zero_left: ComplexArray
    zero_right: ComplexArray
    time: ComplexArray

    def __add__(self, other: Self) -> Self:
        mine, theirs = vars(self), vars(other)
        return type(self)(**{name: mine[name] + theirs[name] for name in mine})

    def __mul__(self, factor: complex) -> Self:
        return type(self)(**{name: factor * value for name, value in vars(self).items()})


def amplitudes(
    q2: Array,
    m_kpi: Array,
    coefficients: dict[str, ComplexArray],
    inputs: PhysicsInputs,
    factors: dict[str, Array] | None = None,
) -> Amplitudes:
    """Compute the amplitudes for given Wilson coefficients, in which they are linear.

    A_⊥, A_∥, A_0 (left and right) and A_t in the form of arXiv:0811.1214, section 3, with the
    form factors A12 and T23 of arXiv:1503.05534 in place of A2 and T3. Primed coefficients enter
    as C + C′ in A_⊥ and as C − C′ in the others.

    Args:
        q2: GeV².
        m_kpi: invariant mass of the Kπ pair [GeV], taken as the K*'s; broadcastable with `q2`.
        coefficients: total effective coefficients ``c7``, ``c9``, ``c10``, ``c7p``, ``c9p``,
            ``c10p``, dimensionless and broadcastable; missing ones are zero.
        inputs: masses and form factors.
        factors: precomputed `form_factors` at `q2` and `m_kpi`; computed if None.
    """
    m_b_meson, m_b = inputs.m_b_meson_gev, inputs.m_b_gev
    factors = form_factors(q2, m_kpi, inputs) if factors is None else factors
    c = {name: np.asarray(coefficients.get(name, 0.0)) for name in COEFFICIENTS}
    total, difference = m_b_meson + m_kpi, m_b_meson - m_kpi
    root2, root_q2 = np.sqrt(2.0), np.sqrt(q2)

    perp_vector = (c["c9"] + c["c9p"]) * factors["V"] / total + 2 * m_b / q2 * (
        c["c7"] + c["c7p"]
    ) * factors["T1"]
    perp_axial = (c["c10"] + c["c10p"]) * factors["V"] / total
    para_vector = (c["c9"] - c["c9p"]) * factors["A1"] / difference + 2 * m_b / q2 * (
        c["c7"] - c["c7p"]
    ) * factors["T2"]
    para_axial = (c["c10"] - c["c10p"]) * factors["A1"] / difference
    zero_vector = (c["c9"] - c["c9p"]) * factors["A12"] + m_b * (c["c7"] - c["c7p"]) * factors[
        "T23"
    ] / total
    zero_axial = (c["c10"] - c["c10p"]) * factors["A12"]
    para, zero = -root2 * total * difference, -8 * m_b_meson * m_kpi / root_q2
    return Amplitudes(
        perp_left=root2 * (perp_vector - perp_axial),
        perp_right=root2 * (perp_vector + perp_axial),
        para_left=para * (para_vector - para_axial),
        para_right=para * (para_vector + para_axial),
        zero_left=zero * (zero_vector - zero_axial),
        zero_right=zero * (zero_vector + zero_axial),
        time=2 / root_q2 * (c["c10"] - c["c10p"]) * factors["A0"],
    )


def standard_model_coefficients(q2: Array, inputs: PhysicsInputs) -> dict[str, ComplexArray]:
    """Return C7eff, C7′eff, C9eff(q²) and C10 of the Standard Model at `q2` [GeV²], by name."""
    return {
        "c7": np.asarray(inputs.c7eff, np.complex128),
        "c7p": np.asarray(inputs.c7peff, np.complex128),
        "c9": c9_effective(q2, inputs),
        "c10": np.asarray(inputs.c10, np.complex128),
    }


def phase_space(
    q2: Array, m_kpi: Array, m_b_meson_gev: float, m_lepton_gev: float
) -> tuple[Array, Array]:
    """Return λ(m_B², m_Kπ², q²) [GeV⁴] and β² = 1 − 4m_ℓ²/q² (dimensionless).

    λ is negative beyond the upper end of phase space, β² below the lower end.
    """
    return (
        kallen(np.asarray(m_b_meson_gev**2), m_kpi**2, q2),
        1 - 4 * m_lepton_gev**2 / q2,
    )
