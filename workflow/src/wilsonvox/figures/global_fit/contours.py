"""Contours of fits in the (δC9, δC10) plane, with results of ML models and a measurement."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.command import FILE, outputs, write
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
from wilsonvox.global_fit.learning.model_summary import ModelSummary

PUBLISHED: tuple[tuple[str, float, float], ...] = (
    ("minimum", -0.92, 0.10),
    ("network 1", -0.75, 0.13),
    ("network 2", -0.79, -0.07),
    ("GAN 1", -0.84, 0.10),
)
"""Results of Partida and Masjuan, which are based on their own predictions."""

VERSIONS: dict[Version, tuple[str, str]] = {
    "experimental": ("experimental uncertainties", BLUE),
    "uncorrelated": ("with theory uncertainties", GREEN),
    "correlated": ("with correlations", RED),
}
HADRONIC: dict[Hadronic, tuple[str, str]] = {
    "none": ("none", BLUE),
    "independent": ("one per observable", PURPLE),
    "shared": ("common to all", ORANGE),
}
MODEL_COLOURS = (GREEN, PURPLE, ORANGE, SKY_BLUE, RED, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLES = ("-", "--", ":", "-.")

DRAWN_SAMPLES = 60
"""Generated samples that are drawn for each training of a GAN."""

C9_RANGE = (-2.15, 0.25)
C10_RANGE = (-1.15, 1.25)


@dataclass(frozen=True)
class MeasuredC9:
    """Measured δC9 with its 68 % interval.

    Attributes:
        estimator: name of the estimator.
        value: measured δC9.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    estimator: str
    value: float
    low: float
    high: float


def read_measurement(path: str | os.PathLike[str]) -> MeasuredC9:
    """Read δC9 from a measurement made by `wilsonvox measure`.

    Raises:
        UserError: the file is not a measurement, or it has no value or no interval of δC9.
    """
    file = require_file(path, "a measurement (.json)")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        measured = content["coefficients"]["c9"]
        ends = [measured["value"], *measured["interval_68"]]
        estimator = str(content["estimator"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not a measurement of δC9 by `wilsonvox measure`") from error
    if None in ends:
        raise UserError(f"{file}: no value or no closed 68 % interval of δC9")
    return MeasuredC9(estimator, *map(float, ends))


def _contours(axes: Axes, fit: CoefficientFit, colour: str) -> None:
    for contour, style in zip(fit.contours, _STYLES, strict=False):
        axes.plot(
            [*contour.c9, contour.c9[0]], [*contour.c10, contour.c10[0]],
            linestyle=style, color=colour, linewidth=1.0, zorder=3,
        )  # fmt: skip
    axes.plot(fit.c9, fit.c10, "+", color=colour, markersize=6, zorder=4)


def _draw_references(axes: Axes, measurement: MeasuredC9 | None) -> None:
    """Draw the SM point, the published results and the measurement in a panel."""
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    for _, c9, c10 in PUBLISHED:
        axes.plot(c9, c10, "*", color=BLACK, markersize=5, zorder=5, markeredgewidth=0)
    if measurement is not None:
        axes.axvspan(measurement.low, measurement.high, color=GREY, alpha=0.35, linewidth=0)
        axes.plot(measurement.value, 0.0, "o", color=GREY, markersize=3, zorder=4)


def _reference_handles(measurement: MeasuredC9 | None) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        _mark("*", BLACK, "Partida and Masjuan (own predictions)"),
        _mark("+", BLACK, r"$\chi^2$ minimum"),
    ]
    if measurement is not None:
        text = rf"{measurement.estimator} (68 %), simulated sample, $\delta C_{{10}}$ = 0"
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


def _models_panel(
    axes: Axes, fit: CoefficientFit, models: Sequence[ModelSummary]
) -> list[Line2D | Patch]:
    _contours(axes, fit, BLUE)
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, label=r"$\chi^2$ fit")]
    if any(restart.samples for model in models for restart in model.answers):
        handles.append(_mark(".", GREY, "generated samples"))
    for index, model in enumerate(models):
        turn = index + index // len(MODEL_COLOURS)
        colour, marker = MODEL_COLOURS[index % len(MODEL_COLOURS)], MARKERS[turn % len(MARKERS)]
        c9 = np.array([restart.c9 for restart in model.answers])
        c10 = np.array([restart.c10 for restart in model.answers])
        generated = [
            sample for restart in model.answers for sample in restart.samples[:DRAWN_SAMPLES]
        ]
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
        handles.append(_mark(marker, colour, f"{model.name}{outside}"))
    return handles


def _first(fits: Sequence[CoefficientFit], **wanted: str) -> CoefficientFit | None:
    for fit in fits:
        if all(getattr(fit, name) == value for name, value in wanted.items()):
            return fit
    return None


@styled
def draw(
    fits: Sequence[CoefficientFit],
    models: Sequence[ModelSummary] = (),
    measurement: MeasuredC9 | None = None,
) -> Figure:
    """Draw panels for the versions of the χ², the hadronic polynomials, networks and GANs.

    Solid lines are 68 % and dashed lines 95 % contours for both shifts jointly; crosses are minima.
    All panels except the first use the version of the first fit. Small dots are generated samples.

    Args:
        fits: fits to one set of observables, at least one of them without hadronic polynomials.
        models: results of ML models trained on the same set; without any, there are two panels.
        measurement: measured δC9, drawn in every panel.

    Raises:
        UserError: fits or models use different sets, or no fit is without hadronic polynomials.
    """
    names = {fit.observables for fit in fits} | {model.observables for model in models}
    if len(names) > 1:
        raise UserError(f"--fit: several sets of observables ({', '.join(sorted(names))}); use one")
    plain = [fit for fit in fits if fit.hadronic == "none"]
    if not plain:
        raise UserError("--fit: no fit without hadronic polynomials; add one (--hadronic none)")
    version = plain[0].version
    versions = [(*VERSIONS[name], fit) for name in VERSIONS if (fit := _first(plain, version=name))]
    hadronic = [
        (*HADRONIC[name], fit)
        for name in HADRONIC
        if (fit := _first(fits, version=version, hadronic=name))
    ]
    by_kind = {
        title: chosen
        for title, kind in (("Networks", "network"), ("GANs", "gan"))
        if (chosen := [model for model in models if model.kind == kind])
    }
    titles = ["Versions of the $\\chi^2$", "Hadronic polynomials", *by_kind]
    columns = 2 if len(titles) == 4 else len(titles)
    rows = len(titles) // columns
    figure = new_figure(
        DOUBLE_COLUMN,
        0.45 + 3.05 * rows,
        f"{fits[0].observables}, {fits[0].n_observables} observables; flavio predictions; "
        "contours: " + ", ".join(f"{100 * contour.level:g} %" for contour in plain[0].contours),
    )
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes_of = panels.ravel()
    lists = [_fits_panel(axes_of[0], versions), _fits_panel(axes_of[1], hadronic)]
    lists += [
        _models_panel(axes, plain[0], chosen)
        for axes, chosen in zip(axes_of[2:], by_kind.values(), strict=True)
    ]
    for axes, title, handles in zip(axes_of, titles, lists, strict=True):
        _draw_references(axes, measurement)
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
        handles=_reference_handles(measurement), loc="outside upper center", ncols=3,
        columnspacing=1.4,
    )  # fmt: skip
    axes_of[0].set_xlim(*C9_RANGE)
    axes_of[0].set_ylim(*C10_RANGE)
    return figure


@click.command("global-fit-contours")
@click.option(
    "--fit",
    "fits",
    required=True,
    multiple=True,
    type=FILE,
    help="Fit of δC9 and δC10 (.json); give all that are to be shown.",
)
@click.option(
    "--answers",
    multiple=True,
    type=FILE,
    help="Answers of a learning machine (.json); give all that are to be shown.",
)
@click.option(
    "--measurement", type=FILE, default=None, help="Measurement of δC9 to show beside (.json)."
)
@outputs
def command(
    fits: tuple[Path, ...],
    answers: tuple[Path, ...],
    measurement: Path | None,
    pdf: Path,
    png: Path,
) -> None:
    """Contours in the plane of δC9 and δC10, and answers of learning machines."""
    others = [] if measurement is None else [measurement]
    write(
        "global_fit_contours",
        pdf,
        png,
        lambda: draw(
            [CoefficientFit.load(path) for path in fits],
            [ModelSummary.load(path) for path in answers],
            None if measurement is None else read_measurement(measurement),
        ),
        [*fits, *answers, *others],
    )
