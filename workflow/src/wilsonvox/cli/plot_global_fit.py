"""The figures of a global fit, subcommands of `wilsonvox plot`."""

from pathlib import Path

import click

from wilsonvox.cli.plot_outputs import FILE, outputs, write

_fits = click.option(
    "--fit",
    "fits",
    required=True,
    multiple=True,
    type=FILE,
    help="Fit of δC9 and δC10 (.json); give all that are to be shown.",
)


@click.command("global-fit-observables")
@click.option("--table", required=True, type=FILE, help="Table of predictions (.npz).")
@click.option("--fit", required=True, type=FILE, help="Fit whose minimum is shown (.json).")
@outputs
def observables(table: Path, fit: Path, pdf: Path, png: Path) -> None:
    """Observables by bin of q2: measured, without shifts, and at the minimum of a fit."""
    from wilsonvox.figures.global_fit_observables import draw
    from wilsonvox.globalfit.fits import CoefficientFit
    from wilsonvox.globalfit.predictions import PredictionTable

    write(
        "global_fit_observables",
        pdf,
        png,
        lambda: draw(PredictionTable.load(table), CoefficientFit.load(fit)),
        [table, fit],
    )


@click.command("global-fit-contours")
@_fits
@click.option(
    "--answers",
    multiple=True,
    type=FILE,
    help="Answers of a learning machine (.json); give all that are to be shown.",
)
@click.option(
    "--measurement", type=FILE, default=None, help="Measurement of δC9 to show beside (.json)."
)
@outputs
def contours(
    fits: tuple[Path, ...],
    answers: tuple[Path, ...],
    measurement: Path | None,
    pdf: Path,
    png: Path,
) -> None:
    """Contours in the plane of δC9 and δC10, and answers of learning machines."""
    from wilsonvox.figures.global_fit_contours import draw, read_measurement
    from wilsonvox.globalfit.answers import Answers
    from wilsonvox.globalfit.fits import CoefficientFit

    others = [] if measurement is None else [measurement]
    write(
        "global_fit_contours",
        pdf,
        png,
        lambda: draw(
            [CoefficientFit.load(path) for path in fits],
            [Answers.load(path) for path in answers],
            None if measurement is None else read_measurement(measurement),
        ),
        [*fits, *answers, *others],
    )


GLOBAL_FIT_FIGURES: tuple[click.Command, ...] = (observables, contours)
"""Every figure of a global fit; `wilsonvox plot` takes them up."""
