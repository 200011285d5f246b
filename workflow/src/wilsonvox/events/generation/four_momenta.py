"""Four-momenta of decays from their variables: the way back of `kinematics.decay_variables`.

The variables leave open how the decay is oriented in space; the B has no spin, so every
orientation is as likely as any other and is drawn.

Frames:

- ``rest``: the B is at rest.
- ``belle2``: the detector's frame at SuperKEKB, with the z axis in the middle of both beams. e⁻ of
  7.004 GeV and e⁺ of 4.002 GeV, both at 41.5 mrad to that axis and with a momentum along +x
  (crossing angle 83 mrad), make the Υ(4S): preset ``Y4S`` of basf2's `beamparameters.py`,
  https://software.belle2.org/development/doxygen/beamparameters_8py_source.html (its spread of
  the energies is left out). In the Υ(4S)'s frame the B has the energy m(Υ(4S))/2, and its
  direction goes as sin²θ to the e⁻'s, as e⁺e⁻ → Υ(4S) → two spinless mesons must.
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
"""Mass of the Υ(4S) (Particle Data Group, https://pdg.lbl.gov)."""

BEAM_ENERGIES_GEV = (7.004, 4.002)
"""Energies of the electrons and the positrons of SuperKEKB at the Υ(4S)."""

HALF_CROSSING_ANGLE = 0.0415
"""Angle of both beams to the detector's z axis [rad]."""

_ORIENTATION = 1
"""Purpose of the random numbers, beside those of the decay variables."""

_ROUNDING = 2e-7
"""Relative distance that q² keeps from its ends: single precision cannot tell more."""


def _directions(cos_theta: Array, azimuth: Array) -> Array:
    """Unit vectors, shape (3, n)."""
    sine = np.sqrt(1 - cos_theta**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cos_theta])


def _rotated(vectors: Array, axis: Array, turn: Array) -> Array:
    """Vectors of shape (3, n), turned about z by `turn` and then so that z becomes `axis`."""
    x, y, z = vectors
    x, y = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    transverse = np.hypot(axis[0], axis[1])
    safe = np.maximum(transverse, 1e-300)
    cosine, sine = np.where(transverse > 0, axis[0] / safe, 1.0), axis[1] / safe
    first = x * axis[2] + z * transverse
    turned = [first * cosine - y * sine, first * sine + y * cosine]
    return np.stack([*turned, z * axis[2] - x * transverse])


def _boosted(vectors: Array, mass: Array | float, frame: Array, frame_mass: Array | float) -> Array:
    """Momenta of shape (3, n) out of the rest frame of a particle of momentum `frame`, (3, n)."""
    energy = np.sqrt((vectors**2).sum(axis=0) + np.square(mass))
    frame_energy = np.sqrt((frame**2).sum(axis=0) + np.square(frame_mass))
    along = (vectors * frame).sum(axis=0) / (frame_mass * (frame_energy + frame_mass))
    return np.asarray(vectors + frame * (along + energy / frame_mass))


def _with_energy(vectors: Array, mass: float) -> Array:
    """Four-momenta of shape (4, n), E from the mass."""
    energy = np.sqrt((vectors**2).sum(axis=0) + mass**2)
    return np.concatenate([energy[None], vectors])


def upsilon_momentum() -> Array:
    """Momentum of the Υ(4S) in the detector's frame [GeV], with the velocity of the two beams."""
    electrons, positrons = BEAM_ENERGIES_GEV
    sine, cosine = math.sin(HALF_CROSSING_ANGLE), math.cos(HALF_CROSSING_ANGLE)
    total = np.array([(electrons + positrons) * sine, 0.0, (electrons - positrons) * cosine])
    velocity = total / (electrons + positrons)
    return np.asarray(M_UPSILON_4S_GEV * velocity / math.sqrt(1 - velocity @ velocity))


def _electron_axis() -> Array:
    """Direction of the electrons in the Υ(4S)'s frame, shape (3,)."""
    angle, energy = HALF_CROSSING_ANGLE, BEAM_ENERGIES_GEV[0]
    beam = energy * np.array([[math.sin(angle)], [0.0], [math.cos(angle)]])
    axis = _boosted(beam, 0.0, -upsilon_momentum()[:, None], M_UPSILON_4S_GEV)[:, 0]
    return np.asarray(axis / np.linalg.norm(axis))


def _b_momenta(n: int, m_b: float, generator: np.random.Generator) -> Array:
    """Momenta of B mesons in the Υ(4S)'s frame, shape (3, n) [GeV]."""
    # cos θ ∝ 1 − cos²θ by inverse transform: 3x − x³ = 4u − 2
    cos_theta = 2 * np.sin(np.arcsin(2 * generator.random(n) - 1) / 3)
    direction = _directions(cos_theta, 2 * np.pi * generator.random(n))
    axis = np.broadcast_to(_electron_axis()[:, None], direction.shape)
    momentum = math.sqrt(M_UPSILON_4S_GEV**2 / 4 - m_b**2)
    return momentum * _rotated(direction, axis, np.zeros(n))


def four_momenta(
    events: Events, model: DecayModel, frame: Frame, generator: np.random.Generator
) -> Array:
    """Four-momenta of decays with given variables and random orientation.

    Args:
        events: n decays.
        model: masses of B, K, π and leptons.
        frame: ``rest`` or ``belle2``.
        generator: draws the orientation.

    Returns:
        float64 of shape (5, 4, n) [GeV], in the order of `PARTICLES` (mup and mum are the positive
        and the negative lepton, electrons too) and `COMPONENTS` of `wilsonvox.theory.kinematics`.
        q² within single precision of an end of phase space is moved inside it.
    """
    inputs, n = model.inputs, len(events)
    m_b, m_k, m_pi = inputs.m_b_meson_gev, inputs.m_kaon_gev, inputs.m_pion_gev
    m_lepton = model.m_lepton_gev
    columns = {name: column.astype(np.float64) for name, column in events.columns().items()}
    m_kpi, cos_k, cos_l = (columns[name] for name in ("m_kpi", "cos_theta_k", "cos_theta_mu"))
    q2 = np.minimum(columns["q2"], (m_b - m_kpi) ** 2 * (1 - _ROUNDING))
    q2 = np.maximum(q2, 4 * m_lepton**2 * (1 + _ROUNDING))
    azimuth = columns["flavour"] * columns["chi"]

    # the K* goes along +z and the lepton pair along −z, the kaon lies in the xz plane
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
    vectors = [np.zeros((3, n)), *(_rotated(each, axis, turn) for each in decay)]
    masses = (m_b, m_k, m_pi, m_lepton, m_lepton)
    if frame == "belle2":
        b = _b_momenta(n, m_b, generator)
        upsilon = np.broadcast_to(upsilon_momentum()[:, None], b.shape)
        vectors = [
            _boosted(_boosted(each, mass, b, m_b), mass, upsilon, M_UPSILON_4S_GEV)
            for each, mass in zip(vectors, masses, strict=True)
        ]
    momenta = np.stack(
        [_with_energy(each, mass) for each, mass in zip(vectors, masses, strict=True)]
    )
    # the angles' lepton is the positive one of a B0, the negative one of an anti-B0
    anti = columns["flavour"] < 0
    momenta[3:, :, anti] = momenta[[4, 3]][:, :, anti]
    return momenta


def momenta_of_chunks(
    model: DecayModel, frame: Frame, stream: Stream
) -> Callable[[int, Events], Array]:
    """The function that makes the four-momenta of a campaign's chunks, by number and events."""

    def momenta(number: int, events: Events) -> Array:
        generator = np.random.Generator(stream.bits(number, _ORIENTATION))
        return four_momenta(events, model, frame, generator)

    return momenta
