"""Docstrings, which are plain text with code in backticks, as reStructuredText for the site."""

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_SPECIAL = re.compile(r"([*|]|(?<=\w)_(?=\W|$))")


def escaped(line: str) -> str:
    """Escape what reStructuredText would take for markup, outside of code."""
    parts = _CODE.split(line)
    return "".join(
        part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts)
    )


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [escaped(line) for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Escape docstrings before napoleon reads their sections."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
