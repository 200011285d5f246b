"""Losses, discriminator accuracy and samples of all trainings of a GAN of the global fit."""

from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wilsonvox.figures.command import outputs, results_option, write
from wilsonvox.figures.global_fit.network import draw_box
from wilsonvox.figures.style import BLACK, BLUE, DOUBLE_COLUMN, GREEN, GREY, RED, new_figure, styled
from wilsonvox.global_fit.learning.results import GanResult

MARGIN = 0.25
"""Margin around the training range, relative to its size."""


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _histories(losses: Axes, accuracy: Axes, result: GanResult) -> None:
    n_epochs = len(result.answers[0].generator_loss)
    # markers make histories of a few epochs visible
    marker = "o" if n_epochs < 12 else None
    for restart in result.answers:
        epoch = np.arange(1, n_epochs + 1)
        for axes, values, colour in (
            (losses, restart.generator_loss, RED),
            (losses, restart.discriminator_loss, BLUE),
            (accuracy, restart.discriminator_accuracy, BLUE),
        ):
            axes.plot(
                epoch, values, color=colour, linewidth=0.7, alpha=0.7, marker=marker, markersize=2
            )
    losses.set_ylabel("Cross-entropy loss")
    losses.legend(
        handles=[
            Line2D([], [], color=RED, label="generator"),
            Line2D([], [], color=BLUE, label="discriminator"),
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        fontsize=7,
    )
    accuracy.axhline(0.5, color=GREY, linewidth=0.7, linestyle=":")
    accuracy.set_ylabel("Discriminator accuracy")
    accuracy.set_ylim(0.0, 1.0)
    _epochs(losses)
    _epochs(accuracy)


def _samples(axes: Axes, result: GanResult) -> None:
    settings = result.training_set.settings
    limits = []
    for low, high in (settings.c9_range, settings.c10_range):
        margin = MARGIN * (high - low)
        limits.append((low - margin, high + margin))
    draw_box(axes, result)
    for restart in result.answers:
        c9, c10, _ = np.array(restart.samples).T
        axes.plot(
            c9, c10, ".", color=GREEN, markersize=1.5, alpha=0.4, markeredgewidth=0, rasterized=True
        )
        axes.plot(restart.c9, restart.c10, "x", color=BLACK, markersize=4, zorder=4)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_xlabel(r"$\delta C_9$")
    axes.set_ylabel(r"$\delta C_{10}$")
    what = "read from generated observables" if result.settings.conditional else "generated"
    axes.legend(
        handles=[
            Line2D([], [], linestyle="", marker=".", color=GREEN, label=what),
            Line2D([], [], linestyle="", marker="x", color=BLACK, label="best of a start"),
        ],
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        fontsize=7,
    )


@styled
def draw(result: GanResult) -> Figure:
    """Draw losses, discriminator accuracy, and generated samples in the (C9, C10) plane.

    The shifts of a conditional GAN are inferred from its observables by a linear regression.
    """
    figure = new_figure(
        DOUBLE_COLUMN, 2.7, f"{result.observables}; flavio predictions; {result.version} χ²"
    )
    losses, accuracy, samples = figure.subplots(1, 3)
    _histories(losses, accuracy, result)
    _samples(samples, result)
    spread = result.spread
    verdicts = [restart.coverage.verdict for restart in result.answers]
    counts = ", ".join(f"{verdicts.count(v)} × {v}" for v in sorted(set(verdicts)))
    figure.suptitle(
        rf"{result.name}, {len(result.answers)} trainings: recomputed $\chi^2$ from "
        f"{spread.chi_squared_least:.2f} to {spread.chi_squared_greatest:.2f}; {counts}",
        fontsize=8,
    )
    return figure


@click.command("global-fit-gan")
@results_option
@outputs
def command(answers_path: Path, pdf: Path, png: Path) -> None:
    """Losses, discriminator's accuracy and samples of a GAN from all its starts."""
    write("global_fit_gan", pdf, png, lambda: draw(GanResult.load(answers_path)), [answers_path])
