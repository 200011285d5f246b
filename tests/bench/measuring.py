"""Timings of competing ways to do one thing, side by side, and what a process costs."""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One way of doing one thing.

    stage: what is done; the rows of a stage are compared with each other.
    way: who or what does it.
    ours: whether it is this project's way, which the ratios are of.
    unit: what is counted, such as "events".
    amount: how many of them one timing is for.
    seconds: of each timing; empty where `amount` is a rate that is quoted, not measured.
    note: sizes, versions or where a quoted rate is from.
    """

    stage: str
    way: str
    ours: bool
    unit: str
    amount: float
    seconds: tuple[float, ...] = ()
    note: str = ""

    @property
    def rate(self) -> float:
        """Units a second in the shortest timing: other work on the machine only adds time."""
        return self.amount / min(self.seconds) if self.seconds else self.amount

    @property
    def median_rate(self) -> float:
        """Units a second in the median timing."""
        return self.amount / statistics.median(self.seconds) if self.seconds else self.amount


@dataclass(frozen=True)
class Way:
    """A candidate of `race`: `run` does `amount` units of work at each call."""

    run: Callable[[], Any]
    amount: float
    ours: bool = False
    note: str = ""


def race(stage: str, unit: str, ways: Mapping[str, Way], rounds: int = 5) -> list[Row]:
    """Time all ways in turn, `rounds` times, after one call each that is not counted.

    In turn, so that all of them meet the same moods of the machine.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way.run()
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            start = time.perf_counter()
            way.run()
            seconds[name].append(time.perf_counter() - start)
    return [
        Row(stage, name, way.ours, unit, way.amount, tuple(seconds[name]), way.note)
        for name, way in ways.items()
    ]


def one_core() -> None:
    """Keep this process and its children on one core, and libraries at one thread."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""Environment of every benchmark's process."""


@dataclass(frozen=True)
class ProcessCost:
    """Of one whole process, from its start to its end."""

    seconds: float
    processor_seconds: float
    memory_bytes: int


def process(words: Sequence[str]) -> ProcessCost:
    """Run a command and see what it costs.

    Raises:
        SystemExit: the command failed; with its messages.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        shim = [sys.executable, "-I", str(Path(__file__).with_name("spawn.py")), str(report)]
        done = subprocess.run([*shim, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
        return ProcessCost(**json.loads(report.read_text()))
