"""Corner plot of jointly measured shifts, with 68 % and 95 % regions."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.command import FILE, outputs, write
from wilsonvox.figures.labels import note_text, shift_symbol
from wilsonvox.figures.style import BLACK, CURVES, GREY, SINGLE_COLUMN, new_figure, styled
from wilsonvox.theory.points import PARAMETERS
from wilsonvox.voxels.specification import ImageSpecification

Array = NDArray[np.float64]

LEVELS = (0.68, 0.95)
"""Probabilities of the regions, drawn as solid and dashed lines."""
_STYLES: tuple[Literal["-"], Literal["--"]] = ("-", "--")
_REACH = 3.2
"""Half the range of an axis, in standard deviations of the widest estimate."""


@dataclass(frozen=True)
class JointResult:
    """Joint measurement of several shifts of one sample by one estimator.

    Attributes:
        estimator: name of the estimator.
        sample: name of the sample.
        coefficients: the k measured coefficients.
        value: measured shifts, shape (k,), dimensionless; NaN without an estimate.
        covariance: their covariance, shape (k, k); NaN without an estimate.
        truth: true shifts, shape (k,); NaN if unknown.
        n_images: number of images of the sample.
        image: image specification.
        physics_inputs: name of the physics inputs of the calibration.
        calibrated: range of each shift in which the estimator is calibrated, shape (k, 2).
    """

    estimator: str
    sample: str
    coefficients: tuple[str, ...]
    value: Array
    covariance: Array
    truth: Array
    n_images: int
    image: ImageSpecification
    physics_inputs: str | None
    calibrated: Array

    @property
    def known(self) -> bool:
        """True if there is an estimate."""
        return bool(np.isfinite(self.covariance).all())


def read(path: str | os.PathLike[str]) -> JointResult:
    """Read a measurement of several coefficients.

    Raises:
        UserError: the file is not a measurement, or it has a single coefficient.
    """
    file = require_file(path, "a measurement (.json)")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        measured = content["coefficients"]
        names = tuple(name for name in PARAMETERS if name in measured)
        if len(names) < 2:
            raise UserError(f"{file}: measures {names[0]} only; a corner plot needs several shifts")
        joint = content["joint"]
        covariance = np.full((len(names), len(names)), np.nan)
        if joint is not None:
            order = [joint["coefficients"].index(name) for name in names]
            covariance = np.array(joint["covariance"], float)[np.ix_(order, order)]
        true = content.get("true_shifts") or {}
        return JointResult(
            estimator=content["estimator"],
            sample=content["sample"] or "",
            coefficients=names,
            value=np.array([measured[name]["value"] for name in names], float),
            covariance=covariance,
            truth=np.array([true.get(name, np.nan) for name in names], float),
            n_images=content["n_images"],
            image=ImageSpecification.model_validate(content["image_specification"]),
            physics_inputs=content["physics_inputs"],
            calibrated=np.array([measured[name]["calibrated_range"] for name in names], float),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not a measurement; delete it and run again") from error


def region(covariance: Array, level: float) -> tuple[float, float, float]:
    """Compute the ellipse that contains `level` of a bivariate normal distribution.

    Args:
        covariance: covariance of two shifts, shape (2, 2).
        level: probability, between 0 and 1.

    Returns:
        Full lengths of the major and the minor axis, and the angle of the major axis [degrees].
    """
    values, vectors = np.linalg.eigh(covariance)
    # quantile of the χ² distribution with two degrees of freedom: −2 ln(1 − level)
    minor, major = 2 * np.sqrt(-2 * np.log(1 - level) * values)
    return float(major), float(minor), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))


def _pair(panel: Axes, result: JointResult, x: int, y: int, colour: str) -> None:
    covariance = result.covariance[np.ix_([x, y], [x, y])]
    centre = (float(result.value[x]), float(result.value[y]))
    for level, style in zip(LEVELS, _STYLES, strict=True):
        width, height, angle = region(covariance, level)
        panel.add_patch(
            Ellipse(
                centre, width, height, angle=angle, fill=False, edgecolor=colour, linestyle=style,
                linewidth=1.0,
            )
        )  # fmt: skip
    panel.plot(*centre, marker="o", color=colour, markersize=3.0)


def _single(panel: Axes, result: JointResult, index: int, colour: str) -> None:
    value, sigma = result.value[index], np.sqrt(result.covariance[index, index])
    x = value + sigma * np.linspace(-5, 5, 301)
    # equal heights: the densities have no vertical axis
    panel.plot(x, np.exp(-(((x - value) / sigma) ** 2) / 2), color=colour)


def _panel(
    panel: Axes,
    results: Sequence[JointResult],
    row: int,
    column: int,
    ranges: Sequence[tuple[float, float]],
) -> None:
    """Draw one shift on the diagonal, or a pair below it, with the true values."""
    for result, colour in zip(results, itertools.cycle(CURVES), strict=False):
        if not result.known:
            continue
        if column == row:
            _single(panel, result, row, colour)
        else:
            _pair(panel, result, column, row, colour)
    truth = results[0].truth[[column, row]]
    panel.set_xlim(*ranges[column])
    panel.xaxis.set_major_locator(MaxNLocator(3))
    if np.isfinite(truth[0]):
        panel.axvline(truth[0], color=GREY, linewidth=0.7, zorder=0)
    if column == row:
        panel.set_ylim(0, 1.15)
        panel.set_yticks([])
        return
    panel.set_ylim(*ranges[row])
    panel.yaxis.set_major_locator(MaxNLocator(4))
    if np.isfinite(truth[1]):
        panel.axhline(truth[1], color=GREY, linewidth=0.7, zorder=0)
    if np.isfinite(truth).all():
        panel.plot(*truth, marker="x", color=BLACK, markersize=5, markeredgewidth=1.2, zorder=4)


def _ranges(results: Sequence[JointResult]) -> list[tuple[float, float]]:
    """Axis limits of each coefficient: estimates and truth, or else the calibrated ranges."""
    ranges = []
    for index, truth in enumerate(results[0].truth):
        ends = [
            float(result.value[index] + side * _REACH * np.sqrt(result.covariance[index, index]))
            for result in results
            for side in (-1, 1)
            if result.known
        ] or [float(end) for result in results for end in result.calibrated[index]]
        margin = 0.08 * (max(ends) - min(ends))
        low, high = np.fmin(min(ends), truth - margin), np.fmax(max(ends), truth + margin)
        ranges.append((float(low), float(high)))
    return ranges


@styled
def draw(results: Sequence[JointResult]) -> Figure:
    """Draw estimates for one sample: single shifts on the diagonal, pairs below it.

    Solid and dashed ellipses contain 68 % and 95 % of the joint distribution of two shifts; grey
    lines and the black cross are the true shifts, if known.

    Estimators without an estimate (the sample is outside the calibrated range) only appear in the
    legend.

    Args:
        results: measurements by at least one estimator.

    Raises:
        UserError: the measurements have different samples or coefficients.
    """
    first = results[0]
    for result in results[1:]:
        if (result.sample, result.coefficients) != (first.sample, first.coefficients):
            raise UserError(
                f"--measurement: {result.estimator} measured {', '.join(result.coefficients)} of "
                f"{result.sample}, but {first.estimator} {', '.join(first.coefficients)} of "
                f"{first.sample}; give measurements of the same shifts of one sample"
            )
    k = len(first.coefficients)
    size = max(SINGLE_COLUMN, 1.55 * k)
    figure = new_figure(size, size + 0.55, note_text(first.image, first.physics_inputs))
    panels = figure.subplots(k, k, sharex="col", squeeze=False)
    ranges = _ranges(results)
    symbols = [f"${shift_symbol(name)}$" for name in first.coefficients]
    for row, column in itertools.product(range(k), range(k)):
        panel = panels[row, column]
        if column > row:
            panel.set_visible(False)
            continue
        _panel(panel, results, row, column, ranges)
        if row == k - 1:
            panel.set_xlabel(symbols[column])
        if column == 0 and row:
            panel.set_ylabel(symbols[row])
        elif column < row:
            panel.tick_params(axis="y", labelleft=False)
    figure.align_labels()
    handles = [
        Line2D(
            [], [], color=colour, marker="o", markersize=3,
            label=result.estimator + ("" if result.known else ": no estimate"),
        )
        for result, colour in zip(results, itertools.cycle(CURVES), strict=False)
    ]  # fmt: skip
    lines: list[tuple[float, Literal["-", "--"]]] = list(zip(LEVELS, _STYLES, strict=True))
    handles += [
        Line2D([], [], color=BLACK, linestyle=style, linewidth=1.0, label=f"{round(100 * level)} %")
        for level, style in lines
    ]
    if np.isfinite(first.truth).all():
        handles.append(
            Line2D([], [], color=BLACK, marker="x", linestyle="none", label="true shifts")
        )
    images = f"{first.n_images} image" + ("s" if first.n_images != 1 else "")
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(0.98, 0.97),
        title=f"{first.sample}\n{images}", title_fontsize=7.5, alignment="left",
    )  # fmt: skip
    return figure


@click.command("corner")
@click.option(
    "--measurement",
    "measurements",
    required=True,
    multiple=True,
    type=FILE,
    help="Measurement of a sample by one estimator (.json); give it several times to compare "
    "estimators.",
)
@outputs
def command(measurements: tuple[Path, ...], pdf: Path, png: Path) -> None:
    """Shifts that were measured together, with 68 % and 95 % regions."""
    write("corner", pdf, png, lambda: draw([read(path) for path in measurements]), measurements)
