"""Events in memory: the sampler, plain NumPy, and the random numbers alone."""

import sys

import numpy as np
from decays import SHIFTS, STREAM, decays, draw_and_drop, table
from measuring import Row, Way, race
from numpy_sampler import generate, prepare

from wilsonvox.events.event_file import Events
from wilsonvox.events.generation.four_momenta import four_momenta
from wilsonvox.events.generation.sampler import generate as generate_own
from wilsonvox.theory.points import shift_vector

N_EVENTS, N_PEER, N_MOMENTA = 4_000_000, 400_000, 1_000_000
EVTGEN = (37_000, 52_000)
"""Events a second of one core of EvtGen itself, told with its files in resources/evtgen/."""


def moments(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Means that tell one model from another, and their errors."""
    cl, ck, chi = (
        getattr(events, name).astype(float) for name in ("cos_theta_mu", "cos_theta_k", "chi")
    )
    low = (events.q2 > 1) & (events.q2 < 6)
    sin_k, sin_mu = np.sqrt(1 - ck**2), np.sqrt(1 - cl**2)
    values = np.stack(
        [
            events.q2,
            events.m_kpi,
            events.q2 < 1,
            cl * low,
            ck**2 * low,
            sin_k**2 * sin_mu**2 * np.cos(2 * chi),
            ck * sin_k * sin_mu * np.cos(chi) * low,
        ]
    )
    return values.mean(axis=1), values.std(axis=1) / np.sqrt(len(events))


def require_same_model(name: str, one: Events, other: Events) -> None:
    """Stop where two samples differ by more than their statistical errors allow."""
    (first, first_error), (second, second_error) = moments(one), moments(other)
    pulls = (first - second) / np.hypot(first_error, second_error)
    if np.abs(pulls).max() > 5:
        sys.exit(f"{name} draws from another model: pulls {np.round(pulls, 1)}")


def draw_momenta() -> None:
    """Draw events and their four-momenta, and keep none."""
    rng = np.random.default_rng(1)
    for chunk in generate_own(table(), shift_vector(SHIFTS), N_MOMENTA, STREAM):
        four_momenta(chunk, table().model, "rest", rng)


def quoted(stage: str) -> list[Row]:
    """EvtGen's rates, which are of decays with four-momenta."""
    return [
        Row(stage, f"EvtGen, {end} rate", False, "events", rate, note="quoted, not run")
        for end, rate in zip(("lowest", "highest"), EVTGEN, strict=True)
    ]


def run() -> list[Row]:
    """All rows of this module."""
    plain = prepare(table().model, shift_vector(SHIFTS))
    rng = np.random.Generator(np.random.SFC64(1))
    require_same_model("the NumPy peer", decays(N_EVENTS), generate(plain, N_EVENTS // 4, rng))
    stage = "generate the four variables"
    rows = race(
        stage,
        "events",
        {
            "wilsonvox": Way(lambda: draw_and_drop(N_EVENTS), N_EVENTS, True),
            "plain NumPy accept–reject": Way(lambda: generate(plain, N_PEER, rng), N_PEER),
        },
    )
    rows += quoted(stage)
    stage = "generate with four-momenta, B at rest"
    rows += race(stage, "events", {"wilsonvox": Way(draw_momenta, N_MOMENTA, True)}, rounds=3)
    return rows + quoted(stage)
