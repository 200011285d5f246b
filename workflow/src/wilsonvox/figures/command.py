"""Options and output of the commands that draw figures, `wilsonvox plot`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from matplotlib.figure import Figure

from wilsonvox.figures.saving import check_names, save_figure
from wilsonvox.provenance.recording import make_record
from wilsonvox.theory.points import PARAMETERS

Function = TypeVar("Function", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

coefficient_option = click.option(
    "--coefficient",
    type=click.Choice(PARAMETERS),
    default="c9",
    show_default=True,
    help="Shift δC_i to show (dimensionless).",
)

summaries_option = click.option(
    "--summary",
    "summaries",
    required=True,
    multiple=True,
    type=FILE,
    help="Summary of an estimator (.parquet); give all that are to be compared.",
)

results_option = click.option(
    "--answers",
    "answers_path",
    required=True,
    type=FILE,
    help="Results of a network or GAN (.json).",
)


def outputs(function: Function) -> Function:
    """Add the options for the two files of every figure."""
    function = click.option("--png", required=True, type=FILE, help="PNG file to write.")(function)
    return click.option("--pdf", required=True, type=FILE, help="PDF file to write.")(function)


def write(
    kind: str,
    pdf: Path,
    png: Path,
    make: Callable[[], Figure],
    inputs: Sequence[Path] = (),
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Draw a figure and save it with the record of the stage ``plot_{kind}``.

    Args:
        kind: name of the figure.
        pdf: PDF file to write.
        png: PNG file to write.
        make: draws the figure.
        inputs: files that it shows.
        settings: of the figure.

    Raises:
        UserError: a suffix is wrong, an input cannot be read, or a folder cannot be written.
    """
    check_names(pdf, png)
    figure = make()
    # event files may be deleted once all files are made from them
    record = make_record(
        f"plot_{kind}", png, settings or {}, inputs, embed_inputs=kind == "distributions"
    )
    save_figure(figure, pdf, png, record)
