"""Normalised distributions of the four decay variables at several points."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import Events, iterate_events, read_metadata
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.labels import VARIABLES, shifts_text
from wilsonvox.figures.style import CURVES, DOUBLE_COLUMN, new_figure, styled
from wilsonvox.voxels.flavours import is_of

_ANGLES = {"cos_theta_mu": (-1.0, 1.0), "cos_theta_k": (-1.0, 1.0), "chi": (0.0, 2 * np.pi)}
_MARKERS = "osD^vP"


@dataclass(frozen=True)
class Distributions:
    """Histograms of the selected events of one file.

    Attributes:
        label: label in the legend.
        n_events: number of selected events.
        edges: bin edges per variable, float64 of shape (bins + 1,); q2 in GeV², chi in rad.
        counts: events per bin and variable, int64 of shape (bins,).
    """

    label: str
    n_events: int
    edges: dict[str, NDArray[np.float64]]
    counts: dict[str, NDArray[np.int64]]

    def density(self, variable: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the density n/(N Δx) and its Poisson error √n/(N Δx), both of shape (bins,)."""
        counts = self.counts[variable].astype(np.float64)
        scale = counts.sum() * np.diff(self.edges[variable])
        return counts / scale, np.sqrt(counts) / scale


def fill(
    events: Iterable[Events],
    label: str,
    q2_range: tuple[float, float],
    flavour: str = "B0",
    bins: int = 25,
) -> Distributions:
    """Fill histograms with the events of `flavour` and q² inside `q2_range` [GeV²]."""
    edges = {name: np.linspace(*ends, bins + 1) for name, ends in _ANGLES.items()}
    edges["q2"] = np.linspace(*q2_range, bins + 1)
    counts = {name: np.zeros(bins, dtype=np.int64) for name in edges}
    n_events = 0
    for chunk in events:
        selected = chunk[
            is_of(chunk.flavour, flavour) & (chunk.q2 > q2_range[0]) & (chunk.q2 < q2_range[1])
        ]
        n_events += len(selected)
        for name, column in selected.columns().items():
            if name in edges:
                # float32 rounding can move an angle slightly outside its range
                inside = np.clip(column.astype(np.float64), edges[name][0], edges[name][-1])
                counts[name] += np.histogram(inside, edges[name])[0]
    return Distributions(label, n_events, edges, counts)


def read(
    path: str | os.PathLike[str], q2_range: tuple[float, float], flavour: str = "B0"
) -> Distributions:
    """Fill histograms from an event file, read in chunks; the label is the true point, if known.

    Raises:
        UserError: the file is not an event file, or no event is selected.
    """
    metadata = read_metadata(path)
    name = metadata.sample or Path(path).stem
    label = name if metadata.shifts is None else shifts_text(metadata.shifts)
    filled = fill(iterate_events(path), label, q2_range, flavour)
    if not filled.n_events:
        low, high = q2_range
        raise UserError(f"{path}: no {flavour} event with {low:g} < q2 < {high:g} GeV2")
    return filled


def _density_limits(densities: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Axis limits with room for the panel label, from zero unless the densities are nearly flat."""
    low, high = float(np.min(densities)), float(np.max(densities))
    if low < 0.5 * high:
        return 0.0, 1.15 * high
    return max(0.0, low - (high - low)), high + 0.7 * (high - low)


@styled
def draw(files: Sequence[Distributions], note: str = "") -> Figure:
    """Overlay the distributions of cos θ_μ, cos θ_K, χ and q² of all `files` in 2 × 2 panels.

    Points at the bin centres are densities with Poisson errors; histograms guide the eye.
    """
    low, high = (float(files[0].edges["q2"][end]) for end in (0, -1))
    selection = f"{low:g} < $q^2$ < {high:g} GeV²"
    figure = new_figure(DOUBLE_COLUMN, 4.8, f"{selection}; {note}" if note else selection)
    panels = figure.subplots(2, 2).ravel()
    units = {"q2": "GeV$^2$", "chi": "rad"}
    for letter, panel, (name, symbol) in zip("abcd", panels, VARIABLES.items(), strict=True):
        for number, file in enumerate(files):
            colour = CURVES[number % len(CURVES)]
            density, error = file.density(name)
            edges = file.edges[name]
            panel.stairs(density, edges, color=colour, alpha=0.45, linewidth=0.9)
            panel.errorbar(
                (edges[1:] + edges[:-1]) / 2,
                density,
                error,
                fmt=_MARKERS[number % len(_MARKERS)],
                color=colour,
                markersize=2.8,
                elinewidth=0.8,
                markerfacecolor=colour if number == 0 else "white",
                label=file.label,
            )
        unit = units.get(name)
        panel.set_xlabel(symbol + (f" [{unit}]" if unit else ""))
        panel.set_ylabel("Density" + (f" [1/{unit}]" if unit else ""))
        panel.set_xlim(files[0].edges[name][0], files[0].edges[name][-1])
        panel.set_ylim(*_density_limits([file.density(name)[0] for file in files]))
        panel.text(0.03, 0.95, f"({letter})", transform=panel.transAxes, va="top")
        if name.startswith("cos"):
            panel.set_xticks([-1, -0.5, 0, 0.5, 1])
    panels[2].set_xticks(np.arange(5) * np.pi / 2, ["0", "π/2", "π", "3π/2", "2π"])
    panels[2].xaxis.set_minor_locator(MultipleLocator(np.pi / 8))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(files)
    )
    return figure


@click.command("distributions")
@click.option(
    "--events",
    required=True,
    multiple=True,
    type=FILE,
    help="Event file (.root) of one point; give it several times to compare.",
)
@click.option(
    "--q2-min",
    "--q2-min-gev2",
    "q2_min",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Lower cut on q2 [GeV²].",
)
@click.option(
    "--q2-max",
    "--q2-max-gev2",
    "q2_max",
    type=click.FloatRange(min=0, min_open=True),
    default=6.0,
    show_default=True,
    help="Upper cut on q2 [GeV²].",
)
@click.option(
    "--flavour",
    type=click.Choice(["B0", "B0bar", "both"]),
    default="B0",
    show_default=True,
    help="Flavour that is drawn; both: together, with the angles of their own decays.",
)
@outputs
def command(
    events: tuple[Path, ...], q2_min: float, q2_max: float, flavour: str, pdf: Path, png: Path
) -> None:
    """Distributions of the four variables at several points."""
    if q2_min >= q2_max:
        raise UserError(f"--q2-min: {q2_min:g} GeV2 is not below --q2-max, {q2_max:g} GeV2")

    def make() -> Figure:
        files = [read(path, (q2_min, q2_max), flavour) for path in events]
        inputs = {read_metadata(path).physics_inputs for path in events} - {None}
        return draw(files, ", ".join(sorted(str(name) for name in inputs)))

    settings = {"q2_gev2": [q2_min, q2_max], "flavour": flavour}
    write("distributions", pdf, png, make, events, settings)
