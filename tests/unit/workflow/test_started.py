"""Detection of changes of code or configuration while a workflow runs."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from wilsonvox.config.reading import parse_configuration
from wilsonvox.config.samples import measured_samples
from wilsonvox.provenance.environment import checkout
from wilsonvox.workflow.started import VARIABLE, StartedWith, Watch, code_digest, note_or_compare

ROOT = checkout()
CONFIGURATION = yaml.safe_load((ROOT / "tests/slurm/small.yaml").read_text())


def started(**changes: object) -> StartedWith:
    configuration = parse_configuration(CONFIGURATION | {"samples_table": None} | changes, "test")
    return StartedWith.now(configuration, measured_samples(configuration))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Make a checkout that contains only the code."""
    shutil.copytree(ROOT / "workflow/src", tmp_path / "workflow/src")
    shutil.copytree(ROOT / "workflow/rules", tmp_path / "workflow/rules")
    for name in ("Snakefile", "workflow/Snakefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_equal_starts_do_not_differ():
    assert started().difference(started()) is None
    assert started().difference(None) is None


def test_another_value_is_another_configuration():
    told = started(seed=1).difference(started(seed=2))
    assert told is not None
    assert told.startswith("the configuration changed under the running workflow")


def test_processes_started_from_here_know(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert StartedWith.noted() is None
    now = started()
    now.note()
    assert StartedWith.noted() == now
    assert VARIABLE in os.environ


def test_a_job_compares_with_what_was_noted(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before = parse_configuration(CONFIGURATION | {"samples_table": None}, "test")
    after = parse_configuration(CONFIGURATION | {"samples_table": None, "seed": 8}, "test")
    assert note_or_compare(before, {}, is_main_process=True) is None
    assert note_or_compare(before, {}, is_main_process=False) is None
    told = note_or_compare(after, {}, is_main_process=False)
    assert told is not None
    assert "configuration changed under the running workflow" in told
    # a job stores nothing itself
    assert note_or_compare(before, {}, is_main_process=False) is None


def test_comments_do_not_count_and_code_does(copied):
    before = code_digest(copied)
    module = copied / "workflow/src/wilsonvox/voxels/binning.py"
    module.write_text("# a comment\n" + module.read_text())
    assert code_digest(copied) == before
    module.write_text(module.read_text() + "\nMORE = 1\n")
    assert code_digest(copied) != before


def test_rules_count(copied):
    before = code_digest(copied)
    rules = copied / "workflow/rules/voxels.smk"
    rules.write_text(rules.read_text().replace("--out", "--output"))
    assert code_digest(copied) != before


def test_data_of_the_package_count_and_leftovers_do_not(copied):
    before = code_digest(copied)
    package = copied / "workflow/src/wilsonvox"
    (package / ".#voxels.py").symlink_to("nowhere")
    (package / "voxels.py~").write_text("old")
    (package / "__pycache__").mkdir(exist_ok=True)
    for name in ("voxels.cpython-311.pyc", "sampling.kernel-1.py311.nbi", "sampling.kernel.1.nbc"):
        (package / "__pycache__" / name).write_bytes(b"0")
    assert code_digest(copied) == before
    inputs = package / "theory/physics_inputs/physics_inputs.yaml"
    inputs.write_text(inputs.read_text() + "# more\n")
    assert code_digest(copied) != before


def test_changed_code_is_reported():
    now = started()
    other = StartedWith(now.run, "0" * 64, now.configuration)
    told = now.difference(other)
    assert told is not None
    assert "code of the checkout changed" in told
    assert "from 00000000 at its start" in told


def test_watch(copied):
    watch = Watch(copied)
    assert not watch.changed()
    module = copied / "workflow/src/wilsonvox/voxels/binning.py"
    text = module.read_text()
    module.write_text("# a comment\n" + text)
    assert not watch.changed()
    module.write_text(text + "\nMORE = 1\n")
    assert watch.changed()
    module.write_text(text)
    assert not watch.changed()
    module.write_text("<<<<<<< no code\n")
    assert watch.changed()
    module.write_bytes(b"\0")
    assert watch.changed()
    module.unlink()
    assert watch.changed()
