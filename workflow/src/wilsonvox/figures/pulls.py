"""Pull distributions of an estimator by true shift, with their means and widths."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.calibration import MINIMUM_POINTS, Calibration
from wilsonvox.ensembles.summary import Ensemble
from wilsonvox.ensembles.tables import TableMetadata
from wilsonvox.figures.command import FILE, coefficient_option, outputs, write
from wilsonvox.figures.histograms import read
from wilsonvox.figures.labels import note_text, shift_symbol
from wilsonvox.figures.style import BLACK, BLUE, GREY, SINGLE_COLUMN, new_figure, styled

BIN_WIDTH = 0.25
LIMIT = 4.0
"""Width of the bins and largest pull of the histogram; both are dimensionless."""


@dataclass(frozen=True)
class PullDistribution:
    """Pulls of the images at one true shift; all values are dimensionless.

    pulls: shape (n_images,)
    """

    true: float
    pulls: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean of the pulls."""
        return float(np.mean(self.pulls))

    @property
    def width(self) -> float:
        """Standard deviation of the pulls."""
        return float(np.std(self.pulls, ddof=1))

    @property
    def mean_error(self) -> float:
        """Statistical error of the mean."""
        return self.width / float(np.sqrt(len(self.pulls)))

    @property
    def width_error(self) -> float:
        """Statistical error of the width, from the fourth central moment."""
        deviations = self.pulls - self.mean
        variance = float(np.mean(deviations**2))
        excess = float(np.mean(deviations**4)) - variance**2
        return float(np.sqrt(max(excess, 0.0) / len(self.pulls))) / (2 * self.width)


def pull_distributions(ensembles: Sequence[Ensemble]) -> list[PullDistribution]:
    """Compute the pulls of all images, each ensemble calibrated with the others.

    The pull of an image is (prediction − f(δ)) / σ(δ) at its true shift δ, with the response f and
    the width σ of `wilsonvox.ensembles.calibration.Calibration`. Ensembles at the ends of the range
    are left out, because the others do not reach them.

    Args:
        ensembles: ensembles of one coefficient.

    Returns:
        One distribution per true shift, in ascending order.

    Raises:
        UserError: the ensembles are too few to calibrate one with the others.
    """
    true = np.array([ensemble.true for ensemble in ensembles])
    distributions = []
    for number in np.argsort(true, kind="stable"):
        others = [index for index in range(len(true)) if index != number]
        rest = true[others]
        if len(set(rest)) < MINIMUM_POINTS or not rest.min() <= true[number] <= rest.max():
            continue
        calibration = Calibration.of(rest, [ensembles[index].predicted for index in others])
        shift = float(true[number])
        pulls = calibration.pulls(ensembles[number].predicted, shift)
        distributions.append(PullDistribution(shift, pulls))
    if not distributions:
        raise UserError(
            f"pulls need predictions at {MINIMUM_POINTS + 1} true shifts or more, "
            f"but there are {len(set(true))}; add points with test images"
        )
    return distributions


@styled
def draw(
    distributions: Sequence[PullDistribution], coefficient: str, metadata: TableMetadata
) -> Figure:
    """Draw all pulls with the standard normal density, and mean and width by true shift.

    Args:
        distributions: pulls by true shift.
        coefficient: name of the shift.
        metadata: of the predictions.
    """
    figure = new_figure(SINGLE_COLUMN, 4.6, note_text(metadata.image, metadata.physics_inputs))
    above, middle, below = figure.subplots(3, 1, height_ratios=[2.2, 1, 1])
    pulls = np.concatenate([distribution.pulls for distribution in distributions])
    edges = np.arange(-LIMIT, LIMIT + BIN_WIDTH / 2, BIN_WIDTH)
    counts, _ = np.histogram(np.clip(pulls, -LIMIT, LIMIT), edges)
    density = counts / (len(pulls) * BIN_WIDTH)
    above.stairs(density, edges, color=BLUE, label=f"{len(pulls):,} images")
    x = np.linspace(-LIMIT, LIMIT, 201)
    normal = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    above.plot(x, normal, color=BLACK, linestyle="--", linewidth=0.8, label="standard normal")
    above.set(xlim=(-LIMIT, LIMIT), xlabel="Pull", ylabel="Density")
    above.set_ylim(0.0, 1.35 * max(float(density.max()), float(normal.max())))
    above.legend(loc="upper left", ncols=2)
    true = [distribution.true for distribution in distributions]
    marker = {"fmt": "o", "markersize": 3, "color": BLUE, "capsize": 1.5, "linewidth": 0.8}
    means = [distribution.mean for distribution in distributions]
    middle.errorbar(true, means, [each.mean_error for each in distributions], **marker)
    middle.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    widths = [distribution.width for distribution in distributions]
    below.errorbar(true, widths, [each.width_error for each in distributions], **marker)
    below.axhline(1.0, color=GREY, linewidth=0.8, zorder=0)
    middle.sharex(below)
    middle.tick_params(labelbottom=False)
    middle.set_ylabel("Mean")
    below.set(ylabel="Width", xlabel=f"True ${shift_symbol(coefficient)}$")
    for panel in (middle, below):
        panel.margins(y=0.2)
        panel.yaxis.set_major_locator(MaxNLocator(4))
    figure.align_ylabels([above, middle, below])
    above.set_title(f"{metadata.estimator}: pulls of single images")
    return figure


@click.command("pulls")
@click.option(
    "--predictions",
    required=True,
    multiple=True,
    type=FILE,
    help="Predictions (.parquet) of one point; give those of all points.",
)
@coefficient_option
@outputs
def command(predictions: tuple[Path, ...], coefficient: str, pdf: Path, png: Path) -> None:
    """Draw the pull distribution of an estimator, and its mean and width by true shift."""

    def make() -> Figure:
        ensembles, metadata = read(predictions, coefficient)
        return draw(pull_distributions(ensembles), coefficient, metadata)

    write("pulls", pdf, png, make, predictions, {"coefficient": coefficient})
