"""Observables in q² bins: measurements, SM predictions, and predictions at the best fit."""

from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.global_fit.observable_panels import Prediction, draw_panels, point_label
from wilsonvox.figures.style import BLUE, styled
from wilsonvox.global_fit.fits import CoefficientFit
from wilsonvox.global_fit.predictions import PredictionTable


@styled
def draw(table: PredictionTable, fit: CoefficientFit) -> Figure:
    """Draw one panel per kind of observable.

    Args:
        table: table of predictions.
        fit: fit to the same set of observables.

    Raises:
        UserError: the fit is to another set of observables.
    """
    if [observable.label for observable in fit.fitted] != list(table.observables.labels):
        raise UserError(
            f"--fit: fitted to the set {fit.observables}, but the table is for "
            f"{table.observables.name}; give a fit with this table"
        )
    hadronic = "" if fit.hadronic == "none" else f", {fit.hadronic} hadronic polynomials"
    fitted = Prediction(
        np.array([observable.prediction for observable in fit.fitted]),
        rf"best fit, {point_label(fit.c9, fit.c10)}: $\chi^2$ = {fit.chi_squared:.1f}",
        BLUE,
    )
    return draw_panels(
        table,
        fit.points[0].chi_squared,
        [fitted],
        f"{fit.observables}, {fit.n_observables} observables; {fit.version} $\\chi^2${hadronic}; "
        "flavio predictions",
    )


@click.command("global-fit-observables")
@click.option("--table", required=True, type=FILE, help="Table of predictions (.npz).")
@click.option("--fit", required=True, type=FILE, help="Fit whose minimum is shown (.json).")
@outputs
def command(table: Path, fit: Path, pdf: Path, png: Path) -> None:
    """Observables by bin of q2: measured, without shifts, and at the minimum of a fit."""
    write(
        "global_fit_observables",
        pdf,
        png,
        lambda: draw(PredictionTable.load(table), CoefficientFit.load(fit)),
        [table, fit],
    )
