"""States of jobs from the output of Slurm's commands."""

import stat
import subprocess
from pathlib import Path

import pytest

from snakemake_executor_plugin_wilsonvox_slurm.queue import (
    ControllerAwayError,
    QueuedJob,
    accounted_states,
    describe_job,
    failure_text,
    own_jobs,
    run_command,
)

# Slurm 22.05.8
SHOWN = (
    "JobId=12 JobName=x UserId=me(1000) Priority=4294901759 JobState=TIMEOUT Reason=TimeLimit "
    "Dependency=(null) Requeue=0 ExitCode=0:15 RunTime=00:01:13 TimeLimit=00:01:00 "
    "NodeList=node1 TRES=cpu=1,mem=1500M,node=1,billing=1 StdOut=/run/12.log Power= "
)


def failing(message: str, code: int = 1):
    def run(words):
        raise subprocess.CalledProcessError(code, words, stderr=message)

    return run


def test_own_jobs():
    text = (
        "3|RUNNING|None|2026-11-22T08:05:56|demo-0a-0b_u|rule_train\n"
        "4|PENDING|JobHeldUser|N/A|other|a comment | of two\n\n"
    )
    assert own_jobs(lambda _: text) == [
        QueuedJob("3", "RUNNING", "demo-0a-0b_u", "rule_train", "None", "2026-11-22T08:05:56"),
        QueuedJob("4", "PENDING", "other", "a comment | of two", "JobHeldUser", "N/A"),
    ]


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ("RUNNING", False),
        ("PENDING", False),
        ("COMPLETING", False),
        ("REQUEUED", False),
        ("SUSPENDED", False),
        ("COMPLETED", True),
        ("FAILED", True),
        ("NODE_FAIL", True),
        ("PREEMPTED", True),
        ("OUT_OF_MEMORY", True),
        ("TIMEOUT", True),
        ("CANCELLED", True),
        ("BOOT_FAIL", True),
        ("DEADLINE", True),
    ],
)
def test_ended(state, ended):
    assert QueuedJob("1", state, "", "").ended is ended


def command(folder: Path, name: str, script: str) -> list[str]:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return [str(path)]


@pytest.mark.parametrize(
    "words",
    [
        # as seen with Slurm 22.05.8 without its controller
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "slurm_load_jobs error: Zero Bytes were transmitted or received",
    ],
)
def test_no_answer(tmp_path, words):
    with pytest.raises(ControllerAwayError, match=words[:20]):
        run_command(command(tmp_path, "squeue", f"echo '{words}' >&2; exit 1"))


def test_another_failure(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        run_command(command(tmp_path, "squeue", "echo 'squeue: error: Invalid user' >&2; exit 1"))


def test_hanging_command(tmp_path, monkeypatch):
    monkeypatch.setattr("snakemake_executor_plugin_wilsonvox_slurm.queue.WAITING_SECONDS", 0.2)
    with pytest.raises(ControllerAwayError, match="no answer"):
        run_command(command(tmp_path, "squeue", "exec sleep 20"))


def test_accounted_states():
    text = "7|COMPLETED\n8|CANCELLED by 1000\n9|\n"
    assert accounted_states(["7", "8", "9"], lambda _: text) == {"7": "COMPLETED", "8": "CANCELLED"}


@pytest.mark.parametrize(
    "run",
    [failing("Slurm accounting storage is disabled"), failing("", 127)],
)
def test_no_accounts(run):
    assert accounted_states(["7"], run) == {}


def test_describe_job():
    shown = describe_job("12", lambda _: SHOWN)
    assert shown["JobState"] == "TIMEOUT"
    assert shown["StdOut"] == "/run/12.log"
    assert describe_job("12", failing("slurm_load_jobs error: Invalid job id specified")) == {}


@pytest.mark.parametrize(
    ("state", "log", "expected"),
    [
        ("TIMEOUT", "", "ended as TIMEOUT on node1 after 00:01:13: its time limit was 00:01:00"),
        ("OUT_OF_MEMORY", "", "it was given 1500M of memory"),
        (
            "FAILED",
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.0.",
            "it ran out of memory: it was given 1500M of memory",
        ),
        ("NODE_FAIL", "", "its node failed"),
        ("FAILED", "", "exit code 0"),
        ("DEADLINE", "", "ended as DEADLINE on node1 after 00:01:13"),
    ],
)
def test_failure_text(state, log, expected):
    assert expected in failure_text("12", state, describe_job("12", lambda _: SHOWN), log)


def test_failure_with_a_message():
    text = failure_text("12", "FAILED", {"ExitCode": "2:0"}, message="error: x.root: broken")
    assert text == "SLURM job 12 ended as FAILED: exit code 2; message: error: x.root: broken"


def test_failure_of_a_forgotten_job():
    assert failure_text("12", "FAILED", {}) == "SLURM job 12 ended as FAILED: exit code unknown"
