"""Computation of the four decay variables and m_Kπ of B0 → K*0(→ K π) μ+ μ− from four-momenta.

Conventions (one definition for both flavours, CP-conjugate for the anti-B0):

- `cos_theta_mu`: in the μμ rest frame, between the μ+ (B0) or the μ− (anti-B0) and the direction
  opposite to the B;
- `cos_theta_k`: in the Kπ rest frame, between the kaon and the direction opposite to the B;
- `chi`: angle between the two decay planes in the B rest frame, chi = π − φ with LHCb's φ of
  either flavour (appendix A of arXiv:1304.6325), and for B0 equal to EvtGen's
  ``EvtDecayAngleChi(B; K, π, μ+, μ−)``, which the papers use.

Without CP violation, B0 and anti-B0 have the same distribution in these variables. The momenta may
be given in any common frame (rest frame of the B, centre of mass, laboratory).
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.particles import COMPONENTS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DecayMomenta:
    """Four-momenta [GeV] of n decays in one frame, `vector.MomentumNumpy4D` of shape (n,).

    `mup` is the positive muon for both flavours.
    """

    b: Any
    k: Any
    pi: Any
    mup: Any
    mum: Any

    @classmethod
    def from_array(cls, momenta: NDArray[np.floating]) -> Self:
        """Convert an array of shape (5, 4, n), ordered as `PARTICLES` and `COMPONENTS`."""
        import vector

        values = np.asarray(momenta, dtype=np.float64)
        return cls(*(vector.array(dict(zip(COMPONENTS, rows, strict=True))) for rows in values))


@dataclass(frozen=True)
class DecayVariables:
    """Variables of n decays, float64 of shape (n,): q2 [GeV²], chi [rad], m_kpi [GeV]."""

    q2: Array
    cos_theta_mu: Array
    cos_theta_k: Array
    chi: Array
    m_kpi: Array


def helicity_cosine(particle: Any, pair: Any, parent: Any) -> Array:
    """Compute the cosine between `particle` and the direction opposite to `parent`.

    Both directions are in the rest frame of `pair`, as in the definitions of θ_ℓ (leptons) and θ_K
    (hadrons) in appendix A of arXiv:1304.6325.

    Args:
        particle: four-momenta of one daughter of the pair, vector array of shape (n,).
        pair: four-momenta of the pair, same frame and shape.
        parent: four-momenta of the B, same frame and shape.

    Returns:
        float64 of shape (n,), in −1 … 1; NaN if the pair has no rest frame or a momentum vanishes
        there.
    """
    daughter = particle.boostCM_of_p4(pair).to_3D()
    backwards = -parent.boostCM_of_p4(pair).to_3D()
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.asarray(daughter.dot(backwards) / (daughter.mag * backwards.mag))
    return np.asarray(np.clip(cosine, -1.0, 1.0), dtype=np.float64)


def plane_angle(momenta: DecayMomenta, flavour: NDArray[np.integer]) -> Array:
    """Compute the LHCb angle φ of either flavour, between the decay planes in the B rest frame.

    With the normals n_ℓ = p(ℓ1) × p(ℓ2) and n_K = p(K) × p(π), where ℓ1 is the μ+ of a B0 and the
    μ− of an anti-B0: cos φ = n̂_ℓ·n̂_K and sin φ = ± (n̂_ℓ × n̂_K)·p̂(K*), minus for the anti-B0
    (appendix A of arXiv:1304.6325).

    Args:
        momenta: n decays, any frame.
        flavour: +1 for B0, −1 for anti-B0, shape (n,).

    Returns:
        float64 of shape (n,), in −π … π [rad].
    """
    k, pi, mup, mum = (
        particle.boostCM_of_p4(momenta.b).to_3D()
        for particle in (momenta.k, momenta.pi, momenta.mup, momenta.mum)
    )
    sign = np.asarray(flavour, dtype=np.float64)
    # μ− × μ+ = −(μ+ × μ−), so the sign of the flavour exchanges the muons
    normal_leptons = mup.cross(mum).scale(sign)
    normal_hadrons = k.cross(pi)
    kstar = (k + pi).unit()
    sine = sign * normal_leptons.cross(normal_hadrons).dot(kstar)
    return np.asarray(np.arctan2(sine, normal_leptons.dot(normal_hadrons)))


def decay_variables(momenta: DecayMomenta, flavour: NDArray[np.integer]) -> DecayVariables:
    """Compute q2, the three angles and m_Kπ of n decays in the conventions of this module.

    Args:
        momenta: n decays [GeV], any frame.
        flavour: +1 for B0, −1 for anti-B0, shape (n,).

    Returns:
        float64 columns of shape (n,): q2 = (p(μ+) + p(μ−))² [GeV²], cos_theta_mu, cos_theta_k,
        chi = π − φ in 0 … 2π [rad], m_kpi [GeV]. Unphysical momenta give NaN or values out of
        range, without a warning; the caller has to drop them.
    """
    flavours = np.asarray(flavour)
    dimuon = momenta.mup + momenta.mum
    kstar = momenta.k + momenta.pi
    with np.errstate(all="ignore"):
        # the muons are back to back in their rest frame: the cosine of the μ− is minus the μ+'s
        cos_theta_mu = flavours * helicity_cosine(momenta.mup, dimuon, momenta.b)
        return DecayVariables(
            q2=np.asarray(dimuon.mass2),
            cos_theta_mu=cos_theta_mu,
            cos_theta_k=helicity_cosine(momenta.k, kstar, momenta.b),
            chi=np.mod(np.pi - plane_angle(momenta, flavours), 2 * np.pi),
            m_kpi=np.asarray(kstar.mass),
        )


def lhcb_angles(
    cos_theta_mu: NDArray[np.floating], cos_theta_k: NDArray[np.floating], chi: NDArray[np.floating]
) -> tuple[Array, Array, Array]:
    """Convert to the LHCb angles (cos θ_ℓ, cos θ_K, φ), for either flavour.

    The cosines are the same and φ = π − chi (arXiv:1304.6325, appendix A), so that the
    coefficients S4, S5 and S9 have opposite signs in the two conventions.

    Args:
        cos_theta_mu: shape (n,).
        cos_theta_k: shape (n,).
        chi: [rad], 0 … 2π, shape (n,).

    Returns:
        Three float64 arrays of shape (n,); φ in −π … π [rad].

    >>> import numpy as np
    >>> lhcb_angles(np.array([0.5]), np.array([-0.5]), np.array([np.pi / 2]))[2] * 2 / np.pi
    array([1.])
    """
    return (
        np.asarray(cos_theta_mu, dtype=np.float64),
        np.asarray(cos_theta_k, dtype=np.float64),
        np.pi - np.asarray(chi, dtype=np.float64),
    )
