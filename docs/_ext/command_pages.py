"""Pages of the command line, one per command, and their table."""

import importlib

from docstrings import escaped


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
