"""Four-momenta of decays from their variables, the inverse of `kinematics.decay_variables`.

The variables do not determine the orientation of the decay in space. As the B has spin 0, the
orientation is isotropic; it is drawn at random.

Frames:

- ``rest``: rest frame of the B.
- ``belle2``: frame of the detector at SuperKEKB, with the z axis midway between the beams. The
  Υ(4S) is produced by e⁻ of 7.004 GeV and e⁺ of 4.002 GeV, both at 41.5 mrad to that axis and with
  a momentum along +x (crossing angle 83 mrad). This is the preset ``Y4S`` of basf2's
  `beamparameters.py`,
  https://software.belle2.org/development/doxygen/beamparameters_8py_source.html, without its energy
  spread. In the Υ(4S) frame the B has the energy m(Υ(4S))/2, and its angle θ to the e⁻ is
  distributed as sin²θ, as for any e⁺e⁻ → Υ(4S) → two spin-0 mesons.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wilsonvox.events.event_file import Events
from wilsonvox.events.generation.sampler import Stream
from wilsonvox.theory.form_factors import kallen
from wilsonvox.theory.model import DecayModel

Array = NDArray[np.float64]
Frame = Literal["rest", "belle2"]

M_UPSILON_4S_GEV = 10.5794
"""Mass of the Υ(4S) [GeV] (Particle Data Group, https://pdg.lbl.gov)."""

BEAM_ENERGIES_GEV = (7.004, 4.002)
"""Energies of electrons and positrons of SuperKEKB at the Υ(4S) [GeV]."""

HALF_CROSSING_ANGLE = 0.0415
"""Angle of both beams to the z axis of the detector [rad]."""

_ORIENTATION = 1
"""Key of the random bits for orientations, see `Stream.bits`."""

_ROUNDING = 2e-7
"""Minimum relative distance of q² from its ends, for the rounding of single precision."""


def _directions(cos_theta: Array, azimuth: Array) -> Array:
    """Return unit vectors, shape (3, n), from cosines and azimuths [rad]."""
    sine = np.sqrt(1 - cos_theta**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cos_theta])


def _rotated(vectors: Array, axis: Array, turn: Array) -> Array:
    """Rotate vectors of shape (3, n) about z by `turn` [rad] and then so that z becomes `axis`."""
    x, y, z = vectors
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    transverse = np.hypot(axis[0], axis[1])
    safe = np.maximum(transverse, 1e-300)
    cosine, sine = np.where(transverse > 0, axis[0] / safe, 1.0), axis[1] / safe
    first = x * axis[2] + z * transverse
    turned = [first * cosine - y * sine, first * sine + y * cosine]
    return np.stack([*turned, z * axis[2] - x * transverse])


def _boosted(vectors: Array, mass: Array | float, frame: Array, frame_mass: Array | float) -> Array:
    """Boost momenta of shape (3, n) from the rest frame of a particle of momentum `frame`."""
    energy = np.sqrt((vectors**2).sum(axis=0) + np.square(mass))
    frame_energy = np.sqrt((frame**2).sum(axis=0) + np.square(frame_mass))
    along = (vectors * frame).sum(axis=0) / (frame_mass * (frame_energy + frame_mass))
    return np.asarray(vectors + frame * (along + energy / frame_mass))


def _with_energy(vectors: Array, mass: float) -> Array:
    """Return four-momenta of shape (4, n), with E from the mass."""
    energy = np.sqrt((vectors**2).sum(axis=0) + mass**2)
    return np.concatenate([energy[None], vectors])


def upsilon_momentum() -> Array:
    """Compute the momentum of the Υ(4S) in the detector frame [GeV] from the beam momenta."""
    electrons, positrons = BEAM_ENERGIES_GEV
    sine, cosine = math.sin(HALF_CROSSING_ANGLE), math.cos(HALF_CROSSING_ANGLE)
    total = np.array([(electrons + positrons) * sine, 0.0, (electrons - positrons) * cosine])
    velocity = total / (electrons + positrons)
    return np.asarray(M_UPSILON_4S_GEV * velocity / math.sqrt(1 - velocity @ velocity))


def _electron_axis() -> Array:
    """Compute the direction of the electron beam in the Υ(4S) frame, shape (3,)."""
    angle, energy = HALF_CROSSING_ANGLE, BEAM_ENERGIES_GEV[0]
    beam = energy * np.array([[math.sin(angle)], [0.0], [math.cos(angle)]])
    axis = _boosted(beam, 0.0, -upsilon_momentum()[:, None], M_UPSILON_4S_GEV)[:, 0]
    return np.asarray(axis / np.linalg.norm(axis))


def _b_momenta(n: int, m_b: float, generator: np.random.Generator) -> Array:
    """Draw momenta of B mesons in the Υ(4S) frame, shape (3, n) [GeV]."""
    # cos θ ∝ 1 − cos²θ by inverse transform: 3x − x³ = 4u − 2
    cos_theta = 2 * np.sin(np.arcsin(2 * generator.random(n) - 1) / 3)
    direction = _directions(cos_theta, 2 * np.pi * generator.random(n))
    axis = np.broadcast_to(_electron_axis()[:, None], direction.shape)
    momentum = math.sqrt(M_UPSILON_4S_GEV**2 / 4 - m_b**2)
    return momentum * _rotated(direction, axis, np.zeros(n))


def four_momenta(
    events: Events, model: DecayModel, frame: Frame, generator: np.random.Generator
) -> Array:
    """Compute four-momenta of decays with given variables and random orientation.

    Args:
        events: n decays.
        model: decay model, for the masses of B, K, π and leptons.
        frame: ``rest`` or ``belle2``.
        generator: random generator of the orientation.

    Returns:
        float64 of shape (5, 4, n) [GeV], in the order of `PARTICLES` and `COMPONENTS` (mup and mum
        are the positive and the negative lepton, muon or electron). A q² that is beyond an end of
        phase space by rounding is moved inside.
    """
    inputs, n = model.inputs, len(events)
    m_b, m_k, m_pi = inputs.m_b_meson_gev, inputs.m_kaon_gev, inputs.m_pion_gev
    m_lepton = model.m_lepton_gev
    columns = {name: column.astype(np.float64) for name, column in events.columns().items()}
    m_kpi, cos_k, cos_l = (columns[name] for name in ("m_kpi", "cos_theta_k", "cos_theta_mu"))
    q2 = np.minimum(columns["q2"], (m_b - m_kpi) ** 2 * (1 - _ROUNDING))
    q2 = np.maximum(q2, 4 * m_lepton**2 * (1 + _ROUNDING))
    azimuth = columns["flavour"] * columns["chi"]

    # the K* moves along +z and the lepton pair along −z, the kaon lies in the xz plane
    p_kstar = np.sqrt(kallen(np.asarray(m_b**2), m_kpi**2, q2)) / (2 * m_b)
    kaon = _directions(cos_k, np.zeros(n))
    kaon *= np.sqrt(kallen(m_kpi**2, np.asarray(m_k**2), np.asarray(m_pi**2))) / (2 * m_kpi)
    # θ_μ is measured from the direction opposite to the B: −z
    lepton = _directions(-cos_l, azimuth) * np.sqrt(q2 / 4 - m_lepton**2)
    flight = np.stack([np.zeros(n), np.zeros(n), p_kstar])
    root_q2 = np.sqrt(q2)
    decay = [
        _boosted(kaon, m_k, flight, m_kpi),
        _boosted(-kaon, m_pi, flight, m_kpi),
        _boosted(lepton, m_lepton, -flight, root_q2),
        _boosted(-lepton, m_lepton, -flight, root_q2),
    ]
    axis = _directions(2 * generator.random(n) - 1, 2 * np.pi * generator.random(n))
    turn = 2 * np.pi * generator.random(n)
    vectors = [np.zeros((3, n)), *(_rotated(vector, axis, turn) for vector in decay)]
    masses = (m_b, m_k, m_pi, m_lepton, m_lepton)
    if frame == "belle2":
        b = _b_momenta(n, m_b, generator)
        upsilon = np.broadcast_to(upsilon_momentum()[:, None], b.shape)
        vectors = [
            _boosted(_boosted(vector, mass, b, m_b), mass, upsilon, M_UPSILON_4S_GEV)
            for vector, mass in zip(vectors, masses, strict=True)
        ]
    momenta = np.stack(
        [_with_energy(vector, mass) for vector, mass in zip(vectors, masses, strict=True)]
    )
    # the angles refer to the positive lepton of a B0 and to the negative one of an anti-B0
    anti = columns["flavour"] < 0
    momenta[3:, :, anti] = momenta[[4, 3]][:, :, anti]
    return momenta


def momenta_of_chunks(
    model: DecayModel, frame: Frame, stream: Stream
) -> Callable[[int, Events], Array]:
    """Return a function of the index and the events of a chunk that computes their four-momenta."""

    def momenta(number: int, events: Events) -> Array:
        generator = np.random.Generator(stream.bits(number, _ORIENTATION))
        return four_momenta(events, model, frame, generator)

    return momenta
