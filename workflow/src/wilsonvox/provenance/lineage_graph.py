"""Walking back from a file to the events that it was made of, by the records inside the files."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wilsonvox.errors import UserError
from wilsonvox.provenance.formats import has_record_format, read_record
from wilsonvox.provenance.record import InputRecord, Record


@dataclass(frozen=True)
class Reading:
    """What one file's record says of another that it was made of."""

    reader: str
    content_digest: str
    record_digest: str | None


@dataclass
class Node:
    """One file of a lineage.

    path: where it is, or would be
    name: its path in the run, or its name
    record: inside it; of a missing file, the one that its reader kept
    problem: why it cannot be read, if so
    readings: what those say that read it
    inputs: files that it was made of
    copy_digest: SHA-256 of its bytes by the record of the file that it is a copy of
    """

    path: Path
    name: str
    exists: bool
    record: Record | None
    problem: str | None = None
    readings: list[Reading] = field(default_factory=list)
    inputs: list["Node"] = field(default_factory=list)
    copy_digest: str | None = None

    @property
    def external(self) -> bool:
        """Whether the file was made by another program."""
        return self.record is None and self.copy_digest is None


@dataclass(frozen=True)
class Places:
    """Where files are looked for that are not where their readers' records say.

    run: folder of the run, of files that were copied out of it; None: found by itself
    search: folders that may hold external files
    """

    run: Path | None = None
    search: Sequence[Path] = ()


def run_root(path: Path, record: Record, run: Path | None = None) -> Path:
    """Folder of the run that a file lies in, also after the run was moved or renamed.

    Args:
        path: of the file.
        record: inside it.
        run: to be taken where the file does not lie at its place in a run.
    """
    output = Path(record.output)
    absolute = path.absolute()
    if absolute.parts[-len(output.parts) :] == output.parts:
        return Path(*absolute.parts[: -len(output.parts)])
    return (run or Path(record.run)).absolute()


def run_root_of(node: Node, folder: Path, run: Path | None) -> Path:
    """Folder of the run of a file that another one of the run in `folder` was made of."""
    if node.record is None or not node.exists:
        return folder
    return run_root(node.path, node.record, run)


def locate(root: Path, name: str, search: Iterable[Path] = ()) -> Path:
    """Path of an input named `name` in a record of a run whose folder is `root`.

    A run that was moved alone leaves the external files behind: these are also looked for below
    the working folder, and by their bare names in `search`.
    """
    direct = Path(os.path.normpath(root / name))
    if direct.exists():
        return direct
    parts = [part for part in Path(name).parts if part != ".."]
    if len(parts) != len(Path(name).parts) or len(parts) == 1:
        for candidate in (Path.cwd() / Path(*parts), *(folder / parts[-1] for folder in search)):
            if candidate.exists():
                return candidate.absolute()
    return direct


def _read(path: Path) -> tuple[Record | None, str | None]:
    try:
        return read_record(path), None
    except Exception as error:
        return None, " ".join(str(error).split()) or type(error).__name__


def _original_of_copy(path: Path, root: Path) -> tuple[Path, str] | None:
    """The file beside `path` whose record names it as its copy, and the copy's digest."""
    if path.suffix != ".csv":
        return None
    for beside in sorted(path.parent.glob("*")):
        if has_record_format(beside) and beside.is_file():
            record, _ = _read(beside)
            name = Path(os.path.relpath(path, root)).as_posix()
            if record is not None and name in record.copies:
                return beside, record.copies[name]
    return None


class LineageGraph:
    """Files behind some files, each once, read breadth first.

    Args:
        places: where else to look for files.
    """

    def __init__(self, places: Places | None = None) -> None:
        self.places = places or Places()
        self.nodes: dict[Path, Node] = {}

    def add(self, path: str | os.PathLike[str]) -> Node:
        """Walk back from a file and return its node.

        Raises:
            UserError: there is no such file, or none that carries a record.
        """
        start = Path(path)
        if not start.is_file():
            reason = "is a folder" if start.is_dir() else "does not exist"
            raise UserError(f"{start}: {reason}; expected a file that wilsonvox made")
        root = self.places.run or start.absolute().parent
        if start.suffix == ".csv" and self.places.run is None:
            root = _run_of_copy(start) or root
        node = self._node(start.absolute(), root, None)
        if node.external and node.problem is None:
            raise UserError(f"{start}: carries no provenance record; wilsonvox did not make it")
        return node

    def _node(self, path: Path, root: Path, kept: Record | None) -> Node:
        if path in self.nodes:
            return self.nodes[path]
        first = self._make(path, root, kept)
        waiting = deque([first])
        while waiting:
            node, folder = waiting.popleft()
            for child, fresh in self._inputs(node, folder):
                node.inputs.append(child)
                if fresh:
                    waiting.append((child, run_root_of(child, folder, self.places.run)))
        return first[0]

    def _make(self, path: Path, root: Path, kept: Record | None) -> tuple[Node, Path]:
        exists = path.is_file()
        record, problem = _read(path) if exists else (None, None)
        record = record or (kept if problem is None else None)
        if record is not None:
            root = run_root(path, record, self.places.run) if exists else root
        name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        node = Node(path=path, name=name, exists=exists, record=record, problem=problem)
        self.nodes[path] = node
        return node, root

    def _child(
        self, path: Path, root: Path, kept: Record | None, name: str | None = None
    ) -> tuple[Node, bool]:
        if path in self.nodes:
            return self.nodes[path], False
        node = self._make(path, root, kept)[0]
        if name is not None and not path.is_relative_to(root):
            node.name = name
        return node, True

    def _inputs(self, node: Node, root: Path) -> Iterable[tuple[Node, bool]]:
        if node.record is None:
            found = _original_of_copy(node.path, root) if node.exists else None
            if found:
                node.copy_digest = found[1]
                yield self._child(found[0], root, None)
            return
        for each in node.record.inputs:
            path = self._find(root, each, node.record)
            child, fresh = self._child(path, root, each.record, each.path)
            child.readings.append(Reading(node.name, each.content_digest, each.record_digest))
            yield child, fresh

    def _find(self, root: Path, each: InputRecord, record: Record) -> Path:
        search = list(self.places.search)
        if record.rule == "ingest_events":
            search += _sample_folders(record)
        return locate(root, each.path, search)


def _run_of_copy(path: Path) -> Path | None:
    """The run's folder of a copy for people, by the records of the files beside it."""
    for beside in sorted(path.parent.glob("*")):
        if has_record_format(beside) and beside.is_file():
            record, _ = _read(beside)
            if record is not None and record.copies:
                return run_root(beside, record)
    return None


def _sample_folders(record: Record) -> list[Path]:
    """Folders of a sample's files by the table of samples, which knows absolute paths."""
    from wilsonvox.config import load_samples

    table = Path("config/samples.tsv")
    name = record.settings.get("sample")
    try:
        row = load_samples(table)[str(name)]
        return [Path(path).parent for path in row.files()]
    except (UserError, KeyError):
        return []
