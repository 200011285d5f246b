"""Rates of generating, writing, reading and voxelizing, each on one core in one process.

Run it with ``make bench``. Peers run in the same process, so that ratios mean something; absolute
rates are of this machine and minute.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import binned_statistic_dd

from wilsonvox.events import EventMetadata, Events, iterate_events, write_events
from wilsonvox.provenance import make_record
from wilsonvox.sampling import Stream, generate
from wilsonvox.theory import tabulate_by_name
from wilsonvox.voxels import ANGLES, fill_image

N_EVENTS = 4_000_000
IMAGE = 24_000


def best(action: Callable[[], object], repeat: int = 3) -> float:
    """Shortest of several timings [s]."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print one table; write it as JSON beside the run."""
    os.environ["OMP_NUM_THREADS"] = "1"
    table = tabulate_by_name("evtgen-btosllnpr")
    stream = Stream(1, "c9_-0.90", "test", 0)
    list(generate(table, -0.9, 10, stream))  # compile

    def draw() -> Events:
        return Events.concatenate(generate(table, -0.9, N_EVENTS, stream))

    rates = {"generate": N_EVENTS / best(draw, 2)}
    events = draw()
    images = [events[i : i + IMAGE] for i in range(0, N_EVENTS - IMAGE, IMAGE)]
    used = len(images) * IMAGE
    rates["voxelize (mean q2 and count)"] = used / best(lambda: [fill_image(e, 50) for e in images])

    def peer() -> None:
        for image in images[:20]:
            sample = np.stack([getattr(image, name) for name in ANGLES], axis=1)
            binned_statistic_dd(sample, image.q2, "mean", bins=50, range=list(ANGLES.values()))

    rates["voxelize (peer: scipy binned_statistic_dd)"] = 20 * IMAGE / best(peer, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        metadata, record = (
            EventMetadata(origin="generated"),
            make_record("generate_events", "out.file", {}),
        )
        rates["write"] = N_EVENTS / best(lambda: write_events(path, [events], metadata, record))
        rates["read"] = N_EVENTS / best(lambda: [len(chunk) for chunk in iterate_events(path)])
    evtgen = 45_000.0  # EvtGen's BTOSLLNPR on such a core, 37,000 to 52,000; quoted, not run
    for name, rate in rates.items():
        print(f"{name:45} {rate / 1e6:7.2f} M events/s")
    print(f"{'generate / EvtGen (quoted 45,000/s)':45} {rates['generate'] / evtgen:7.0f} times")
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    print(json.dumps({"machine": machine, "events_per_second": rates}))


if __name__ == "__main__":
    main()
