"""Posterior density of (C9, C10) predicted by an ensemble, compared with χ² contours."""

import os
from pathlib import Path
from typing import Any

import click
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import FILE, outputs, results_option, write
from wilsonvox.figures.style import BLACK, BLUE, RED, SINGLE_COLUMN, new_figure, styled
from wilsonvox.global_fit.fits import CoefficientFit
from wilsonvox.global_fit.learning.results import EnsemblePosterior, NetworkResult

STYLES: tuple[Any, ...] = ("-", "--", ":", "-.")


def read(path: str | os.PathLike[str]) -> NetworkResult:
    """Read the result of a network that predicts densities.

    Raises:
        UserError: the file does not exist, is not the result of a network, or the network predicts
            points.
    """
    result = NetworkResult.load(path)
    if result.posterior is None:
        raise UserError(f"{path}: {result.name} predicts points, not densities")
    return result


@styled
def draw(result: NetworkResult, fit: CoefficientFit) -> Figure:
    """Draw regions of the ensemble posterior, the modes of its members, and the fit contours.

    Raises:
        UserError: fit and network differ in observables, version of the χ² or hadronic polynomials.
    """
    for field in ("observables", "version", "hadronic"):
        if getattr(fit, field) != getattr(result, field):
            raise UserError(
                f"--fit: {field} is {getattr(fit, field)}, but {getattr(result, field)} for the "
                "network; give a fit with the same settings"
            )
    posterior = result.posterior
    assert isinstance(posterior, EnsemblePosterior)
    figure = new_figure(
        SINGLE_COLUMN, 3.6, f"{result.observables}; flavio predictions; {result.version} χ²"
    )
    axes = figure.add_subplot()
    for contour, style in zip(fit.contours, STYLES, strict=False):
        axes.plot(
            [*contour.c9, contour.c9[0]], [*contour.c10, contour.c10[0]],
            color=BLUE, linestyle=style,
        )  # fmt: skip
    axes.plot(fit.c9, fit.c10, "+", color=BLUE, markersize=8)
    for region, style in zip(posterior.regions, STYLES, strict=False):
        for line in region.lines:
            axes.plot(*zip(*line, strict=True), color=RED, linestyle=style, linewidth=1.0)
    for restart in result.answers:
        axes.plot(restart.c9, restart.c10, "o", color=RED, markersize=2)
    first, *_ = posterior.regions
    handles = [
        Line2D([], [], color=BLUE, label=r"$\chi^2$ (Minos)"),
        Line2D([], [], color=RED, label="ensemble posterior"),
        Line2D([], [], linestyle="", marker="+", color=BLUE, label=r"$\chi^2$ minimum"),
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=2,
            color=RED,
            label="modes of single networks",
        ),
        *(
            Line2D([], [], color=BLACK, linestyle=style, label=f"{100 * region.level:g} %")
            for region, style in zip(posterior.regions, STYLES, strict=False)
        ),
    ]
    axes.set_xlabel(r"$\delta C_9$")
    axes.set_ylabel(r"$\delta C_{10}$")
    axes.margins(0.08)
    figure.legend(
        handles=handles, loc="outside upper center", ncols=2, columnspacing=1.2,
        title=rf"{result.name}: modes {posterior.distance_in_errors:.2f}$\sigma$ apart, "
        f"{100 * first.level:g} % area ratio {first.area_ratio:.2f}",
        title_fontsize=7.5,
    )  # fmt: skip
    return figure


@click.command("global-fit-posterior")
@results_option
@click.option("--fit", required=True, type=FILE, help="Fit with the same χ² (.json).")
@outputs
def command(answers_path: Path, fit: Path, pdf: Path, png: Path) -> None:
    """Density of δC9 and δC10 that a mixture network predicts, beside contours of the χ²."""
    write(
        "global_fit_posterior",
        pdf,
        png,
        lambda: draw(read(answers_path), CoefficientFit.load(fit)),
        [answers_path, fit],
    )
