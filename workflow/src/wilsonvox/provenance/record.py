"""The provenance record that every output of the pipeline carries."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from wilsonvox.provenance.code import FOUR_MOMENTA, STAGES, own_digest, stage_packages
from wilsonvox.provenance.environment import checkout, installed_version, lock_digest

current_command: ContextVar[tuple[str, ...]] = ContextVar("current_command", default=())
"""The words of the running command line, set by `wilsonvox.cli`."""


def canonical_json(content: Mapping[str, Any]) -> str:
    """One line of ASCII JSON with sorted keys."""
    return json.dumps(content, sort_keys=True, ensure_ascii=True)


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 (hexadecimal) of a record's content, its own seal left out."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


VERSION = 1
"""Of the record's fields. Records of before there was a version have 0, and no seal."""


class InputRecord(BaseModel):
    """One file that a stage read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


class Record(BaseModel):
    """How a file was made. Holds no host, user, absolute path or clock time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    @property
    def architectures(self) -> tuple[str, ...]:
        """What the stage's code depends on beside its rule.

        The architecture of a training or a fit, or the writing of four-momenta.
        """
        if self.rule == "generate_events" and self.settings.get("four_momenta"):
            return (FOUR_MOMENTA,)
        builds = self.rule in STAGES and STAGES[self.rule].builds
        name = self.settings.get("architecture") if builds else None
        return (name,) if isinstance(name, str) else ()

    def written_to(self, path: str | os.PathLike[str], content_digest: str) -> "Record":
        """The record of `path`, one of several files that a command writes, with its digest."""
        output = path_in_run(path, Path(self.run))
        return self.model_copy(update={"output": output, "content_digest": content_digest})


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


CODE_PATHS = ("Snakefile", "workflow", "envs", "pyproject.toml")
"""What a dirty tree is about: a changed configuration is recorded itself, docs make no numbers."""


@cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout and whether its code differs from it; None outside a checkout.

    New files that git does not know yet count, because code can import them.
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
    found = {"python": platform.python_version()}
    own = installed_version("wilsonvox")
    if own:
        found["wilsonvox"] = own
    return found | stage_packages(rule, architectures)


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
    """The record of the file `output` that stage `rule` is about to write.

    Digests of all `inputs` are computed from their content.

    Args:
        rule: name of the stage, one of `wilsonvox.provenance.code.STAGES`.
        output: path of the file.
        settings: configuration values that the stage used.
        inputs: paths of the files that it read.
        seed: the run's seed, where the stage draws.
        command: the command line; the running one if not given.
        copies: SHA-256 of the bytes of copies for people by path, such as history.csv.
        embed_inputs: keep the inputs' own records too, because they may be deleted.
        run: folder of the run that the inputs belong to; that of `output` if not given.
    """
    from wilsonvox.provenance.formats import content_digest, parse_record, record_text, text_digest

    commit, dirty = git_state()
    folder = run_folder(output) if run is None else Path(run)
    words = current_command.get() if command is None else tuple(command)
    found = []
    for path in inputs:
        text = record_text(path)
        found.append(
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
        command=tuple(portable_word(word) for word in words),
        run=portable_path(folder),
        output=path_in_run(output, folder),
        settings=dict(settings),
        seed=seed,
        packages={},
        code_digest=None,
        lock_digest=lock_digest(),
        git_commit=commit,
        git_dirty=dirty,
        inputs=tuple(found),
        copies={path_in_run(path, folder): digest for path, digest in (copies or {}).items()},
    )
    return draft.model_copy(
        update={
            "packages": _packages(rule, draft.architectures),
            "code_digest": own_digest(rule, draft.architectures),
        }
    )
