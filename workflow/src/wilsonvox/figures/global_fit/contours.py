"""Contours of fits in the plane of δC9 and δC10, beside learning machines and a measurement."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.style import (
    BLACK,
    BLUE,
    DOUBLE_COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY_BLUE,
    new_figure,
    styled,
)
from wilsonvox.global_fit.chi_squared import Version
from wilsonvox.global_fit.fits import CoefficientFit
from wilsonvox.global_fit.hadronic import Hadronic
from wilsonvox.global_fit.learning.answers import Answers

PUBLISHED: tuple[tuple[str, float, float], ...] = (
    ("minimum", -0.92, 0.10),
    ("network 1", -0.75, 0.13),
    ("network 2", -0.79, -0.07),
    ("GAN 1", -0.84, 0.10),
)
"""The answers that Partida and Masjuan state, with their own predictions."""

VERSIONS: dict[Version, tuple[str, str]] = {
    "experimental": ("experimental errors", BLUE),
    "uncorrelated": ("with theory errors", GREEN),
    "correlated": ("with correlations", RED),
}
HADRONIC: dict[Hadronic, tuple[str, str]] = {
    "none": ("none", BLUE),
    "independent": ("one for each kind", PURPLE),
    "shared": ("one for all", ORANGE),
}
MACHINES = (GREEN, PURPLE, ORANGE, SKY_BLUE, RED, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLES = ("-", "--", ":", "-.")

SHOWN_SAMPLES = 60
"""Generated samples of each start of a GAN that are shown."""

C9_RANGE = (-2.15, 0.25)
C10_RANGE = (-1.15, 1.25)


@dataclass(frozen=True)
class MeasuredC9:
    """A measured δC9: value and 68 % interval, and the sample's true value where it is known."""

    estimator: str
    value: float
    low: float
    high: float


def read_measurement(path: str | os.PathLike[str]) -> MeasuredC9:
    """Read the δC9 of what `wilsonvox measure` wrote.

    Raises:
        UserError: another file, or a measurement without a value and an interval of δC9.
    """
    found = require_file(path, "a measurement (.json)")
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
        measured = content["coefficients"]["c9"]
        ends = [measured["value"], *measured["interval_68"]]
        estimator = str(content["estimator"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{found}: not what `wilsonvox measure` writes of δC9") from error
    if None in ends:
        raise UserError(f"{found}: has no value or no closed 68 % interval of δC9")
    return MeasuredC9(estimator, *map(float, ends))


def _contours(axes: Axes, fit: CoefficientFit, colour: str) -> None:
    for contour, style in zip(fit.contours, _STYLES, strict=False):
        axes.plot(
            [*contour.c9, contour.c9[0]], [*contour.c10, contour.c10[0]],
            linestyle=style, color=colour, linewidth=1.0, zorder=3,
        )  # fmt: skip
    axes.plot(fit.c9, fit.c10, "+", color=colour, markersize=6, zorder=4)


def _beside(axes: Axes, measurement: MeasuredC9 | None) -> None:
    """What every panel shows: no shift, published answers, the measurement at δC10 = 0."""
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    for _, c9, c10 in PUBLISHED:
        axes.plot(c9, c10, "*", color=BLACK, markersize=5, zorder=5, markeredgewidth=0)
    if measurement is not None:
        axes.axvspan(measurement.low, measurement.high, color=GREY, alpha=0.35, linewidth=0)
        axes.plot(measurement.value, 0.0, "o", color=GREY, markersize=3, zorder=4)


def _beside_handles(measurement: MeasuredC9 | None) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        _mark("*", BLACK, "Partida and Masjuan, their predictions"),
        _mark("+", BLACK, r"minimum of the $\chi^2$"),
    ]
    if measurement is not None:
        text = rf"{measurement.estimator}, simulated sample with $\delta C_{{10}}$ = 0 (68 %)"
        handles.append(Patch(color=GREY, alpha=0.35, linewidth=0, label=text))
    return handles


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=colour, label=label)


def _fit_label(name: str, fit: CoefficientFit) -> str:
    return rf"{name}: $\chi^2$ = {fit.chi_squared:.1f}"


def _fits_panel(
    axes: Axes, fits: Sequence[tuple[str, str, CoefficientFit]]
) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = []
    for name, colour, fit in fits:
        _contours(axes, fit, colour)
        handles.append(Line2D([], [], color=colour, label=_fit_label(name, fit)))
    return handles


def _machines_panel(
    axes: Axes, fit: CoefficientFit, answers: Sequence[Answers]
) -> list[Line2D | Patch]:
    _contours(axes, fit, BLUE)
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, label="fit")]
    if any(answer.samples for machine in answers for answer in machine.answers):
        handles.append(_mark(".", GREY, "generated samples"))
    for index, machine in enumerate(answers):
        turn = index + index // len(MACHINES)
        colour, marker = MACHINES[index % len(MACHINES)], MARKERS[turn % len(MARKERS)]
        c9 = np.array([each.c9 for each in machine.answers])
        c10 = np.array([each.c10 for each in machine.answers])
        generated = [each for answer in machine.answers for each in answer.samples[:SHOWN_SAMPLES]]
        if generated:
            samples_c9, samples_c10, _ = np.transpose(generated)
            axes.plot(
                samples_c9, samples_c10, ".", color=colour, markersize=2, alpha=0.25,
                markeredgewidth=0, zorder=1, rasterized=True,
            )  # fmt: skip
        inside = (
            (c9 > C9_RANGE[0]) & (c9 < C9_RANGE[1]) & (c10 > C10_RANGE[0]) & (c10 < C10_RANGE[1])
        )
        axes.plot(
            c9[inside], c10[inside], marker, linestyle="", color=colour, markersize=3, alpha=0.75,
            markeredgewidth=0, zorder=4,
        )  # fmt: skip
        outside = "" if inside.all() else f" ({(~inside).sum()} of {len(inside)} outside)"
        handles.append(_mark(marker, colour, f"{machine.name}{outside}"))
    return handles


def _first(fits: Sequence[CoefficientFit], **wanted: str) -> CoefficientFit | None:
    for fit in fits:
        if all(getattr(fit, name) == value for name, value in wanted.items()):
            return fit
    return None


@styled
def draw(
    fits: Sequence[CoefficientFit],
    answers: Sequence[Answers] = (),
    measurement: MeasuredC9 | None = None,
) -> Figure:
    """Draw versions of the χ², hadronic polynomials, and answers of machines, a panel each.

    Full lines hold 68 % and broken ones 95 % of both shifts together; crosses are minima. All
    panels but the first are of the version of the first fit. Small dots are generated samples.

    Args:
        fits: of one set, with at least one without hadronic polynomials.
        answers: of machines of the same set; no third panel if there are none.
        measurement: of δC9, drawn into every panel.

    Raises:
        UserError: fits or answers of several sets, or no fit without hadronic polynomials.
    """
    names = {each.observables for each in fits} | {each.observables for each in answers}
    if len(names) > 1:
        raise UserError(f"--fit: of several sets of observables ({', '.join(sorted(names))})")
    plain = [fit for fit in fits if fit.hadronic == "none"]
    if not plain:
        raise UserError("--fit: none is without hadronic polynomials; add one (--hadronic none)")
    version = plain[0].version
    versions = [(*VERSIONS[name], fit) for name in VERSIONS if (fit := _first(plain, version=name))]
    hadronic = [
        (*HADRONIC[name], fit)
        for name in HADRONIC
        if (fit := _first(fits, version=version, hadronic=name))
    ]
    machines = {
        title: chosen
        for title, kind in (("Networks", "network"), ("GANs", "gan"))
        if (chosen := [each for each in answers if each.kind == kind])
    }
    titles = ["Versions of the $\\chi^2$", "Hadronic polynomials", *machines]
    columns = 2 if len(titles) == 4 else len(titles)
    rows = len(titles) // columns
    figure = new_figure(
        DOUBLE_COLUMN,
        0.45 + 3.05 * rows,
        f"{fits[0].observables}, {fits[0].n_observables} observables; predictions of flavio; "
        "lines: " + ", ".join(f"{100 * each.level:g} %" for each in plain[0].contours),
    )
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes_of = panels.ravel()
    lists = [_fits_panel(axes_of[0], versions), _fits_panel(axes_of[1], hadronic)]
    lists += [
        _machines_panel(axes, plain[0], chosen)
        for axes, chosen in zip(axes_of[2:], machines.values(), strict=True)
    ]
    for axes, title, handles in zip(axes_of, titles, lists, strict=True):
        _beside(axes, measurement)
        axes.set_title(title, loc="left")
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(r"$\delta C_9$")
        axes.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.19), fontsize=7,
            handlelength=1.3, ncols=2 if columns < 3 else 1, columnspacing=1.2,
        )  # fmt: skip
    for axes in panels[:, 0]:
        axes.set_ylabel(r"$\delta C_{10}$")
    figure.legend(
        handles=_beside_handles(measurement), loc="outside upper center", ncols=3,
        columnspacing=1.4,
    )  # fmt: skip
    axes_of[0].set_xlim(*C9_RANGE)
    axes_of[0].set_ylim(*C10_RANGE)
    return figure
