"""Read the jobs behind the results of a run from the records in its files."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath

from wilsonvox.core.errors import UserError
from wilsonvox.provenance.lineage_graph import LineageGraph, Node, Places
from wilsonvox.records.record import InputRecord, Record


@dataclass(frozen=True)
class RunFile:
    """A file that a job of the run wrote or read.

    Attributes:
        path: path relative to the run folder, or only the name of a file outside the working
            folder of the commands.
        digest: SHA-256 of its content, or of its bytes if `of_bytes`.
        source: path of the file; None if it was deleted or does not belong to the run.
        record: its record; None for copies and for files that the run did not make.
        of_bytes: True if the digest is over the bytes.
    """

    path: str
    digest: str
    source: Path | None = None
    record: Record | None = None
    of_bytes: bool = False


@dataclass(frozen=True)
class Job:
    """One command of the run, with its inputs and outputs as keys of `RunHistory.files`."""

    record: Record
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """Name of the job, equal for the same rule and command line."""
        text = json.dumps([self.record.rule, self.record.command])
        return f"{self.record.rule}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class RunHistory:
    """Jobs and files behind the results of a run.

    Attributes:
        jobs: the jobs in topological order.
        files: all files that a job wrote or read, by key.
    """

    jobs: tuple[Job, ...]
    files: Mapping[str, RunFile]

    @cached_property
    def made(self) -> frozenset[str]:
        """Keys of the files written by jobs of the run."""
        return frozenset(path for job in self.jobs for path in job.outputs)


def _is_external(path: str) -> bool:
    """Return True if an input is outside the run folder; a bare name is such a file.

    >>> _is_external("../../resources/b0.root"), _is_external("samples/b0.root")
    (True, False)
    """
    return path.startswith("../") or len(PurePosixPath(path).parts) == 1


def _key(given: InputRecord) -> str:
    # two external files may have the same name
    return f"{given.path}|{given.content_digest[:12]}" if _is_external(given.path) else given.path


def _check(node: Node, path: Path) -> None:
    """Check that a file of the run is the one from which later results were made.

    Raises:
        UserError: it is missing or damaged, has no record, was moved, or was made again since.
    """
    if node.problem is not None:
        raise UserError(f"{path}: damaged: {node.problem}; delete it and run again")
    if node.external or node.lost:
        reason = "has no provenance record" if node.exists else "does not exist"
        raise UserError(f"{path}: {reason}; run the workflow again")
    record = node.record
    if record is not None and not path.as_posix().endswith(record.output):
        raise UserError(f"{path}: was moved from {record.output}; move it back or run again")
    # the record of a deleted temporary file is the one kept by its reader
    digests = (
        (node.copy_digest, None)
        if record is None
        else (record.content_digest, node.record_digest or record.digest())
    )
    if any((reading.content_digest, reading.record_digest) != digests for reading in node.readings):
        raise UserError(f"{path}: is not the file from which later results were made; run again")


def _files_of(run: Path, node: Node) -> dict[str, RunFile]:
    """Return a file with a record, its copies, and its external inputs."""
    record = node.record
    if record is None:
        return {}
    source = run / record.output if node.exists else None
    files = {record.output: RunFile(record.output, record.content_digest or "", source, record)}
    for path, digest in record.copies.items():
        if node.exists and not (run / path).is_file():
            raise UserError(f"{run / path}: does not exist; run the workflow again")
        files[path] = RunFile(path, digest, run / path if node.exists else None, of_bytes=True)
    for entry in record.inputs:
        if _is_external(entry.path):
            # external files are digested by their bytes
            of_bytes = entry.record_digest is None
            files[_key(entry)] = RunFile(entry.path, entry.content_digest, of_bytes=of_bytes)
    return files


def _in_order(jobs: Mapping[str, Job]) -> list[Job]:
    """Sort jobs topologically, and by name among equals."""
    makers = {output: key for key, job in jobs.items() for output in job.outputs}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for key in sorted(jobs):
        sorter.add(key, *(makers[path] for path in jobs[key].inputs if path in makers))
    return [jobs[key] for key in sorter.static_order()]


def read_history(run: Path, results: Iterable[str]) -> RunHistory:
    """Follow the records of a run's results back to the external inputs.

    Args:
        run: folder of the run.
        results: paths of its results, relative to that folder.

    Raises:
        UserError: a file is missing, damaged, without a record, or not the one that was read.
    """
    folder = run.absolute()
    graph = LineageGraph(Places(run=folder))
    for path in results:
        graph.add(run / path)
    files: dict[str, RunFile] = {}
    for node in graph.nodes.values():
        if not node.path.is_relative_to(folder):
            continue
        place = node.path.relative_to(folder)
        if not (node.external and _is_external(place.as_posix())):
            _check(node, run / place)
            files |= _files_of(run, node)
    records: dict[tuple[str, tuple[str, ...]], list[Record]] = {}
    for file in files.values():
        if file.record is not None:
            # several outputs of one command have one record each
            records.setdefault((file.record.rule, file.record.command), []).append(file.record)
    jobs = [
        Job(
            record=min(group, key=lambda record: record.output),
            inputs=tuple(map(_key, group[0].inputs)),
            outputs=tuple(
                sorted({path for record in group for path in (record.output, *record.copies)})
            ),
        )
        for group in records.values()
    ]
    ordered = _in_order({job.key: job for job in jobs})
    return RunHistory(tuple(ordered), dict(sorted(files.items())))
