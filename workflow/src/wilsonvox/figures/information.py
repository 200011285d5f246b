"""Information loss of voxel images: minimum σ of an estimate from reduced event information."""

import os
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.labels import image_text, shift_symbol, shifts_text
from wilsonvox.figures.style import CURVES, DOUBLE_COLUMN, GREY, new_figure, styled
from wilsonvox.voxels.information import KEPT, ImageInformation

_LABELS = {
    "m_kpi, q2 and angles of every event": r"per-event $m_{K\pi}$, $q^2$, angles",
    "q2 and angles of every event": r"per-event $q^2$, angles",
    "voxel and q2 of every event": r"per-event voxel, $q^2$",
    "voxel, mean q2 and count": r"voxel, mean $q^2$, count",
    "voxel and mean q2": r"voxel, mean $q^2$ (published images)",
    "voxel and count": "voxel, count",
}
_MARKERS = ("o", "s", "D", "^", "v", "P")


def read(path: str | os.PathLike[str]) -> ImageInformation:
    """Read the result of `wilsonvox information`.

    Raises:
        UserError: the file does not exist or is not such a result.
    """
    return ImageInformation.load(path)


@styled
def draw(information: ImageInformation) -> Figure:
    """Draw σ/bound of the best estimate, with one panel per point and one marker per binning.

    The rows range from the full information on every event to an image without mean q².
    """
    points = list(dict.fromkeys(tuple(row.shifts.items()) for row in information.rows))
    bins = sorted({row.bins for row in information.rows})
    image = information.image_specification
    note = image_text(image).split(" voxels, ", 1)[1] + f"; {information.physics_inputs}"
    figure = new_figure(DOUBLE_COLUMN, 2.7, note)
    panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
    rows = np.arange(len(KEPT))[::-1]
    offsets = np.linspace(0.22, -0.22, len(bins)) if len(bins) > 1 else np.zeros(1)
    for panel, point in zip(panels, points, strict=True):
        panel.axvline(1.0, color=GREY, linewidth=0.8, zorder=1)
        for number, (n_bins, offset) in enumerate(zip(bins, offsets, strict=True)):
            sigma_over_bound = next(
                row.sigma_over_bound
                for row in information.rows
                if row.bins == n_bins and tuple(row.shifts.items()) == point
            )
            panel.plot(
                [sigma_over_bound[kept] for kept in KEPT],
                rows + offset,
                linestyle="none",
                marker=_MARKERS[number % len(_MARKERS)],
                color=CURVES[number % len(CURVES)],
                markerfacecolor="white" if number % 2 else CURVES[number % len(CURVES)],
                label=f"{n_bins}³ voxels",
                zorder=3,
            )
        panel.set_title(shifts_text(dict(point)))
        panel.set_xlabel(rf"minimum $\sigma({shift_symbol(information.coefficient)})$ / bound")
        panel.set_yticks(rows, [_LABELS[kept] for kept in KEPT])
        panel.tick_params(axis="y", which="both", left=False, right=False)
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        panel.set_ylim(-0.6, len(KEPT) - 0.4)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(bins)
    )
    return figure


@click.command("information")
@click.option(
    "--information",
    "information_path",
    required=True,
    type=FILE,
    help="What 'wilsonvox information' wrote (.json).",
)
@outputs
def command(information_path: Path, pdf: Path, png: Path) -> None:
    """Least σ by what an image keeps of the events, in units of the Cramér–Rao bound."""
    write("information", pdf, png, lambda: draw(read(information_path)), [information_path])
