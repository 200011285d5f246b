"""Pages of the command line, one per command, and their table."""

import importlib
from pathlib import Path
from typing import Any

import click
from docstrings import escaped
from sphinx.application import Sphinx
from sphinx.util.osutil import ensuredir

_FOLDER = "reference/commands"


def command_page(module: str, name: str) -> str:
    """Write the page of one command, which sphinx-click fills."""
    return f".. click:: {module}:command\n   :prog: wilsonvox {name}\n   :nested: full\n"


def table(commands: dict[str, str]) -> str:
    """Write the list of all commands with a line on each."""
    lines = [".. list-table::", "   :widths: 30 70", ""]
    for name, summary in commands.items():
        lines += [f"   * - :doc:`wilsonvox {name} <commands/{name}>`", f"     - {escaped(summary)}"]
    lines += ["", ".. toctree::", "   :hidden:", ""]
    lines += [f"   {name} <commands/{name}>" for name in commands]
    return "\n".join([*lines, ""])


def pages(group: str) -> dict[str, str]:
    """Write the pages of the commands that `module.COMMANDS` lists, by file name."""
    commands: dict[str, str] = importlib.import_module(group).COMMANDS
    written = {
        f"{name}.rst": command_page(f"{group}.{name.replace('-', '_')}", name) for name in commands
    }
    return {**written, "table.txt": table(commands)}


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir, _FOLDER)
    ensuredir(folder)
    made = pages("wilsonvox.cli")
    for old in folder.iterdir():
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _escape(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    directive = (".. ", ":", "   :")
    lines[:] = [line if line.lstrip().startswith(directive) else escaped(line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for its sources, and escape the texts of commands."""
    app.setup_extension("sphinx_click")
    app.connect("builder-inited", _write)
    for part in ("description", "options", "arguments", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
