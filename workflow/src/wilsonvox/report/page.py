"""Pages, sections and tables, and how numbers are written in them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wilsonvox.voxels.specification import ImageSpecification

Row = Sequence[str]


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, what it is, and what a file calls it."""

    symbol: str
    meaning: str = ""
    name: str = ""
    left: bool = False
    long: bool = False


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, a paragraph, then a block of text or a table or both."""

    heading: str = ""
    paragraph: str = ""
    text: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Row] = ()
    total: Row = ()
    meanings: bool = False


def page(title: str, sections: Iterable[Section]) -> str:
    """A whole HTML page of some sections."""
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
    """A number for people, with a minus sign; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{form}}".replace("-", "−")


def image_sentence(image: ImageSpecification) -> str:
    """An image specification in words.

    >>> image_sentence(ImageSpecification(vetoes_gev2=((8.0, 11.0),)))
    '50 bins in each angle, 24,000 events an image, q² from 0 to 20 GeV² without 8 to 11 GeV², B0'
    """
    flavours = {"B0": "B0", "B0bar": "anti-B0", "both": "B0 and anti-B0"}
    vetoes = " and ".join(f"{low:g} to {high:g} GeV²" for low, high in image.vetoes_gev2)
    return (
        f"{image.bins} bins in each angle, {image.events_per_image:,} events an image, "
        f"q² from {image.q2_min_gev2:g} to {image.q2_max_gev2:g} GeV²"
        + (f" without {vetoes}" if vetoes else "")
        + f", {flavours[image.flavour]}"
        + ("" if image.antiparticle_angles == "conjugate" else ", angles of the positive lepton")
        + ("" if image.multiple_entries == "averaged" else ", without voxels of several events")
    )
