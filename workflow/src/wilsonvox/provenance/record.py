"""The provenance record that every output of the pipeline carries."""

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PACKAGES = (
    "wilsonvox",
    "awkward",
    "boost-histogram",
    "keras",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "snakemake",
    "tensorflow",
    "tensorflow-cpu",
    "uproot",
    "vector",
)

current_command: ContextVar[tuple[str, ...]] = ContextVar("current_command", default=())
"""The words of the running command line, set by `wilsonvox.cli`."""


class InputRecord(BaseModel):
    """One file that a stage read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="relative to the folder that the command ran in")
    content_digest: str = Field(description="SHA-256 over the content (arrays), not the bytes")
    record_digest: str | None = Field(
        default=None, description="SHA-256 of that file's own record; null for external files"
    )


class Record(BaseModel):
    """How a file was made. Holds no host, user, absolute path or clock time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str = Field(description="stage of the pipeline that wrote the file")
    command: tuple[str, ...] = Field(description="the command line, word by word")
    settings: dict[str, Any] = Field(description="configuration values that the stage used")
    seed: int | None = Field(default=None, description="the run's seed, where the stage draws")
    packages: dict[str, str] = Field(description="versions of the packages that matter")
    lock_digest: str | None = Field(description="SHA-256 of envs/requirements.lock")
    git_commit: str | None = Field(description="commit of the checkout, null outside one")
    git_dirty: bool | None = Field(description="whether tracked files differed from that commit")
    inputs: tuple[InputRecord, ...] = ()
    content_digest: str | None = Field(
        default=None, description="SHA-256 over this file's own content, where it can hold it"
    )

    def to_json(self) -> str:
        """The record as one line of ASCII JSON with sorted keys."""
        import json

        return json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)

    def digest(self) -> str:
        """SHA-256 of the record's JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def portable_path(path: str | os.PathLike[str]) -> str:
    """`path` relative to the working folder; outside of it only the name, which tells no host."""
    absolute = Path(path).absolute()
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.name


def _portable_word(word: str) -> str:
    head, separator, tail = word.rpartition("=") if word.startswith("--") else ("", "", word)
    paths = (portable_path(part) if Path(part).is_absolute() else part for part in tail.split(","))
    return f"{head}{separator}{','.join(paths)}"


@cache
def _checkout() -> Path:
    return Path(__file__).resolve().parents[4]


@cache
def _git_state() -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(_checkout()), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != _checkout():
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


@cache
def _lock_digest() -> str | None:
    lock = _checkout() / "envs" / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None


@cache
def _package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def make_record(
    rule: str,
    settings: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike[str]] = (),
    seed: int | None = None,
    command: Sequence[str] | None = None,
) -> Record:
    """The record of a file that stage `rule` is about to write.

    Digests of all `inputs` are computed from their content; `command` defaults to the running
    command line.
    """
    from wilsonvox.provenance.formats import content_digest, record_digest

    commit, dirty = _git_state()
    words = current_command.get() if command is None else tuple(command)
    return Record(
        rule=rule,
        command=tuple(_portable_word(word) for word in words),
        settings=dict(settings),
        seed=seed,
        packages=_package_versions(),
        lock_digest=_lock_digest(),
        git_commit=commit,
        git_dirty=dirty,
        inputs=tuple(
            InputRecord(
                path=portable_path(path),
                content_digest=content_digest(path),
                record_digest=record_digest(path),
            )
            for path in inputs
        ),
    )
