"""Ask Snakemake for the jobs of a configuration, and which of them it would run.

This module imports Snakemake, which takes a while: import it inside functions.
"""

import contextlib
import gc
import io
import logging
import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.exceptions import WorkflowError as SnakemakeError
from snakemake.io import is_flagged
from snakemake.settings.enums import Quietness
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    ResourceSettings,
)
from snakemake_interface_common.exceptions import WorkflowError

from wilsonvox.core.errors import UserError

DEFAULT_CHECKSUM_SIZE = 1_000_000
"""Size of the largest file that Snakemake compares by checksum, by default [bytes]."""

MADE_AGAIN = "input files updated by another job"
"""Reason given by Snakemake for a job that would run because an earlier one does."""


@dataclass(frozen=True)
class PlannedJob:
    """One job of the workflow.

    Attributes:
        name: rule and wildcards, such as ``voxelize b50_n24000/train/c9_-1.00/000``.
        rule: name of the rule.
        wildcards: values of the wildcards, joined by slashes.
        inputs, outputs: paths of its files.
        command: words of its command line.
        before: names of the jobs whose outputs it reads.
        would_run: True if Snakemake would run it.
        reasons: the reasons given by Snakemake.
        newer: inputs that are newer than its outputs.
        noted: changes of the job itself since its last run, by Snakemake's metadata.
        temporary: True if its outputs are deleted after use.
    """

    name: str
    rule: str
    wildcards: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    command: tuple[str, ...]
    before: tuple[str, ...]
    would_run: bool
    reasons: tuple[str, ...]
    newer: tuple[str, ...]
    noted: tuple[str, ...]
    temporary: bool


def checksum_size(profile: Path | None) -> int:
    """Return the size up to which a profile compares files by checksum [bytes].

    Raises:
        UserError: the profile has no config.yaml.
    """
    import yaml
    from humanfriendly import parse_size

    if profile is None:
        return DEFAULT_CHECKSUM_SIZE
    file = profile / "config.yaml"
    if not file.is_file():
        raise UserError(f"--profile {profile}: contains no config.yaml")
    values = yaml.safe_load(file.read_text()) or {}
    return int(parse_size(str(values.get("max-checksum-file-size", DEFAULT_CHECKSUM_SIZE))))


def planned_jobs(
    snakefile: Path,
    configfiles: Sequence[Path] = (),
    config: Mapping[str, Any] | None = None,
    checksum_bytes: int = DEFAULT_CHECKSUM_SIZE,
    targets: Iterable[str] = (),
) -> list[PlannedJob]:
    """Return all jobs of a configuration in the working folder, in topological order.

    Args:
        snakefile: path of the Snakefile.
        configfiles: configurations; by default that of the workflow.
        config: single values that replace those of the configurations.
        checksum_bytes: size of the largest file compared by checksum.
        targets: rules or files; by default that of the workflow.

    Raises:
        UserError: the configuration is invalid or an input is missing; the message is Snakemake's.
    """
    failure, jobs = "", []
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # Snakemake logs its dry run to every handler
    with warnings.catch_warnings():
        # Snakemake leaves temporary folders to the garbage collector, which warns about them
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            jobs = _planned(snakefile, configfiles, config or {}, checksum_bytes, targets)
        except (WorkflowError, SnakemakeError, OSError) as error:
            failure = str(error)
        finally:
            logging.disable(before)
        gc.collect()
    if failure:
        raise UserError(failure)
    return jobs


def _planned(
    snakefile: Path,
    configfiles: Sequence[Path],
    config: Mapping[str, Any],
    checksum_bytes: int,
    targets: Iterable[str],
) -> list[PlannedJob]:
    silent = io.StringIO()
    with (
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
        SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api,
    ):
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            config_settings=ConfigSettings(configfiles=list(configfiles), config=dict(config)),
            snakefile=snakefile,
            workdir=Path.cwd(),
        )
        settings = DAGSettings(targets=set(targets), max_checksum_file_size=checksum_bytes)
        workflow.dag(settings).execute_workflow(executor="dryrun")
        dag = workflow._workflow.dag
        running = set(dag.needrun_jobs(exclude_finished=False))
        return [
            _describe(job, dag, job in running)
            for level in dag.toposorted()
            for job in sorted(level, key=lambda each: (each.rule.name, str(each.output)))
            if job.output
        ]


def _name(job: Any) -> str:
    return f"{job.rule.name} {'/'.join(map(str, job.wildcards_dict.values()))}".strip()


def _noted(job: Any, dag: Any) -> Iterator[str]:
    # Snakemake reports only the first reason; these may hold in addition to it
    notes = dag.workflow.persistence
    if notes.params_changed(job):
        yield "its settings, code or packages changed"
    if any(notes.input_changed(job)):
        yield "it has other inputs"


def _describe(job: Any, dag: Any, would_run: bool) -> PlannedJob:
    reason = dag.reason(job)
    names = reason.get_names() if would_run else []
    return PlannedJob(
        name=_name(job),
        rule=job.rule.name,
        wildcards="/".join(map(str, job.wildcards_dict.values())),
        inputs=tuple(map(str, job.input)),
        outputs=tuple(map(str, job.output)),
        command=tuple(shlex.split((job.shellcmd or "").partition(" > ")[0].removeprefix("exec "))),
        before=tuple(sorted(_name(each) for each in dag.dependencies[job])),
        would_run=would_run,
        reasons=tuple(names),
        newer=tuple(sorted(map(str, reason.updated_input))) if would_run else (),
        noted=tuple(_noted(job, dag)),
        temporary=any(is_flagged(path, "temp") for path in job.output),
    )
