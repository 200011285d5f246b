"""Distributions of χ² in the training sets of a global fit's learning machines."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.style import CURVES, SINGLE_COLUMN, new_figure, styled
from wilsonvox.global_fit.learning.results import MachineResult, NetworkResult
from wilsonvox.global_fit.learning.settings import TrainingSetSettings

HADRONIC = {
    "none": "no polynomials",
    "independent": "one polynomial a kind",
    "shared": "one polynomial for all",
}


@styled
def draw(results: Sequence[MachineResult]) -> Figure:
    """Draw χ² of the samples of each training set, as a density; equal sets once.

    Args:
        results: of machines.
    """
    sets: dict[TrainingSetSettings, MachineResult] = {}
    for each in results:
        smears = isinstance(each, NetworkResult) and each.settings.smeared
        if not smears:
            sets.setdefault(each.training_set.settings, each)
    if not sets:
        raise UserError("--answers: no machine that learns from a grid of predictions")
    figure = new_figure(SINGLE_COLUMN, 2.7, f"{results[0].observables}, predictions of flavio")
    axes = figure.add_subplot()
    for (settings, result), colour in zip(sets.items(), CURVES, strict=False):
        summary = result.training_set
        edges = np.array(summary.chi_squared_edges)
        density = np.array(summary.chi_squared_counts) / summary.n_samples / np.diff(edges)
        axes.stairs(
            density, edges, color=colour,
            label=f"{HADRONIC[settings.hadronic]}: {summary.n_samples:,} samples, "
            rf"least $\chi^2$ {summary.best.chi_squared:.2f}",
        )  # fmt: skip
    axes.set_xlabel(r"$\chi^2$ of a sample of the training set")
    axes.set_ylabel("Density")
    axes.set_xlim(left=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", fontsize=7)
    return figure
