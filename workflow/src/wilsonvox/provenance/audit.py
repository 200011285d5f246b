"""Whether files are what their records say, and whether anything behind them has changed since."""

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
    """What an audit says of one file, the gravest first."""

    MISSING = "missing"
    CHANGED = "changed"
    OTHER_CODE = "made by other code"
    DIRTY_TREE = "dirty tree"
    VERIFIED = "verified"


@dataclass(frozen=True)
class Finding:
    """The verdict on one file, what led to it, one sentence each, and its content digest now."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    content_digest: str | None = None


def other_code(record: Record) -> list[str]:
    """How the installed code of a record's stage differs from the code that made the file.

    Counts are the stage's own modules, comments and docstrings left out, and the packages that
    they import; not the commit, which changes with every page of the documentation.
    """
    if record.rule not in STAGES:
        return [f"there is no stage {record.rule} in this version"]
    try:
        code = own_digest(record.rule, architectures_of(record))
        packages = stage_packages(record.rule, architectures_of(record))
    except LookupError as error:
        return [str(error)]
    if not record.version:
        return ["its record is of an earlier version"]
    reasons = [] if code == record.code_digest else [f"the code of {record.rule} is another now"]
    before, now = _by_module(record.packages), _by_module(packages)
    for name in sorted({*before, *now} - {"python", "wilsonvox"}):
        old, new = before.get(name), now.get(name)
        if old != new:
            reasons.append(f"{name} {old or 'absent'}, here {new or 'absent'}")
    return reasons


def _by_module(packages: Mapping[str, str]) -> dict[str, str]:
    """Versions by package; TensorFlow for CPUs and for GPUs are one."""
    names = {name: group[0] for group in DISTRIBUTIONS.values() for name in group}
    return {names.get(name, name): version for name, version in packages.items()}


def _changed(node: Node, digest: str) -> list[str]:
    reasons = []
    # digests were others in records of before there was a version
    known = node.record if node.record is not None and node.record.version else None
    if known is not None and known.content_digest != digest:
        reasons.append("its content is not that of its own record")
    if node.copy_digest is not None and node.copy_digest != digest:
        reasons.append("it is not the copy that was written")
    others = [each.reader for each in node.readings if each.content_digest != digest]
    if others:
        reasons.append(f"{_some(others)} read other content")
    others = [
        each.reader
        for each in node.readings
        if each.content_digest == digest and each.record_digest != node.record_digest
    ]
    if others:
        reasons.append(f"{_some(others)} read it with another record, but the same content")
    return reasons


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _expected(node: Node) -> str | None:
    """What its own record or those of its readers say of the content of a file."""
    if node.record is not None:
        return node.record.content_digest
    return node.copy_digest or next((each.content_digest for each in node.readings), None)


def judge(node: Node, cache: DigestCache) -> Finding:
    """The verdict on one file of a lineage.

    Args:
        node: the file, with what its readers say of it.
        cache: gives its content digest.
    """
    if not node.exists:
        known = node.record is not None or node.copy_digest is not None
        if known:
            return Finding(Verdict.MISSING, ("how it was made is known",))
        return Finding(Verdict.MISSING, ("how it was made is lost",) if node.lost else ())
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
    """Verdicts by path; files are digested several at a time."""
    chosen = list(nodes)
    cache.fill(node.path for node in chosen if node.exists and node.problem is None)
    return {node.path: judge(node, cache) for node in chosen}


def count(findings: Iterable[Finding]) -> str:
    """How many files have which verdict: ``3 files: 2 verified, 1 missing``."""
    numbers = Counter(each.verdict for each in findings)
    total = sum(numbers.values())
    parts = ", ".join(f"{numbers[v]} {v}" for v in reversed(Verdict) if numbers[v])
    return f"{total} file{'s' if total != 1 else ''}: {parts}"
