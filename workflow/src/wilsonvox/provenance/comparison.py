"""Explain why two files differ: by settings, inputs, code or package versions."""

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
    """One difference between the records of two files.

    Attributes:
        kind: stage, setting, seed, code, package, input, command, changed, lost or unknown.
        text: description of the difference.
        rule: stage with the difference.
        name: file with the difference.
    """

    kind: str
    text: str
    rule: str
    name: str


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings to dotted names.

    >>> flat({"training": {"learning_rate": 0.1}})
    {'training.learning_rate': 0.1}
    """
    flattened: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flattened |= flat(value, f"{prefix}{name}.")
        else:
            flattened[f"{prefix}{name}"] = value
    return flattened


def command_options(words: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of a command line by option.

    The words before the first option are under the empty name.

    >>> command_options(["wilsonvox", "train", "--seed=7", "--bins", "8", "9", "--scaled"])
    {'': ['wilsonvox', 'train'], '--seed': ['7'], '--bins': ['8', '9'], '--scaled': ['']}
    """
    values: dict[str, list[str]] = {"": []}
    name = ""
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if not word.startswith("--"):
            values[name].append(word)
            continue
        name, separator, value = word.partition("=")
        values.setdefault(name, [])
        if separator or following.startswith("--"):
            values[name].append(value)
    return values


def _is_path(word: str) -> bool:
    return "/" in word or Path(word).suffix[1:].isalpha()


def _value_options(words: Sequence[str]) -> dict[str, str]:
    """Return the options of a command line except paths, which are compared as inputs."""
    return {
        name: " ".join(values)
        for name, values in command_options(words).items()
        if name and not any(map(_is_path, values))
    }


def _git(*arguments: str) -> list[str] | None:
    """Run git in the checkout and return the words it prints; None if it fails."""
    command = ["git", "-C", str(checkout()), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return run.stdout.split() if run.returncode == 0 else None


def changed_files(first: str | None, second: str | None, paths: Iterable[str]) -> list[str] | None:
    """Return the files below `paths` that differ between two commits; None if one is unknown."""
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
    """Describe a difference of code by two commits and the stage's files that differ."""
    from wilsonvox.provenance.code import PACKAGE, stage_modules
    from wilsonvox.stages.table import STAGES

    commits = first.git_commit, second.git_commit
    names = [(commit or "no commit")[:7] for commit in commits]
    trees = [
        f"{name} with uncommitted changes" if record.git_dirty else name
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
    """Yield options that differ and are not settings, such as the number of threads."""
    settings = flat(first.settings), flat(second.settings)
    known = {"seed", *(name.rpartition(".")[2] for name in {**settings[0], **settings[1]})}
    values = {
        tuple(str(flattened.get(name)) for flattened in settings)
        for name in {**settings[0], **settings[1]}
        if settings[0].get(name) != settings[1].get(name)
    }
    ours, theirs = _value_options(first.command), _value_options(second.command)
    for name in sorted({*ours, *theirs}):
        pair = ours.get(name), theirs.get(name)
        mirrored = name.removeprefix("--").replace("-", "_") in known or pair in values
        if pair[0] != pair[1] and not mirrored:
            shown = ("not given" if value is None else value or "given" for value in pair)
            yield f"{name}: {' → '.join(shown)}"


def own_causes(first: Node, second: Node) -> Iterator[Cause]:
    """Yield the differences between the records of two files, without those of their inputs."""
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
    own = "wilsonvox"  # compared by its code instead of its version
    packages = (
        {name: v for name, v in record.packages.items() if name != own} for record in (a, b)
    )
    for text in _differing(*packages):
        yield Cause("package", text, *where)
    for text in _command(a, b):
        yield Cause("command", text, *where)


def made_content(node: Node) -> str | None:
    """Return the content digest of a file when it was made; None if no record contains it."""
    if node.record is not None:
        return node.record.content_digest
    return node.copy_digest or next((reading.content_digest for reading in node.readings), None)


@dataclass(frozen=True)
class Read:
    """An input of a file, and the digest of its content when it was read."""

    node: Node
    content_digest: str | None


def reads(node: Node) -> list[Read]:
    """Return the inputs of a file with their content when they were read."""
    if node.record is None:
        return [Read(child, made_content(child)) for child in node.inputs]
    pairs = zip(node.inputs, node.record.inputs, strict=True)
    return [Read(child, entry.content_digest) for child, entry in pairs]


def partners(
    first: Sequence[Read], second: Sequence[Read]
) -> tuple[list[tuple[Read, Read]], list[Read], list[Read]]:
    """Match the inputs of two files, and return the pairs and the inputs without a partner.

    Inputs are matched by name. If the numbers of the remaining ones are equal, they are taken to
    be renamed and are matched in order.
    """
    theirs = {read.node.name: read for read in second}
    ours = {read.node.name for read in first}
    pairs = [(read, theirs[read.node.name]) for read in first if read.node.name in theirs]
    left = [read for read in first if read.node.name not in theirs]
    right = [read for read in second if read.node.name not in ours]
    if len(left) == len(right):
        return [*pairs, *zip(left, right, strict=True)], [], []
    return pairs, left, right


UNKNOWN = (
    "made from the same inputs by the same code with the same settings: rounding may differ "
    "between machines or numbers of threads"
)


class Comparison:
    """Search for the causes of a difference, visiting each pair of inputs once.

    Args:
        cache: source of content digests.
    """

    def __init__(self, cache: DigestCache) -> None:
        self.cache = cache
        self._seen: set[tuple[Path, Path]] = set()

    def content(self, node: Node) -> str | None:
        """Return the content digest of a file; None if it is missing or damaged."""
        try:
            return self.cache.digest(node.path, made_content(node))
        except Exception:
            return None

    def causes(self, first: Node, second: Node) -> list[Cause]:
        """Return the causes of the difference between two files, nearest first.

        If the contents differed when the files were made, inputs that were read with the same
        content are not followed, because they cannot be the cause.
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
        causes = list(own_causes(first, second))
        both, left, right = partners(reads(first), reads(second))
        for alone, which in ((left, "first"), (right, "second")):
            if alone:
                text = f"{_some(alone)} read by the {which} only"
                causes.append(Cause("input", text, _rule(first), first.name))
        behind = [pair for pair in both if not prune or _differ(*pair)]
        for pair in behind:
            causes += self._of_inputs(*pair, prune)
        if prune and not causes and not behind:
            return [Cause("unknown", UNKNOWN, _rule(first), first.name)]
        return causes

    def _of_inputs(self, first: Read, second: Read, prune: bool) -> list[Cause]:
        a, b = first.node, second.node
        if a.external and b.external:
            if not _differ(first, second):
                return []
            names = a.name if a.name == b.name else f"{a.name} → {b.name}"
            digests = " → ".join((read.content_digest or "?")[:7] for read in (first, second))
            text = f"{names}: other content, SHA-256 {digests}"
            return [Cause("input", text, "external file", a.name)]
        for read in (first, second):
            node = read.node
            if node.lost:
                text = f"{node.name} and its record"
                return [Cause("lost", text, "unknown stage", str(node.path))]
            if made_content(node) != read.content_digest:
                text = f"{node.name} since it was read"
                return [Cause("changed", text, _rule(node), str(node.path))]
        return self._behind(a, b, prune)


def _differ(first: Read, second: Read) -> bool:
    return first.content_digest != second.content_digest


def _rule(node: Node) -> str:
    return node.record.rule if node.record else "copy"


def _some(inputs: Sequence[Read]) -> str:
    more = f" and {len(inputs) - 1} more" if len(inputs) > 1 else ""
    return f"{inputs[0].node.name}{more}"


def grouped(causes: Iterable[Cause]) -> list[str]:
    """Return one line per cause: the difference, its stages, and the number of files."""
    places: dict[tuple[str, str], list[Cause]] = {}
    for cause in causes:
        places.setdefault((cause.kind, cause.text), []).append(cause)
    lines = []
    for (kind, text), group in places.items():
        rules = ", ".join(dict.fromkeys(cause.rule for cause in group))
        names = list(dict.fromkeys(cause.name for cause in group))
        where = names[0] if len(names) == 1 else f"{len(names)} files, such as {names[0]}"
        lines.append(f"{kind:8} {text}  ({rules}: {where})")
    return lines
