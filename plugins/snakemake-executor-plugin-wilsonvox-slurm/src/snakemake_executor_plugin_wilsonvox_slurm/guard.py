"""Guards: the identity of a run, and checks that its code and configuration stay as they were."""

import hashlib
import json
import pkgutil
from pathlib import Path
from typing import Any, Protocol

from snakemake_interface_common.exceptions import WorkflowError

OPTION = "--wilsonvox-slurm-guard"
"""Command-line option that names a workflow's own guard."""


class Guard(Protocol):
    """Identity of a run and checks on it, which a workflow can provide.

    The option `--wilsonvox-slurm-guard MODULE:CALLABLE` names a callable without arguments that
    returns one. It is called once, after Snakemake has read the workflow and before any job is
    submitted; an exception that it raises ends Snakemake with the exception's text.

    name: name of the run, with which the names of its jobs in Slurm's queue begin
    digest: hexadecimal digest, at least eight digits, of all code and configuration on which the
        outputs depend. Jobs of an earlier Snakemake are taken over where it is the same.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    def changed(self) -> str | None:
        """Return why nothing more may be submitted; None while nothing has changed.

        Called before each submission, from two threads.
        """
        ...

    def stop_reason(self, log: str) -> str | None:
        """Return why the whole run must stop, from the logs of a failed job; None if it need not.

        Args:
            log: text of Slurm's log and of the rule's logs.
        """
        ...

    def failure_message(self, log: str) -> str | None:
        """Return the line that explains a failed job, from its logs; None if there is none."""
        ...


class SourcesGuard:
    """Guard of a workflow that provides none: its Snakefiles and the values of its configuration.

    It never stops a run.
    """

    def __init__(self, workflow: Any) -> None:
        self.name = Path(workflow.workdir_init).name
        values = json.dumps(workflow.config, sort_keys=True, default=str)
        total = hashlib.sha256(values.encode())
        for source in workflow.included:
            path = Path(str(source.get_path_or_uri(secret_free=True)))
            if path.is_file():
                total.update(path.read_bytes())
            else:  # of a repository, whose address names the version
                total.update(str(path).encode())
        self.digest = total.hexdigest()

    def changed(self) -> str | None:
        """Return None: edits do not stop the run."""
        return None

    def stop_reason(self, log: str) -> str | None:  # noqa: ARG002
        """Return None: no failure stops the run."""
        return None

    def failure_message(self, log: str) -> str | None:  # noqa: ARG002
        """Return None: a log of unknown form explains nothing."""
        return None


def make_guard(option: str | None, workflow: Any) -> Guard:
    """Make the guard that the user named, or the one for workflows without their own.

    Args:
        option: MODULE:CALLABLE, the value of `--wilsonvox-slurm-guard`.
        workflow: Snakemake's workflow.

    Raises:
        WorkflowError: there is no such callable, or it raised an exception.
    """
    if option is None:
        return SourcesGuard(workflow)
    if ":" not in option:
        raise WorkflowError(f"{OPTION} {option}: write it as MODULE:CALLABLE")
    try:
        guard: Guard = pkgutil.resolve_name(option)()
    except Exception as error:  # also those of the workflow's own callable
        raise WorkflowError(f"{OPTION} {option}: {error}") from error
    return guard
