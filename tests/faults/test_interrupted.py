"""Faults: Snakemake is interrupted (Ctrl-C), killed, or started twice."""

import os
import signal

import psutil
import pytest

from .conftest import Run, Running, lines_with, runs, wait_for
from .test_killed import EVENTS, MADE_OF_IMAGES, SHARD

pytestmark = pytest.mark.faults


SMALL_EVENTS, SMALL_SHARD = (each.replace("c9_-0.50", "c9_-1.00") for each in (EVENTS, SHARD))
TARGETS = (EVENTS, SHARD, SMALL_EVENTS, SMALL_SHARD)


def begun(run: Run) -> tuple[dict[str, str], Running, list[psutil.Process]]:
    """Run with two jobs that are stopped while they write events."""
    before = run.without("events/interpolation", "voxels/b8_n300/interpolation", *MADE_OF_IMAGES)
    running = run.start(*TARGETS)
    jobs = []
    for target in (EVENTS, SMALL_EVENTS):
        job = running.job("generate", target)
        folder = (run.results / target).parent
        wait_for(lambda at=folder: list(at.glob(".*.part.root")), "a job that writes", pause=0)
        job.suspend()
        jobs.append(job)
    assert len(run.hidden()) == 2, "a job ended before it was stopped; a larger one is needed"
    return before, running, jobs


def test_control_c(run):
    before, running, jobs = begun(run)
    os.killpg(running.process.pid, signal.SIGINT)
    for job in jobs:
        job.resume()
    assert running.end() != 0
    wait_for(lambda: not any(runs(each) for each in running.seen), "the end of all jobs")
    run.show("Ctrl-C", f"exit code {running.end()}", *lines_with(running.output, "wilsonvox:"))
    assert "Traceback" not in running.output, running.output
    assert run.sound(before) == before
    run.complete(*TARGETS)


def test_a_second_one_at_once(run):
    before, running, jobs = begun(run)
    printed = run.snakemake(*TARGETS, code=1)
    run.show("the start of a second Snakemake", *lines_with(printed, "lock"))
    assert "Directory cannot be locked" in printed
    assert "--unlock" in printed
    assert "Traceback" not in printed
    assert run.sound(before, left=2) == before
    for job in jobs:
        job.resume()
    assert running.end() == 0, running.output
    run.complete(*TARGETS)


def test_killed_with_jobs_running(run):
    before, running, (large, small) = begun(run)
    running.process.kill()
    running.end()
    run.show("SIGKILL of Snakemake", "both jobs are still there, without a parent")
    assert run.sound(before, left=2) == before

    printed = run.snakemake(*TARGETS, code=1)
    assert "Directory cannot be locked" in printed
    assert "--unlock" in printed
    assert "Traceback" not in printed
    run.snakemake("--unlock")
    # one orphan writes its file at the same time as the next run, the other one later
    again = run.start(*TARGETS)
    again.job("generate", EVENTS)
    large.resume()
    assert again.end() == 0, again.output
    run.sound(before, left=2)
    small.resume()
    wait_for(lambda: not (runs(large) or runs(small)), "the end of the orphans")
    run.complete(*TARGETS)
