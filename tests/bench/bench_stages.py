"""One table of rates: this project beside its peers, in one run on one machine.

    make bench              # some four minutes
    make bench LARGE=1      # and 50 million events, in a process of their own
    .venv/bin/python tests/bench/bench_stages.py --groups voxelizing fitting

Every group of benchmarks runs in a process of its own, on one core, with one thread. The ways of
doing a thing are timed in turn; a rate is of the shortest timing, because other work on the machine
only adds time. All timings, with the machine's description, go into a JSON file. What is compared
with what: docs/results/benchmarks.md.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from machine import machine
from measuring import THREADS, Row, one_core

GROUPS = (
    "generating",
    "generation_parts",
    "event_files",
    "voxelizing",
    "loading",
    "fitting",
    "network_steps",
)
LARGE_GROUPS = ("large_generation",)
RESULTS = Path(__file__).parent / "results/bench.json"
COLUMNS = ("what, and by whom", "rate", "unit", "wilsonvox is", "")


def measured(group: str) -> list[Row]:
    """Rows of one group, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        words = [sys.executable, __file__, "--one-group", group, "--out", str(path)]
        done = subprocess.run(words, check=False, env=os.environ | THREADS)
        if done.returncode:
            sys.exit(f"bench_stages: group {group} failed; nothing was written")
        found = json.loads(path.read_text())
    return [Row(**row | {"seconds": tuple(row["seconds"])}) for row in found]


def _si(rate: float) -> str:
    """A rate with three digits, such as ``12.3 M``."""
    for factor, prefix in ((1e6, " M"), (1e3, " k")):
        if rate >= factor:
            return f"{rate / factor:.3g}{prefix}"
    return f"{rate:.3g}"


def _ratio(ours: Row | None, row: Row) -> str:
    if ours is None or row.ours or row.unit != ours.unit:
        return ""
    return f"{ours.rate / row.rate:.3g} × as fast"


def lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table's cells, a stage after the other; ratios are those of its first own row."""
    cells: list[tuple[str, ...]] = [COLUMNS]
    for stage, group in groupby(rows, key=lambda row: row.stage):
        found = list(group)
        ours = next((row for row in found if row.ours), None)
        cells.append((stage, "", "", "", ""))
        cells += [
            (f"  {row.way}", _si(row.rate), f"{row.unit}/s", _ratio(ours, row), row.note)
            for row in found
        ]
    return cells


def text(cells: Sequence[tuple[str, ...]]) -> str:
    """The table for a terminal."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    return "\n".join(
        f"{row[0]:{widths[0]}}  {row[1]:>{widths[1]}} {row[2]:{widths[2]}}  "
        f"{row[3]:{widths[3]}}  {row[4]}".rstrip()
        for row in cells
    )


def markdown(cells: Sequence[tuple[str, ...]]) -> str:
    """The table for docs/results/benchmarks.md; stages in bold."""
    head, *body = cells
    rows = [
        (f"**{row[0]}**" if not row[1] else row[0].strip(), f"{row[1]} {row[2]}", *row[3:])
        for row in body
    ]
    written = [(head[0], head[1], *head[3:]), ("---", "--:", "--:", "---"), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def load(path: Path) -> list[Row]:
    """Rows of a file of results."""
    kept = {"stage", "way", "ours", "unit", "amount", "seconds", "note"}
    rows = json.loads(path.read_text())["rows"]
    return [Row(**{name: row[name] for name in kept}) for row in rows]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", nargs="+", choices=GROUPS + LARGE_GROUPS, default=GROUPS)
    parser.add_argument("--large", action="store_true", help="also 50 million events")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write")
    parser.add_argument("--markdown", type=Path, help="measure nothing, print a file's table")
    parser.add_argument("--one-group", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.markdown:
        print(markdown(lines(load(given.markdown))))
        return
    if given.one_group:
        one_core()
        found = importlib.import_module(given.one_group).run()
        given.out.write_text(json.dumps([asdict(row) for row in found]))
        return
    description = machine()
    rows: list[Row] = []
    for group in (*given.groups, *(LARGE_GROUPS if given.large else ())):
        print(f"{group} …", file=sys.stderr, flush=True)
        rows += measured(group)
    print(text(lines(rows)))
    rates = [{"rate": row.rate, "median_rate": row.median_rate} for row in rows]
    content = {
        "machine": description,
        "rows": [asdict(row) | rate for row, rate in zip(rows, rates, strict=True)],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
