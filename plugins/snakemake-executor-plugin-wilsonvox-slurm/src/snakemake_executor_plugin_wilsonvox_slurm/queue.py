"""State of a user's jobs from squeue, scontrol and, for jobs that left the queue, sacct."""

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

WAITING_SECONDS = 60
"""Time after which a command of Slurm counts as not answered [s]."""

RUNNING_STATES = frozenset(
    {
        "COMPLETING", "CONFIGURING", "EXPEDITING", "PENDING", "POWER_UP_NODE", "REQUEUED",
        "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "RUNNING", "SIGNALING",
        "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED", "UPDATE_DB",
    }
)  # fmt: skip
"""States of jobs that have not ended (squeue's manual, JOB STATE CODES)."""

UNREACHABLE = re.compile(
    r"unable to contact slurm controller|socket timed out|communication connection failure"
    r"|connection (refused|timed out|reset)|zero bytes were transmitted"
    r"|transport endpoint is not connected|no route to host|slurm_persist_conn"
    r"|slurm backup controller in standby mode|temporarily unable|message (send|receive) failure"
    r"|unexpected message received|protocol authentication error|being shut ?down",
    re.IGNORECASE,
)
"""Error messages of Slurm's commands when the controller does not answer: to be tried again."""

NEVER_STARTS = re.compile(
    r"held|PartitionTimeLimit|PartitionNodeLimit|PartitionDown|BadConstraints|NotAllowed"
    r"|ReqNodeNotAvail|InvalidAccount|InvalidQOS|launch failed",
    re.IGNORECASE,
)
"""Reasons for which a job may wait forever (squeue's manual, JOB REASON CODES)."""


class ControllerAwayError(Exception):
    """The Slurm controller does not answer; the error message of the command."""


@dataclass(frozen=True)
class QueuedJob:
    """Job in Slurm's queue, ended ones included as long as Slurm remembers them.

    job_id: its number
    state: Slurm's name of its state, such as RUNNING
    name: name of the job, see `names`
    comment: rule and wildcards, see `sbatch.job_comment`
    reason: Slurm's reason for which it waits
    end: time at which it ended or is to end, local, such as 2026-11-22T08:05:56
    """

    job_id: str
    state: str
    name: str
    comment: str
    reason: str = ""
    end: str = ""

    @property
    def ended(self) -> bool:
        """True if it neither runs nor waits, nor comes back."""
        return self.state not in RUNNING_STATES


def run_command(words: Sequence[str]) -> str:
    """Return the standard output of one of Slurm's commands.

    Raises:
        ControllerAwayError: the controller did not answer.
        subprocess.CalledProcessError: it failed otherwise.
        FileNotFoundError: there is no such command.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=WAITING_SECONDS, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise ControllerAwayError(f"{words[0]} got no answer") from error
    except subprocess.CalledProcessError as error:
        if UNREACHABLE.search(error.stderr):
            raise ControllerAwayError(" ".join(error.stderr.split())) from error
        raise
    return done.stdout


Run = Callable[[Sequence[str]], str]
"""Runs a command and returns its output, as `run_command` does."""


def own_jobs(run: Run = run_command) -> list[QueuedJob]:
    """List all jobs of the user in Slurm's queue.

    Raises:
        ControllerAwayError, subprocess.CalledProcessError: see `run_command`.
    """
    words = ["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r|%e|%j|%k"]
    rows = (line.split("|", 5) for line in run(words).splitlines())
    return [
        QueuedJob(job_id, state, name, comment, reason, end)
        for job_id, state, reason, end, name, comment in (row for row in rows if len(row) == 6)
    ]


def accounted_states(job_ids: Iterable[str], run: Run = run_command) -> dict[str, str]:
    """Return the states by number of jobs in the accounting database; empty if there is none."""
    words = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobIDRaw,State"]
    try:
        text = run([*words, f"--jobs={','.join(job_ids)}"])
    except (OSError, subprocess.CalledProcessError, ControllerAwayError):
        return {}
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 1)
    # CANCELLED comes as "CANCELLED by 1000"
    return {job_id: state.split()[0] for job_id, state in rows if state.strip()}


def describe_job(job_id: str, run: Run = run_command) -> Mapping[str, str]:
    """Return the fields of `scontrol show job` (JobState, NodeList …); empty if it is unknown."""
    try:
        text = run(["scontrol", "--oneliner", "show", "job", job_id])
    except (OSError, subprocess.CalledProcessError, ControllerAwayError):
        return {}
    return dict(re.findall(r"(\S+?)=(\S*)", text))


OUT_OF_MEMORY = re.compile(
    r"oom.kill|exceeded (job |step )?memory limit|out of memory", re.IGNORECASE
)
"""Messages of Slurm in the log of a job that exceeded its memory, whatever its state."""


def failure_text(
    job_id: str, state: str, shown: Mapping[str, str], log: str = "", message: str | None = None
) -> str:
    """Describe in one line why a job failed.

    Args:
        job_id: its number.
        state: Slurm's name of its state.
        shown: fields of `describe_job`.
        log: text of its logs.
        message: the line of its logs that explains the failure.

    >>> shown = {"NodeList": "node7", "RunTime": "01:00:03", "TimeLimit": "01:00:00"}
    >>> failure_text("12", "TIMEOUT", shown)
    'SLURM job 12 ended as TIMEOUT on node7 after 01:00:03: its time limit was 01:00:00'
    """
    node, seconds = shown.get("NodeList", ""), shown.get("RunTime", "")
    text = f"SLURM job {job_id} ended as {state}"
    text += f" on {node}" if node not in ("", "(null)") else ""
    text += f" after {seconds}" if seconds else ""
    memory = re.search(r"\bmem=([^,\s]+)", shown.get("TRES", ""))
    given = f"it was given {memory[1] if memory else 'less than it needs'} of memory"
    reasons = {
        "TIMEOUT": f"its time limit was {shown.get('TimeLimit', 'unknown')}",
        "OUT_OF_MEMORY": given,
        "FAILED": f"exit code {shown.get('ExitCode', 'unknown').partition(':')[0]}",
        "NODE_FAIL": "its node failed",
        "PREEMPTED": "another job took its place",
    }
    reason = f"it ran out of memory: {given}" if OUT_OF_MEMORY.search(log) else reasons.get(state)
    text += f": {reason}" if reason else ""
    return f"{text}; message: {message}" if message else text
