"""What Slurm says of a user's jobs: squeue, scontrol and, for jobs long gone, sacct."""

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

WAITING_SECONDS = 60
"""Seconds after which a command of Slurm counts as not answered."""

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
"""Words of Slurm's commands when the controller does not answer: to be tried again."""

LIMITED = re.compile(r"violates accounting/QOS policy|submit limit|queue full", re.IGNORECASE)
"""Words of sbatch when a user has as many jobs in the queue as the site allows."""

NEVER_STARTS = re.compile(
    r"held|PartitionTimeLimit|PartitionNodeLimit|PartitionDown|BadConstraints|NotAllowed"
    r"|ReqNodeNotAvail|InvalidAccount|InvalidQOS|launch failed",
    re.IGNORECASE,
)
"""Reasons for which a job may wait for ever (squeue's manual, JOB REASON CODES)."""

NOT_NOW = re.compile(
    r"not available \(|is down|drain|inactive|resources busy|queue full|limit reached",
    re.IGNORECASE,
)
"""Words of `sbatch --test-only` for what could not start now and may later: no refusal."""


class ControllerAwayError(Exception):
    """The Slurm controller does not answer; its words."""


@dataclass(frozen=True)
class QueuedJob:
    """A job in Slurm's queue, ended ones included as long as Slurm remembers them.

    state: in Slurm's words, such as RUNNING
    name: of the job, see `wilsonvox.slurm.names`
    comment: rule and wildcards, as the executor writes them
    reason: why it waits, in Slurm's words
    end: when it ended or is to end, local time, such as 2026-11-22T08:05:56
    """

    job_id: str
    state: str
    name: str
    comment: str
    reason: str = ""
    end: str = ""

    @property
    def ended(self) -> bool:
        """Whether it neither runs nor waits, nor comes back."""
        return self.state not in RUNNING_STATES


def run_command(words: Sequence[str]) -> str:
    """Standard output of one of Slurm's commands.

    Raises:
        ControllerAwayError: it failed for want of an answer of the controller.
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
"""Runs a command and gives its output, as `run_command` does."""


def own_jobs(run: Run = run_command) -> list[QueuedJob]:
    """All jobs of the user that Slurm's queue knows.

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
    """States by job of those that the accounting database knows; empty where there is none."""
    words = ["sacct", "--allocations", "--noheader", "--parsable2", "--format=JobIDRaw,State"]
    try:
        text = run([*words, f"--jobs={','.join(job_ids)}"])
    except (OSError, subprocess.CalledProcessError, ControllerAwayError):
        return {}
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 1)
    # CANCELLED comes as "CANCELLED by 1000"
    return {job_id: state.split()[0] for job_id, state in rows if state.strip()}


def describe_job(job_id: str, run: Run = run_command) -> Mapping[str, str]:
    """What scontrol shows of a job, by name (JobState, ExitCode, NodeList …); empty if nothing."""
    try:
        text = run(["scontrol", "--oneliner", "show", "job", job_id])
    except (OSError, subprocess.CalledProcessError, ControllerAwayError):
        return {}
    return dict(re.findall(r"(\S+?)=(\S*)", text))


OUT_OF_MEMORY = re.compile(
    r"oom.kill|exceeded (job |step )?memory limit|out of memory", re.IGNORECASE
)
"""Words of Slurm in the log of a job that was ended for its memory, whatever its state says."""


_SAID = re.compile(r"wilsonvox: |^stopped by SIG")
"""Lines in which a command tells why it ended."""


def failure_text(job_id: str, state: str, shown: Mapping[str, str], log: str = "") -> str:
    """Why a job failed, for people.

    Args:
        job_id: its number.
        state: its state, in Slurm's words.
        shown: what scontrol shows of it, see `describe_job`.
        log: what Slurm, Snakemake and the command wrote.

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
        "TIMEOUT": f"its time limit was {shown.get('TimeLimit', 'not told')}",
        "OUT_OF_MEMORY": given,
        "FAILED": f"exit code {shown.get('ExitCode', 'not told').partition(':')[0]}",
        "NODE_FAIL": "its node died",
        "PREEMPTED": "another job took its place",
    }
    reason = f"it ran out of memory: {given}" if OUT_OF_MEMORY.search(log) else reasons.get(state)
    lines = [line.strip() for line in log.splitlines() if _SAID.search(line)]
    said = f"; it said: {lines[-1]}" if lines else ""
    return f"{text}{f': {reason}' if reason else ''}{said}"
