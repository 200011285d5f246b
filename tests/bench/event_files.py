"""Event files: written with uproot's default and with ours, read whole and in chunks."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import uproot
from decays import decays, record
from measuring import Row, Way, race

from wilsonvox.events.event_file import (
    BRANCHES,
    TREE,
    EventMetadata,
    Events,
    iterate_events,
    write_events,
)

N_EVENTS = 2_000_000
CHUNK = 1 << 18


def chunks(events: Events) -> Iterator[Events]:
    """The events as the sampler hands them on."""
    return (events[start : start + CHUNK] for start in range(0, len(events), CHUNK))


def run() -> list[Row]:
    """All rows of this module."""
    events = decays(N_EVENTS)
    with tempfile.TemporaryDirectory() as folder:
        own, default = Path(folder) / "own.root", Path(folder) / "default.root"

        def write_own() -> None:
            write_events(own, chunks(events), EventMetadata(origin="generated"), record())

        def write_default() -> None:
            with uproot.recreate(default) as file:
                tree = file.mktree(TREE, dict(BRANCHES))
                for chunk in chunks(events):
                    tree.extend(chunk.columns())

        def read_all(path: Path, library: str) -> int:
            with uproot.open(path) as file:
                return len(file[TREE].arrays(list(BRANCHES), library=library))

        write_own()
        write_default()
        sizes = {
            path: f"{path.stat().st_size / N_EVENTS:.1f} B an event" for path in (own, default)
        }
        rows = race(
            "write ROOT",
            "events",
            {
                "wilsonvox, LZ4 and digest": Way(write_own, N_EVENTS, True, sizes[own]),
                "uproot, default compression": Way(write_default, N_EVENTS, note=sizes[default]),
            },
            rounds=3,
        )
        return rows + race(
            "read ROOT",
            "events",
            {
                "wilsonvox, in chunks": Way(
                    lambda: sum(len(chunk) for chunk in iterate_events(own)), N_EVENTS, True
                ),
                "uproot arrays() of the same file": Way(lambda: read_all(own, "ak"), N_EVENTS),
                "uproot arrays() in default compression": Way(
                    lambda: read_all(default, "ak"), N_EVENTS
                ),
            },
        )
