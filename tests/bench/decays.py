"""The events of the benchmarks: δC9 = −0.9, as the sampler draws them."""

from functools import cache
from pathlib import Path

from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.provenance.recording import make_record
from wilsonvox.theory.coefficient_table import AngularCoefficients, tabulate_by_name
from wilsonvox.theory.points import shift_vector

SHIFTS = {"c9": -0.9}
STREAM = Stream(1, "c9_-0.90", "test", 0)


@cache
def table() -> AngularCoefficients:
    """The table of angular coefficients of EvtGen's inputs."""
    return tabulate_by_name("evtgen-btosllnpr")


def decays(n_events: int) -> Events:
    """So many events."""
    return Events.concatenate(generate(table(), shift_vector(SHIFTS), n_events, STREAM))


def draw_and_drop(n_events: int) -> int:
    """Draw so many events, chunk by chunk, and keep none; returns their number."""
    chunks = generate(table(), shift_vector(SHIFTS), n_events, STREAM)
    return sum(len(chunk) for chunk in chunks)


def write_decays(path: Path, n_events: int) -> None:
    """An event file of so many events."""
    chunks = generate(table(), shift_vector(SHIFTS), n_events, STREAM)
    write_events(path, chunks, EventMetadata(origin="generated"), record())


def record() -> object:
    """A record for files that are thrown away."""
    return make_record("generate_events", "out.root", {})
