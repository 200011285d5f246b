"""Observables by bin of q²: measured, and the best samples of a learning machine."""

from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.global_fit.observable_panels import Prediction, draw_panels, point_label
from wilsonvox.figures.style import BLUE, GREEN, styled
from wilsonvox.global_fit.learning.results import Coefficients, MachineResult
from wilsonvox.global_fit.learning.training_sets import make_chi_squared
from wilsonvox.global_fit.predictions import PredictionTable


@styled
def draw(table: PredictionTable, result: MachineResult) -> Figure:
    """Draw predictions at the machine's best answer and at its best training sample.

    Best is what has the least χ²; predictions are made again from the coefficients, hadronic ones
    included, whatever a GAN generated beside them.

    Args:
        table: predictions.
        result: answers of a machine that learned the same set.

    Raises:
        UserError: the answers are to another set.
    """
    if result.observables != table.observables.name:
        raise UserError(
            f"--answers: are to the set {result.observables}, the table is of "
            f"{table.observables.name}; give answers that this table led to"
        )
    chi_squared = make_chi_squared(table, result.version, result.training_set.settings)

    def prediction(
        found: Coefficients, what: str, colour: str, style: Literal["-", "--"]
    ) -> Prediction:
        hadronic = np.array(found.hadronic) if found.hadronic else None
        return Prediction(
            chi_squared.predictions(found.c9, found.c10, hadronic)[0],
            f"{what}, {point_label(found.c9, found.c10)}: $\\chi^2$ = {found.chi_squared:.1f}",
            colour,
            style,
        )

    best = min(result.answers, key=lambda each: each.chi_squared)
    answer = "best generated" if result.kind == "gan" else "best answer"
    starts = len(result.answers)
    shown = [
        prediction(result.training_set.best, "best of the training set", GREEN, "-"),
        prediction(best, f"{answer} of {starts} start{'s' if starts > 1 else ''}", BLUE, "--"),
    ]
    hadronic = "" if result.hadronic == "none" else f", {result.hadronic} hadronic polynomials"
    return draw_panels(
        table,
        float(chi_squared(0.0, 0.0)[0]),
        shown,
        f"{result.name}: {result.observables}, {table.n_observables} observables; "
        f"{result.version} $\\chi^2${hadronic}; predictions of flavio",
        columns=2,
    )
