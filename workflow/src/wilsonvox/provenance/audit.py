"""Verdicts on files: compare their content, code and packages with their provenance records."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wilsonvox.provenance.code import own_digest, stage_packages
from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.provenance.environment import DISTRIBUTIONS
from wilsonvox.provenance.lineage_graph import Node
from wilsonvox.provenance.recording import architectures_of
from wilsonvox.records.record import Record
from wilsonvox.stages.table import STAGES


class Verdict(StrEnum):
    """Result of the audit of one file, the most serious first."""

    MISSING = "missing"
    CHANGED = "changed"
    OTHER_CODE = "made by other code"
    DIRTY_TREE = "dirty tree"
    VERIFIED = "verified"


@dataclass(frozen=True)
class Finding:
    """Verdict on one file, with its reasons (one sentence each) and the current content digest."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    content_digest: str | None = None


def other_code(record: Record) -> list[str]:
    """List the differences between the code that made a file and the installed code.

    Compared are the modules of the stage, without comments and docstrings, and the versions of the
    packages that they import. The commit is not compared, because it also changes with edits of
    the documentation.
    """
    if record.rule not in STAGES:
        return [f"there is no stage {record.rule} in this version"]
    try:
        code = own_digest(record.rule, architectures_of(record))
        packages = stage_packages(record.rule, architectures_of(record))
    except LookupError as error:
        return [str(error)]
    reasons = [] if code == record.code_digest else [f"the code of {record.rule} has changed"]
    before, now = _by_module(record.packages), _by_module(packages)
    for name in sorted({*before, *now} - {"python", "wilsonvox"}):
        old, new = before.get(name), now.get(name)
        if old != new:
            reasons.append(f"{name} {old or 'absent'}, here {new or 'absent'}")
    return reasons


def _by_module(packages: Mapping[str, str]) -> dict[str, str]:
    """Return versions by package, with one name for TensorFlow on CPUs and on GPUs."""
    names = {name: group[0] for group in DISTRIBUTIONS.values() for name in group}
    return {names.get(name, name): version for name, version in packages.items()}


def _changed(node: Node, digest: str) -> list[str]:
    reasons = []
    if node.record is not None and node.record.content_digest != digest:
        reasons.append("its content differs from its own record")
    if node.copy_digest is not None and node.copy_digest != digest:
        reasons.append("its bytes differ from the copy that was written")
    others = [reading.reader for reading in node.readings if reading.content_digest != digest]
    if others:
        reasons.append(f"{_some(others)} read different content")
    others = [
        reading.reader
        for reading in node.readings
        if reading.content_digest == digest and reading.record_digest != node.record_digest
    ]
    if others:
        reasons.append(f"{_some(others)} read the same content with a different record")
    return reasons


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _expected(node: Node) -> str | None:
    """Return the content digest of a file in its own record or in those of its readers."""
    if node.record is not None:
        return node.record.content_digest
    return node.copy_digest or next((reading.content_digest for reading in node.readings), None)


def judge(node: Node, cache: DigestCache) -> Finding:
    """Audit one file of a lineage.

    Args:
        node: the file, with the references to it in the records of its readers.
        cache: source of content digests.
    """
    if not node.exists:
        known = node.record is not None or node.copy_digest is not None
        if known:
            return Finding(Verdict.MISSING, ("its record is known",))
        return Finding(Verdict.MISSING, ("its record is lost",) if node.lost else ())
    problem, digest = node.problem, ""
    if problem is None:
        try:
            digest = cache.digest(node.path, _expected(node))
        except Exception as error:
            problem = " ".join(str(error).split()) or type(error).__name__
    if problem is not None:
        problem = problem.removeprefix(f"{node.path}: ")
        return Finding(Verdict.CHANGED, (f"it cannot be read: {problem}",))
    checks: list[tuple[Verdict, list[str]]] = [(Verdict.CHANGED, _changed(node, digest))]
    if node.record is not None:
        commit = (node.record.git_commit or "")[:7]
        dirty = [f"the code differed from commit {commit}"] if node.record.git_dirty else []
        checks += [(Verdict.OTHER_CODE, other_code(node.record)), (Verdict.DIRTY_TREE, dirty)]
    for verdict, reasons in checks:
        if reasons:
            return Finding(verdict, tuple(reasons), digest)
    return Finding(Verdict.VERIFIED, content_digest=digest)


def judge_all(nodes: Iterable[Node], cache: DigestCache) -> dict[Path, Finding]:
    """Audit several files, digesting them in parallel, and return the findings by path."""
    chosen = list(nodes)
    cache.fill(node.path for node in chosen if node.exists and node.problem is None)
    return {node.path: judge(node, cache) for node in chosen}


def count(findings: Iterable[Finding]) -> str:
    """Return the number of files per verdict: ``3 files: 2 verified, 1 missing``."""
    numbers = Counter(finding.verdict for finding in findings)
    total = sum(numbers.values())
    parts = ", ".join(f"{numbers[v]} {v}" for v in reversed(Verdict) if numbers[v])
    return f"{total} file{'s' if total != 1 else ''}: {parts}"
