"""Linearity: mean predicted shift against the true shift, and the bias.

The mean is that of an ensemble of images or of a Gaussian fitted to it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, coefficient_option, outputs, write
from wilsonvox.figures.labels import note_text, shift_symbol
from wilsonvox.figures.style import DOUBLE_COLUMN, GREY, SINGLE_COLUMN, new_figure, styled
from wilsonvox.figures.summaries import INTERPOLATED, TRAINED, Summary, padded, read

Ensembles = Literal["mean", "gaussian"]
"""Quantities drawn for each ensemble: mean with σ_L and σ_R, or μ and σ of a fitted Gaussian."""

_COLUMNS: dict[Ensembles, tuple[str, str, str]] = {
    "mean": ("mean", "sigma_left", "sigma_right"),
    "gaussian": ("gauss_mean", "gauss_sigma", "gauss_sigma"),
}


def error_bars(
    summary: Summary, scaled: bool, ensembles: Ensembles = "mean"
) -> NDArray[np.float64]:
    """Compute the lengths of the error bars below and above the mean, shape (2, n_points).

    Args:
        summary: summary of the estimator.
        scaled: divide by √N, with N images per point, to get the error of the mean instead of the
            spread of single images.
        ensembles: σ_L below and σ_R above the mean, or σ of the fitted Gaussian on both sides.
    """
    bars = np.stack([summary.column(name) for name in _COLUMNS[ensembles][1:]])
    # the mean of very skewed ensembles can be outside the 16 % and 84 % quantiles
    bars = np.clip(bars, 0.0, None)
    return bars / np.sqrt(summary.column("n_images")) if scaled else bars


def _points(
    panel: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    bars: NDArray[np.float64],
    seen: NDArray[np.bool_],
    trained: bool,
) -> None:
    for label, style, rows in (
        ("trained" if trained else "estimate", TRAINED, seen),
        ("interpolation", INTERPOLATED, ~seen),
    ):
        if rows.any():
            panel.errorbar(x[rows], y[rows], bars[:, rows], label=label, capsize=1.5, **style)


@styled
def draw(summary: Summary, scaled: bool, ensembles: Ensembles = "mean") -> Figure:
    """Draw mean against true shift for δC ≤ 0, as in the papers, and for all points; bias below.

    There is a single column if all points are on one side of zero. Black circles: values used in
    training; red crosses: interpolated values; grey line: prediction equal to truth. All points of
    an estimator without training are black.

    Args:
        summary: summary of the estimator.
        scaled: draw error bars σ/√N, for the mean, instead of σ, for a single image.
        ensembles: mean with σ_L and σ_R of each ensemble, or mean and σ of the fitted Gaussian.
            Points without a fit are omitted; the legend gives their number.

    Raises:
        UserError: no ensemble has a fit.
    """
    fitted = np.isfinite(summary.column(_COLUMNS[ensembles][0]))
    if not fitted.any():
        raise UserError(
            f"estimator {summary.metadata.estimator}: no ensemble of {summary.coefficient} has a "
            "fitted Gaussian, which needs ten different predictions; set figures.linearity: "
            "mean, or make more test images"
        )
    n_left_out = int((~fitted).sum())
    summary = replace(summary, frame=summary.frame[fitted])
    true, mean = summary.column("true"), summary.column(_COLUMNS[ensembles][0])
    bias = summary.column("bias") if ensembles == "mean" else mean - true
    everything = np.ones(len(true), dtype=bool)
    metadata = summary.metadata
    bars = error_bars(summary, scaled, ensembles)
    seen = summary.seen if metadata.trained else everything
    negative = true <= 0
    mixed = negative.any() and not negative.all()
    selections = [negative, everything] if mixed else [everything]
    symbol = shift_symbol(summary.coefficient)
    figure = new_figure(
        DOUBLE_COLUMN if mixed else SINGLE_COLUMN,
        4.8,
        # a single column is too narrow for the physics inputs
        note_text(metadata.image, metadata.physics_inputs if mixed else None),
    )
    panels = figure.subplots(
        2, len(selections), sharex="col", height_ratios=[3.2, 1], squeeze=False
    )
    for column, rows in enumerate(selections):
        above, below = panels[:, column]
        limits = padded(float(true[rows].min()), float(true[rows].max()))
        above.axline((0.0, 0.0), slope=1.0, color=GREY, linewidth=0.8, zorder=0)
        _points(above, true[rows], mean[rows], bars[:, rows], seen[rows], metadata.trained)
        _points(below, true[rows], bias[rows], bars[:, rows], seen[rows], metadata.trained)
        below.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
        above.set_xlim(*limits)
        low = float(np.nanmin(mean[rows] - bars[0, rows]))
        high = float(np.nanmax(mean[rows] + bars[1, rows]))
        low, high = padded(low, high)
        above.set_ylim(min(low, limits[0]), max(high, limits[1]))
        reach = float(np.nanmax(np.abs(bias[rows]) + bars[:, rows].max(axis=0)))
        below.set_ylim(-1.15 * reach or -0.1, 1.15 * reach or 0.1)
        below.set_xlabel(f"True ${symbol}$")
        for axis in (above.xaxis, above.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        above.set_title(rf"${symbol} \leq 0$" if column == 0 and mixed else "all values")
    name = "Mean" if ensembles == "mean" else "Fitted mean of"
    panels[0, 0].set_ylabel(f"{name} predicted ${symbol}$")
    panels[1, 0].set_ylabel("mean − true" if ensembles == "mean" else "fitted mean\n− true")
    handles = {
        label: handle
        for panel in panels[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    sigma = r"\sigma_{L,R}" if ensembles == "mean" else r"\sigma_\mathrm{fit}"
    kind = rf"${sigma}/\sqrt{{N}}$" if scaled else rf"${sigma}$ of one image"
    title = [f"{metadata.estimator}, error bars {kind}"]
    if n_left_out:
        title.append(f"{n_left_out} {'point' if n_left_out == 1 else 'points'} without a fit")
    if metadata.physics_inputs and not mixed:  # otherwise in the note at the foot
        title.insert(0, metadata.physics_inputs)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=2,
        title="\n".join(title),
        title_fontsize=7.5,
    )
    figure.align_ylabels(panels[:, 0])
    return figure


@click.command("linearity")
@click.option("--summary", required=True, type=FILE, help="Summary of an estimator (.parquet).")
@click.option(
    "--scaled/--unscaled",
    default=True,
    show_default=True,
    help="Error bars σ/√N, N the images of a point, or σ of one image.",
)
@click.option(
    "--ensembles",
    type=click.Choice(["mean", "gaussian"]),
    default="mean",
    show_default=True,
    help="What is drawn of a point's images: mean with σ_L and σ_R, or mean and σ of a Gaussian "
    "fitted to them.",
)
@coefficient_option
@outputs
def command(
    summary: Path,
    scaled: bool,
    ensembles: Literal["mean", "gaussian"],
    coefficient: str,
    pdf: Path,
    png: Path,
) -> None:
    """Mean prediction against the true value, and the bias below."""
    write(
        "linearity" if scaled else "linearity_unscaled",
        pdf,
        png,
        lambda: draw(read(summary, coefficient), scaled, ensembles),
        [summary],
        {"scaled": scaled, "ensembles": ensembles, "coefficient": coefficient},
    )
