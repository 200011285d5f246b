"""Pages of the Python API, one per package, written from the tree of the package."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.osutil import ensuredir

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
    """Write the pages of a package and of all packages in it, by their dotted names."""
    written = {package.name: page(package, package.name)}
    for path in sorted(package.rglob("*/__init__.py")):
        parts = path.parent.relative_to(package.parent).parts
        if not any(part.startswith("_") for part in parts):
            name = ".".join(parts)
            written[name] = page(path.parent, name)
    return written


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir, app.config.python_api_folder)
    ensuredir(folder)
    made = pages(Path(app.srcdir, app.config.python_api_package))
    for old in folder.glob("*.rst"):
        if old.stem not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for its sources."""
    app.add_config_value("python_api_package", "", "env", types=frozenset({str}))
    app.add_config_value("python_api_folder", "reference/api", "env", types=frozenset({str}))
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
