"""Histograms of predictions at several points on a common axis, with mean, σ_L and σ_R."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.summary import Ensemble, gaussian_fit, make_ensembles, read_predictions
from wilsonvox.ensembles.tables import TableMetadata
from wilsonvox.figures.command import FILE, coefficient_option, outputs, write
from wilsonvox.figures.labels import image_text, shift_symbol, shifts_text
from wilsonvox.figures.style import BLACK, BLUE, RED, SINGLE_COLUMN, SKY_BLUE, new_figure, styled


@dataclass(frozen=True)
class Moments:
    """Mean, 16 % and 84 % quantiles and Gaussian fit of the predictions of an ensemble.

    All are dimensionless; the fit is NaN if there are too few predictions.
    """

    mean: float
    low: float
    high: float
    gauss_mean: float
    gauss_sigma: float


def moments(predicted: NDArray[np.float64]) -> Moments:
    """Compute the moments of predictions of shape (n_images,), as in summaries."""
    low, high = np.quantile(predicted, [0.16, 0.84])
    return Moments(float(np.mean(predicted)), float(low), float(high), *gaussian_fit(predicted))


def read(
    paths: Sequence[str | os.PathLike[str]], coefficient: str
) -> tuple[list[Ensemble], TableMetadata]:
    """Read the ensembles of `coefficient` from prediction tables of one estimator, in their order.

    Raises:
        UserError: a file is not a prediction table, the tables have different estimators, or the
            coefficient is missing.
    """
    frame, metadata = read_predictions(paths)
    ensembles = [
        ensemble for ensemble in make_ensembles(frame) if ensemble.coefficient == coefficient
    ]
    if not ensembles:
        raise UserError(f"{paths[0]}: no prediction of {coefficient} in this table")
    order = list(dict.fromkeys(frame["point"]))
    return sorted(ensembles, key=lambda ensemble: order.index(ensemble.point)), metadata


def common_edges(ensembles: Sequence[Ensemble]) -> NDArray[np.float64]:
    """Compute bin edges common to all panels, float64 of shape (bins + 1,), with margins of 5 %.

    The bin width follows D. Freedman and P. Diaconis (Z. Wahrsch. verw. Geb. 57 (1981) 453) for the
    narrowest ensemble, with 20 to 80 bins.
    """
    values = np.concatenate([ensemble.predicted for ensemble in ensembles])
    truths = [ensemble.true for ensemble in ensembles]
    low, high = float(min([values.min(), *truths])), float(max([values.max(), *truths]))
    margin = 0.05 * (high - low) or 0.1
    low, high = low - margin, high + margin
    widths = [
        2
        * float(np.subtract(*np.quantile(ensemble.predicted, [0.75, 0.25])))
        / np.cbrt(ensemble.predicted.size)
        for ensemble in ensembles
    ]
    narrowest = max(min(widths), (high - low) / 80)
    return np.linspace(low, high, max(20, int(np.ceil((high - low) / narrowest))) + 1)


@styled
def draw(ensembles: Sequence[Ensemble], note: str = "", physics_inputs: str = "") -> Figure:
    """Draw one panel per ensemble, all with the same bins and the same horizontal axis.

    Black dashed line: mean. Black solid lines: 16 % and 84 % quantiles, at mean − σ_L and
    mean + σ_R. Curve: Gaussian fit. Triangle at the upper edge: true value. The physics inputs are
    the title of the legend, because the note at the foot has no room for them.
    """
    height = 0.75 + 1.6 * len(ensembles)
    figure = new_figure(SINGLE_COLUMN, height, note)
    panels = figure.subplots(len(ensembles), 1, sharex=True, squeeze=False)[:, 0]
    edges = common_edges(ensembles)
    width = edges[1] - edges[0]
    reach = np.linspace(-4.0, 4.0, 161)
    for panel, ensemble in zip(panels, ensembles, strict=True):
        fit = moments(ensemble.predicted)
        counts, _ = np.histogram(ensemble.predicted, edges)
        panel.stairs(counts, edges, fill=True, color=SKY_BLUE, alpha=0.6)
        panel.stairs(counts, edges, color=BLUE, linewidth=0.8)
        highest = float(counts.max())
        if fit.gauss_sigma > 0:
            norm = len(ensemble.predicted) * width / (fit.gauss_sigma * np.sqrt(2 * np.pi))
            x = fit.gauss_mean + reach * fit.gauss_sigma
            highest = max(highest, norm)
            panel.plot(x, norm * np.exp(-(reach**2) / 2), color=RED, label="Gaussian fit")
        panel.axvline(fit.mean, color=BLACK, linestyle="--", linewidth=1.0, label="mean")
        for number, edge in enumerate((fit.low, fit.high)):
            label = "16 %, 84 %" if number == 0 else None
            panel.axvline(edge, color=BLACK, linewidth=0.8, label=label)
        panel.set_ylabel("Images")
        panel.plot(
            ensemble.true,
            0.965,
            "v",
            color=BLACK,
            markersize=5,
            label="true",
            transform=panel.get_xaxis_transform(),
        )
        # place the text on the side of the axis without predictions
        free_left = fit.mean > (edges[0] + edges[-1]) / 2
        half = len(counts) // 2
        beneath = counts[:half] if free_left else counts[half:]
        # and above the bins of a wide histogram
        panel.set_ylim(0, max(1.12 * highest, beneath.max() / 0.36, 1.0))
        panel.text(
            0.04 if free_left else 0.96,
            0.93,
            _text(ensemble, fit),
            transform=panel.transAxes,
            ha="left" if free_left else "right",
            va="top",
            fontsize=7.5,
            linespacing=1.35,
        )
    panels[-1].set_xlim(edges[0], edges[-1])
    panels[-1].xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    panels[-1].set_xlabel(f"Predicted ${shift_symbol(ensembles[0].coefficient)}$")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=4,
        columnspacing=1.0,
        handlelength=1.3,
        handletextpad=0.5,
        title=physics_inputs or None,
        title_fontsize=7.5,
    )
    return figure


def _text(ensemble: Ensemble, fit: Moments) -> str:
    lines = [
        f"{shifts_text({ensemble.coefficient: ensemble.true})}, {len(ensemble.predicted)} images",
        rf"$\mu$ = {fit.mean:.3f}",
        rf"$\sigma_L$ = {fit.mean - fit.low:.3f}",
        rf"$\sigma_R$ = {fit.high - fit.mean:.3f}",
    ]
    if fit.gauss_sigma > 0:
        lines.append(rf"fit: $\mu$ = {fit.gauss_mean:.3f}, $\sigma$ = {fit.gauss_sigma:.3f}")
    return "\n".join(lines).replace("= -", "= −")


@click.command("histograms")
@click.option(
    "--predictions",
    required=True,
    multiple=True,
    type=FILE,
    help="Predictions (.parquet) of one point; give it several times, one panel a point.",
)
@coefficient_option
@outputs
def command(predictions: tuple[Path, ...], coefficient: str, pdf: Path, png: Path) -> None:
    """Histograms of predictions, with mean, σ_L and σ_R."""

    def make() -> Figure:
        ensembles, metadata = read(predictions, coefficient)
        return draw(ensembles, image_text(metadata.image), metadata.physics_inputs or "")

    write("histograms", pdf, png, make, predictions, {"coefficient": coefficient})
