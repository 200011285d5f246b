"""The effective coefficient C9eff(q²) with one-loop quark contributions."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.physics_inputs import PhysicsInputs

ComplexArray = NDArray[np.complex128]


def quark_loop(q2: NDArray[np.float64], mass: float, scale: float) -> ComplexArray:
    """Compute the one-loop function h(q², m_q), dimensionless (hep-ph/0106067, eq. 11).

    h = −4/9 (ln(m²/μ²) − 2/3 − z) − 4/9 (2 + z) √|z − 1| g(z) with z = 4m²/q², where g is
    arctan(1/√(z − 1)) for z > 1 and ln((1 + √(1 − z))/√z) − iπ/2 for z ≤ 1. For a massless quark
    h = 8/27 + 4/9 (ln(μ²/q²) + iπ).

    Args:
        q2: GeV², positive.
        mass: mass of the quark [GeV]; 0 for a massless quark.
        scale: renormalisation scale μ [GeV].
    """
    if mass == 0:
        return np.asarray(8 / 27 + 4 / 9 * (np.log(scale**2 / q2) + 1j * np.pi))
    z = 4 * mass**2 / q2
    root = np.sqrt(np.abs(z - 1))
    above = np.arctan2(1.0, root)  # arctan(1/root), finite at the threshold
    below = np.log((1 + root) / np.sqrt(z)) - 0.5j * np.pi
    branch = np.where(z > 1, above, below)
    return np.asarray(
        -4 / 9 * (2 * np.log(mass / scale) - 2 / 3 - z) - 4 / 9 * (2 + z) * root * branch
    )


def c9_effective(q2: NDArray[np.float64], inputs: PhysicsInputs) -> ComplexArray:
    """Compute C9eff(q²) = C9 + Y(q²) of the Standard Model, complex128 of the shape of `q2`.

    Y(q²) is that of arXiv:0811.1214, eq. 10, with C1 … C6, m_c, m_b (loop) and the scale of the
    inputs. It has a cusp at q² = 4 m_c².
    """
    c1, c2, c3, c4, c5, c6 = inputs.c1_to_c6
    scale, m_b = inputs.scale_gev, inputs.m_b_loop_gev
    charm = quark_loop(q2, inputs.m_c_gev, scale) * (4 / 3 * c1 + c2 + 6 * c3 + 60 * c5)
    bottom = quark_loop(q2, m_b, scale) * (7 * c3 + 4 / 3 * c4 + 76 * c5 + 64 / 3 * c6)
    light = quark_loop(q2, 0.0, scale) * (c3 + 4 / 3 * c4 + 16 * c5 + 64 / 3 * c6)
    constant = 4 / 3 * c3 + 64 / 9 * c5 + 64 / 27 * c6
    return np.asarray(inputs.c9 + charm - bottom / 2 - light / 2 + constant)
