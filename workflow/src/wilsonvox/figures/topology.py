"""Topology of B0 → K*0 (→ K+ π−) μ+ μ−: the two decay planes and the angles θ_μ, θ_K and χ.

The angles are defined as for the events: θ_μ is the angle between the μ+ and the direction opposite
to the B in the μμ rest frame, θ_K the angle between the K+ and the direction opposite to the B in
the Kπ rest frame, and χ the azimuth of the μ+ about the K*0 direction, measured from the K+.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Polygon
from numpy.typing import NDArray

from wilsonvox.figures.command import outputs, write
from wilsonvox.figures.style import BLACK, BLUE, DOUBLE_COLUMN, GREEN, GREY, RED, new_figure, styled

Vector = NDArray[np.float64]

THETA_MU, THETA_K, CHI = np.radians([50.0, 48.0, 74.0])
"""Angles of the decay that is drawn [rad]."""

_AXIS = np.array([1.0, 0.0, 0.0])  # direction of flight of the K*0 in the B rest frame
_LENGTH, _HALF = 4.6, 1.75
_KPI_TILT = np.radians(8.0)  # inclination of the Kπ plane to the horizontal
_ELEVATION, _TURN = np.radians([24.0, -34.0])


def transverse(azimuth: float) -> Vector:
    """Unit vector perpendicular to the K*0 direction at `azimuth` [rad], measured from the K+."""
    angle = _KPI_TILT + azimuth
    return np.array([0.0, np.cos(angle), np.sin(angle)])


def decay_directions() -> dict[str, Vector]:
    """Unit vectors of the four final-state particles in the rest frames of their pairs, shape (3,).

    The K*0 flies along +x and the muon pair along −x in the B rest frame.
    """
    kaon = np.cos(THETA_K) * _AXIS + np.sin(THETA_K) * transverse(0.0)
    muon = -np.cos(THETA_MU) * _AXIS + np.sin(THETA_MU) * transverse(CHI)
    return {"K": kaon, "pi": -kaon, "mup": muon, "mum": -muon}


def project(points: Vector) -> Vector:
    """Project points (…, 3) orthographically onto the page, (…, 2), seen obliquely from above."""
    x, y, z = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    across = np.cos(_TURN) * x - np.sin(_TURN) * y
    depth = np.sin(_TURN) * x + np.cos(_TURN) * y
    return np.stack([across, np.cos(_ELEVATION) * z + np.sin(_ELEVATION) * depth], axis=-1)


def _arrow(axes: Axes, start: Vector, end: Vector, colour: str, width: float = 1.6) -> None:
    axes.add_patch(
        FancyArrowPatch(
            tuple(project(start)),
            tuple(project(end)),
            arrowstyle="-|>",
            mutation_scale=10,
            shrinkA=0,
            shrinkB=0,
            linewidth=width,
            color=colour,
            zorder=5,
        )
    )


def _line(axes: Axes, points: Sequence[Vector], colour: str, width: float, dashed: bool) -> None:
    x, y = project(np.array(points)).T
    axes.plot(x, y, color=colour, linewidth=width, linestyle="--" if dashed else "-", zorder=3)


def _arc(
    axes: Axes, centre: Vector, first: Vector, second: Vector, radius: float, colour: str
) -> Vector:
    """Draw the arc from unit vector `first` to `second`; return the unit vector at its middle."""
    total = np.arccos(np.clip(first @ second, -1, 1))
    steps = np.linspace(0, total, 60)[:, None]
    around = (np.sin(total - steps) * first + np.sin(steps) * second) / np.sin(total)
    x, y = project(centre + radius * around).T
    axes.plot(x, y, color=colour, linewidth=1.3, zorder=4)
    middle: Vector = around[30]
    return middle


def _label(axes: Axes, point: Vector, text: str, colour: str = BLACK, size: float = 10) -> None:
    x, y = project(point)
    axes.text(x, y, text, color=colour, fontsize=size, ha="center", va="center", zorder=6)


@styled
def draw() -> Figure:
    """Draw the decay in the B rest frame, with each pair's particles as in its own rest frame."""
    figure = new_figure(DOUBLE_COLUMN, 3.1)
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.axis("off")
    origin = np.zeros(3)
    along_k, along_mu = transverse(0.0), transverse(CHI)
    far_k, far_mu = _LENGTH * _AXIS, -_LENGTH * _AXIS
    for far, along, colour in ((far_k, along_k, BLUE), (far_mu, along_mu, RED)):
        corners = [origin - _HALF * along, origin + _HALF * along]
        corners += [far + _HALF * along, far - _HALF * along]
        shape = project(np.array(corners))
        axes.add_patch(Polygon(shape, facecolor=colour, alpha=0.13, edgecolor="none", zorder=1))
        axes.add_patch(Polygon(shape, fill=False, edgecolor=colour, linewidth=0.8, zorder=2))
    _line(axes, [1.12 * far_mu, 1.12 * far_k], GREY, 0.9, dashed=True)

    directions = decay_directions()
    vertex_k, vertex_mu = 0.53 * far_k, 0.53 * far_mu
    _arrow(axes, origin, vertex_k, GREEN)
    _arrow(axes, origin, vertex_mu, GREEN)
    reach = 1.65
    for name, vertex, colour, text in (
        ("K", vertex_k, BLUE, "$K^+$"),
        ("pi", vertex_k, BLUE, r"$\pi^-$"),
        ("mup", vertex_mu, RED, r"$\mu^+$"),
        ("mum", vertex_mu, RED, r"$\mu^-$"),
    ):
        _arrow(axes, vertex, vertex + reach * directions[name], colour)
        _label(axes, vertex + (reach + 0.3) * directions[name], text, colour)

    for vertex, outward, name, text in (
        (vertex_k, _AXIS, "K", r"$\theta_K$"),
        (vertex_mu, -_AXIS, "mup", r"$\theta_\mu$"),
    ):
        middle = _arc(axes, vertex, outward, directions[name], 0.75, BLACK)
        _label(axes, vertex + 1.08 * middle, text)

    # χ is the angle at the B between the half-planes of the K+ and the μ+
    middle = _arc(axes, origin, along_k, along_mu, 1.2, BLACK)
    _line(axes, [origin, _HALF * along_k], BLUE, 1.0, dashed=True)
    _line(axes, [origin, _HALF * along_mu], RED, 1.0, dashed=True)
    _label(axes, 1.45 * middle, r"$\chi$")

    x, y = project(origin)
    axes.plot(x, y, "o", color=BLACK, markersize=6, zorder=7)
    axes.annotate(
        "$B^0$", (x, y), (9, -15), textcoords="offset points", fontsize=10, ha="left", va="center"
    )
    _label(axes, 0.28 * far_k + np.array([0, 0, -0.28]), "$K^{*0}$", GREEN)
    _label(axes, 0.28 * far_mu + np.array([0, 0, -0.28]), r"$\mu^+\mu^-$", GREEN)
    _label(axes, 0.8 * far_mu - 0.82 * _HALF * along_mu, r"$\mu\mu$ rest frame", RED, 8)
    _label(axes, 0.78 * far_k - 0.74 * _HALF * along_k, r"$K\pi$ rest frame", BLUE, 8)
    axes.margins(0.01)
    return figure


@click.command("topology")
@outputs
def command(pdf: Path, png: Path) -> None:
    """Decay planes and the angles θ_μ, θ_K and χ."""
    write("topology", pdf, png, draw)
