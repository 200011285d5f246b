"""Comparison of the plan with the jobs of Snakemake and the files of a run."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from wilsonvox.config.reading import load_configuration
from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import measured_samples
from wilsonvox.workflow.planning.costs import Plan, plan
from wilsonvox.workflow.planning.jobs import planned

from .conftest import by_rule


@pytest.fixture
def in_folder(folder, monkeypatch):
    """Provide the folder of the tiny configuration as working folder."""
    monkeypatch.chdir(folder.path)
    return folder


def _read(path: str | Path) -> tuple[RunConfiguration, Plan]:
    configuration = load_configuration(path)
    return configuration, plan(configuration, measured_samples(configuration))


def _several(values):
    """Set two image specifications, one used twice and one unused."""
    values["images"]["b4_n100"] = {"bins": 4, "events_per_image": 100}
    values["images"]["unused"] = {"bins": 4, "events_per_image": 100}
    other = {"images": ["b8_n300", "b4_n100"]}
    values["estimators"]["other"] = values["estimators"]["tiny"] | other
    values["keep_event_files"] = False


@pytest.mark.parametrize(
    "name",
    [
        "tiny", "several", "config/demo", "config/paper", "config/preprint2023",
        "config/proceedings2023",
    ],
)  # fmt: skip
def test_jobs_and_outputs_are_those_that_snakemake_plans(in_folder, name):
    if name == "several":
        in_folder.configure(_several)
    path = "tiny.yaml" if name == "several" else f"{name}.yaml"
    configuration = load_configuration(path)
    found = in_folder.planned(path)
    expected = planned(configuration, measured_samples(configuration))
    assert Counter(job.rule for job in expected) == by_rule(found)
    assert {job.outputs: job.temporary for job in expected} == {
        job.outputs: job.temporary for job in found
    }
    _, result = _read(path)
    assert {rule.rule: rule.jobs for rule in result.rules} == by_rule(found)


@pytest.mark.usefixtures("in_folder")
def test_paper_stays_below_the_limits_of_a_cluster():
    _, result = _read("config/paper.yaml")
    assert result.jobs <= 2000
    assert result.files < 5000


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_files_of_a_run_are_as_planned(finished):
    before = Path.cwd()
    os.chdir(finished.path)
    try:
        _, result = _read("tiny.yaml")
    finally:
        os.chdir(before)
    results = finished.path / "results/tiny"
    planned_files = {stage.stage: stage for stage in result.stages}
    whole = planned_files.pop("the run")
    for name, stage in planned_files.items():
        assert len(_files(results / name)) == stage.outputs, name
    stages = planned_files.values()
    assert len(_files(results / "logs")) == sum(stage.logs for stage in stages)
    assert len(_files(results / "benchmarks")) == sum(stage.benchmarks for stage in stages)
    assert len(_files(results)) == sum(
        stage.outputs + stage.logs + stage.benchmarks for stage in stages
    )
    notes = finished.path / ".snakemake"
    assert len(_files(notes / "metadata")) == sum(stage.notes for stage in stages)
    assert whole.files == 1
    # each start of Snakemake in this folder leaves a log, also in other tests
    assert _files(notes / "log")
    assert {path.parent.name for path in _files(notes) if "metadata" not in path.parts} <= {
        "log", "iocache",
    }  # fmt: skip
    folders = [path for path in results.rglob("*") if path.is_dir()]
    assert len(folders) + 1 == result.folders


def test_storage_of_a_run_is_as_planned(finished):
    """File sizes agree within a factor of two, because rates are those of larger files."""
    before = Path.cwd()
    os.chdir(finished.path)
    try:
        _, result = _read("tiny.yaml")
    finally:
        os.chdir(before)
    for stage in ("events", "voxels", "theory", "figures", "models"):
        found = sum(path.stat().st_size for path in _files(finished.path / "results/tiny" / stage))
        expected = sum(rule.output_bytes.value for rule in result.rules if rule.stage == stage)
        assert found / 2 < expected < 2 * found, stage


def test_the_command_needs_no_snakemake(in_folder):
    code = (
        "import sys; from wilsonvox.cli import run; "
        "assert run(['plan', '--configfile', 'tiny.yaml']) == 0; "
        "heavy = {'snakemake', 'tensorflow', 'keras', 'numba', 'pandas', 'uproot', 'scipy'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=in_folder.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Plan of run tiny" in done.stdout
    assert not (in_folder.path / "results").exists()
