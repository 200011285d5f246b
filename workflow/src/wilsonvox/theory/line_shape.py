"""The K*0 line shape: the distribution of m_Kπ, independent of the matrix element."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.form_factors import kallen
from wilsonvox.theory.physics_inputs import PhysicsInputs

Array = NDArray[np.float64]


def breakup_momentum(m_kpi: Array, inputs: PhysicsInputs) -> Array:
    """Compute the kaon momentum in the Kπ rest frame [GeV] at `m_kpi` [GeV]; 0 below threshold."""
    lam = kallen(m_kpi**2, inputs.m_kaon_gev**2, inputs.m_pion_gev**2)
    return np.asarray(np.sqrt(np.maximum(lam, 0.0)) / (2 * m_kpi))


def line_shape(m_kpi: Array, inputs: PhysicsInputs) -> Array:
    """Compute the unnormalised density of `m_kpi` [GeV], of any shape.

    p³F² / ((m0² − m²)² + m0²Γ(m)²) with Γ(m) = Γ0 (p/p0)³ (m0/m) F² and the barrier factor
    F² = (1 + R²p0²)/(1 + R²p²), the distribution of the K* mass in EvtGen (arXiv:2203.06827); zero
    outside [m_kpi_min, m_kpi_max].
    """
    m0, radius2 = inputs.m_k_star_gev, inputs.barrier_radius_per_gev**2
    p, p0 = breakup_momentum(m_kpi, inputs), breakup_momentum(np.asarray(m0), inputs)
    barrier = (1 + radius2 * p0**2) / (1 + radius2 * p**2)
    width = inputs.width_k_star_gev * (p / p0) ** 3 * (m0 / m_kpi) * barrier
    density = p**3 * barrier / ((m0**2 - m_kpi**2) ** 2 + (m0 * width) ** 2)
    inside = (m_kpi >= inputs.m_kpi_min_gev) & (m_kpi <= inputs.m_kpi_max_gev)
    return np.asarray(np.where(inside, density, 0.0))


def line_shape_quantiles(inputs: PhysicsInputs, nodes: int = 16_385) -> tuple[Array, Array]:
    """Tabulate the cumulative distribution of m_Kπ for inverse-transform sampling.

    The nodes are denser where the density is larger, so that the density between two nodes is
    constant to about 1e-6.

    Returns:
        Masses [GeV] and cumulative probabilities, float64 of shape (nodes,).
    """
    fine = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, 400_001)
    density = line_shape(fine, inputs)
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    cumulative /= cumulative[-1]
    spread = cumulative + np.linspace(0, 1, len(fine))
    mass = np.interp(np.linspace(0, 2, nodes), spread, fine)
    return mass, np.interp(mass, fine, cumulative)
