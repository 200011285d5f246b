"""An executor in a folder of its own, on a cluster of scripts."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import Run, Slurm

from snakemake_executor_plugin_wilsonvox_slurm import executor


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """A cluster without jobs."""
    cluster = Slurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{cluster.folder / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SNAKEMAKE_SLURM_PARTITIONS", raising=False)
    for name in ("ASKING_AGAIN_SECONDS", "SETTLING_SECONDS", "LIMITED_SECONDS"):
        monkeypatch.setattr(executor, name, 0.01)
    return cluster


@pytest.fixture
def make_run(
    tmp_path: Path, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., Run]]:
    """Function that starts an executor with the settings that it is given."""
    folder = tmp_path / "run"
    (folder / ".snakemake").mkdir(parents=True)
    monkeypatch.chdir(folder)
    caplog.set_level(logging.INFO)
    runs: list[Run] = []

    def make(**settings: Any) -> Run:
        runs.append(Run(folder, slurm, **settings))
        return runs[-1]

    yield make
    slurm.leave_unanswered(0)
    for run in runs:
        run.executor.cancel()


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    """An executor with the default settings."""
    return make_run()
