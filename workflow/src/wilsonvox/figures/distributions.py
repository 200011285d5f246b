"""The four distributions of the decay at several points, as normalised densities."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import Events, iterate_events, read_metadata
from wilsonvox.figures.labels import VARIABLES, shifts_text
from wilsonvox.figures.style import CURVES, DOUBLE_COLUMN, new_figure, styled
from wilsonvox.voxels.flavours import flavour_mask

_ANGLES = {"cos_theta_mu": (-1.0, 1.0), "cos_theta_k": (-1.0, 1.0), "chi": (0.0, 2 * np.pi)}
_MARKERS = "osD^vP"


@dataclass(frozen=True)
class Distributions:
    """Histograms of one file's selected events.

    label: name in the legend
    n_events: selected events
    edges: bin edges by variable, float64 of shape (bins + 1,); q2 in GeV², chi in rad
    counts: events in each bin by variable, int64 of shape (bins,)
    """

    label: str
    n_events: int
    edges: dict[str, NDArray[np.float64]]
    counts: dict[str, NDArray[np.int64]]

    def density(self, variable: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Density dN/dx / N and its Poisson error √n/(N Δx), each of shape (bins,)."""
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
    """Histograms of the events of `flavour` with q² inside `q2_range` [GeV²]."""
    edges = {name: np.linspace(*ends, bins + 1) for name, ends in _ANGLES.items()}
    edges["q2"] = np.linspace(*q2_range, bins + 1)
    counts = {name: np.zeros(bins, dtype=np.int64) for name in edges}
    n_events = 0
    for chunk in events:
        selected = chunk[
            flavour_mask(chunk.flavour, flavour)
            & (chunk.q2 > q2_range[0])
            & (chunk.q2 < q2_range[1])
        ]
        n_events += len(selected)
        for name, column in selected.columns().items():
            if name in edges:
                # float32 rounding can put an angle a little outside its range
                inside = np.clip(column.astype(np.float64), edges[name][0], edges[name][-1])
                counts[name] += np.histogram(inside, edges[name])[0]
    return Distributions(label, n_events, edges, counts)


def read(
    path: str | os.PathLike[str], q2_range: tuple[float, float], flavour: str = "B0"
) -> Distributions:
    """Histograms of an event file, read chunk by chunk; its label is its true point, if known.

    Raises:
        UserError: not an event file, or no event is selected.
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
    """Limits with room for a panel's letter; from zero unless the densities are nearly flat."""
    low, high = float(np.min(densities)), float(np.max(densities))
    if low < 0.5 * high:
        return 0.0, 1.15 * high
    return max(0.0, low - (high - low)), high + 0.7 * (high - low)


@styled
def draw(files: Sequence[Distributions], note: str = "") -> Figure:
    """Draw cos θ_μ, cos θ_K, χ and q² of all `files` over each other, in 2 × 2 panels.

    Points are densities with Poisson errors at bin centres; steps guide the eye.
    """
    low, high = (float(files[0].edges["q2"][end]) for end in (0, -1))
    selection = f"{low:g} < $q^2$ < {high:g} GeV²"
    figure = new_figure(DOUBLE_COLUMN, 4.8, f"{selection}; {note}" if note else selection)
    panels = figure.subplots(2, 2).ravel()
    units = {"q2": "GeV$^2$", "chi": "rad"}
    for letter, panel, (name, symbol) in zip("abcd", panels, VARIABLES.items(), strict=True):
        for number, each in enumerate(files):
            colour = CURVES[number % len(CURVES)]
            density, error = each.density(name)
            edges = each.edges[name]
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
                label=each.label,
            )
        unit = units.get(name)
        panel.set_xlabel(symbol + (f" [{unit}]" if unit else ""))
        panel.set_ylabel("Density" + (f" [1/{unit}]" if unit else ""))
        panel.set_xlim(files[0].edges[name][0], files[0].edges[name][-1])
        panel.set_ylim(*_density_limits([each.density(name)[0] for each in files]))
        panel.text(0.03, 0.95, f"({letter})", transform=panel.transAxes, va="top")
        if name.startswith("cos"):
            panel.set_xticks([-1, -0.5, 0, 0.5, 1])
    panels[2].set_xticks(np.arange(5) * np.pi / 2, ["0", "π/2", "π", "3π/2", "2π"])
    panels[2].xaxis.set_minor_locator(MultipleLocator(np.pi / 8))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(files)
    )
    return figure
