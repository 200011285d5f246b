"""The provenance record that every output of the pipeline contains."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from wilsonvox.core.models import StrictModel


def canonical_json(content: Mapping[str, Any]) -> str:
    """Format as one line of ASCII JSON with sorted keys."""
    return json.dumps(content, sort_keys=True, ensure_ascii=True)


def seal_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hexadecimal) of a record's content, excluding the seal itself."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


VERSION: Final = 1
"""Version of the record's fields."""


class InputRecord(StrictModel):
    """One file that a stage read."""

    path: str = Field(
        description="path relative to the run's folder; only the name for a file outside the "
        "folder in which the command ran"
    )
    content_digest: str = Field(description="SHA-256 over the content (arrays), not the bytes")
    record_digest: str | None = Field(
        default=None, description="SHA-256 of that file's own record; null for external files"
    )
    record: "Record | None" = Field(
        default=None, description="that file's own record, if the file may be deleted after use"
    )


class Record(StrictModel):
    """Provenance of one file. Contains no host, user, absolute path or clock time."""

    version: Literal[1] = Field(description="version of the record's fields")
    rule: str = Field(description="stage of the pipeline that wrote the file")
    command: tuple[str, ...] = Field(description="words of the command line")
    run: str = Field(
        default=".",
        description="the run's folder, relative to the folder in which the command ran; only its "
        "name for a run elsewhere",
    )
    output: str = Field(
        default="", description="path of the file itself, relative to the run's folder"
    )
    settings: dict[str, Any] = Field(description="configuration values that the stage used")
    seed: int | None = Field(
        default=None, description="the run's seed, if the stage uses random numbers"
    )
    packages: dict[str, str] = Field(
        description="versions of Python, of this package and of those that the stage imports"
    )
    code_digest: str | None = Field(
        default=None,
        description="SHA-256 of the stage's code without comments and docstrings",
    )
    lock_digest: str | None = Field(description="SHA-256 of the environment's lock file")
    git_commit: str | None = Field(description="commit of the checkout; null outside of one")
    git_dirty: bool | None = Field(
        description="whether code, workflow or lock files differed from that commit"
    )
    inputs: tuple[InputRecord, ...] = ()
    copies: dict[str, str] = Field(
        default={},
        description="human-readable copies written with the file: SHA-256 of their bytes, by path "
        "relative to the run's folder",
    )
    content_digest: str | None = Field(
        default=None, description="SHA-256 of this file's own content"
    )
    seal: str | None = Field(
        default=None,
        description="SHA-256 of the rest of the record, to detect damage and edits",
    )

    def to_json(self) -> str:
        """Return the sealed record as one line of ASCII JSON with sorted keys."""
        return canonical_json(self.sealed().model_dump(mode="json"))

    def sealed(self) -> "Record":
        """Return a copy with the matching seal."""
        return self.model_copy(update={"seal": seal_of(self.model_dump(mode="json"))})

    def digest(self) -> str:
        """Return the SHA-256 of the record's JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def written_to(self, path: str | os.PathLike[str], content_digest: str) -> "Record":
        """Return the record of `path`, one of several files that a command writes."""
        output = path_in_run(path, Path(self.run))
        return self.model_copy(update={"output": output, "content_digest": content_digest})


RecordFactory = Callable[
    [str | os.PathLike[str], Mapping[str, Any], Sequence[str | os.PathLike[str]]], Record
]
"""Function that makes the record of a file from its path, settings and input paths."""


def portable_path(path: str | os.PathLike[str]) -> str:
    """Return `path` relative to the working folder; only the name if it is outside of it."""
    absolute = Path(path).absolute()
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.name


def run_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the run that a file belongs to, relative to the working folder.

    This is `results/NAME` for files below a folder `results`, else the working folder.

    >>> run_folder("results/demo/figures/topology.pdf").as_posix()
    'results/demo'
    """
    try:
        parts = Path(path).absolute().relative_to(Path.cwd()).parts
    except ValueError:
        return Path()
    for i in range(len(parts) - 3, -1, -1):
        if parts[i] == "results":
            return Path(*parts[: i + 2])
    return Path()


def path_in_run(path: str | os.PathLike[str], run: Path) -> str:
    """Return `path` relative to the folder `run`, both relative to the working folder.

    Only the name is returned for a file outside of both.
    """
    absolute, folder = Path(path).absolute(), run.absolute()
    if absolute.is_relative_to(folder):
        return absolute.relative_to(folder).as_posix()
    if not (absolute.is_relative_to(Path.cwd()) and folder.is_relative_to(Path.cwd())):
        return absolute.name
    return Path(os.path.relpath(absolute, folder)).as_posix()


def portable_word(word: str) -> str:
    """Replace absolute paths in a word of a command line by those of `portable_path`.

    Other words, lists and ranges are unchanged.
    """
    head, separator, tail = word.rpartition("=") if word.startswith("--") else ("", "", word)
    paths = (portable_path(part) if Path(part).is_absolute() else part for part in tail.split(","))
    return f"{head}{separator}{','.join(paths)}"
