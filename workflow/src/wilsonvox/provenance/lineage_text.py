"""Print a lineage as a tree, as JSON, or as the commands that replay it."""

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wilsonvox.provenance.audit import Finding, Verdict
from wilsonvox.provenance.lineage_graph import Node
from wilsonvox.records.record import Record


def _made(node: Node) -> str:
    """Describe the origin of a file in a few words."""
    if node.record is not None:
        commit = (node.record.git_commit or "no commit")[:7]
        seed = "" if node.record.seed is None else f", seed {node.record.seed}"
        return f"{node.record.rule}, {commit}{seed}"
    if node.copy_digest is not None:
        return "copy"
    if node.problem is not None:
        return "unreadable"
    return "external file" if node.external else "record lost"


def _line(node: Node, finding: Finding, name: str) -> str:
    reasons = f": {'; '.join(finding.reasons)}" if finding.reasons else ""
    return f"{name}  [{_made(node)}]  {finding.verdict}{reasons}"


def tree_lines(roots: Sequence[Node], findings: Mapping[Path, Finding]) -> Iterator[str]:
    """Yield the lineage of each root as a tree, one line per file, without repeated subtrees."""
    shown: set[Path] = set()

    def walk(node: Node, name: str, before: str, branch: str) -> Iterator[str]:
        known = node.path in shown and node.inputs
        shown.add(node.path)
        yield f"{before}{branch}{_line(node, findings[node.path], name)}" + (
            "  (see above)" if known else ""
        )
        if known:
            return
        inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for i, child in enumerate(node.inputs):
            last = i == len(node.inputs) - 1
            yield from walk(child, child.name, inner, "└─ " if last else "├─ ")

    for root in roots:
        yield from walk(root, _shown_path(root.path), "", "")


def _shown_path(path: Path) -> str:
    cwd = Path.cwd()
    return path.relative_to(cwd).as_posix() if path.is_relative_to(cwd) else str(path)


def as_json(
    roots: Sequence[Node], nodes: Sequence[Node], findings: Mapping[Path, Finding]
) -> dict[str, Any]:
    """Return the audit as a JSON-compatible mapping: every file once, inputs by path."""
    numbers = Counter(finding.verdict for finding in findings.values())
    return {
        "verified": all(finding.verdict is Verdict.VERIFIED for finding in findings.values()),
        "audited": [_shown_path(node.path) for node in roots],
        "counts": {str(verdict): numbers[verdict] for verdict in Verdict},
        "files": [
            {
                "path": _shown_path(node.path),
                "name": node.name,
                "verdict": str(findings[node.path].verdict),
                "reasons": list(findings[node.path].reasons),
                "content_digest": findings[node.path].content_digest,
                "external": node.external,
                "inputs": [_shown_path(child.path) for child in node.inputs],
                "record": None if node.record is None else node.record.model_dump(mode="json"),
            }
            for node in nodes
        ],
    }


def in_order(roots: Sequence[Node]) -> list[Node]:
    """Return all files of some lineages in topological order, inputs first."""
    ordered: list[Node] = []
    seen: set[Path] = set()

    def visit(node: Node) -> None:
        if node.path not in seen:
            seen.add(node.path)
            for child in node.inputs:
                visit(child)
            ordered.append(node)

    for root in roots:
        visit(root)
    return ordered


def replay_lines(roots: Sequence[Node]) -> Iterator[str]:
    """Yield the lines of a shell script that makes the roots again from external files.

    Paths are those of the records, relative to the folder in which the script runs.
    """
    nodes = in_order(roots)
    # relative to the folder in which the commands run
    paths = {
        child.path: os.path.normpath(Path(node.record.run) / entry.path)
        if len(Path(entry.path).parts) > 1
        else entry.path
        for node in nodes
        if node.record is not None
        for entry, child in zip(node.record.inputs, node.inputs, strict=True)
    }
    yield "# Run this in an empty folder, with .venv/bin of the checkout in PATH."
    for node in nodes:
        if node.external:
            digest = node.readings[0].content_digest if node.readings else "unknown"
            yield f"# needs the external file {paths.get(node.path, node.name)}, SHA-256 {digest}"
    for node in nodes:
        if node.lost:
            yield f"# needs {node.name}, which is missing or damaged, and so is its record"
    at: tuple[str | None, bool | None] | None = None
    done: set[tuple[str, ...]] = set()
    for record in (node.record for node in nodes if node.record is not None):
        if record.command in done:
            continue
        if at != (record.git_commit, record.git_dirty):
            at = record.git_commit, record.git_dirty
            yield _checkout_line(record)
        done.add(record.command)
        yield shlex.join(record.command)


def _checkout_line(record: Record) -> str:
    if record.git_commit is None:
        version = record.packages.get("wilsonvox", "of unknown version")
        return f"# code: unknown commit, wilsonvox {version}"
    dirty = "; the code had uncommitted changes"
    return (
        f"# code: git checkout {record.git_commit} && make setup{dirty if record.git_dirty else ''}"
    )
