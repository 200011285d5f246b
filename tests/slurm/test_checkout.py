"""Code or configuration are edited under a running workflow."""

import os
import shutil
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT

from .conftest import Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

EVENTS = "results/small/events/train/c9_-2.00/000.root"


def copy_checkout(folder: Path) -> Path:
    """A checkout of its own, whose code the jobs run."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("workflow", "envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def test_edited_code(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkout = copy_checkout(tmp_path / "checkout")
    monkeypatch.setenv("PYTHONPATH", str(checkout / "workflow/src"))
    module = checkout / "workflow/src/wilsonvox/voxels/binning.py"
    running = run.start(EVENTS.replace("events", "voxels/b8_n300").replace("root", "npz"),
                        snakefile=checkout / "Snakefile")  # fmt: skip
    job = run.process("generate")
    job.suspend()
    code = module.read_text()
    # a comment is no other code, a new constant is
    module.write_text(f"# edited\n{code}")
    os.utime(module)
    module.write_text(f"{code}\nEDITED = 1\n")
    job.resume()
    assert running.end() == 1, running.output
    told = lines_with(running.output, "changed under the running workflow")
    run.show("edited code", *told)
    assert len(told) >= 1, running.output
    assert not list(run.results.rglob("voxels/**/*.npz"))
    # put back, it goes on from there
    module.write_text(code)
    wait_for(lambda: not run.active(), "the end of all jobs", pause=0.5)
    run.snakemake(EVENTS, snakefile=checkout / "Snakefile")
    assert len(run.jobs("generate_events")) == 1


def test_edited_configuration(run: Run):
    running = run.start(EVENTS.replace("events", "voxels/b8_n300").replace("root", "npz"))
    job = run.process("generate")
    job.suspend()
    run.configure(lambda values: values.update(seed=8))
    job.resume()
    assert running.end() == 1, running.output
    told = lines_with(running.output, "configuration changed under the running workflow")
    run.show("edited configuration", *told)
    # one job found it, and nothing more was tried
    assert len(run.jobs("generate_events")) == 1
    assert told, running.output
    assert not list(run.results.rglob("voxels/**/*.npz"))
