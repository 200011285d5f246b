"""Statistical sensitivity: σ of a single image against the shift, with the Cramér–Rao bound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from wilsonvox.figures.command import coefficient_option, outputs, summaries_option, write
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
from wilsonvox.figures.summaries import INTERPOLATED, TRAINED, Summary, finite, padded, read

_LOGARITHMIC = 6.0
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""

_MARKERS = ("o", "s", "^", "D", "v", "P")
"""Markers of the estimators, which are distinguishable without colour."""

_BOUND = "Cramér–Rao bound"


def corrected_sigma(summary: Summary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute σ / response slope and its statistical error, both of shape (n_points,).

    Division by the slope corrects for estimators that shrink towards the centre of the training
    range. The statistical error is σ/√(2(N − 1)) / slope. Points where the response does not
    increase are NaN, because the estimator is not sensitive there.
    """
    slope = summary.column("response_slope")
    rising = np.where(slope > 0, slope, np.nan)
    sigma = summary.column("sigma") / rising
    images = np.clip(summary.column("n_images"), 2, None)
    return sigma, sigma / np.sqrt(2 * (images - 1))


def _same_bound(summaries: Sequence[Summary]) -> bool:
    first = summaries[0].metadata
    return all(
        (summary.metadata.image, summary.metadata.physics_inputs)
        == (first.image, first.physics_inputs)
        for summary in summaries
    )


def _label_logarithmic(panel: Axes) -> None:
    """Label the values 1, 2 and 5 of each decade as decimal numbers."""
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(LogLocator(subs=(3.0, 4.0, 6.0, 7.0, 8.0, 9.0)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def _set_limits(above: Axes, below: Axes, summaries: Sequence[Summary], room: bool) -> None:
    """Set the limits of all axes; `room` keeps the upper part of `above` free for a legend."""
    sigmas = finite(
        [summary.column("bound") for summary in summaries]
        + [corrected_sigma(summary)[0] for summary in summaries]
    )
    if len(sigmas):
        low, high = float(sigmas.min()), float(sigmas.max())
        # untrained networks have slopes near zero, hence arbitrarily large values
        if 0 < low < high / _LOGARITHMIC:
            above.set_yscale("log")
            _label_logarithmic(above)
            above.set_ylim(0.7 * low, high * (high / low) ** (0.45 if room else 0.15))
        else:
            above.set_ylim(0, (1.45 if room else 1.2) * high)
    ratios = finite([summary.column("sigma_over_bound") for summary in summaries])
    if len(ratios):
        low, high = min(0.8, 0.85 * float(ratios.min())), max(1.2, 1.15 * float(ratios.max()))
        logarithmic = 0 < low < high / _LOGARITHMIC
        below.set_yscale("log" if logarithmic else "linear")
        if logarithmic:
            _label_logarithmic(below)
        below.set_ylim(low, 1.6 * high if logarithmic else high)
    else:
        below.text(0.5, 0.6, "no ratio available", transform=below.transAxes, ha="center")
    true = finite([summary.column("true") for summary in summaries])
    below.set_xlim(*padded(float(true.min()), float(true.max())))
    below.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _marker_style(number: int, filled: bool) -> dict[str, Any]:
    """Style of the `number`-th of several estimators, with open markers for interpolation."""
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
    """Compute horizontal offsets of the estimators, so that error bars do not overlap."""
    steps = np.diff(np.unique(finite([summary.column("true") for summary in summaries])))
    spacing = float(steps.min()) if len(steps) else 0.0
    n = len(summaries)
    return np.asarray((np.arange(n) - (n - 1) / 2) * (spacing * min(0.25, 0.6 / n)), np.float64)


def _kinds(summary: Summary) -> list[tuple[bool, NDArray[np.bool_]]]:
    """Select rows with filled and with open markers (all filled without training)."""
    seen = summary.seen if summary.metadata.trained else np.ones(len(summary.frame), dtype=bool)
    return [(True, seen), (False, ~seen)]


def _draw_points(above: Axes, below: Axes, summary: Summary, number: int, offset: float) -> None:
    true = summary.column("true") + offset
    sigma, error = corrected_sigma(summary)
    ratio = summary.column("sigma_over_bound")
    for filled, rows in _kinds(summary):
        style = _marker_style(number, filled) | {"elinewidth": 0.9}
        for panel, y, bars in ((above, sigma, error), (below, ratio, ratio * error / sigma)):
            drawn = rows & np.isfinite(y)
            if drawn.any():
                panel.errorbar(true[drawn], y[drawn], bars[drawn], **style)


def _draw_single(above: Axes, below: Axes, summary: Summary) -> None:
    """Draw one estimator, in black and red as in the papers."""
    true = summary.column("true")
    sigma, error = corrected_sigma(summary)
    ratio = summary.column("sigma_over_bound")
    names = ("trained", "interpolation") if summary.metadata.trained else ("estimate", "")
    for (filled, rows), name in zip(_kinds(summary), names, strict=True):
        style = TRAINED if filled else INTERPOLATED
        for panel, y, bars in ((above, sigma, error), (below, ratio, ratio * error / sigma)):
            drawn = rows & np.isfinite(y)
            if drawn.any():
                panel.errorbar(true[drawn], y[drawn], bars[drawn], label=name, **style)
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
    """Add a legend above the panels: bound, estimators, and filled and open markers."""
    drawn, names = above.get_legend_handles_labels()
    entries: list[tuple[Any, str]] = list(zip(drawn, names, strict=True))[:1]
    for number, summary in enumerate(summaries):
        entries.append((Line2D([], [], **_marker_style(number, True)), summary.metadata.estimator))
    trained = [summary for summary in summaries if summary.metadata.trained]
    grey: dict[str, Any] = {"color": GREY, "linestyle": "none", "marker": "o", "markersize": 4.0}
    for present, label, fill in (
        (any(summary.seen.any() for summary in trained), "trained", GREY),
        (any((~summary.seen).any() for summary in trained), "interpolation", "white"),
    ):
        if present:
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
    """Draw σ/slope of the estimators with the bound as a line, and the ratio to the bound below.

    A single estimator is drawn as in the papers, with black circles for values used in training and
    red crosses for interpolated values. Several estimators have different colours and markers,
    filled for values used in training and open for interpolated ones; estimators without training
    have filled markers only. Their points are offset horizontally, so that error bars do not
    overlap.
    """
    single, shared = len(summaries) == 1, _same_bound(summaries)
    symbol = shift_symbol(summaries[0].coefficient)
    about = summaries[0].metadata
    if not shared:
        note = "different image specifications or physics inputs"
    elif single:  # a single column is too narrow for the physics inputs
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


@click.command("sensitivity")
@summaries_option
@coefficient_option
@outputs
def command(summaries: tuple[Path, ...], coefficient: str, pdf: Path, png: Path) -> None:
    """σ of one image beside the Cramér-Rao bound."""
    write(
        "sensitivity",
        pdf,
        png,
        lambda: draw([read(path, coefficient) for path in summaries]),
        summaries,
        {"coefficient": coefficient},
    )
