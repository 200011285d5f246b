"""Fifty million events, each time in a process of its own, from its start to its end."""

import sys
import tempfile
from pathlib import Path

from decays import SHIFTS, record, table
from measuring import ProcessCost, Row, process

from wilsonvox.theory.points import point_label

N_EVENTS, N_FEWER = 50_000_000, 5_000_000


def _row(way: str, costs: list[ProcessCost], fewer: ProcessCost, note: str = "") -> Row:
    memory, less = (
        f"{cost.memory_bytes / 1e6:.0f}" for cost in (min(costs, key=lambda c: c.seconds), fewer)
    )
    note = f"{memory} MB of memory, {less} MB for {N_FEWER // 10**6} million{note}"
    seconds = tuple(cost.seconds for cost in costs)
    return Row(
        f"{N_EVENTS // 10**6} million events, whole process",
        way,
        True,
        "events",
        N_EVENTS,
        seconds,
        note,
    )


def run() -> list[Row]:
    """All rows of this module."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        coefficients, out = folder / "coefficients.npz", folder / "events.root"
        table().save(coefficients, record())
        program = Path(sys.executable).with_name("wilsonvox")

        def draw(n_events: int) -> ProcessCost:
            script = Path(__file__).with_name("draw_events.py")
            return process([sys.executable, str(script), str(coefficients), str(n_events)])

        def write(n_events: int) -> ProcessCost:
            words = ["generate", "--point", point_label(SHIFTS), "--events", str(n_events)]
            words += ["--seed", "1", "--coefficients", str(coefficients), "--out", str(out)]
            return process([str(program), *words])

        rows = []
        for way, action in (("drawn", draw), ("drawn and written to ROOT", write)):
            fewer = action(N_FEWER)
            costs = [action(N_EVENTS) for _ in range(2)]
            size = f"; {out.stat().st_size / 1e9:.2f} GB" if out.exists() else ""
            rows.append(_row(way, costs, fewer, size))
        return rows
