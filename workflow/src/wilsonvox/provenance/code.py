"""Digests of the code behind each stage, so that an edit reruns exactly the jobs that it affects.

Snakemake does not see edits in imported modules. Each rule therefore carries, as a parameter, a
digest of its stage's import closure inside the package, read from the source: comments, docstrings
and formatting do not count, and neither do `cli`, `config`, `provenance`, `records` and `stages`,
which carry values from the configuration to the stage but do not make its numbers. With the code
count the locked versions of the packages that it imports. Digests are chained with those of the
stages before, so that a stage runs again whenever the code behind its inputs changed.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.estimators import ARCHITECTURES, EVENT_ARCHITECTURES, SUM_ARCHITECTURES
from wilsonvox.provenance.environment import (
    VALUE_CARRIERS,
    installed_versions,
    lock_file,
    locked_versions,
    versions_of,
)
from wilsonvox.stages.run import EstimatorKind
from wilsonvox.stages.table import STAGES

PACKAGE = "wilsonvox"

NEVER_FOLLOWED = re.compile(r"wilsonvox\.(config|provenance|records|stages)(\..*)?")
"""Modules that neither count nor lead to others."""

NEVER_COUNTED = re.compile(
    r"wilsonvox\.(cli(\..*)?|estimators|estimators\.settings|global_fit\.learning\.settings)"
)
"""Modules that lead to others only: the command line, the list of architectures, the settings.

What they bring to a stage are its options, which are parameters of the rule in their own right.
So one more architecture, or a new setting of it, is no other code for those there already.
"""


_MODULES: Mapping[EstimatorKind, Mapping[str, str]] = {
    "images": ARCHITECTURES | SUM_ARCHITECTURES,
    "networks": ARCHITECTURES,
    "sums": SUM_ARCHITECTURES,
    "events": EVENT_ARCHITECTURES,
}
"""Modules of the architectures by the kind of their estimators."""


def chosen(stage: str, architectures: Iterable[str]) -> list[str]:
    """Return those of some architectures that a stage is for."""
    kind = STAGES[stage].estimators
    return [name for name in architectures if kind is None or name in _MODULES[kind]]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Drop docstrings, those of attributes too: a bare string does nothing."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (
                    isinstance(statement, ast.Expr)
                    and isinstance(statement.value, ast.Constant)
                    and isinstance(statement.value.value, str)
                )
            ]
    return tree


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    """Modules that the code of `node` imports, also inside functions, as written.

    ``from a import b`` gives both ``a`` and ``a.b``, because b may be a module. Imports for type
    checkers only never run and are left out.
    """
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.orelse:
            yield from _imports(statement, package)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), path.name)
    except SyntaxError as error:
        raise UserError(f"{path.name}: line {error.lineno}: {error.msg}") from error


def _canonical(node: Any) -> str:
    """The code of a syntax tree as text, equal in all versions of Python.

    `ast.dump` is not: each version has fields of its own, empty here, and shows them or not.
    """
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_canonical(value)}"
            for name, value in ast.iter_fields(node)
            if value is not None and value != []
        )
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)


@dataclass(frozen=True)
class _Module:
    """Digest of the code of a module, and the modules that it imports."""

    digest: str
    inside: frozenset[str]
    outside: frozenset[str]


@dataclass
class SourceTree:
    """The package's source below `root` (the folder that holds ``wilsonvox/``), read once.

    lock: the lock file whose versions count; None where there is none.
    """

    root: Path
    lock: Path | None = None
    _modules: dict[str, _Module | None] = field(default_factory=dict)
    _stages: dict[tuple[str, ...], str] = field(default_factory=dict)

    def _file(self, module: str) -> Path | None:
        base = self.root.joinpath(*module.split("."))
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
        return None

    def _read(self, module: str) -> _Module | None:
        """Return digest and imports of a module; None if there is no such module."""
        if module not in self._modules:
            path = self._file(module)
            if path is None:
                self._modules[module] = None
            else:
                tree = _parsed(path)
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                named = set(_imports(tree, package))
                tops = {name.partition(".")[0] for name in named}
                code = _canonical(_without_docstrings(tree))
                self._modules[module] = _Module(
                    digest=hashlib.sha256(code.encode()).hexdigest(),
                    inside=frozenset(n for n in named if n.partition(".")[0] == PACKAGE),
                    outside=frozenset(tops - {PACKAGE} - sys.stdlib_module_names - VALUE_CARRIERS),
                )
        return self._modules[module]

    def file_digest(self, path: Path) -> str:
        """SHA-256 (hexadecimal) of the code of one module below `root`, by its file."""
        parts = path.relative_to(self.root).with_suffix("").parts
        content = self._read(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        return content.digest if content else ""

    def closure(self, modules: Iterable[str], without: Iterable[str] = ()) -> list[str]:
        """`modules` and all that they import inside the package, packages above them included.

        Modules of `without` neither count nor lead to others.
        """
        found: set[str] = set()
        left_out = set(without)
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module in found | left_out or NEVER_FOLLOWED.fullmatch(module):
                continue
            content = self._read(module)
            if content is None:  # a name inside a module, not a module
                continue
            found.add(module)
            waiting += content.inside
            if "." in module:
                waiting.append(module.rpartition(".")[0])
        return sorted(module for module in found if not NEVER_COUNTED.fullmatch(module))

    @cached_property
    def _locked(self) -> dict[str, str]:
        return locked_versions(self.lock) if self.lock else {}

    @cached_property
    def _data(self) -> dict[str, list[Path]]:
        """Data files by the package that they lie in, in a folder of it too."""
        files: dict[str, list[Path]] = {}
        for path in sorted((self.root / PACKAGE).rglob("*")):
            if path.suffix in (".py", ".pyc", ".typed") or path.name.startswith("."):
                continue
            if path.is_file() and "__pycache__" not in path.parts:
                folder = path.parent
                while not (folder / "__init__.py").is_file() and folder != self.root:
                    folder = folder.parent
                files.setdefault(".".join(folder.relative_to(self.root).parts), []).append(path)
        return files

    def stage_modules(self, stage: str, architectures: Iterable[str] = ()) -> list[str]:
        """Modules whose code stage `stage` runs, those of the stages before it left out."""
        names = set(architectures)
        roots = list(STAGES[stage].modules)
        if STAGES[stage].builds:
            known = {**_MODULES["images"], **_MODULES["events"]}
            roots += [known[name] for name in chosen(stage, names)]
        parts = STAGES[stage].parts
        roots += [module for name, module in parts.items() if name in names]
        for module in roots:
            if self._file(module) is None:
                raise LookupError(f"stage {stage!r}: there is no module {module}")
        return self.closure(roots, set(parts.values()) - set(roots))

    def stage_imports(self, stage: str, architectures: Iterable[str] = ()) -> list[str]:
        """Top-level modules outside the package that the code of `stage` imports itself."""
        contents = map(self._read, self.stage_modules(stage, architectures))
        return sorted(set().union(*(content.outside for content in contents if content)))

    def own_digest(self, stage: str, architectures: Iterable[str] = ()) -> str:
        """SHA-256 (hexadecimal) of the code of `stage` alone, its data files included."""
        total = hashlib.sha256()
        modules = self.stage_modules(stage, architectures)
        for module in modules:
            content = self._read(module)
            total.update(f"{module} {content.digest if content else ''}\n".encode())
        for package in sorted({*modules, *(name.rpartition(".")[0] for name in modules)}):
            for path in self._data.get(package, ()):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{package}/{path.name} {digest}\n".encode())
        return total.hexdigest()

    def code_digest(self, stage: str, architectures: Iterable[str] = ()) -> str:
        """SHA-256 of the code of a stage alone and of the packages that it imports."""
        names = tuple(sorted(set(architectures)))
        key = ("alone", stage, *names)
        if key not in self._stages:
            total = hashlib.sha256(f"{stage} {self.own_digest(stage, names)}\n".encode())
            packages = versions_of(self.stage_imports(stage, names), self._locked)
            for package, version in packages.items():
                total.update(f"{package}=={version}\n".encode())
            self._stages[key] = total.hexdigest()
        return self._stages[key]

    def stage_digest(self, stage: str, architectures: Iterable[str] = ()) -> str:
        """SHA-256 of the code and packages behind `stage` and behind the stages before it.

        `architectures` are those of the estimators whose outputs the stage makes or reads; none:
        every kind of them.
        """
        names = tuple(sorted(set(architectures)))
        key = (stage, *names)
        if key not in self._stages:
            total = hashlib.sha256(f"{self.code_digest(stage, names)}\n".encode())
            for earlier in STAGES[stage].after:
                if names and not chosen(earlier, names):
                    continue  # of another kind of estimators
                total.update(f"after {earlier} {self.stage_digest(earlier, names)}\n".encode())
            self._stages[key] = total.hexdigest()
        return self._stages[key]


@cache
def installed_tree() -> SourceTree:
    """The source of the installed package, read once a process."""
    return SourceTree(Path(__file__).resolve().parents[2], lock_file())


def stage_digest(stage: str, architectures: Iterable[str] = ()) -> str:
    """The digest of a stage of the installed package, by the name of its rule.

    Read once a process: a workflow is not to see code that changes while it runs.
    """
    return installed_tree().stage_digest(stage, architectures)


def code_digest(stage: str, architectures: Iterable[str] = ()) -> str:
    """The digest of a stage's own code and of the packages that it imports."""
    return installed_tree().code_digest(stage, architectures)


def own_digest(stage: str, architectures: Iterable[str] = ()) -> str:
    """The digest of a stage's own code, as records keep it; those before have their own."""
    return installed_tree().own_digest(stage, architectures)


def stage_modules(stage: str, architectures: Iterable[str] = ()) -> list[str]:
    """Names of the installed package's modules whose code a stage runs."""
    return installed_tree().stage_modules(stage, architectures)


def stage_packages(stage: str, architectures: Iterable[str] = ()) -> dict[str, str]:
    """Installed versions of the packages that a stage imports, by name."""
    return installed_versions(installed_tree().stage_imports(stage, architectures))


def all_imports(architectures: Iterable[str] = ()) -> set[str]:
    """Top-level modules outside the package that any stage imports."""
    tree = installed_tree()
    return {name for stage in STAGES for name in tree.stage_imports(stage, architectures)}
