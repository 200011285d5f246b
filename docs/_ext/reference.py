"""Reference of commands, configuration, rules and Python API, written from the code at each build.

Texts in the code are plain, with code in backticks: they are made reStructuredText where Sphinx
reads them as such.
"""

from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

import command_pages
import python_api
from configuration_keys import key_reference
from docstrings import escaped, listed, short
from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.stages.table import STAGES
from workflow_rules import rule_reference

_PACKAGE = "wilsonvox"
_VALUES = ("attribute", "data", "property")
_VALUE_DOCSTRINGS: dict[str, list[str]] = {}


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write files that have changed, and remove what is no longer made."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _write_all(app: Sphinx) -> None:
    reference = Path(app.srcdir) / "reference"
    workflow = Path(app.srcdir).parent / "workflow"
    _write(reference / "api", python_api.pages(workflow / "src" / _PACKAGE))
    _write(reference / "commands", command_pages.pages(f"{_PACKAGE}.cli"))
    tables = {
        "configuration.txt": key_reference(RunConfiguration),
        "samples.txt": key_reference(SampleRow),
        "rules.txt": rule_reference(workflow, STAGES),
    }
    _write(reference / "generated", tables)


def _process_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    lines[:] = [escaped(line) for line in (listed(lines) if what == "class" else lines)]
    if what in _VALUES:
        _VALUE_DOCSTRINGS[name] = list(lines)


def _restore_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Undo what napoleon makes of a value's docstring: it takes text before a colon for a type."""
    if what in _VALUES:
        lines[:] = _VALUE_DOCSTRINGS.pop(name)


def _process_signature(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    return signature and short(signature), returns and short(returns)


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Skip imports from other packages and pydantic's own; None leaves it to autodoc."""
    if name == "model_config":
        return True
    module = getattr(obj, "__module__", None)
    return True if isinstance(module, str) and module.split(".")[0] != _PACKAGE else None


def _process_command(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    directives = (".. ", ":")
    lines[:] = [line if line.lstrip().startswith(directives) else escaped(line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for its sources, and process texts of the code."""
    for extension in ("sphinx.ext.autodoc", "sphinx_click"):
        app.setup_extension(extension)
    app.connect("builder-inited", _write_all)
    # before and after napoleon, which has priority 500
    app.connect("autodoc-process-docstring", _process_docstring, priority=400)
    app.connect("autodoc-process-docstring", _restore_docstring, priority=600)
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("autodoc-skip-member", _skip)
    for part in ("description", "options", "arguments", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _process_command)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
