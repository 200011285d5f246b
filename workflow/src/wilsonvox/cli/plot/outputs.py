"""What all commands of `wilsonvox plot` share: the two files that they write, and their record."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Function = TypeVar("Function", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)


def outputs(function: Function) -> Function:
    """Options for the two files that every figure is written to."""
    function = click.option("--png", required=True, type=FILE, help="PNG file to write.")(function)
    return click.option("--pdf", required=True, type=FILE, help="PDF file to write.")(function)


def write(
    kind: str,
    pdf: Path,
    png: Path,
    make: Callable[[], "Figure"],
    inputs: Sequence[Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Draw a figure with `make` and save it with the record of stage ``plot_{kind}``."""
    from wilsonvox.figures.saving import check_names, save_figure
    from wilsonvox.provenance.recording import make_record

    check_names(pdf, png)
    figure = make()
    # event files may be deleted once everything is made of them
    record = make_record(
        f"plot_{kind}", png, settings or {}, inputs, embed_inputs=kind == "distributions"
    )
    save_figure(figure, pdf, png, record)
