"""Distributions of χ² in the training sets of the ML models of a global fit."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.style import CURVES, SINGLE_COLUMN, new_figure, styled
from wilsonvox.global_fit.learning.results import ModelResult, NetworkResult, load_model_result
from wilsonvox.global_fit.learning.settings import TrainingSetSettings

HADRONIC = {
    "none": "no polynomials",
    "independent": "one polynomial per observable",
    "shared": "common polynomial",
}


@styled
def draw(results: Sequence[ModelResult]) -> Figure:
    """Draw the distribution of χ² of each distinct training set.

    Args:
        results: results of ML models.

    Raises:
        UserError: no model is trained on a grid of predictions.
    """
    sets: dict[TrainingSetSettings, ModelResult] = {}
    for result in results:
        smeared = isinstance(result, NetworkResult) and result.settings.smeared
        if not smeared:
            sets.setdefault(result.training_set.settings, result)
    if not sets:
        raise UserError("--answers: no model is trained on a grid of predictions; give one")
    figure = new_figure(SINGLE_COLUMN, 2.7, f"{results[0].observables}; flavio predictions")
    axes = figure.add_subplot()
    for (settings, result), colour in zip(sets.items(), CURVES, strict=False):
        summary = result.training_set
        edges = np.array(summary.chi_squared_edges)
        density = np.array(summary.chi_squared_counts) / summary.n_samples / np.diff(edges)
        axes.stairs(
            density, edges, color=colour,
            label=f"{HADRONIC[settings.hadronic]}: {summary.n_samples:,} samples, "
            rf"minimum {summary.best.chi_squared:.2f}",
        )  # fmt: skip
    axes.set_xlabel(r"$\chi^2$ of training samples")
    axes.set_ylabel("Density")
    axes.set_xlim(left=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", fontsize=7)
    return figure


@click.command("global-fit-training-sets")
@click.option(
    "--answers",
    "paths",
    required=True,
    multiple=True,
    type=FILE,
    help="Answers of a learning machine (.json); give those of all.",
)
@outputs
def command(paths: tuple[Path, ...], pdf: Path, png: Path) -> None:
    """Distributions of χ² in the training sets of learning machines."""
    write(
        "global_fit_training_sets",
        pdf,
        png,
        lambda: draw([load_model_result(path) for path in paths]),
        paths,
    )
