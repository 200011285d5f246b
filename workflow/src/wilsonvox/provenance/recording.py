"""Make the provenance record of a file that a stage is about to write."""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from wilsonvox.provenance.code import own_digest, stage_packages
from wilsonvox.provenance.environment import checkout, installed_version, lock_digest
from wilsonvox.records.record import (
    VERSION,
    InputRecord,
    Record,
    path_in_run,
    portable_argument,
    portable_path,
    run_folder,
)
from wilsonvox.stages.events import FOUR_MOMENTA
from wilsonvox.stages.table import STAGES

current_command: ContextVar[tuple[str, ...]] = ContextVar("current_command", default=())
"""Arguments of the running command, set by `wilsonvox.cli`."""


CODE_PATHS = ("Snakefile", "workflow", "envs", "pyproject.toml")
"""Paths whose uncommitted changes make the working tree dirty.

Configurations are not among them, because records contain their values.
"""


@cache
def git_state() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout and whether its code is dirty; (None, None) outside one.

    Untracked files count as changes, because code can import them.
    """
    root = checkout()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", *CODE_PATHS))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _packages(rule: str, architectures: Sequence[str]) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    own = installed_version("wilsonvox")
    if own:
        versions["wilsonvox"] = own
    return versions | stage_packages(rule, architectures)


def architectures_of(record: Record) -> tuple[str, ...]:
    """Return the architecture or optional part on which the code behind a record depends.

    It is the architecture of a training or a fit, `FOUR_MOMENTA` if these are written, or nothing.
    """
    if record.rule == "generate_events" and record.settings.get("four_momenta"):
        return (FOUR_MOMENTA,)
    builds = record.rule in STAGES and STAGES[record.rule].builds
    name = record.settings.get("architecture") if builds else None
    return (name,) if isinstance(name, str) else ()


def make_record(
    rule: str,
    output: str | os.PathLike[str],
    settings: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike[str]] = (),
    seed: int | None = None,
    command: Sequence[str] | None = None,
    *,
    copies: Mapping[str, str] | None = None,
    embed_inputs: bool = False,
    run: str | os.PathLike[str] | None = None,
) -> Record:
    """Make the record of the file `output` that stage `rule` is about to write.

    The content digests of all `inputs` are computed.

    Args:
        rule: name of the stage, one of `wilsonvox.stages.table.STAGES`.
        output: path of the file.
        settings: configuration values used by the stage.
        inputs: paths of the files read by the stage.
        seed: seed of the run, if the stage draws random numbers.
        command: the command line; by default the running one.
        copies: SHA-256 of the bytes of copies by path, such as history.csv.
        embed_inputs: include the records of the inputs, which may be deleted later.
        run: folder of the run to which the inputs belong; by default that of `output`.
    """
    from wilsonvox.records.digests import content_digest
    from wilsonvox.records.embedded import parse_record, record_text, text_digest

    commit, dirty = git_state()
    folder = run_folder(output) if run is None else Path(run)
    words = current_command.get() if command is None else tuple(command)
    records = []
    for path in inputs:
        text = record_text(path)
        records.append(
            InputRecord(
                path=path_in_run(path, folder),
                content_digest=content_digest(path),
                record_digest=None if text is None else text_digest(text),
                record=parse_record(text) if embed_inputs and text is not None else None,
            )
        )
    draft = Record(
        version=VERSION,
        rule=rule,
        command=tuple(portable_argument(word) for word in words),
        run=portable_path(folder),
        output=path_in_run(output, folder),
        settings=dict(settings),
        seed=seed,
        packages={},
        code_digest=None,
        lock_digest=lock_digest(),
        git_commit=commit,
        git_dirty=dirty,
        inputs=tuple(records),
        copies={path_in_run(path, folder): digest for path, digest in (copies or {}).items()},
    )
    return draft.model_copy(
        update={
            "packages": _packages(rule, architectures_of(draft)),
            "code_digest": own_digest(rule, architectures_of(draft)),
        }
    )
