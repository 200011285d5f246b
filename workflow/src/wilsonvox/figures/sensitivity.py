"""Statistical sensitivity: σ of one image against the shift, beside the Cramér–Rao bound."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.figures.labels import image_text, shift_symbol
from wilsonvox.figures.style import BLACK, CURVES, GREY, SINGLE_COLUMN, new_figure, styled
from wilsonvox.figures.summaries import INTERPOLATED, TRAINED, Summary, finite, padded

_LOGARITHMIC = 20.0
"""Ratio of the largest to the smallest value beyond which an axis becomes logarithmic."""


def corrected_sigma(summary: Summary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """σ / response slope, and its statistical error σ/√(2(N − 1)) / slope, shape (n_points,).

    Dividing by the slope undoes the advantage of an estimator that shrinks towards the middle.
    NaN where the response does not rise: there the estimator measures nothing.
    """
    slope = summary.column("response_slope")
    rising = np.where(slope > 0, slope, np.nan)
    sigma = summary.column("sigma") / rising
    images = np.clip(summary.column("n_images"), 2, None)
    return sigma, sigma / np.sqrt(2 * (images - 1))


def _same_bound(summaries: Sequence[Summary]) -> bool:
    first = summaries[0].metadata
    return all(
        (each.metadata.image, each.metadata.physics_inputs) == (first.image, first.physics_inputs)
        for each in summaries
    )


def _set_limits(above: Axes, below: Axes, summaries: Sequence[Summary]) -> None:
    """Limits of all axes; the upper part of `above` is kept free for the legend."""
    sigmas = finite([each.column("bound") for each in summaries])
    sigmas = np.concatenate([sigmas, finite([corrected_sigma(each)[0] for each in summaries])])
    if len(sigmas):
        low, high = float(sigmas.min()), float(sigmas.max())
        # an untrained network has slopes near zero, and sigmas of any size
        if 0 < low < high / _LOGARITHMIC:
            above.set_yscale("log")
            above.set_ylim(0.7 * low, high * (high / low) ** 0.45)
        else:
            above.set_ylim(0, 1.45 * high)
    ratios = finite([each.column("sigma_over_bound") for each in summaries])
    if len(ratios):
        low, high = min(0.8, 0.9 * float(ratios.min())), max(1.2, 1.1 * float(ratios.max()))
        logarithmic = 0 < low < high / _LOGARITHMIC
        below.set_yscale("log" if logarithmic else "linear")
        below.set_ylim(low, 1.6 * high if logarithmic else high)
    else:
        below.text(0.5, 0.6, "no ratio known", transform=below.transAxes, ha="center")
    true = finite([each.column("true") for each in summaries])
    below.set_xlim(*padded(float(true.min()), float(true.max())))
    below.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _add_legend(above: Axes, summaries: Sequence[Summary]) -> None:
    """Bound, estimators by colour and kinds of points by marker, without repetition."""
    single = len(summaries) == 1
    drawn, names = above.get_legend_handles_labels()
    entries: list[tuple[Any, str]] = list(zip(drawn, names, strict=True))[:1]
    if not single:
        for number, summary in enumerate(summaries):
            square: dict[str, Any] = {
                "color": CURVES[number % len(CURVES)],
                "marker": "s",
                "linestyle": "none",
            }
            entries.append((Line2D([], [], markersize=4, **square), summary.metadata.estimator))
    for shown, label, style in (
        (any(each.seen.any() for each in summaries), "trained", TRAINED),
        (any((~each.seen).any() for each in summaries), "interpolation", INTERPOLATED),
    ):
        if shown:
            look = {key: value for key, value in style.items() if key != "elinewidth"}
            entries.append((Line2D([], [], **(look if single else look | {"color": GREY})), label))
    above.legend(
        [handle for handle, _ in entries],
        [label for _, label in entries],
        loc="upper left",
        ncols=2,
        title=summaries[0].metadata.estimator if single else None,
        title_fontsize=7.5,
        alignment="left",
        columnspacing=1.0,
    )


@styled
def draw(summaries: Sequence[Summary]) -> Figure:
    """Draw σ/slope of every estimator, the bound as a line, and their ratio below.

    Circles: values seen in training; crosses: interpolation values. One estimator is drawn in the
    papers' black and red, several in one colour each.
    """
    single, shared = len(summaries) == 1, _same_bound(summaries)
    symbol = shift_symbol(summaries[0].coefficient)
    note = image_text(summaries[0].metadata.image) if shared else "several image specifications"
    figure = new_figure(SINGLE_COLUMN, 3.9, note)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    for number, summary in enumerate(summaries):
        colour = CURVES[number % len(CURVES)]
        true, bound = summary.column("true"), summary.column("bound")
        known = np.isfinite(bound)
        if known.any() and (number == 0 or not shared):
            line = {"color": BLACK if shared else colour, "linewidth": 1.1, "zorder": 1}
            above.plot(true[known], bound[known], label="Cramér–Rao bound", **line)
        sigma, error = corrected_sigma(summary)
        ratio = summary.column("sigma_over_bound")
        ratio_error = ratio * error / sigma
        for style, rows in ((TRAINED, summary.seen), (INTERPOLATED, ~summary.seen)):
            look = style if single else style | {"color": colour}
            for panel, y, bars in ((above, sigma, error), (below, ratio, ratio_error)):
                drawn = rows & np.isfinite(y)
                if drawn.any():
                    panel.errorbar(true[drawn], y[drawn], bars[drawn], **look)
    _set_limits(above, below, summaries)
    _add_legend(above, summaries)
    above.set_ylabel(rf"$\sigma({symbol})$ / slope")
    below.axhline(1.0, color=BLACK, linewidth=1.1, zorder=1)
    below.set_ylabel("σ / bound")
    below.set_xlabel(f"True ${symbol}$")
    figure.align_ylabels()
    return figure
