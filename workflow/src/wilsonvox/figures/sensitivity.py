"""Statistical sensitivity: σ of one image against the shift, beside the Cramér–Rao bound."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from wilsonvox.figures.labels import image_text, note_text, shift_symbol
from wilsonvox.figures.style import (
    BLACK,
    CURVES,
    DOUBLE_COLUMN,
    GREY,
    SINGLE_COLUMN,
    new_figure,
    styled,
)
from wilsonvox.figures.summaries import INTERPOLATED, TRAINED, Summary, finite, padded

_LOGARITHMIC = 6.0
"""Ratio of the largest to the smallest value beyond which an axis becomes logarithmic."""

_MARKERS = ("o", "s", "^", "D", "v", "P")
"""Markers of several estimators, which so differ without their colours too."""

_BOUND = "Cramér–Rao bound"


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


def _label_logarithmic(panel: Axes) -> None:
    """Numbers at 1, 2 and 5 of each decade, written out."""
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(LogLocator(subs=(3.0, 4.0, 6.0, 7.0, 8.0, 9.0)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def _set_limits(above: Axes, below: Axes, summaries: Sequence[Summary], room: bool) -> None:
    """Limits of all axes; with `room` the upper part of `above` is kept free for a legend."""
    sigmas = finite([each.column("bound") for each in summaries])
    sigmas = np.concatenate([sigmas, finite([corrected_sigma(each)[0] for each in summaries])])
    if len(sigmas):
        low, high = float(sigmas.min()), float(sigmas.max())
        # an untrained network has slopes near zero, and sigmas of any size
        if 0 < low < high / _LOGARITHMIC:
            above.set_yscale("log")
            _label_logarithmic(above)
            above.set_ylim(0.7 * low, high * (high / low) ** (0.45 if room else 0.15))
        else:
            above.set_ylim(0, (1.45 if room else 1.2) * high)
    ratios = finite([each.column("sigma_over_bound") for each in summaries])
    if len(ratios):
        low, high = min(0.8, 0.85 * float(ratios.min())), max(1.2, 1.15 * float(ratios.max()))
        logarithmic = 0 < low < high / _LOGARITHMIC
        below.set_yscale("log" if logarithmic else "linear")
        if logarithmic:
            _label_logarithmic(below)
        below.set_ylim(low, 1.6 * high if logarithmic else high)
    else:
        below.text(0.5, 0.6, "no ratio known", transform=below.transAxes, ha="center")
    true = finite([each.column("true") for each in summaries])
    below.set_xlim(*padded(float(true.min()), float(true.max())))
    below.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _look(number: int, filled: bool) -> dict[str, Any]:
    """Marker of the `number`-th of several estimators; open for values between those trained."""
    colour = CURVES[number % len(CURVES)]
    return {
        "color": colour,
        "marker": _MARKERS[number % len(_MARKERS)],
        "markerfacecolor": colour if filled else "white",
        "linestyle": "none",
        "markersize": 4.0,
        "markeredgewidth": 0.9,
    }


def _offsets(summaries: Sequence[Summary]) -> NDArray[np.float64]:
    """Small steps to the side for several estimators, so that their error bars stand apart."""
    steps = np.diff(np.unique(finite([each.column("true") for each in summaries])))
    spacing = float(steps.min()) if len(steps) else 0.0
    n = len(summaries)
    return np.asarray((np.arange(n) - (n - 1) / 2) * (spacing * min(0.25, 0.6 / n)), np.float64)


def _kinds(summary: Summary) -> list[tuple[bool, NDArray[np.bool_]]]:
    """Rows with filled and with open markers; an estimator that is not trained has no open ones."""
    seen = summary.seen if summary.metadata.trained else np.ones(len(summary.frame), dtype=bool)
    return [(True, seen), (False, ~seen)]


def _draw_points(above: Axes, below: Axes, summary: Summary, number: int, offset: float) -> None:
    true = summary.column("true") + offset
    sigma, error = corrected_sigma(summary)
    ratio = summary.column("sigma_over_bound")
    for filled, rows in _kinds(summary):
        look = _look(number, filled) | {"elinewidth": 0.9}
        for panel, y, bars in ((above, sigma, error), (below, ratio, ratio * error / sigma)):
            drawn = rows & np.isfinite(y)
            if drawn.any():
                panel.errorbar(true[drawn], y[drawn], bars[drawn], **look)


def _draw_single(above: Axes, below: Axes, summary: Summary) -> None:
    """One estimator, in the papers' black and red."""
    true = summary.column("true")
    sigma, error = corrected_sigma(summary)
    ratio = summary.column("sigma_over_bound")
    names = ("trained", "interpolation") if summary.metadata.trained else ("estimate", "")
    for (filled, rows), name in zip(_kinds(summary), names, strict=True):
        look = TRAINED if filled else INTERPOLATED
        for panel, y, bars in ((above, sigma, error), (below, ratio, ratio * error / sigma)):
            drawn = rows & np.isfinite(y)
            if drawn.any():
                panel.errorbar(true[drawn], y[drawn], bars[drawn], label=name, **look)
    handles = dict(zip(*reversed(above.get_legend_handles_labels()), strict=True))
    inputs = summary.metadata.physics_inputs
    above.legend(
        list(handles.values()),
        list(handles),
        loc="upper left",
        ncols=2,
        title=summary.metadata.estimator + (f", {inputs}" if inputs else ""),
        title_fontsize=7.5,
        alignment="left",
        columnspacing=1.0,
    )


def _add_legend(figure: Figure, above: Axes, summaries: Sequence[Summary]) -> None:
    """Above the panels: bound, estimators by colour and marker, and what open markers are."""
    drawn, names = above.get_legend_handles_labels()
    entries: list[tuple[Any, str]] = list(zip(drawn, names, strict=True))[:1]
    for number, summary in enumerate(summaries):
        entries.append((Line2D([], [], **_look(number, True)), summary.metadata.estimator))
    trained = [each for each in summaries if each.metadata.trained]
    grey: dict[str, Any] = {"color": GREY, "linestyle": "none", "marker": "o", "markersize": 4.0}
    for shown, label, fill in (
        (any(each.seen.any() for each in trained), "trained", GREY),
        (any((~each.seen).any() for each in trained), "interpolation", "white"),
    ):
        if shown:
            entries.append((Line2D([], [], markerfacecolor=fill, **grey), label))
    figure.legend(
        [handle for handle, _ in entries],
        [label for _, label in entries],
        loc="outside upper center",
        ncols=4,
        columnspacing=1.4,
    )


def _draw_bounds(above: Axes, summaries: Sequence[Summary], shared: bool) -> None:
    for number, summary in enumerate(summaries[:1] if shared else summaries):
        true, bound = summary.column("true"), summary.column("bound")
        known = np.isfinite(bound)
        if known.any():
            colour = BLACK if shared else CURVES[number % len(CURVES)]
            line: dict[str, Any] = {"color": colour, "linewidth": 1.1, "zorder": 1}
            above.plot(true[known], bound[known], label=_BOUND, **line)


@styled
def draw(summaries: Sequence[Summary]) -> Figure:
    """Draw σ/slope of every estimator, the bound as a line, and their ratio below.

    One estimator is drawn in the papers' black circles (values seen in training) and red crosses
    (values between). Several have a colour and a marker each, filled for values seen in training
    and open for those between; all are filled of an estimator that is not trained. They stand a
    little beside the true value, so that error bars do not hide each other.
    """
    single, shared = len(summaries) == 1, _same_bound(summaries)
    symbol = shift_symbol(summaries[0].coefficient)
    about = summaries[0].metadata
    if not shared:
        note = "several image specifications or sets of physics inputs"
    elif single:  # in one column there is no room for more
        note = image_text(about.image)
    else:
        note = note_text(about.image, about.physics_inputs)
    figure = new_figure(SINGLE_COLUMN if single else DOUBLE_COLUMN, 3.9 if single else 4.6, note)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
    _draw_bounds(above, summaries, shared)
    if single:
        _draw_single(above, below, summaries[0])
    else:
        for number, (summary, offset) in enumerate(
            zip(summaries, _offsets(summaries), strict=True)
        ):
            _draw_points(above, below, summary, number, float(offset))
        _add_legend(figure, above, summaries)
    _set_limits(above, below, summaries, room=single)
    above.set_ylabel(rf"$\sigma({symbol})$ / slope")
    below.axhline(1.0, color=BLACK, linewidth=1.1, zorder=1)
    below.set_ylabel("σ / bound")
    below.set_xlabel(f"True ${symbol}$")
    figure.align_ylabels()
    return figure
