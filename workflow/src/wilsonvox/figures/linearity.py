"""Linearity: mean predicted shift against the true one, with the bias below."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.figures.labels import note_text, shift_symbol
from wilsonvox.figures.style import DOUBLE_COLUMN, GREY, SINGLE_COLUMN, new_figure, styled
from wilsonvox.figures.summaries import INTERPOLATED, TRAINED, Summary, padded


def error_bars(summary: Summary, scaled: bool) -> NDArray[np.float64]:
    """Lengths of the error bars below (σ_L) and above (σ_R) the mean, shape (2, n_points).

    Args:
        summary: the points.
        scaled: divide by √N, N the number of images: the error of the mean instead of that of
            one image.
    """
    bars = np.stack([summary.column("sigma_left"), summary.column("sigma_right")])
    # of very skewed ensembles the mean can lie outside the 16 % and 84 % points
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
def draw(summary: Summary, scaled: bool) -> Figure:
    """Draw δC ≤ 0 alone, as in the papers, and beside it the whole range; bias strips below.

    One panel where all points lie on one side of zero. Black circles: values seen in training;
    red crosses: interpolation values; grey line: prediction equals truth. Of an estimator that is
    not trained all are black.

    Args:
        summary: the points.
        scaled: error bars σ_L/√N and σ_R/√N instead of σ_L and σ_R.
    """
    true, mean, bias = (summary.column(name) for name in ("true", "mean", "bias"))
    everything = np.ones(len(true), dtype=bool)
    metadata = summary.metadata
    bars = error_bars(summary, scaled)
    seen = summary.seen if metadata.trained else everything
    negative = true <= 0
    mixed = negative.any() and not negative.all()
    selections = [negative, everything] if mixed else [everything]
    symbol = shift_symbol(summary.coefficient)
    figure = new_figure(
        DOUBLE_COLUMN if mixed else SINGLE_COLUMN,
        4.8,
        # in one column the line would be longer than the page is wide
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
    panels[0, 0].set_ylabel(f"Mean predicted ${symbol}$")
    panels[1, 0].set_ylabel("mean − true")
    handles = {
        label: handle
        for panel in panels[0]
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    kind = r"$\sigma_{L,R}/\sqrt{N}$" if scaled else r"$\sigma_{L,R}$ of one image"
    title = [f"{metadata.estimator}, error bars {kind}"]
    if metadata.physics_inputs and not mixed:  # a wider figure has it at its foot
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
