"""Why two files differ: which setting, input, code or version stands behind the difference."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.provenance.environment import checkout
from wilsonvox.provenance.lineage_graph import Node
from wilsonvox.provenance.record import Record


@dataclass(frozen=True)
class Cause:
    """One difference in how two files were made.

    kind: setting, seed, code, package, input, command or file
    text: the difference itself
    place: stage and file where it is
    """

    kind: str
    text: str
    rule: str
    name: str


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names.

    >>> flat({"training": {"learning_rate": 0.1}})
    {'training.learning_rate': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def changed_files(first: str | None, second: str | None, paths: Iterable[str]) -> list[str]:
    """Files below `paths` that differ between two commits of the checkout, where it has both."""
    if not first or not second or first == second:
        return []
    command = ["git", "-C", str(checkout()), "diff", "--name-only", first, second, "--", *paths]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.split() if run.returncode == 0 else []


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*first, *second}):
        if name not in first:
            yield f"{name}: {second[name]} in the second only"
        elif name not in second:
            yield f"{name}: {first[name]} in the first only"
        elif first[name] != second[name]:
            yield f"{name}: {first[name]} → {second[name]}"


def _code(first: Record, second: Record) -> str:
    from wilsonvox.provenance.code import PACKAGE, STAGES, stage_modules

    text = f"code of {first.rule}"
    commits = first.git_commit, second.git_commit
    if commits[0] == commits[1]:
        return f"{text}: a tree that differed from its commit"
    paths = [f"workflow/src/{PACKAGE}"]
    if first.rule in STAGES:
        modules = stage_modules(first.rule, first.architectures)
        stems = [f"workflow/src/{name.replace('.', '/')}" for name in modules]
        paths = [path for stem in stems for path in (f"{stem}.py", f"{stem}/__init__.py")]
    files = changed_files(*commits, paths)
    short = " → ".join((commit or "no commit")[:7] for commit in commits)
    return f"{text}: {short}" + (f" ({', '.join(Path(f).name for f in files)})" if files else "")


def _words(record: Record) -> list[str]:
    """The command line without the run's name and without paths, which are compared as inputs."""
    return [word for word in record.command if "/" not in word]


def own_causes(first: Node, second: Node) -> Iterator[Cause]:
    """How the two records of a pair of files differ, their inputs left out."""
    a, b = first.record, second.record
    if a is None or b is None:
        return
    where = a.rule, first.name
    if a.rule != b.rule:
        yield Cause("stage", f"{a.rule} → {b.rule}", *where)
        return
    texts = list(_differing(flat(a.settings), flat(b.settings)))
    yield from (Cause("setting", text, *where) for text in texts)
    if a.seed != b.seed:
        yield Cause("seed", f"{a.seed} → {b.seed}", *where)
    if a.code_digest != b.code_digest:
        yield Cause("code", _code(a, b), *where)
    for text in _differing(a.packages, b.packages):
        yield Cause("package", text, *where)
    if not texts and a.seed == b.seed and _words(a) != _words(b):
        added = [word for word in _words(b) if word not in _words(a)]
        removed = [word for word in _words(a) if word not in _words(b)]
        yield Cause("command", f"{' '.join(removed) or '…'} → {' '.join(added) or '…'}", *where)


class Comparison:
    """What is behind the difference of two files, each pair of inputs looked at once.

    Args:
        cache: gives content digests.
    """

    def __init__(self, cache: DigestCache) -> None:
        self.cache = cache
        self._seen: set[tuple[Path, Path]] = set()

    def content(self, node: Node) -> str | None:
        """Content digest of a file; of a missing one, what its readers say; None if unknown."""
        try:
            return self.cache.digest(node.path)
        except Exception:
            return node.readings[0].content_digest if node.readings else None

    def causes(self, first: Node, second: Node) -> Iterator[Cause]:
        """Differences behind a pair of files, those of their inputs after their own."""
        if (first.path, second.path) in self._seen:
            return
        self._seen.add((first.path, second.path))
        yield from own_causes(first, second)
        ours, theirs = ({child.name: child for child in node.inputs} for node in (first, second))
        rule = first.record.rule if first.record else "copy"
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if name not in theirs:
                yield Cause("input", f"{name} read by the first only", rule, first.name)
            elif name not in ours:
                yield Cause("input", f"{name} read by the second only", rule, first.name)
            else:
                yield from self._of_inputs(ours[name], theirs[name])

    def _of_inputs(self, first: Node, second: Node) -> Iterator[Cause]:
        if first.record is not None or first.inputs:
            yield from self.causes(first, second)
        elif self.content(first) != self.content(second):
            yield Cause("input", f"{first.name} has other content", "external file", first.name)


def grouped(causes: Iterable[Cause]) -> list[str]:
    """One line a cause: what differs, in which stage, and in how many files."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for cause in causes:
        places.setdefault((cause.kind, cause.text, cause.rule), []).append(cause.name)
    lines = []
    for (kind, text, rule), names in places.items():
        where = names[0] if len(names) == 1 else f"{len(names)} files, such as {names[0]}"
        lines.append(f"{kind:8} {text}  ({rule}: {where})")
    return lines
