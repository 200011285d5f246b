"""Fixtures: folders for the tiny configuration, and the jobs planned by Snakemake."""

import copy
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from wilsonvox.workflow.status.engine import PlannedJob, planned_jobs

ROOT = Path(__file__).parents[2]
TINY = yaml.safe_load((ROOT / "tests/workflow/tiny.yaml").read_text())


@dataclass
class Folder:
    """Folder with a configuration, the table of samples and the shipped resources."""

    path: Path

    def configure(self, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
        """Write the tiny configuration, modified by `change`."""
        values = copy.deepcopy(TINY)
        if change is not None:
            change(values)
        configuration = self.path / "tiny.yaml"
        configuration.write_text(yaml.safe_dump(values, sort_keys=False))
        return configuration

    def planned(
        self,
        *configurations: str | Path,
        config: Mapping[str, Any] | None = None,
        targets: tuple[str, ...] = (),
    ) -> list[PlannedJob]:
        """Return the jobs that would run here, by default with the default configuration."""
        before = Path.cwd()
        os.chdir(self.path)
        try:
            files = [Path(each) for each in configurations]
            jobs = planned_jobs(ROOT / "Snakefile", files, config, targets=targets)
        finally:
            os.chdir(before)
        return [job for job in jobs if job.would_run]

    def snakemake(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `snakemake` in this folder without .venv/bin in PATH, as a user does."""
        command = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile"]
        return subprocess.run(
            [*command, *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PATH": os.defpath},
        )


def by_rule(jobs: list[PlannedJob]) -> Counter[str]:
    """Return the number of jobs per rule."""
    return Counter(job.rule for job in jobs)


def make_folder(path: Path) -> Folder:
    """Make a folder in which the tiny configuration can run."""
    shutil.copy(ROOT / "tests/workflow/samples.tsv", path)
    (path / "resources").symlink_to(ROOT / "resources")
    (path / "config").symlink_to(ROOT / "config")
    folder = Folder(path)
    folder.configure()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Provide an empty folder with the tiny configuration in `tiny.yaml`."""
    return make_folder(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """Provide the folder of a finished run of the tiny configuration, which tests may only read."""
    folder = make_folder(tmp_path_factory.mktemp("tiny run"))
    run = folder.snakemake(
        "--profile", ROOT / "profiles/local", "--cores", "2", "--configfile", "tiny.yaml"
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def make_report(
    folder: Folder, configuration: str = "tiny.yaml"
) -> subprocess.CompletedProcess[str]:
    """Run `make report` for a configuration in `folder`, with the environment of the tests."""
    for name in ("Snakefile", "workflow", "profiles"):
        link = folder.path / name
        if not link.exists():
            link.symlink_to(ROOT / name)
    # the environment exists: `--old-file` prevents make from creating it again
    return subprocess.run(
        ["make", "--makefile", ROOT / "Makefile", "--old-file", "setup", "report",
         f"CONFIG={configuration}", f"BIN={Path(sys.executable).parent}"],
        cwd=folder.path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def reported(finished: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Provide a copy of the finished run with its report."""
    path = tmp_path_factory.mktemp("reported") / "tiny run"
    shutil.copytree(finished.path, path, symlinks=True)
    folder = Folder(path)
    run = make_report(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder
