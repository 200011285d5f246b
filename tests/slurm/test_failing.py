"""Jobs that fail: what Snakemake tells, and what is on the disk."""

from pathlib import Path

import pytest

from wilsonvox.provenance import content_digest, read_record

from .conftest import Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

EVENTS = "results/small/events/train/c9_-2.00/000.root"


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


def test_out_of_memory_and_again(run: Run, tmp_path: Path):
    def change(profile):
        # Snakemake's own two processes and the command need more than the first attempt has
        profile["set-resources"]["generate_events"]["mem_mb"] = "200 if attempt == 1 else 3000"

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run.change_profile(change, NODE_SCRATCH=f"{scratch}/$SLURM_JOB_ID")
    running = run.start(EVENTS)
    wait_for(lambda: len(run.jobs("generate_events")) == 2, "a second attempt")
    (scratch / run.jobs("generate_events")[1].number).mkdir()
    process = run.process("generate")
    process.suspend()
    temporary = process.environ()["TMPDIR"]
    process.resume()
    assert running.end() == 0, running.output
    printed = running.output
    first, second = run.jobs("generate_events")
    run.show("out of memory", first.line(), second.line(), *lines_with(printed, "SLURM job "))
    # without cgroups, as here, Slurm ends the step and calls the job FAILED
    assert first["JobState"] in ("OUT_OF_MEMORY", "FAILED")
    assert "it was given 200M of memory" in printed
    assert second["JobState"] == "COMPLETED"
    assert second.memory_mb == 3000
    # the node's own folder is used where there is one
    assert temporary == str(scratch / second.number)
    record = read_record(run.path / EVENTS)
    assert record is not None
    assert record.content_digest == content_digest(run.path / EVENTS)
    assert run.unfinished_files() == []
