"""Docstrings, which are plain text with code in backticks, as reStructuredText for the site.

Signatures show arrays as the code has them, `NDArray[np.float64]`.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_ATTRIBUTE = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>\S.*)$")
_ARRAY = re.compile(r"(?:numpy\.)?ndarray\[tuple\[Any, \.\.\.\], dtype\[(?:numpy\.)?(\w+)\]\]")
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


def short(signature: str) -> str:
    """Shorten the types of arrays in a signature."""
    return _ARRAY.sub(r"NDArray[\1]", signature)


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
    """Skip what a module imports from other packages; None leaves the decision to autodoc."""
    module = getattr(obj, "__module__", None)
    own = app.config.docstrings_package
    return True if isinstance(module, str) and module.split(".")[0] != own else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Escape docstrings before napoleon reads their sections."""
    app.add_config_value("docstrings_package", "wilsonvox", "env", types=frozenset({str}))
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
