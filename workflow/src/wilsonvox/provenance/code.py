"""Digests of the code behind each stage, so that an edit reruns exactly the jobs that it affects.

Snakemake does not see edits in imported modules. Each rule therefore carries, as a parameter, a
digest of its stage's import closure inside the package, read from the source: comments, docstrings
and formatting do not count, and neither do `cli`, `config` and `provenance`, which carry values
from the configuration to the stage but do not make its numbers. Digests are chained with those of
the stages before, so that a stage runs again whenever the code behind its inputs changed.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

PACKAGE = "wilsonvox"
NEVER_FOLLOWED = ("wilsonvox.config", "wilsonvox.provenance")
"""Modules, with everything below them, that neither count nor lead to others."""

NEVER_COUNTED = (*NEVER_FOLLOWED, "wilsonvox.cli")
"""The command line leads to the modules that do a stage's work, and does not count itself."""


@dataclass(frozen=True)
class Stage:
    """Where the import closure of a rule starts, and the stages whose outputs the rule reads."""

    modules: tuple[str, ...]
    after: tuple[str, ...] = ()


def _plot(figure: str, *after: str) -> Stage:
    # not wilsonvox.cli.plot, which leads to every figure
    return Stage((f"wilsonvox.figures.{figure}", "wilsonvox.figures.saving"), after)


STAGES: Mapping[str, Stage] = {
    "angular_coefficients": Stage(("wilsonvox.cli.coefficients",)),
    "generate_events": Stage(("wilsonvox.cli.generate",), after=("angular_coefficients",)),
    "ingest_events": Stage(("wilsonvox.cli.ingest",)),
    "voxelize": Stage(("wilsonvox.cli.voxelize",), after=("generate_events",)),
    "voxelize_sample": Stage(("wilsonvox.cli.voxelize",), after=("ingest_events",)),
    "train": Stage(("wilsonvox.cli.train",), after=("voxelize",)),
    "evaluate": Stage(("wilsonvox.cli.evaluate",), after=("train", "voxelize")),
    "summarize": Stage(("wilsonvox.cli.summarize",), after=("evaluate", "angular_coefficients")),
    "measure": Stage(("wilsonvox.cli.measure",), after=("summarize", "voxelize_sample")),
    "plot_topology": _plot("topology"),
    "plot_distributions": _plot("distributions", "generate_events"),
    "plot_voxels": _plot("voxels", "voxelize"),
    "plot_network": _plot("network", "train"),
    "plot_training": _plot("training", "train"),
    "plot_histograms": _plot("histograms", "evaluate"),
    "plot_linearity": _plot("linearity", "summarize"),
    "plot_sensitivity": _plot("sensitivity", "summarize"),
}
"""Every stage by the name of its rule."""


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
    """Modules that the code below `node` imports, also inside functions, as written.

    ``from a import b`` gives both ``a`` and ``a.b``, because b may be a module. Imports for type
    checkers only never run and are left out.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from _imports(other, package)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in child.names)
        else:
            yield from _imports(child, package)


def _is_in(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@dataclass
class SourceTree:
    """The package's source below `root` (the folder that holds ``wilsonvox/``), read once."""

    root: Path
    _modules: dict[str, tuple[str, frozenset[str]] | None] = field(default_factory=dict)
    _stages: dict[str, str] = field(default_factory=dict)

    def _file(self, module: str) -> Path | None:
        base = self.root.joinpath(*module.split("."))
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
        return None

    def _read(self, module: str) -> tuple[str, frozenset[str]] | None:
        """Digest of a module's code, and the modules of the package that it imports."""
        if module not in self._modules:
            path = self._file(module)
            if path is None:
                self._modules[module] = None
            else:
                tree = ast.parse(path.read_bytes(), str(path))
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                named = {
                    name
                    for name in _imports(tree, package)
                    if name == PACKAGE or name.startswith(f"{PACKAGE}.")
                }
                code = ast.dump(_without_docstrings(tree))
                digest = hashlib.sha256(code.encode()).hexdigest()
                self._modules[module] = digest, frozenset(named)
        return self._modules[module]

    def closure(self, modules: Iterable[str]) -> list[str]:
        """`modules` and all that they import inside the package, packages above them included."""
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module in found or _is_in(module, NEVER_FOLLOWED):
                continue
            content = self._read(module)
            if content is None:  # a name inside a module, not a module
                continue
            found.add(module)
            waiting += content[1]
            if "." in module:
                waiting.append(module.rpartition(".")[0])
        return sorted(module for module in found if not _is_in(module, NEVER_COUNTED))

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

    def stage_modules(self, stage: str) -> list[str]:
        """Modules whose code stage `stage` runs, those of the stages before it left out."""
        for module in STAGES[stage].modules:
            if self._file(module) is None:
                raise LookupError(f"stage {stage!r}: there is no module {module}")
        return self.closure(STAGES[stage].modules)

    def stage_digest(self, stage: str) -> str:
        """SHA-256 (hexadecimal) of the code behind `stage` and behind the stages before it."""
        if stage not in self._stages:
            total = hashlib.sha256()
            modules = self.stage_modules(stage)
            for module in modules:
                content = self._read(module)
                total.update(f"{module} {content[0] if content else ''}\n".encode())
            for package in sorted({*modules, *(name.rpartition(".")[0] for name in modules)}):
                for path in self._data.get(package, ()):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    total.update(f"{package}/{path.name} {digest}\n".encode())
            for earlier in STAGES[stage].after:
                total.update(f"after {earlier} {self.stage_digest(earlier)}\n".encode())
            self._stages[stage] = total.hexdigest()
        return self._stages[stage]


def stage_digests() -> dict[str, str]:
    """The code digest of every stage of the installed package, by the name of its rule."""
    source = SourceTree(Path(__file__).resolve().parents[2])
    return {stage: source.stage_digest(stage) for stage in STAGES}


def stage_digest(stage: str) -> str:
    """The code digest of one stage of the installed package, by the name of its rule."""
    return SourceTree(Path(__file__).resolve().parents[2]).stage_digest(stage)
