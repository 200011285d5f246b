"""Where the time of generating goes, and the limit: the random numbers alone."""

import tempfile
from pathlib import Path

import numpy as np
from decays import SHIFTS, STREAM, decays, draw_and_drop, record, table
from event_files import chunks
from measuring import Row, Way, race

from wilsonvox.events.event_file import EventMetadata, write_events
from wilsonvox.events.generation.kernel import WORDS, draw
from wilsonvox.events.generation.sampler import Prepared, prepare
from wilsonvox.theory.points import shift_vector

N_EVENTS = 4_000_000
BLOCK = 1 << 13
"""Proposals at a time, as in the sampler."""
STAGE = "generate and write, part by part"


def run() -> list[Row]:
    """All rows of this module: rates as if a part were all, and its share of the whole."""
    table()

    def tables() -> Prepared:
        return prepare(table(), shift_vector(SHIFTS))

    density, proposal, _ = tables()
    n_blocks = round(N_EVENTS * proposal.proposals / BLOCK)
    bits = STREAM.bits(0)
    columns = [np.empty(BLOCK, np.float32) for _ in range(5)]
    blocks = [bits.random_raw(BLOCK * WORDS).reshape(BLOCK, WORDS) for _ in range(20)]
    # the lower half of the last word decides; 0 is taken without a look at the density
    taken = [block.copy() for block in blocks]
    for block in taken:
        block[:, WORDS - 1] &= np.uint64(0xFFFFFFFF00000000)

    def random_numbers() -> None:
        for _ in range(n_blocks):
            bits.random_raw(BLOCK * WORDS)

    def kernel(given: list[np.ndarray]) -> None:
        for number in range(n_blocks):
            draw(given[number % len(given)], density, proposal, 0, *columns)

    events = decays(N_EVENTS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        metadata = EventMetadata(origin="generated")
        found = race(
            STAGE,
            "events",
            {
                "random": Way(random_numbers, N_EVENTS),
                "propose": Way(lambda: kernel(taken), N_EVENTS),
                "draw": Way(lambda: kernel(blocks), N_EVENTS),
                "tables": Way(tables, N_EVENTS),
                "generate": Way(lambda: draw_and_drop(N_EVENTS), N_EVENTS),
                "write": Way(
                    lambda: write_events(path, chunks(events), metadata, record()), N_EVENTS
                ),
            },
        )
    # parts as differences, round by round
    seconds = {row.way: np.array(row.seconds) for row in found}
    parts = {
        f"random numbers, {proposal.proposals * WORDS:.1f} words an event: the limit": seconds[
            "random"
        ],
        "proposals": seconds["propose"],
        "their densities, to keep or drop them": seconds["draw"] - seconds["propose"],
        f"tables, once for all {N_EVENTS // 10**6} million events": seconds["tables"],
        "memory, chunks and caches": seconds["generate"]
        - seconds["draw"]
        - seconds["random"]
        - seconds["tables"],
        "writing to ROOT, with the digest": seconds["write"],
    }
    whole = np.median(seconds["generate"] + seconds["write"])
    rows = []
    for name, times in parts.items():
        part = float(np.median(times))
        if part < 0.005 * whole:  # a difference that is lost in the noise
            continue
        note = f"{part / whole:.0%} of the time, {1e9 * part / N_EVENTS:.0f} ns an event"
        rows.append(Row(STAGE, name, False, "events", N_EVENTS, (part,), note))
    return rows
