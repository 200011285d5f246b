"""Follow the records inside files from a result back to the events."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wilsonvox.core.errors import UserError
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import has_record_format, parse_record, record_text, text_digest
from wilsonvox.records.record import InputRecord, Record

COPY_SUFFIXES = (".csv", ".pdf")
"""Formats without a record, whose files may be copies named in the record of another file."""


@dataclass(frozen=True)
class Reading:
    """Reference to an input in the record of the file made from it."""

    reader: str
    content_digest: str
    record_digest: str | None


@dataclass
class Node:
    """One file of a lineage.

    Attributes:
        path: path of the file, which may not exist.
        name: path in the run, or name.
        exists: True if the file exists.
        record: record inside the file; for a missing or damaged file, the one kept by its reader.
        record_digest: SHA-256 of the record inside the file.
        problem: reason why the file cannot be read, or None.
        readings: references to the file in the records of its readers.
        inputs: nodes of the files it was made from, in the order of its record.
        copy_digest: for a copy, SHA-256 of its bytes in the record of the original.
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
        """True if the file was made by another program."""
        return not self.lost and self.record is None and self.copy_digest is None

    @property
    def lost(self) -> bool:
        """True if the file had a record that is no longer available."""
        return self.record is None and any(reading.record_digest for reading in self.readings)


@dataclass(frozen=True)
class Places:
    """Folders to search for files that are not at the path in the records of their readers.

    Attributes:
        run: run folder of files that were copied out of it; None to determine it from the record.
        search: folders that may contain external files.
    """

    run: Path | None = None
    search: Sequence[Path] = ()


def run_root(path: Path, record: Record, run: Path | None = None) -> Path:
    """Return the run folder of a file, also if the run was moved or renamed.

    If neither the file nor the target of its link is at its recorded path in a run, the folder is
    `run`, or else the first parent folder that contains an input of the file, or else the folder in
    the record, relative to the working folder.

    Args:
        path: path of the file.
        record: record inside the file.
        run: run folder of a file that is not at its recorded path.
    """
    output = Path(record.output).parts
    names = [entry.path for entry in record.inputs if ".." not in Path(entry.path).parts]
    # a bare name fits every folder: use these only if there are no other names
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
    """Return the possible paths of an input with path `name` in a record of the run in `root`.

    External files stay behind if only the run is moved. They are also searched below the working
    folder, and by name in the folders `search`.
    """
    paths = [Path(os.path.normpath(folder / name)) for folder in (root, root.resolve())]
    parts = [part for part in Path(name).parts if part != ".."]
    if len(parts) != len(Path(name).parts) or len(parts) == 1:
        paths += [
            Path.cwd() / Path(*parts),
            *(place.absolute() / parts[-1] for place in search),
        ]
    return list(dict.fromkeys(paths))


def _read(path: Path) -> tuple[Record | None, str | None, str | None]:
    """Return the record in a file, its digest, and the reason if the file cannot be read."""
    try:
        text = record_text(path)
        if text is None:
            return None, None, None
        return parse_record(text), text_digest(text), None
    except Exception as error:
        return None, None, " ".join(str(error).split()) or type(error).__name__


def _original_of_copy(path: Path) -> tuple[Path, str] | None:
    """Return the file next to `path` whose record names it as a copy, and the copy's digest.

    Paths are compared relative to the original, so that both may be copied out of the run.
    """
    for original, record in _with_copies(path):
        for name, digest in record.copies.items():
            place = original.parent / os.path.relpath(name, Path(record.output).parent)
            if os.path.normpath(place) == os.path.normpath(path):
                return original, digest
    return None


def _without_original(copy: Path) -> str:
    """Return the error message for a copy whose original is missing or damaged."""
    kind, original = copy.suffix[1:].upper(), "the file it is a copy of"
    if kind == "PDF":
        png, original = copy.with_suffix(".png"), "the PNG of the same name"
        problem = _read(png)[2] if png.is_file() else None
        if problem is not None:
            return f"{png}: damaged: {problem}; it holds the record of {copy.name}"
    return (
        f"{copy}: {kind} files have no provenance record; audit it next to the original, or audit "
        f"{original}"
    )


def _with_copies(path: Path) -> Iterator[tuple[Path, Record]]:
    """Yield the files next to `path` whose records name copies, and these records.

    The original of a PDF is the PNG of the same name; that of a CSV may have any name.
    """
    if path.suffix not in COPY_SUFFIXES or not path.parent.is_dir():
        return
    figure = path.suffix == ".pdf"
    candidates = [path.with_suffix(".png")] if figure else sorted(path.parent.iterdir())
    for candidate in candidates:
        if has_record_format(candidate) and candidate.is_file():
            record = _read(candidate)[0]
            if record is not None and record.copies:
                yield candidate, record


class LineageGraph:
    """Graph of all files from which some files were made, read breadth first.

    Args:
        places: additional folders to search for files.
        digest: function for the content digest of a file, to distinguish external files with equal
            names.
    """

    def __init__(
        self, places: Places | None = None, digest: Callable[[Path], str] = content_digest
    ) -> None:
        self.places = places or Places()
        self.digest = digest
        self.nodes: dict[Path, Node] = {}
        self.missing_runs: set[Path] = set()

    def add(self, path: str | os.PathLike[str]) -> Node:
        """Follow the lineage of a file and return its node.

        Raises:
            UserError: the file does not exist or has no record.
        """
        start = Path(path)
        if not start.is_file():
            reason = "is a folder" if start.is_dir() else "does not exist"
            raise UserError(f"{start}: {reason}; expected a file made by wilsonvox")
        node = self.find(start)
        if node is None and start.suffix in COPY_SUFFIXES:
            raise UserError(_without_original(start))
        if node is None:
            raise UserError(f"{start}: has no provenance record; it was not made by wilsonvox")
        return node

    def find(self, path: Path) -> Node | None:
        """Follow the lineage of a file and return its node.

        It is None if the file has no record and is not a copy of a file with one. Files that cannot
        be read have a node.
        """
        place = path.absolute()
        root = self.places.run or place.parent
        for original, record in _with_copies(place):
            root = run_root(original, record, self.places.run)
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
        """Return the node of a file referenced from the run in `root`, and queue a new one."""
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
            original = _original_of_copy(node.path)
            if original:
                node.copy_digest = original[1]
                yield self._get(original[0], root, waiting)
            return
        for entry in node.record.inputs:
            path = self._find(root, entry, node.record)
            child = self._get(path, root, waiting, entry.record, entry.path)
            child.readings.append(Reading(node.name, entry.content_digest, entry.record_digest))
            yield child

    def _find(self, root: Path, entry: InputRecord, record: Record) -> Path:
        """Return the path of an input; of several external files, the one that was read."""
        direct, *others = possible_paths(root, entry.path, self._folders(record))
        there = [place for place in others if place.is_file()]
        if direct.is_file() or not there:
            return direct
        for place in there[: len(there) if len(there) > 1 else 0]:
            try:
                if self.digest(place) == entry.content_digest:
                    return place
            except Exception:
                continue
        return there[0]

    def _folders(self, record: Record) -> list[Path]:
        """Return the folders that may contain external files read by the stage of `record`."""
        of_sample = _sample_folders(record) if record.rule == "ingest_events" else []
        return [*self.places.search, *of_sample]


def _sample_folders(record: Record) -> list[Path]:
    """Return the folders of a sample's files from the table of samples, with absolute paths."""
    from wilsonvox.config.samples import load_samples

    table = Path("config/samples.tsv")
    name = record.settings.get("sample")
    try:
        row = load_samples(table)[str(name)]
        return [Path(path).parent for path in row.files()]
    except (UserError, KeyError):
        return []
