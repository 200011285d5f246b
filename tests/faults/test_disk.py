"""Faults: the disk is full or read-only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import RUN, error_lines, lines_with, wait_for
from .test_killed import (
    EVENTS,
    HISTORY,
    MADE_OF_IMAGES,
    MODEL,
    SHARD,
    STATE,
)

pytestmark = pytest.mark.faults

EVALUATION = "evaluation/b8_n300/tiny"
PREDICTIONS = f"{EVALUATION}/interpolation/c9_-0.50.parquet"
SUMMARY = f"{EVALUATION}/summary"
TOPOLOGY = "figures/topology"


TRAINED = ["models", "evaluation", "measurements", "figures/b8_n300"]
SUMMARIZED = [f"{SUMMARY}.*", "measurements"]
PNG = f"{TOPOLOGY}.png"
PDF = f"{TOPOLOGY}.pdf"


@pytest.mark.parametrize(
    ("targets", "gone", "kilobytes", "named"),
    [
        ([EVENTS], [EVENTS, SHARD, *MADE_OF_IMAGES], 1024, EVENTS),
        ([SHARD], [SHARD, *MADE_OF_IMAGES], 1024, SHARD),
        ([PREDICTIONS], [PREDICTIONS, *SUMMARIZED], 16, PREDICTIONS),
        ([f"{SUMMARY}.parquet", f"{SUMMARY}.csv"], SUMMARIZED, 8, f"{SUMMARY}.parquet"),
        ([PDF, PNG], [PDF, PNG], 16, PNG),
        # the PNG is written first, for which there is space
        ([PDF, PNG], [PDF, PNG], {PNG: 8}, PDF),
        ([MODEL, HISTORY], TRAINED, 8, STATE),
    ],
    ids=["generate", "voxelize", "evaluate", "summarize", "plot_png", "plot_pdf", "train"],
)
def test_full(run, disk, targets, gone, kilobytes, named, request):
    if isinstance(kilobytes, dict):
        ((first, more),) = kilobytes.items()
        kilobytes = -(-(run.results / first).stat().st_size // 4096) * 4 + more
    before = run.without(*gone)
    disk.leave(kilobytes)
    printed = run.snakemake(*targets, code=1)
    lines = error_lines(printed)
    run.show(f"{request.node.callspec.id} on a full disk", *lines)
    message = f"wilsonvox: error: {RUN / named}: "
    assert len(lines) == 1, printed
    assert lines[0].startswith(message), printed
    assert "No space left on device" in lines[0]
    assert run.sound(before) == before
    disk.enlarge()
    run.complete(*targets)


def test_full_in_the_middle_of_a_training(run, disk):
    before = run.without(*TRAINED)
    running = run.start(MODEL)
    log = run.results / "logs/train/b8_n300/tiny.log"
    job = running.job("train")
    wait_for(lambda: "epoch 3 of" in log.read_text(), "epoch 3 of the training", pause=0)

    def is_stopped_between_two_states() -> bool:
        job.suspend()
        if run.hidden():
            job.resume()
        return not run.hidden()

    wait_for(is_stopped_between_two_states, "a moment in which no state is written")
    disk.leave(0)
    job.resume()
    assert running.end() == 1
    lines = error_lines(running.output)
    run.show("a disk that fills up in the middle of a training", *lines)
    assert len(lines) == 1, running.output
    assert f" {RUN / STATE}: " in lines[0]
    assert run.sound(before) == before
    assert run.states() == [run.results / STATE]
    disk.enlarge()
    run.complete(MODEL, HISTORY)
    assert "resuming at epoch " in log.read_text()


def test_full_to_the_last_byte(run, disk):
    before = run.without(f"{TOPOLOGY}.*")
    disk.leave(0)
    printed = run.snakemake(PNG, code=1)
    # no space even for a line in a log: detected before the first job
    lines = lines_with(printed, "No space left on device")
    run.show("a disk without one free byte", *lines)
    assert lines == [f"{RUN}: cannot be written: No space left on device"], printed
    assert "Traceback" not in printed
    assert run.sound(before) == before
    disk.enlarge()
    run.complete(PNG)


def test_read_only(run, disk):
    before = run.without(f"{TOPOLOGY}.*")
    disk.read_only(True)
    printed = run.snakemake(PNG, code=1)
    assert "Traceback" not in printed, printed
    lines = lines_with(printed, "cannot be written")
    run.show("a read-only folder", *lines)
    assert lines == [f"{RUN}: cannot be written: Read-only file system"], printed
    assert run.sound(before) == before

    target = RUN / PNG
    typed = subprocess.run(
        [Path(sys.executable).with_name("wilsonvox"), "plot", "topology", "--png", target,
         "--pdf", target.with_suffix(".pdf")],
        cwd=run.path, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert typed.returncode == 1
    assert len(typed.stderr.splitlines()) == 1, typed.stderr
    assert f"{target.with_suffix('')}.p" in typed.stderr
    assert run.sound(before) == before
    disk.read_only(False)
    run.complete(PNG)
