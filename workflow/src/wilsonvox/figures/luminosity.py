"""Luminosity scan: σ·√N against the number of events per image, with the Cramér–Rao bound."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import coefficient_option, outputs, summaries_option, write
from wilsonvox.figures.labels import image_text, shift_symbol, shifts_text
from wilsonvox.figures.sensitivity import corrected_sigma
from wilsonvox.figures.style import BLACK, CURVES, DOUBLE_COLUMN, GREY, new_figure, styled
from wilsonvox.figures.summaries import Summary, read
from wilsonvox.theory.points import parse_point

EVENTS_PER_INVERSE_ATTOBARN = 24_000 / 250
"""Events per 1 ab⁻¹ at Belle II: about 24,000 decays in 250 ab⁻¹."""

FLAT = 0.1
"""Half-width of the band around the bound, relative to the bound."""

_MARKERS = ("o", "s", "^", "D", "v", "P")


def check_specifications(summaries: Sequence[Summary]) -> None:
    """Check that the images differ in their number of events only.

    Raises:
        UserError: they differ in other settings, or all have the same number of events.
    """
    events = {summary.metadata.image.events_per_image for summary in summaries}
    if len(events) < 2:
        raise UserError("--summary: all images have the same number of events; give several")
    others = {
        (
            summary.metadata.image.model_copy(update={"events_per_image": 1}),
            summary.metadata.physics_inputs,
        )
        for summary in summaries
    }
    if len(others) > 1:
        raise UserError(
            "--summary: images of a luminosity scan must differ in events_per_image only; these "
            "differ in more: "
            + "; ".join(sorted({image_text(image, mathtext=False) for image, _ in others}))
        )


def _draw_panel(panel: Axes, summaries: Sequence[Summary], point: str) -> None:
    names = list(dict.fromkeys(summary.metadata.estimator for summary in summaries))
    bounds: list[float] = []
    for summary in summaries:
        rows = (summary.frame["point"] == point).to_numpy()
        if not rows.any():
            raise UserError(
                f"--point {point}: not in the summary of every image; choose another point"
            )
        number = names.index(summary.metadata.estimator)
        events = summary.metadata.image.events_per_image
        sigma, error = (values[rows][0] * np.sqrt(events) for values in corrected_sigma(summary))
        bounds.append(float(summary.column("bound")[rows][0]) * np.sqrt(events))
        first = summary is next(s for s in summaries if s.metadata.estimator == names[number])
        # horizontal offset, so that error bars do not overlap
        panel.errorbar(
            events * 1.06 ** (number - (len(names) - 1) / 2),
            sigma,
            error,
            linestyle="none",
            marker=_MARKERS[number % len(_MARKERS)],
            color=CURVES[number % len(CURVES)],
            elinewidth=0.9,
            label=names[number] if first else None,
        )
    bound = float(np.mean(bounds))
    panel.axhline(bound, color=BLACK, linewidth=1.1, zorder=1, label="Cramér–Rao bound")
    panel.axhspan(
        (1 - FLAT) * bound, (1 + FLAT) * bound, color="#E8E8E8", zorder=0, label="bound ± 10 %"
    )
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, 0.82 * bound), max(high, 1.3 * bound))
    panel.set_title(shifts_text(parse_point(point)), pad=24)


def _label_events(panel: Axes, events: Sequence[int]) -> None:
    """Set up both horizontal axes: events per image and the corresponding luminosity."""
    panel.set_xscale("log")
    panel.set_xlim(events[0] / 1.5, events[-1] * 1.5)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_locator(FixedLocator([float(n) for n in events]))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.tick_params(axis="x", which="both", top=False)
    panel.set_xlabel("Events per image, $N$")
    above = panel.secondary_xaxis("top")
    above.set_xticks(
        [float(n) for n in events],
        [f"{n / EVENTS_PER_INVERSE_ATTOBARN:.3g}" for n in events],
    )
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("Belle II luminosity [ab$^{-1}$]", fontsize=7.5, color=GREY, labelpad=2)
    above.tick_params(colors=GREY)


@styled
def draw(summaries: Sequence[Summary], points: Sequence[str]) -> Figure:
    """Draw σ/slope·√N against the number of events N per image, one panel per point.

    The points of an estimator are constant if its efficiency does not depend on N; an optimal
    estimator is on the bound.

    Args:
        summaries: summaries of one or more estimators for images with different numbers of events.
        points: labels of the points to draw.

    Raises:
        UserError: see `check_specifications`; or a point is missing in a summary.
    """
    check_specifications(summaries)
    ordered = sorted(summaries, key=lambda summary: summary.metadata.image.events_per_image)
    events = sorted({summary.metadata.image.events_per_image for summary in ordered})
    image = ordered[0].metadata.image
    note = f"{image.bins}³ voxels; {ordered[0].metadata.physics_inputs}"
    figure = new_figure(DOUBLE_COLUMN, 3.0, note)
    panels = figure.subplots(1, len(points), squeeze=False)[0]
    symbol = shift_symbol(ordered[0].coefficient)
    for panel, point in zip(panels, points, strict=True):
        _draw_panel(panel, ordered, point)
        _label_events(panel, events)
    panels[0].set_ylabel(rf"$\sigma({symbol})$ / slope $\times\,\sqrt{{N}}$")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


@click.command("luminosity")
@summaries_option
@click.option(
    "--point",
    "points",
    required=True,
    multiple=True,
    metavar="LABEL",
    help="Point to show, such as c9_-0.90; give it several times, one panel a point.",
)
@coefficient_option
@outputs
def command(
    summaries: tuple[Path, ...], points: tuple[str, ...], coefficient: str, pdf: Path, png: Path
) -> None:
    """σ·√N of images of several numbers of events N, beside the Cramér-Rao bound."""
    write(
        "luminosity",
        pdf,
        png,
        lambda: draw([read(path, coefficient) for path in summaries], points),
        summaries,
        {"coefficient": coefficient, "points": list(points)},
    )
