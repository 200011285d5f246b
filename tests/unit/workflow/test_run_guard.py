"""The guard of a run on Slurm, as the cluster profiles name it."""

import pkgutil
from pathlib import Path

import pytest
import yte

from wilsonvox.core.errors import UserError
from wilsonvox.provenance.environment import checkout
from wilsonvox.workflow import run_guard
from wilsonvox.workflow.run_guard import RunGuard
from wilsonvox.workflow.started import CHANGED, VARIABLE, StartedWith

STARTED = StartedWith("demo", "c" * 64, "d" * 64)


@pytest.fixture
def guard(monkeypatch):
    monkeypatch.setenv(VARIABLE, "{}")
    STARTED.note()
    return RunGuard()


def test_identity(guard, monkeypatch):
    assert guard.name == "wilsonvox-demo"
    StartedWith("demo", "c" * 64, "e" * 64).note()
    other = RunGuard()
    assert other.name == guard.name
    assert other.digest != guard.digest
    monkeypatch.delenv(VARIABLE)


def test_only_for_this_workflow(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match="for the workflow of wilsonvox only"):
        RunGuard()


def test_edited_code(monkeypatch):
    monkeypatch.setenv(VARIABLE, "{}")
    STARTED.note()
    edited: list[bool] = []

    class Watch:
        def changed(self):
            return bool(edited)

    monkeypatch.setattr(run_guard, "Watch", Watch)
    guard = RunGuard()
    assert guard.changed() is None
    edited.append(True)
    assert guard.changed().startswith(f"the code of the checkout {CHANGED}")


def test_a_job_that_found_a_change(guard):
    line = STARTED.difference(StartedWith("demo", "c" * 64, "e" * 64))
    log = f"WorkflowError:\nwilsonvox: {line}\n"
    assert guard.stop_reason(log) == line
    assert guard.stop_reason("wilsonvox: error: x.root: broken") is None


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("a\nwilsonvox: error: x.root: broken\nb", "wilsonvox: error: x.root: broken"),
        ("stopped by SIGTERM after epoch 3: go on", "stopped by SIGTERM after epoch 3: go on"),
        ("Traceback", None),
    ],
)
def test_failure_message(guard, log, message):
    assert guard.failure_message(log) == message


@pytest.mark.parametrize("name", ["slurm", "slurm-partitions"])
def test_the_profiles_name_it(name):
    profile: Path = checkout() / "profiles" / name / "config.yaml"
    values = yte.process_yaml(profile.read_text(), require_use_yte=True)
    assert pkgutil.resolve_name(values["wilsonvox-slurm-guard"]) is RunGuard
