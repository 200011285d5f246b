"""Crates of runs: when they are packed, their contents, and validation by the reference tool."""

import base64
import hashlib
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.helpers.crate_validation import ACCEPTED, findings
from wilsonvox.cli import run as run_command
from wilsonvox.records.embedded import read_record

from .conftest import ROOT, Folder, by_rule

CRATE = "results/tiny/tiny.crate.zip"
N_JOBS = 53
PACKING = {"report_pages", "write_configuration", "write_report", "run_crate"}


def run_crate(folder: Folder, *more: str) -> None:
    run = folder.snakemake(
        "--profile", ROOT / "profiles/local", "--cores", "2", "--configfile", "tiny.yaml",
        *more, "--", "run_crate",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory):
    """Provide a packed copy of the finished run, which tests may only read."""
    path = tmp_path_factory.mktemp("packed") / "tiny run"
    shutil.copytree(finished.path, path, symlinks=True)
    folder = Folder(path)
    assert by_rule(folder.planned("tiny.yaml", targets=("run_crate",))) == dict.fromkeys(PACKING, 1)
    run_crate(folder)
    return folder


def entities(path):
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read("ro-crate-metadata.json"))
    return {each["@id"]: each for each in content["@graph"]}


def test_packing_belongs_to_its_target_only(folder):
    assert not set(by_rule(folder.planned("tiny.yaml"))) & PACKING
    everything = by_rule(folder.planned("tiny.yaml"))
    with_crate = by_rule(folder.planned("tiny.yaml", targets=("run_crate",)))
    assert with_crate == everything + Counter(PACKING)


def test_packed_once_there_is_nothing_to_be_done(packed):
    assert packed.planned("tiny.yaml", targets=("run_crate",)) == []
    assert packed.planned("tiny.yaml") == []


def test_crate_follows_the_profile(packed, tmp_path):
    found = findings(packed.path / CRATE, tmp_path / "cache")
    assert {each for each in found if each[0] == "REQUIRED"} == set()
    assert set(found) <= ACCEPTED


def test_every_job_of_the_run_is_an_action(packed):
    actions = [name for name in entities(packed.path / CRATE) if name.startswith("#job-")]
    jobs = list((packed.path / "results/tiny/benchmarks").rglob("*.tsv"))
    assert len(actions) == len(jobs) - len(PACKING) == N_JOBS


def test_every_file_is_there_with_its_digest(packed):
    with zipfile.ZipFile(packed.path / CRATE) as archive:
        found = entities(packed.path / CRATE)
        files = {
            unquote(name): each["sha256"]
            for name, each in found.items()
            if "File" in each["@type"] and not name.startswith("#")
        }
        digests = {
            name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()
        }
        del digests["ro-crate-metadata.json"]
        assert files == digests
        for name in digests:
            if name.startswith("results/"):
                assert archive.read(name) == (packed.path / name).read_bytes()
    kinds = Counter(Path(name).suffix for name in files if name.startswith("results/"))
    assert kinds == {
        ".pdf": 13, ".png": 13, ".parquet": 10, ".csv": 3, ".json": 3, ".keras": 1, ".npz": 1,
    }  # fmt: skip
    referenced = {unquote(name[1:]): each for name, each in found.items() if
                  name.startswith("#results/")}  # fmt: skip
    assert len(referenced) == 1 + 2 * 12  # angular coefficients; events and their images
    for path, entity in referenced.items():
        record = read_record(packed.path / path)
        assert record is not None
        assert entity["identifier"] == f"content-sha256:{record.content_digest}"


def _texts(data: bytes):
    """Yield the content of a file and the data embedded in a page."""
    yield data
    for match in re.finditer(rb"base64,([A-Za-z0-9+/=]+)", data):
        yield base64.b64decode(match.group(1) + b"==")


@pytest.mark.slow
def test_no_folder_of_this_machine_is_named(finished, tmp_path):
    """Also if the table of samples contains one."""
    shutil.copytree(finished.path, tmp_path / "run", symlinks=True)
    folder = Folder(tmp_path / "run")
    table = folder.path / "samples.tsv"
    source = folder.path / "resources/evtgen/basf2_ntuple_b0_dc9_-0.90.root"
    shutil.copy(source, tmp_path / "mine.root")
    table.write_text(f"sample\tpath\nntuple\t{tmp_path}/mine.root\n")
    run_crate(folder)
    places = [tmp_path, folder.path, ROOT, Path(sys.prefix), Path(tempfile.gettempdir())]
    with zipfile.ZipFile(folder.path / CRATE) as archive:
        assert "ntuple\tmine.root\t" in archive.read("samples.tsv").decode()
        for name in archive.namelist():
            for text in _texts(archive.read(name)):
                for place in places:
                    assert f"{place}/".encode() not in text, (name, place)


def test_temporary_events_are_known_from_their_images(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.path, tmp_path / "run", symlinks=True)
    shutil.rmtree(tmp_path / "run/results/tiny/events")
    monkeypatch.chdir(tmp_path / "run")
    words = ["--run", "results/tiny", "--configuration", "tiny.yaml", "--out", "x.zip"]
    assert run_command(["crate", *words]) == 0
    generated = [name for name in entities("x.zip") if name.startswith("#job-generate_events")]
    assert len(generated) == 11


def test_unpacked_it_plans_the_same_jobs_again(packed, tmp_path):
    with zipfile.ZipFile(packed.path / CRATE) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    run = Folder(tmp_path).snakemake(
        "--snakefile", tmp_path / "Snakefile", "--configfile", "configuration.yaml",
        "--cores", "1", "--forceall", "--dry-run", "--", "run_crate",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    total = re.search(r"^total +(\d+)$", run.stdout + run.stderr, re.MULTILINE)
    assert total is not None
    assert int(total.group(1)) == N_JOBS + len(PACKING)


def test_packing_again_gives_the_same_crate(packed, tmp_path, monkeypatch):
    monkeypatch.chdir(packed.path)
    run = "results/tiny"
    words = ["--run", run, "--configuration", f"{run}/configuration.yaml",
             "--report", f"{run}/report.html", "--out", str(tmp_path / "again.zip")]  # fmt: skip
    assert run_command(["crate", *words]) == 0
    assert (tmp_path / "again.zip").read_bytes() == (packed.path / CRATE).read_bytes()


@pytest.mark.slow
def test_one_target_runs_everything_from_nothing(folder):
    run_crate(folder, "--config", "keep_event_files=False")
    assert not list((folder.path / "results/tiny/events").rglob("*.root"))
    assert len(entities(folder.path / CRATE)) > 400
