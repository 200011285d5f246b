"""Snakemake is interrupted or killed on the login node while its jobs go on."""

import os
import signal
import subprocess

import pytest

from wilsonvox.records.digests import content_digest

from .conftest import Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

EVENTS = [f"results/small/events/train/{point}/000.root" for point in ("c9_-2.00", "c9_+0.00")]


def test_control_c(run: Run):
    running = run.start(*EVENTS)
    job = run.process("generate")
    job.suspend()
    os.killpg(running.process.pid, signal.SIGINT)
    code = running.end()
    wait_for(lambda: not run.active(), "the end of all jobs", pause=0.5)
    states = [job.line() for job in run.jobs()]
    run.show("Ctrl-C", f"exit code {code}", *states)
    assert code != 0
    assert "Traceback" not in running.output, running.output
    printed = run.snakemake(*EVENTS)
    assert "taken over" not in printed
    assert run.overlapping() == []
    assert all((run.path / name).is_file() for name in EVENTS)
    assert run.unfinished_files() == []


def test_killed(run: Run):
    running = run.start(*EVENTS)
    jobs = [run.process("generate", name) for name in EVENTS]
    for job in jobs:
        job.suspend()
    running.process.kill()
    running.process.wait()
    left = [job.number for job in run.active()]
    assert len(left) == 2, run.jobs()

    locked = run.snakemake(*EVENTS, code=1)
    assert "--unlock" in locked
    run.snakemake("--unlock")
    again = run.start(*EVENTS)
    wait_for(lambda: again.output.count("taken over") == 2, "the jobs to be taken over")
    for job in jobs:
        job.resume()
    assert again.end() == 0, again.output
    run.show("kill -9", *lines_with(locked, "--unlock"), *lines_with(again.output, "taken over"))
    assert [job.number for job in run.jobs("generate_events")] == left
    assert all((run.path / name).is_file() for name in EVENTS)
    # nothing is left to do, and Snakemake knows what made it
    assert "Nothing to be done" in run.snakemake(*EVENTS)


def test_killed_while_a_job_waits(run: Run):
    """A pending job, which has not started when Snakemake dies, is taken over as well."""
    hold = ["sbatch", "--parsable", "--nodes=2", "--exclusive", "--output=/dev/null"]
    blocker = subprocess.run(
        [*hold, "--wrap=sleep 600"], cwd=run.path, check=True, capture_output=True, text=True
    ).stdout.strip()
    running = run.start("results/small/theory/angular_coefficients.npz")
    wait_for(lambda: run.jobs("angular_coefficients"), "a job that waits")
    assert run.jobs("angular_coefficients")[0]["JobState"] == "PENDING"
    running.process.kill()
    running.process.wait()
    run.snakemake("--unlock")
    again = run.start("results/small/theory/angular_coefficients.npz")
    wait_for(lambda: "PENDING: taken over" in again.output, "the job to be taken over")
    subprocess.run(["scancel", blocker], check=True)
    assert again.end() == 0, again.output
    assert len(run.jobs("angular_coefficients")) == 1


def test_killed_and_changed(run: Run):
    running = run.start(*EVENTS[:1])
    job = run.process("generate")
    job.suspend()
    running.process.kill()
    running.process.wait()
    (left,) = run.active()
    run.snakemake("--unlock")
    run.configure(lambda values: values.update(seed=8))
    printed = run.snakemake(*EVENTS[:1])
    run.show("kill -9 and another seed", *lines_with(printed, "cancelling"))
    first, *_, last = run.jobs("generate_events")
    assert first.number == left.number
    assert first["JobState"] == "CANCELLED"
    assert last["JobState"] == "COMPLETED"
    assert run.overlapping() == []
    assert f"cancelling jobs {left.number} " in printed


def test_nothing_is_lost(run: Run):
    """Outputs of before a kill stay, byte for byte."""
    run.snakemake(EVENTS[0])
    before = content_digest(run.path / EVENTS[0])
    running = run.start(*EVENTS)
    job = run.process("generate")
    running.process.kill()
    running.process.wait()
    job.wait(timeout=60)
    wait_for(lambda: not run.active(), "the end of the job", pause=0.5)
    run.snakemake("--unlock")
    printed = run.snakemake(*EVENTS)
    # the job ended well without anybody waiting for it, so there is nothing left to do
    assert "Nothing to be done" in printed, printed
    assert content_digest(run.path / EVENTS[0]) == before
    assert len(run.jobs("generate_events")) == 2
