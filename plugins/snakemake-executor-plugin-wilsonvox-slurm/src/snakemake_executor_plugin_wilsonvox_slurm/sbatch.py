"""Submission of jobs with sbatch."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_executor_plugin_slurm.validation import (
    validate_or_get_slurm_job_id,
    validate_slurm_extra,
)

from snakemake_executor_plugin_wilsonvox_slurm.queue import UNREACHABLE

LIMITED = re.compile(r"violates accounting/QOS policy|submit limit|queue full", re.IGNORECASE)
"""Words of sbatch when a user has as many jobs in the queue as the site allows."""

NOT_NOW = re.compile(
    r"not available \(|is down|drain|inactive|resources busy|queue full|limit reached",
    re.IGNORECASE,
)
"""Words of `sbatch --test-only` for jobs that cannot start now and may later: no refusal."""

CLUSTER_RESOURCES = ("cluster", "clusters", "slurm_cluster")


class SubmissionError(Exception):
    """Failure of sbatch; its error message."""

    @property
    def unreachable(self) -> bool:
        """True if the controller did not answer."""
        return bool(UNREACHABLE.search(str(self)))

    @property
    def limited(self) -> bool:
        """True if the user has as many jobs in the queue as the site allows."""
        return bool(LIMITED.search(str(self)))

    @property
    def temporary(self) -> bool:
        """True if the job may start later, though not now."""
        return bool(NOT_NOW.search(str(self)))


def job_comment(job: Any) -> str:
    """Return the comment of a job in Slurm's queue: its rule and wildcards."""
    wildcards = get_job_wildcards(job)
    return f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"


def log_pattern(folder: Path, job: Any) -> Path:
    """Return the path of Slurm's log of a job, with %j for the number of the job."""
    kind = "group" if job.is_group() else "rule"
    return folder / f"{kind}_{job.name}" / str(get_job_wildcards(job)) / "%j.log"


def sbatch_call(
    job: Any, *, name: str, log: Path, account: str, partition: str, workdir: str, settings: Any
) -> str:
    """Return the sbatch command line of a job, without the command that the job runs.

    Args:
        job: the job.
        name: its name in Slurm's queue.
        log: path of its log.
        account: option -A, or nothing.
        partition: option -p, or nothing.
        workdir: its working folder.
        settings: settings of the executor.

    Raises:
        WorkflowError: its resources are contradictory.
    """
    validate_slurm_extra(job)
    parameters = {
        "run_uuid": name,
        "slurm_logfile": log,
        "comment_str": job_comment(job),
        "account": account,
        "partition": partition,
        "workdir": workdir,
    }
    nodes = re.split(r"[,\s]+", settings.exclude_failed_nodes or "")
    call = get_submit_command(
        job, parameters, settings=settings, failed_nodes=sorted(filter(None, nodes))
    )
    return f"{call}{set_gres_string(job)}"


def _run(call: str, script: str = "") -> str:
    done = subprocess.run(
        call, shell=True, input=script, capture_output=True, text=True, check=False
    )
    if done.returncode or "submission failed" in done.stderr:
        message = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise SubmissionError(message or f"exit code {done.returncode} without an error message")
    return done.stdout


def submit(call: str, command: str, as_script: bool) -> str:
    """Submit a job and return its number.

    Args:
        call: command line of `sbatch_call`.
        command: shell command that the job runs.
        as_script: pass the command on standard input, not on the command line.

    Raises:
        SubmissionError: sbatch failed.
        WorkflowError: its answer contains no number.
    """
    if as_script:
        answer = _run(f"{call} /dev/stdin", f"#!/bin/sh\n{command}")
    else:
        escaped = command.replace('"', '\\"')
        answer = _run(f'{call} --wrap="{escaped}"')
    return str(validate_or_get_slurm_job_id(answer.strip().split(";")[0], answer))


def check_acceptance(call: str) -> None:
    """Ask sbatch if it would accept a job.

    Raises:
        SubmissionError: it would not.
    """
    _run(f"{call} --test-only --wrap true")


def chooses_partitions(settings: Any) -> bool:
    """Return True if the user gave a table of partitions to choose from."""
    return bool(settings.partition_config or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS"))


def requested_resources(job: Any) -> str:
    """List the resources of a job for which sites have limits."""
    names = ("slurm_partition", "gres", "gpu", "mem_mb", "runtime")
    values = ((name, job.resources.get(name)) for name in names)
    return ", ".join(f"{name}={value}" for name, value in values if value is not None)
