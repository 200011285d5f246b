"""Docstrings, which are plain text with code in backticks, as reStructuredText for the site.

Signatures show arrays as the code has them, `NDArray[np.float64]`.
"""

import re

_ATTRIBUTE = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>\S.*)$")
_ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[~?(?:builtins\.)?tuple\[~?(?:typing\.)?Any, \.\.\.\], "
    r"~?(?:numpy\.)?dtype\[~?(?:numpy\.)?(\w+)\]\]"
)
_MARKUP = re.compile(r"(``[^`]+``|`[^`]+`|\*\*Required\*\*)")
_SPECIAL = re.compile(r"([*|]|(?<=\w)_(?=\W|$))")


def escaped(line: str) -> str:
    """Escape what reStructuredText takes for markup, except code and sphinx-click's own mark."""
    parts = _MARKUP.split(line)
    return "".join(
        part if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts)
    )


def listed(lines: list[str]) -> list[str]:
    """Make a list of lines such as `mass: in GeV`, with their indented continuations."""
    result: list[str] = []
    inside = False
    for line in lines:
        attribute = _ATTRIBUTE.match(line)
        if attribute and (inside or (result and not result[-1].strip())):
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


def short(signature: str) -> str:
    """Shorten the types of arrays in a signature."""
    return _ARRAY.sub(r"NDArray[\1]", signature)
