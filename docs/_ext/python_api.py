"""Pages of the Python API, one per package, written from the tree of the package."""

from pathlib import Path

_OPTIONS = "   :members:\n   :ignore-module-all:\n"


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _public(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("_"))


def page(package: Path, name: str) -> str:
    """Write the page of one package: its own docstring, its packages, and its modules."""
    lines = [_heading(name, "="), f".. automodule:: {name}\n{_OPTIONS}"]
    packages = _public([each.parent.name for each in package.glob("*/__init__.py")])
    if packages:
        lines.append(".. toctree::\n   :maxdepth: 1\n")
        lines.append("".join(f"   {name}.{each}\n" for each in packages))
    for module in _public([each.stem for each in package.glob("*.py")]):
        lines.append(_heading(f"{name}.{module}", "-"))
        lines.append(f".. automodule:: {name}.{module}\n{_OPTIONS}")
    return "\n".join(lines)


def pages(package: Path) -> dict[str, str]:
    """Write the pages of a package and of all packages in it, by file name."""
    written = {f"{package.name}.rst": page(package, package.name)}
    for path in sorted(package.rglob("*/__init__.py")):
        parts = path.parent.relative_to(package.parent).parts
        if not any(part.startswith("_") for part in parts):
            name = ".".join(parts)
            written[f"{name}.rst"] = page(path.parent, name)
    return written
