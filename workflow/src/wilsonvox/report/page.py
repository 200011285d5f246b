"""HTML pages with sections and tables, and the formatting of numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Row = Sequence[str]


@dataclass(frozen=True)
class Column:
    """Column of a table.

    Attributes:
        symbol: heading.
        meaning: description, for the list below the table.
        name: name of the column in the result file.
        left: align to the left.
        long: allow line breaks.
    """

    symbol: str
    meaning: str = ""
    name: str = ""
    left: bool = False
    long: bool = False


@dataclass(frozen=True)
class Section:
    """Section of a page: heading, paragraph, preformatted text and table, all optional."""

    heading: str = ""
    paragraph: str = ""
    text: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    total: Row = ()
    meanings: bool = False


def page(title: str, sections: Iterable[Section]) -> str:
    """Render sections as a complete HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("wilsonvox.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("page.html.jinja2")
    return template.render(title=title, sections=list(sections)) + "\n"


def number(value: float | None, form: str) -> str:
    """Format a number with a typographic minus sign; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{form}}".replace("-", "−")
