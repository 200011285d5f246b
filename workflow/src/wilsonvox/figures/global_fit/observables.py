"""Observables by bin of q²: measured, predicted without shifts, and at the minimum of a fit."""

import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.global_fit.observable_panels import Prediction, draw_panels, point_label
from wilsonvox.figures.style import BLUE, styled
from wilsonvox.global_fit.fits import CoefficientFit
from wilsonvox.global_fit.predictions import PredictionTable


@styled
def draw(table: PredictionTable, fit: CoefficientFit) -> Figure:
    """Draw one panel for each kind of observable.

    Args:
        table: predictions.
        fit: of the same set.

    Raises:
        UserError: the fit is of another set.
    """
    if [each.label for each in fit.fitted] != list(table.observables.labels):
        raise UserError(
            f"--fit: is of the set {fit.observables}, the table of {table.observables.name}; give "
            "a fit of this table"
        )
    hadronic = "" if fit.hadronic == "none" else f", {fit.hadronic} hadronic polynomials"
    fitted = Prediction(
        np.array([each.prediction for each in fit.fitted]),
        rf"{point_label(fit.c9, fit.c10)}: $\chi^2$ = {fit.chi_squared:.1f}",
        BLUE,
    )
    return draw_panels(
        table,
        fit.points[0].chi_squared,
        [fitted],
        f"{fit.observables}, {fit.n_observables} observables; {fit.version} $\\chi^2${hadronic}; "
        "predictions of flavio",
    )
