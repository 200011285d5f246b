"""Scan of tiny networks through Snakemake: reproducible, and supported by all commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record

from .conftest import ROOT, Folder, make_folder
from .test_dag import add_scans

pytestmark = pytest.mark.slow


def scan(folder: Folder, cores: int) -> None:
    """Run the target `scan` with `cores` jobs at once."""
    run = folder.snakemake(
        "scan", "--profile", ROOT / "profiles/local", "--cores", str(cores),
        "--configfile", "tiny.yaml",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def wilsonvox(folder: Folder, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command in the folder of a run."""
    return subprocess.run(
        [Path(sys.executable).with_name("wilsonvox"), *words],
        cwd=folder.path, capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = make_folder(tmp_path_factory.mktemp("scan"))
    for name in ("Snakefile", "workflow", "profiles"):
        (folder.path / name).symlink_to(ROOT / name)
    folder.configure(add_scans)
    scan(folder, cores=2)
    return folder


def contents(folder: Folder) -> dict[str, str]:
    """Return the content digests of all outputs of a scan, by path in the run folder."""
    run = folder.path / "results/tiny"
    files = [*run.glob("scans/**/*"), *run.glob("figures/*/*/scan.*")]
    return {str(path.relative_to(run)): content_digest(path) for path in files if path.is_file()}


def test_another_number_of_jobs_gives_the_same_scan(scanned, tmp_path):
    before = contents(scanned)
    trials = {name for name in before if name.startswith("scans/b8_n300/tiny/trials/")}
    assert len(trials) == 6 * 3  # result, model and history
    again = make_folder(tmp_path)
    again.configure(add_scans)
    # with the same images
    for part in ("theory", "events", "voxels"):
        shutil.copytree(scanned.path / "results/tiny" / part, again.path / "results/tiny" / part)
    scan(again, cores=1)
    assert contents(again) == before


def test_audit_and_status_know_the_outputs_of_a_scan(scanned):
    figure = scanned.path / "results/tiny/figures/b8_n300/tiny/scan.png"
    assert read_record(figure).rule == "plot_scan"
    run = wilsonvox(scanned, "audit", str(figure.relative_to(scanned.path)))
    assert "plot_scan" in run.stdout
    for word in ("missing", "changed", "other code"):
        assert f" {word}" not in run.stdout.splitlines()[-1], run.stdout
    trial = "results/tiny/scans/b8_n300/tiny/trials/004/trial.json"
    assert "trials/004/trial.json" in run.stdout
    words = ("status", "--configfile", "tiny.yaml", "--target", "scan")
    run = wilsonvox(scanned, *words)
    assert "0 of 30 jobs have to run" in run.stdout, run.stdout + run.stderr
    # files of a scan are not reported as left over in a run without it
    run = wilsonvox(scanned, *words[:-2])
    assert "belong to no job" not in run.stdout
    kept = (scanned.path / trial).read_bytes()
    (scanned.path / trial).unlink()
    run = wilsonvox(scanned, *words)
    (scanned.path / trial).write_bytes(kept)
    assert "1 of 30 jobs have to run" in run.stdout
    assert f"--force {trial}" in run.stdout


def test_one_more_round_trains_its_own_trials_only(scanned):
    scanned.configure(lambda values: add_scans(values, rounds=3))
    planned = scanned.planned("tiny.yaml", targets=("scan",))
    assert sorted((job.rule, job.wildcards) for job in planned) == [
        ("collect_trials", "b8_n300/tiny"),
        ("plot_scan", "b8_n300/tiny"),
        ("suggest_trials", "b8_n300/tiny/2"),
        *(("train_trial", f"b8_n300/tiny/{number:03d}") for number in (6, 7, 8)),
    ]
    scanned.configure(add_scans)
