"""The whole workflow on the cluster, with the profile as it is, by the command of the README."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, make_folder
from wilsonvox.provenance import content_digest
from wilsonvox.provenance.code import STAGES, stage_packages
from wilsonvox.status.engine import planned_jobs

from .conftest import Run

pytestmark = pytest.mark.slurm

RESOURCES = yaml.safe_load((ROOT / "profiles/resources.yaml").read_text())
KERAS_RULES = {rule for rule in STAGES if "keras" in stage_packages(rule, ["resnet"])}


def outputs(results: Path) -> dict[str, str]:
    """Content digests of all outputs of a run, by their path in its folder."""
    suffixes = {".root", ".npz", ".keras", ".parquet", ".json", ".png", ".pdf"}
    return {
        str(path.relative_to(results)): content_digest(path)
        for path in sorted(results.rglob("*"))
        if path.suffix in suffixes and path.is_file() and "training_state" not in path.parts
    }


def test_whole_workflow(run: Run, tmp_path: Path):
    printed = run.snakemake()
    assert "wilsonvox: results/small is complete" in printed

    before = Path.cwd()
    os.chdir(run.path)
    try:
        planned = [job.rule for job in planned_jobs(ROOT / "Snakefile", [Path("small.yaml")])]
    finally:
        os.chdir(before)
    jobs = run.jobs()
    assert sorted(job.rule for job in jobs) == sorted(planned)
    for job in jobs:
        expected = RESOURCES[job.rule]
        on_gpu = bool(expected.get("gpu"))
        assert job["JobState"] == "COMPLETED"
        assert job["Partition"] == ("gpu" if on_gpu else "cpu")
        assert job["TresPerNode"] == ("gres:gpu:1" if on_gpu else "")
        assert job.memory_mb == pytest.approx(expected["mem_mb"], rel=0.01)
        assert job.minutes == expected["runtime"]
        assert job["Requeue"] == "0"
        assert job["JobName"].startswith("wilsonvox-small-")
    assert {job.rule for job in jobs if job["Partition"] == "gpu"} == KERAS_RULES & set(planned)

    # each GPU job's process saw the one GPU of its allocation, and nothing else
    for job in jobs:
        if job["Partition"] != "gpu":
            continue
        shown = subprocess.run(
            ["scontrol", "--oneliner", "--details", "show", "job", job.number],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (index,) = re.findall(r"GRES=gpu(?::\w+)?:1\(IDX:(\d)\)", shown)
        log = next(run.results.glob(f"logs/{job.rule}/**/*.log"))
        seen = re.findall(r"CUDA_VISIBLE_DEVICES=(\S+?):? ", log.read_text())
        assert seen, log.read_text()
        if job.rule in ("train", "measure"):
            assert set(seen) == {index}
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
