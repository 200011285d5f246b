"""The whole workflow on the cluster, with the profile as it is, by the command of the README."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.workflow.test_profile_table import cluster_resources
from tests.workflow.conftest import ROOT, make_folder
from wilsonvox.provenance.code import stage_packages
from wilsonvox.records.digests import content_digest
from wilsonvox.stages.table import STAGES
from wilsonvox.workflow.status.engine import planned_jobs

from .conftest import Run

pytestmark = pytest.mark.slurm

KERAS_RULES = {rule for rule in STAGES if "keras" in stage_packages(rule, ["resnet"])}


def outputs(results: Path) -> dict[str, str]:
    """Content digests of all outputs of a run, by their path in its folder."""
    suffixes = {".root", ".npz", ".keras", ".parquet", ".json", ".png", ".pdf"}
    return {
        str(path.relative_to(results)): content_digest(path)
        for path in sorted(results.rglob("*"))
        if path.suffix in suffixes and path.is_file() and "training_state" not in path.parts
    }


def gpus_of_jobs() -> dict[str, str]:
    """Numbers of the GPUs that running jobs were given, by the job's number."""
    command = ["scontrol", "--oneliner", "--details", "show", "job"]
    text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = {}
    for line in text.splitlines():
        given = re.search(r"GRES=gpu(?::\w+)?:\d+\(IDX:([\d,-]+)\)", line)
        if given:
            found[line.split()[0].removeprefix("JobId=")] = given[1]
    return found


def test_whole_workflow(run: Run, tmp_path: Path):
    running = run.start()
    given: dict[str, str] = {}
    while running.process.poll() is None:
        given |= gpus_of_jobs()
        time.sleep(0.5)
    assert running.end() == 0, running.output
    assert "wilsonvox: results/small is complete" in running.output

    before = Path.cwd()
    os.chdir(run.path)
    try:
        planned = [job.rule for job in planned_jobs(ROOT / "Snakefile", [Path("small.yaml")])]
    finally:
        os.chdir(before)
    jobs = run.jobs()
    assert sorted(job.rule for job in jobs) == sorted(planned)
    for job in jobs:
        expected = cluster_resources(job.rule)
        on_gpu = bool(expected.get("gpu"))
        assert job["JobState"] == "COMPLETED"
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert job["TresPerNode"] == ("gres:gpu:1" if on_gpu else "")
        assert job.memory_mb == pytest.approx(expected["mem_mb"], rel=0.01)
        assert job.minutes == expected["runtime"]
        assert job["Requeue"] == "0"
        assert job["JobName"].startswith("wilsonvox-small-")
    assert {job.rule for job in jobs if job["Partition"] == "gpu"} == KERAS_RULES & set(planned)

    # the process of a GPU job saw the one GPU of its allocation
    for rule in ("train", "measure"):
        (job,) = run.jobs(rule)
        (log,) = run.results.glob(f"logs/{rule}/**/*.log")
        assert f"CUDA_VISIBLE_DEVICES={given[job.number]}:" in log.read_text()
    cpu, gpu = (next(job for job in jobs if job.rule == rule) for rule in ("voxelize", "train"))
    run.show(
        f"the whole workflow, {len(jobs)} jobs",
        cpu.line(),
        gpu.line(),
        (run.results / "logs/train/b8_n300/tiny.log").read_text().splitlines()[0],
    )

    # the same on this machine
    local = tmp_path / "local"
    local.mkdir()
    make_folder(local)
    shutil.copy(run.path / "small.yaml", local)
    words = [
        "--snakefile",
        ROOT / "Snakefile",
        "--profile",
        ROOT / "profiles/local",
        "--cores",
        "2",
    ]
    done = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), *words, "--configfile", "small.yaml"],
        cwd=local,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    here, there = outputs(local / "results/small"), outputs(run.results)
    figures = [name for name in here if name.startswith("figures/")]
    assert len(figures) > 10
    assert {name: there[name] for name in figures} == {name: here[name] for name in figures}
    assert there == here
