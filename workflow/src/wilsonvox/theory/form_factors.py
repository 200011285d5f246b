"""B → K* form factors in the z expansion of Bharucha, Straub and Zwicky (arXiv:1503.05534)."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.physics_inputs import PhysicsInputs

Array = NDArray[np.float64]


def kallen(a: Array | float, b: Array | float, c: Array | float) -> Array:
    """Compute the Källén function λ(a, b, c) = a² + b² + c² − 2(ab + bc + ca), broadcasting."""
    return np.asarray(a * a + b * b + c * c - 2 * (a * b + b * c + c * a), dtype=np.float64)


def conformal_z(q2: Array, m_b_meson: float, m_kpi: Array) -> Array:
    """Compute the conformal variable z(q²), dimensionless.

    z = (√(t₊ − q²) − √(t₊ − t₀)) / (√(t₊ − q²) + √(t₊ − t₀)) with t± = (m_B ± m_Kπ)² and
    t₀ = t₊(1 − √(1 − t₋/t₊)) (arXiv:1503.05534, section 2), with the m_Kπ of each event, as in
    EvtGen.

    Args:
        q2: GeV².
        m_b_meson: mass of the B [GeV].
        m_kpi: GeV, broadcastable with `q2`.
    """
    t_plus, t_minus = (m_b_meson + m_kpi) ** 2, (m_b_meson - m_kpi) ** 2
    t_zero = t_plus * (1 - np.sqrt(1 - t_minus / t_plus))
    root, root_zero = np.sqrt(t_plus - q2), np.sqrt(t_plus - t_zero)
    return np.asarray((root - root_zero) / (root + root_zero), dtype=np.float64)


def form_factors(q2: Array, m_kpi: Array, inputs: PhysicsInputs) -> dict[str, Array]:
    """Compute the seven form factors, dimensionless, by name.

    F(q²) = Σ_k a_k (z(q²) − z(0))^k / (1 − q²/m_R²) (arXiv:1503.05534, section 2).

    Args:
        q2: invariant mass squared of the lepton pair [GeV²].
        m_kpi: invariant mass of the Kπ pair [GeV], broadcastable with `q2`.
        inputs: pole masses, coefficients and the B mass.
    """
    z = conformal_z(q2, inputs.m_b_meson_gev, m_kpi)
    x = z - conformal_z(np.zeros_like(m_kpi), inputs.m_b_meson_gev, m_kpi)
    values = {}
    for name, factor in inputs.form_factors:
        a0, a1, a2 = factor.a
        values[name] = (a0 + x * (a1 + x * a2)) / (1 - q2 / factor.pole_gev**2)
    return values
