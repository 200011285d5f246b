"""The provenance record that every output of the pipeline carries."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from wilsonvox.core.models import StrictModel


def canonical_json(content: Mapping[str, Any]) -> str:
    """One line of ASCII JSON with sorted keys."""
    return json.dumps(content, sort_keys=True, ensure_ascii=True)


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 (hexadecimal) of a record's content, its own seal left out."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


VERSION = 1
"""Of the record's fields. Records of before there was a version have 0, and no seal."""


class InputRecord(StrictModel):
    """One file that a stage read."""

    path: str = Field(
        description="relative to the run's folder; of a file outside the folder that the command "
        "ran in, the name alone"
    )
    content_digest: str = Field(description="SHA-256 over the content (arrays), not the bytes")
    record_digest: str | None = Field(
        default=None, description="SHA-256 of that file's own record; null for external files"
    )
    record: "Record | None" = Field(
        default=None, description="that file's own record, where it may be deleted after its use"
    )


class Record(StrictModel):
    """How a file was made. Holds no host, user, absolute path or clock time."""

    version: int = Field(default=0, description="of the record's fields")
    rule: str = Field(description="stage of the pipeline that wrote the file")
    command: tuple[str, ...] = Field(description="the command line, word by word")
    run: str = Field(
        default=".",
        description="the run's folder, relative to the folder that the command ran in; of a run "
        "elsewhere, its name alone",
    )
    output: str = Field(
        default="", description="path of the file itself, relative to the run's folder"
    )
    settings: dict[str, Any] = Field(description="configuration values that the stage used")
    seed: int | None = Field(default=None, description="the run's seed, where the stage draws")
    packages: dict[str, str] = Field(
        description="versions of Python, of this package and of those that the stage imports"
    )
    code_digest: str | None = Field(
        default=None,
        description="SHA-256 over the code of the stage, comments and docstrings left out",
    )
    lock_digest: str | None = Field(description="SHA-256 of the environment's lock file")
    git_commit: str | None = Field(description="commit of the checkout, null outside one")
    git_dirty: bool | None = Field(
        description="whether code, workflow or lock files differed from that commit"
    )
    inputs: tuple[InputRecord, ...] = ()
    copies: dict[str, str] = Field(
        default={},
        description="copies for people written with the file: SHA-256 of their bytes by path "
        "relative to the run's folder",
    )
    content_digest: str | None = Field(
        default=None, description="SHA-256 over this file's own content"
    )
    seal: str | None = Field(
        default=None,
        description="SHA-256 of the rest of the record, against damage; written with it",
    )

    def to_json(self) -> str:
        """The record as one line of ASCII JSON with sorted keys, sealed."""
        return canonical_json(self.sealed().model_dump(mode="json"))

    def sealed(self) -> "Record":
        """The record with the seal that belongs to it."""
        return self.model_copy(update={"seal": seal_of(self.model_dump(mode="json"))})

    def digest(self) -> str:
        """SHA-256 of the record's JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def written_to(self, path: str | os.PathLike[str], content_digest: str) -> "Record":
        """The record of `path`, one of several files that a command writes, with its digest."""
        output = path_in_run(path, Path(self.run))
        return self.model_copy(update={"output": output, "content_digest": content_digest})


RecordFactory = Callable[
    [str | os.PathLike[str], Mapping[str, Any], Sequence[str | os.PathLike[str]]], Record
]
"""Makes the record of a file from its path, the settings used and the paths of its inputs."""


def portable_path(path: str | os.PathLike[str]) -> str:
    """`path` relative to the working folder; outside of it only the name, which tells no host."""
    absolute = Path(path).absolute()
    try:
        return absolute.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return absolute.name


def run_folder(path: str | os.PathLike[str]) -> Path:
    """Folder of the run that a file belongs to, relative to the working folder.

    That is `results/NAME`, wherever a folder `results` is; elsewhere the working folder itself.

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
    """`path` relative to the folder `run`, both seen from the working folder.

    Of a file outside both only the name, which tells no host.
    """
    absolute, folder = Path(path).absolute(), run.absolute()
    if absolute.is_relative_to(folder):
        return absolute.relative_to(folder).as_posix()
    if not (absolute.is_relative_to(Path.cwd()) and folder.is_relative_to(Path.cwd())):
        return absolute.name
    return Path(os.path.relpath(absolute, folder)).as_posix()


def portable_word(word: str) -> str:
    """A word of a command line, absolute paths in it made relative or left out.

    Words that are no paths stay, as do lists and ranges.
    """
    head, separator, tail = word.rpartition("=") if word.startswith("--") else ("", "", word)
    paths = (portable_path(part) if Path(part).is_absolute() else part for part in tail.split(","))
    return f"{head}{separator}{','.join(paths)}"
