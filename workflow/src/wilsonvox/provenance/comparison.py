"""Why two files differ: which setting, input, code or version stands behind the difference."""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.provenance.environment import checkout
from wilsonvox.provenance.lineage_graph import Node
from wilsonvox.provenance.recording import architectures_of
from wilsonvox.records.record import Record


@dataclass(frozen=True)
class Cause:
    """One difference in how two files were made.

    kind: stage, setting, seed, code, package, input, command, changed, lost or unknown
    text: the difference itself
    rule, name: stage and file where it is
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


def options(command: Sequence[str]) -> dict[str, str]:
    """Options of a command line with their values, but for paths, which are compared as inputs.

    >>> options(["wilsonvox", "train", "--threads", "2", "--mixed", "--out", "results/a.keras"])
    {'--threads': '2', '--mixed': ''}
    """
    found: dict[str, list[str]] = {}
    paths: set[str] = set()
    name = ""
    for word in command:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found.setdefault(name, [])
        else:
            value = word
        if "/" in value or Path(value).suffix[1:].isalpha():
            paths.add(name)
        elif value and name and value != name:
            found[name].append(value)
    return {name: " ".join(values) for name, values in found.items() if name not in paths}


def _git(*arguments: str) -> list[str] | None:
    """Words that git prints in the checkout; None where it fails."""
    command = ["git", "-C", str(checkout()), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout.split() if run.returncode == 0 else None


def changed_files(first: str | None, second: str | None, paths: Iterable[str]) -> list[str] | None:
    """Files below `paths` that differ between two commits; None where one of these is unknown."""
    if not first or not second:
        return None
    return _git("diff", "--name-only", first, second, "--", *paths)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*first, *second}):
        if name not in first:
            yield f"{name}: {second[name]} in the second only"
        elif name not in second:
            yield f"{name}: {first[name]} in the first only"
        elif first[name] != second[name]:
            yield f"{name}: {first[name]} → {second[name]}"


def _code(first: Record, second: Record) -> str:
    """Commits between which a stage's code differs, and its files that do."""
    from wilsonvox.provenance.code import PACKAGE, stage_modules
    from wilsonvox.stages.table import STAGES

    commits = first.git_commit, second.git_commit
    names = [(commit or "no commit")[:7] for commit in commits]
    trees = [
        f"{name} with changes that were not committed" if record.git_dirty else name
        for name, record in zip(names, (first, second), strict=True)
    ]
    short = " → ".join(trees)
    whole = f"workflow/src/{PACKAGE}"
    stems = [
        f"workflow/src/{module.replace('.', '/')}"
        for module in (
            stage_modules(first.rule, architectures_of(first)) if first.rule in STAGES else ()
        )
    ]
    files = changed_files(*commits, [f"{stem}{end}" for stem in stems for end in _MODULE_ENDS])
    if files is None:
        unknown = all(commits) and commits[0] != commits[1]
        return f"{short} (this checkout does not have both)" if unknown else short
    files = files or changed_files(*commits, [whole]) or []
    return f"{short}: {', '.join(f.removeprefix(f'{whole}/') for f in files)}" if files else short


_MODULE_ENDS = (".py", "/__init__.py")


def _command(first: Record, second: Record) -> Iterator[str]:
    """Options that differ and are not settings: threads, for one."""
    settings = flat(first.settings), flat(second.settings)
    known = {"seed", *(name.rpartition(".")[2] for name in {**settings[0], **settings[1]})}
    values = {
        tuple(str(each.get(name)) for each in settings)
        for name in {**settings[0], **settings[1]}
        if settings[0].get(name) != settings[1].get(name)
    }
    ours, theirs = options(first.command), options(second.command)
    for name in sorted({*ours, *theirs}):
        pair = ours.get(name), theirs.get(name)
        mirrored = name.removeprefix("--").replace("-", "_") in known or pair in values
        if pair[0] != pair[1] and not mirrored:
            shown = ("not given" if value is None else value or "given" for value in pair)
            yield f"{name}: {' → '.join(shown)}"


def own_causes(first: Node, second: Node) -> Iterator[Cause]:
    """How the two records of a pair of files differ, their inputs left out."""
    a, b = first.record, second.record
    if a is None or b is None:
        return
    where = a.rule, first.name
    if a.rule != b.rule:
        yield Cause("stage", f"{a.rule} → {b.rule}", *where)
        return
    for text in _differing(flat(a.settings), flat(b.settings)):
        yield Cause("setting", text, *where)
    if a.seed != b.seed:
        yield Cause("seed", f"{a.seed} → {b.seed}", *where)
    if a.code_digest != b.code_digest:
        yield Cause("code", _code(a, b), *where)
    own = "wilsonvox"  # its code is compared itself
    packages = ({name: v for name, v in each.packages.items() if name != own} for each in (a, b))
    for text in _differing(*packages):
        yield Cause("package", text, *where)
    for text in _command(a, b):
        yield Cause("command", text, *where)


def made_content(node: Node) -> str | None:
    """Content digest of a file when it was made, by the records; None if none tells."""
    if node.record is not None:
        return node.record.content_digest
    return node.copy_digest or next((each.content_digest for each in node.readings), None)


@dataclass(frozen=True)
class Read:
    """An input of a file, and its content when it was read."""

    node: Node
    content_digest: str | None


def reads(node: Node) -> list[Read]:
    """Inputs of a file as it read them."""
    if node.record is None:
        return [Read(child, made_content(child)) for child in node.inputs]
    pairs = zip(node.inputs, node.record.inputs, strict=True)
    return [Read(child, each.content_digest) for child, each in pairs]


def partners(
    first: Sequence[Read], second: Sequence[Read]
) -> tuple[list[tuple[Read, Read]], list[Read], list[Read]]:
    """Inputs of two files that stand for each other, and those of either that have no partner.

    By their names; equally many others are taken to have been renamed, in their order.
    """
    theirs = {each.node.name: each for each in second}
    ours = {each.node.name for each in first}
    found = [(each, theirs[each.node.name]) for each in first if each.node.name in theirs]
    left = [each for each in first if each.node.name not in theirs]
    right = [each for each in second if each.node.name not in ours]
    if len(left) == len(right):
        return [*found, *zip(left, right, strict=True)], [], []
    return found, left, right


UNKNOWN = (
    "made of the same inputs by the same code with the same settings: another machine or number "
    "of threads rounds otherwise"
)


class Comparison:
    """What is behind the difference of two files, each pair of inputs looked at once.

    Args:
        cache: gives content digests.
    """

    def __init__(self, cache: DigestCache) -> None:
        self.cache = cache
        self._seen: set[tuple[Path, Path]] = set()

    def content(self, node: Node) -> str | None:
        """Content digest of a file; of a missing or damaged one, None."""
        try:
            return self.cache.digest(node.path, made_content(node))
        except Exception:
            return None

    def causes(self, first: Node, second: Node) -> list[Cause]:
        """Differences behind two files, nearest first.

        Where their contents differed when they were made, only those that can be the reason: what
        was read with the same content is not looked into.
        """
        changed = [
            Cause("changed", f"{node.path.name} since it was made", _rule(node), str(node.path))
            for node in (first, second)
            if self.content(node) != made_content(node)
        ]
        return [*changed, *self._behind(first, second, made_content(first) != made_content(second))]

    def _behind(self, first: Node, second: Node, prune: bool) -> list[Cause]:
        if (first.path, second.path) in self._seen:
            return []
        self._seen.add((first.path, second.path))
        found = list(own_causes(first, second))
        both, left, right = partners(reads(first), reads(second))
        for alone, which in ((left, "first"), (right, "second")):
            if alone:
                text = f"{_some(alone)} read by the {which} only"
                found.append(Cause("input", text, _rule(first), first.name))
        behind = [pair for pair in both if not prune or _differ(*pair)]
        for pair in behind:
            found += self._of_inputs(*pair, prune)
        if prune and not found and not behind:
            return [Cause("unknown", UNKNOWN, _rule(first), first.name)]
        return found

    def _of_inputs(self, first: Read, second: Read, prune: bool) -> list[Cause]:
        a, b = first.node, second.node
        if a.external and b.external:
            if not _differ(first, second):
                return []
            names = a.name if a.name == b.name else f"{a.name} → {b.name}"
            digests = " → ".join((each.content_digest or "?")[:7] for each in (first, second))
            text = f"{names}: other content, SHA-256 {digests}"
            return [Cause("input", text, "external file", a.name)]
        for each in (first, second):
            node = each.node
            if node.lost:
                text = f"{node.name}, and how it was made with it"
                return [Cause("lost", text, "unknown stage", str(node.path))]
            if made_content(node) != each.content_digest:
                text = f"{node.name} since it was read"
                return [Cause("changed", text, _rule(node), str(node.path))]
        return self._behind(a, b, prune)


def _differ(first: Read, second: Read) -> bool:
    return first.content_digest != second.content_digest


def _rule(node: Node) -> str:
    return node.record.rule if node.record else "copy for people"


def _some(found: Sequence[Read]) -> str:
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{found[0].node.name}{more}"


def grouped(causes: Iterable[Cause]) -> list[str]:
    """One line a cause: what differs, in which stages, and in how many files."""
    places: dict[tuple[str, str], list[Cause]] = {}
    for cause in causes:
        places.setdefault((cause.kind, cause.text), []).append(cause)
    lines = []
    for (kind, text), found in places.items():
        rules = ", ".join(dict.fromkeys(cause.rule for cause in found))
        names = list(dict.fromkeys(cause.name for cause in found))
        where = names[0] if len(names) == 1 else f"{len(names)} files, such as {names[0]}"
        lines.append(f"{kind:8} {text}  ({rules}: {where})")
    return lines
