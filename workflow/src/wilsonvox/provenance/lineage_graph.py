"""Walking back from a file to the events that it was made of, by the records inside the files."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wilsonvox.core.errors import UserError
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import has_record_format, parse_record, record_text, text_digest
from wilsonvox.records.record import InputRecord, Record


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
    record: inside it; of a missing or damaged file, the one that its reader kept
    record_digest: SHA-256 of the record that it holds itself
    problem: why it cannot be read, if so
    readings: what those say that read it
    inputs: files that it was made of, in the order of its record
    copy_digest: SHA-256 of its bytes by the record of the file that it is a copy of
    """

    path: Path
    name: str
    exists: bool
    record: Record | None
    record_digest: str | None = None
    problem: str | None = None
    readings: list[Reading] = field(default_factory=list)
    inputs: list["Node"] = field(default_factory=list)
    copy_digest: str | None = None

    @property
    def external(self) -> bool:
        """Whether the file was made by another program."""
        return not self.lost and self.record is None and self.copy_digest is None

    @property
    def lost(self) -> bool:
        """Whether the file had a record, which nothing tells any more."""
        return self.record is None and any(each.record_digest for each in self.readings)


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

    A file that does not lie at its place in a run, neither itself nor what it links to, belongs to
    `run`, else to the first folder above it that holds an input of it, else to the folder of its
    record, seen from the working folder.

    Args:
        path: of the file.
        record: inside it.
        run: to be taken where the file does not lie at its place in a run.
    """
    output = Path(record.output).parts
    names = [each.path for each in record.inputs if ".." not in Path(each.path).parts]
    # a bare name fits every folder: it counts where there is no other
    names = [name for name in names if "/" in name] or names
    for place in (path.absolute(), path.resolve()):
        if output and place.parts[-len(output) :] == output:
            root = Path(*place.parts[: -len(output)])
            if len(output) > 1 or not names or any((root / name).is_file() for name in names):
                return root
    if run is not None:
        return run.absolute()
    for folder in path.absolute().parents:
        if any((folder / name).is_file() for name in names):
            return folder
    return Path(record.run).absolute()


def possible_paths(root: Path, name: str, search: Iterable[Path] = ()) -> list[Path]:
    """Where an input named `name` in a record of a run may be, the run's folder being `root`.

    A run that was moved alone leaves the external files behind: these are also looked for below
    the working folder, and by their bare names in `search`.
    """
    found = [Path(os.path.normpath(folder / name)) for folder in (root, root.resolve())]
    parts = [part for part in Path(name).parts if part != ".."]
    if len(parts) != len(Path(name).parts) or len(parts) == 1:
        found += [Path.cwd() / Path(*parts), *(each.absolute() / parts[-1] for each in search)]
    return list(dict.fromkeys(found))


def _read(path: Path) -> tuple[Record | None, str | None, str | None]:
    """The record in a file, its digest, and why the file cannot be read."""
    try:
        text = record_text(path)
        if text is None:
            return None, None, None
        return parse_record(text), text_digest(text), None
    except Exception as error:
        return None, None, " ".join(str(error).split()) or type(error).__name__


def _original_of_copy(path: Path, root: Path) -> tuple[Path, str] | None:
    """The file beside `path` whose record names it as its copy, and the copy's digest."""
    name = Path(os.path.relpath(path, root)).as_posix()
    for beside, record in _with_copies(path):
        if name in record.copies:
            return beside, record.copies[name]
    return None


def _with_copies(path: Path) -> Iterator[tuple[Path, Record]]:
    """Files beside `path` that had copies for people written with them."""
    if path.suffix != ".csv" or not path.parent.is_dir():
        return
    for beside in sorted(path.parent.iterdir()):
        if has_record_format(beside) and beside.is_file():
            record = _read(beside)[0]
            if record is not None and record.copies:
                yield beside, record


class LineageGraph:
    """Files behind some files, each once, read breadth first.

    Args:
        places: where else to look for files.
        digest: content digest of a file; tells several external files of one name apart.
    """

    def __init__(
        self, places: Places | None = None, digest: Callable[[Path], str] = content_digest
    ) -> None:
        self.places = places or Places()
        self.digest = digest
        self.nodes: dict[Path, Node] = {}
        self.missing_runs: set[Path] = set()

    def add(self, path: str | os.PathLike[str]) -> Node:
        """Walk back from a file and return its node.

        Raises:
            UserError: there is no such file, or none that carries a record.
        """
        start = Path(path)
        if not start.is_file():
            reason = "is a folder" if start.is_dir() else "does not exist"
            raise UserError(f"{start}: {reason}; expected a file that wilsonvox made")
        node = self.find(start)
        if node is None and start.suffix == ".csv":
            raise UserError(
                f"{start}: carries no provenance record, as CSV files cannot; audit it in its "
                "run's folder, or the file that it is a copy of"
            )
        if node is None:
            raise UserError(f"{start}: carries no provenance record; wilsonvox did not make it")
        return node

    def find(self, path: Path) -> Node | None:
        """Walk back from a file; None where it carries no record and is no copy of one that does.

        A file that cannot be read has a node.
        """
        place = path.absolute()
        root = self.places.run or place.parent
        for beside, record in _with_copies(place):
            root = run_root(beside, record, self.places.run)
        known = place in self.nodes
        node = self._node(place, root)
        if node.external and node.problem is None:
            if not known:
                del self.nodes[place]
            return None
        return node

    def _node(self, path: Path, root: Path) -> Node:
        waiting: deque[tuple[Node, Path]] = deque()
        first = self._get(path, root, waiting)
        while waiting:
            node, folder = waiting.popleft()
            node.inputs += self._inputs(node, folder, waiting)
        return first

    def _get(
        self,
        path: Path,
        root: Path,
        waiting: deque[tuple[Node, Path]],
        kept: Record | None = None,
        name: str | None = None,
    ) -> Node:
        """The node of a file that one of the run in `root` leads to; a new one waits for inputs."""
        if path in self.nodes:
            known = self.nodes[path]
            unknown = known.record is None and not (known.exists and known.problem is None)
            if unknown and kept is not None:
                known.record = kept
                waiting.append((known, root))
            return known
        exists = path.is_file()
        record, digest, problem = _read(path) if exists else (None, None, None)
        if problem is not None or not exists:
            record = kept
        if record is not None and exists:
            root = run_root(path, record, self.places.run)
        if record is not None and not root.is_dir():
            self.missing_runs.add(root)
        inside = path.is_relative_to(root)
        shown = path.relative_to(root).as_posix() if inside else name or path.name
        node = Node(path, shown, exists, record, digest, problem)
        self.nodes[path] = node
        waiting.append((node, root))
        return node

    def _inputs(self, node: Node, root: Path, waiting: deque[tuple[Node, Path]]) -> Iterator[Node]:
        if node.record is None:
            found = _original_of_copy(node.path, root)
            if found:
                node.copy_digest = found[1]
                yield self._get(found[0], root, waiting)
            return
        for each in node.record.inputs:
            path = self._find(root, each, node.record)
            child = self._get(path, root, waiting, each.record, each.path)
            child.readings.append(Reading(node.name, each.content_digest, each.record_digest))
            yield child

    def _find(self, root: Path, each: InputRecord, record: Record) -> Path:
        """Path of an input; of several external files of its name the one that was read."""
        direct, *others = possible_paths(root, each.path, self._folders(record))
        there = [place for place in others if place.is_file()]
        if direct.is_file() or not there:
            return direct
        for place in there[: len(there) if len(there) > 1 else 0]:
            try:
                if self.digest(place) == each.content_digest:
                    return place
            except Exception:
                continue
        return there[0]

    def _folders(self, record: Record) -> list[Path]:
        """Folders that may hold external files which the stage of `record` read."""
        of_sample = _sample_folders(record) if record.rule == "ingest_events" else []
        return [*self.places.search, *of_sample]


def _sample_folders(record: Record) -> list[Path]:
    """Folders of a sample's files by the table of samples, which knows absolute paths."""
    from wilsonvox.config.samples import load_samples

    table = Path("config/samples.tsv")
    name = record.settings.get("sample")
    try:
        row = load_samples(table)[str(name)]
        return [Path(path).parent for path in row.files()]
    except (UserError, KeyError):
        return []
