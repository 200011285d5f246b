"""Losses of a network of a global fit from all its starts, and its answers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wilsonvox.figures.style import BLACK, BLUE, DOUBLE_COLUMN, GREY, RED, new_figure, styled
from wilsonvox.global_fit.learning.results import NetworkResult

WIDE = 5
"""Factor of the losses from which their axis is logarithmic."""


def draw_box(axes: Axes, result: NetworkResult) -> None:
    """The box of training as a rectangle."""
    settings = result.training_set.settings
    (low_9, high_9), (low_10, high_10) = settings.c9_range, settings.c10_range
    axes.plot(
        [low_9, high_9, high_9, low_9, low_9], [low_10, low_10, high_10, high_10, low_10],
        color=GREY, linewidth=0.7, linestyle=":",
    )  # fmt: skip


def _losses(axes: Axes, result: NetworkResult) -> None:
    values = []
    for answer in result.answers:
        epoch = np.arange(1, len(answer.loss) + 1)
        axes.plot(epoch, answer.loss, color=BLUE, linewidth=0.7, alpha=0.7)
        axes.plot(epoch, answer.validation_loss, color=RED, linewidth=0.7, alpha=0.7)
        values += [*answer.loss, *answer.validation_loss]
    if min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_yscale("log")
    mixture = result.settings.output == "mixture"
    axes.set_ylabel("−log density" if mixture else "Mean squared error")
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(
        handles=[
            Line2D([], [], color=BLUE, label="training"),
            Line2D([], [], color=RED, label="validation"),
        ]
    )


def _answers(axes: Axes, result: NetworkResult) -> None:
    draw_box(axes, result)
    for answer in result.answers:
        axes.plot(
            answer.c9, answer.c10, "o", color=RED,
            markerfacecolor="none" if answer.is_constant else RED,
        )  # fmt: skip
    spread = result.spread
    axes.errorbar(
        spread.c9_mean, spread.c10_mean, spread.c10_deviation, spread.c9_deviation,
        color=BLACK, linewidth=0.8, capsize=2,
    )  # fmt: skip
    handles = [
        Line2D([], [], linestyle="", marker="o", color=RED, label="answer of a start"),
        Line2D([], [], color=BLACK, label="mean and deviation"),
        Line2D([], [], color=GREY, linestyle=":", label="range of training"),
    ]
    if any(each.is_constant for each in result.answers):
        handles.insert(
            1,
            Line2D(
                [], [], linestyle="", marker="o", color=RED, markerfacecolor="none",
                label="all neurons dead",
            ),
        )  # fmt: skip
    if result.posterior is not None:
        axes.plot(*result.posterior.exact_mode, "+", color=BLUE, markersize=8, zorder=4)
        handles.append(
            Line2D([], [], linestyle="", marker="+", color=BLUE, label=r"minimum of the $\chi^2$")
        )
    else:
        best = result.training_set.best
        axes.plot(best.c9, best.c10, "+", color=BLUE, markersize=8, zorder=4)
        label = rf"least $\chi^2$ on the grid: {best.chi_squared:.1f}"
        handles.append(Line2D([], [], linestyle="", marker="+", color=BLUE, label=label))
    axes.set_xlabel(r"$\delta C_9$")
    axes.set_ylabel(r"$\delta C_{10}$")
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))


@styled
def draw(result: NetworkResult) -> Figure:
    """Draw losses against epochs on the left, answers to the measured observables on the right."""
    figure = new_figure(
        DOUBLE_COLUMN, 2.6, f"{result.observables}, predictions of flavio; {result.version} χ²"
    )
    left, right = figure.subplots(1, 2)
    _losses(left, result)
    _answers(right, result)
    spread = result.spread
    figure.suptitle(
        rf"{result.name}, {len(result.answers)} starts: $\chi^2$ {spread.chi_squared_least:.2f} to "
        f"{spread.chi_squared_greatest:.2f}, median {spread.chi_squared_median:.2f}",
        fontsize=8,
    )
    return figure
