"""Losses and predictions of all trainings of a network of the global fit."""

from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wilsonvox.figures.command import outputs, results_option, write
from wilsonvox.figures.style import BLACK, BLUE, DOUBLE_COLUMN, GREY, RED, new_figure, styled
from wilsonvox.global_fit.learning.results import ModelResult, NetworkResult

LOGARITHMIC = 5
"""Ratio of the largest to the smallest loss above which the axis is logarithmic."""


def draw_box(axes: Axes, result: ModelResult) -> None:
    """Draw the training range as a rectangle."""
    settings = result.training_set.settings
    (low_9, high_9), (low_10, high_10) = settings.c9_range, settings.c10_range
    axes.plot(
        [low_9, high_9, high_9, low_9, low_9], [low_10, low_10, high_10, high_10, low_10],
        color=GREY, linewidth=0.7, linestyle=":",
    )  # fmt: skip


def _losses(axes: Axes, result: NetworkResult) -> None:
    values = []
    for restart in result.answers:
        epoch = np.arange(1, len(restart.loss) + 1)
        axes.plot(epoch, restart.loss, color=BLUE, linewidth=0.7, alpha=0.7)
        axes.plot(epoch, restart.validation_loss, color=RED, linewidth=0.7, alpha=0.7)
        values += [*restart.loss, *restart.validation_loss]
    if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
        axes.set_yscale("log")
    mixture = result.settings.output == "mixture"
    axes.set_ylabel("Negative log-likelihood" if mixture else "Mean squared error")
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(
        handles=[
            Line2D([], [], color=BLUE, label="training"),
            Line2D([], [], color=RED, label="validation"),
        ]
    )


def _predictions(axes: Axes, result: NetworkResult) -> None:
    draw_box(axes, result)
    for restart in result.answers:
        axes.plot(
            restart.c9, restart.c10, "o", color=RED,
            markerfacecolor="none" if restart.is_constant else RED,
        )  # fmt: skip
    spread = result.spread
    axes.errorbar(
        spread.c9_mean, spread.c10_mean, spread.c10_deviation, spread.c9_deviation,
        color=BLACK, linewidth=0.8, capsize=2,
    )  # fmt: skip
    handles = [
        Line2D([], [], linestyle="", marker="o", color=RED, label="single training"),
        Line2D([], [], color=BLACK, label="mean and std. deviation"),
        Line2D([], [], color=GREY, linestyle=":", label="training range"),
    ]
    if any(restart.is_constant for restart in result.answers):
        handles.insert(
            1,
            Line2D(
                [], [], linestyle="", marker="o", color=RED, markerfacecolor="none",
                label="dead network",
            ),
        )  # fmt: skip
    if result.posterior is not None:
        axes.plot(*result.posterior.exact_mode, "+", color=BLUE, markersize=8, zorder=4)
        handles.append(
            Line2D([], [], linestyle="", marker="+", color=BLUE, label=r"$\chi^2$ minimum")
        )
    else:
        best = result.training_set.best
        axes.plot(best.c9, best.c10, "+", color=BLUE, markersize=8, zorder=4)
        label = rf"smallest $\chi^2$ on the grid: {best.chi_squared:.1f}"
        handles.append(Line2D([], [], linestyle="", marker="+", color=BLUE, label=label))
    axes.set_xlabel(r"$\delta C_9$")
    axes.set_ylabel(r"$\delta C_{10}$")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))


@styled
def draw(result: NetworkResult) -> Figure:
    """Draw losses against the epoch, and predictions for the measured observables."""
    figure = new_figure(
        DOUBLE_COLUMN, 2.6, f"{result.observables}; flavio predictions; {result.version} χ²"
    )
    left, right = figure.subplots(1, 2)
    _losses(left, result)
    _predictions(right, result)
    spread = result.spread
    figure.suptitle(
        rf"{result.name}, {len(result.answers)} trainings: "
        rf"$\chi^2$ from {spread.chi_squared_least:.2f} to "
        f"{spread.chi_squared_greatest:.2f}, median {spread.chi_squared_median:.2f}",
        fontsize=8,
    )
    return figure


@click.command("global-fit-network")
@results_option
@outputs
def command(answers_path: Path, pdf: Path, png: Path) -> None:
    """Losses of a network from all its starts, and their answers."""
    write(
        "global_fit_network",
        pdf,
        png,
        lambda: draw(NetworkResult.load(answers_path)),
        [answers_path],
    )
