"""Docstrings, which are plain text with code in backticks, as reStructuredText for the site."""

import re
from typing import Any

from sphinx.application import Sphinx

_ATTRIBUTE = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>\S.*)$")
_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_SPECIAL = re.compile(r"([*|]|(?<=\w)_(?=\W|$))")


def escaped(line: str) -> str:
    """Escape what reStructuredText would take for markup, outside of code."""
    parts = _CODE.split(line)
    return "".join(
        part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts)
    )


def listed(lines: list[str]) -> list[str]:
    """Make a list of lines such as `mass: in GeV`, with their indented continuations."""
    result: list[str] = []
    inside = False
    for line in lines:
        attribute = _ATTRIBUTE.match(line)
        if attribute and (inside or not result or not result[-1].strip()):
            inside = True
            names = ", ".join(f"`{name}`" for name in attribute["names"].split(", "))
            result.append(f"- {names}: {attribute['text']}")
        elif inside and line.startswith(" "):
            result.append(f"  {line.strip()}")
        else:
            if inside and line.strip():
                result.append("")
            inside = False
            result.append(line)
    return result


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [escaped(line) for line in listed(lines)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Escape docstrings before napoleon reads their sections."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
