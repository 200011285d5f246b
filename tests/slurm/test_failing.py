"""Jobs that fail: what Snakemake tells, and what is on the disk."""

from pathlib import Path

import pytest

from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record

from .conftest import Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

EVENTS = "results/small/events/train/c9_-2.00/000.root"
IMAGES = "results/small/voxels/b8_n300/train/c9_-2.00/000.npz"


def test_a_job_that_fails(run: Run):
    (run.path / "broken.root").write_bytes(b"root, or is it")
    (run.path / "samples.tsv").write_text("sample\tpath\nbroken\tbroken.root\n")
    printed = run.snakemake("results/small/samples/broken.root", "--retries", "0", code=1)
    (job,) = run.jobs()
    log = run.results / "logs/ingest_events/broken.log"
    told = lines_with(printed, "SLURM job ", "Error in rule", "wilsonvox: error")
    run.show("a job that fails", job.line(), *told)
    assert job["JobState"] == "FAILED"
    assert "Error in rule ingest_events" in printed
    assert f"SLURM job {job.number} ended as FAILED on {job['NodeList']}" in printed
    assert str(log.relative_to(run.path)) in printed
    assert "wilsonvox: error: broken.root" in printed
    assert not (run.results / "samples/broken.root").exists()
    assert run.unfinished_files() == []


def test_out_of_memory_and_out_of_time_and_again(run: Run, tmp_path: Path):
    def change(profile):
        # Snakemake's own two processes and the command need more than the first attempt has
        profile["set-resources"]["generate_events"]["mem_mb"] = "200 if attempt == 1 else 3000"
        profile["set-resources"]["voxelize"]["runtime"] = "1 if attempt == 1 else 30"

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run.change_profile(change, NODE_SCRATCH=f"{scratch}/$SLURM_JOB_ID")
    running = run.start(IMAGES)
    wait_for(lambda: len(run.jobs("generate_events")) == 2, "a second attempt")
    (scratch / run.jobs("generate_events")[1].number).mkdir()
    process = run.process("generate")
    process.suspend()
    temporary = process.environ()["TMPDIR"]
    process.resume()
    run.process("voxelize").suspend()
    assert running.end() == 0, running.output
    small, large = run.jobs("generate_events")
    short, long = run.jobs("voxelize")
    lines = lines_with(running.output, "SLURM job ")
    run.show("out of memory", small.line(), large.line(), *lines[:1])
    run.show("out of time", short.line(), long.line(), *lines[1:])
    # without cgroups, as here, Slurm ends the step and calls the job FAILED
    assert small["JobState"] in ("OUT_OF_MEMORY", "FAILED")
    assert "it was given 200M of memory" in running.output
    assert short["JobState"] == "TIMEOUT"
    assert "its time limit was 00:01:00" in running.output
    assert [large["JobState"], long["JobState"]] == ["COMPLETED", "COMPLETED"]
    assert large.memory_mb == 3000
    assert (short.minutes, long.minutes) == (1, 30)
    # the node's own folder is used where there is one
    assert temporary == str(scratch / large.number)
    for name in (EVENTS, IMAGES):
        record = read_record(run.path / name)
        assert record is not None
        assert record.content_digest == content_digest(run.path / name)
    assert run.unfinished_files() == []
