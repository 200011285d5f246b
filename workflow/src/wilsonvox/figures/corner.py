"""Corner plot: shifts that were measured together, with their joint 68 % and 95 % regions."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.figures.labels import note_text, shift_symbol
from wilsonvox.figures.style import BLACK, CURVES, GREY, SINGLE_COLUMN, new_figure, styled
from wilsonvox.theory.points import PARAMETERS
from wilsonvox.voxels.specification import ImageSpecification

Array = NDArray[np.float64]

LEVELS = (0.68, 0.95)
"""Probabilities of the regions; drawn as a full and a dashed line."""
_STYLES: tuple[Literal["-"], Literal["--"]] = ("-", "--")
_REACH = 3.2
"""Half the range of an axis, in standard deviations of the widest estimate."""


@dataclass(frozen=True)
class JointResult:
    """What one estimator measured of one sample.

    value: shape (k,); covariance: shape (k, k); both dimensionless, NaN where it gave no values
    truth: shape (k,), NaN where a true shift is not known
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
    """Range of each shift that the estimator is calibrated in, shape (k, 2)."""

    @property
    def known(self) -> bool:
        """Whether it gave values."""
        return bool(np.isfinite(self.covariance).all())


def read(path: str | os.PathLike[str]) -> JointResult:
    """Read a measurement of several coefficients.

    Raises:
        UserError: not a measurement, or one of a single coefficient.
    """
    found = require_file(path, "a measurement (.json)")
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
        measured = content["coefficients"]
        names = tuple(name for name in PARAMETERS if name in measured)
        if len(names) < 2:
            raise UserError(f"{found}: of {names[0]} alone; a corner plot needs several shifts")
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
        raise UserError(f"{found}: not a measurement; delete it and run again") from error


def region(covariance: Array, level: float) -> tuple[float, float, float]:
    """Axes and inclination of the ellipse that holds `level` of a normal distribution.

    Args:
        covariance: of two shifts, shape (2, 2).
        level: probability, between 0 and 1.

    Returns:
        Full lengths of the major and the minor axis, and the angle of the major one [degrees].
    """
    values, vectors = np.linalg.eigh(covariance)
    # of two degrees of freedom χ² is below −2 ln(1 − level) with this probability
    minor, major = 2 * np.sqrt(-2 * np.log(1 - level) * values)
    return float(major), float(minor), float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))


def _pair(panel: Axes, result: JointResult, x: int, y: int, colour: str) -> None:
    covariance = result.covariance[np.ix_([x, y], [x, y])]
    place = (float(result.value[x]), float(result.value[y]))
    for level, style in zip(LEVELS, _STYLES, strict=True):
        width, height, angle = region(covariance, level)
        panel.add_patch(
            Ellipse(
                place, width, height, angle=angle, fill=False, edgecolor=colour, linestyle=style,
                linewidth=1.0,
            )
        )  # fmt: skip
    panel.plot(*place, marker="o", color=colour, markersize=3.0)


def _alone(panel: Axes, result: JointResult, index: int, colour: str) -> None:
    value, sigma = result.value[index], np.sqrt(result.covariance[index, index])
    x = value + sigma * np.linspace(-5, 5, 301)
    # equal heights: an axis of densities would say nothing more
    panel.plot(x, np.exp(-(((x - value) / sigma) ** 2) / 2), color=colour)


def _panel(
    panel: Axes,
    results: Sequence[JointResult],
    row: int,
    column: int,
    ranges: Sequence[tuple[float, float]],
) -> None:
    """One shift on the diagonal, or a pair below it, with the truth."""
    for result, colour in zip(results, itertools.cycle(CURVES), strict=False):
        if not result.known:
            continue
        if column == row:
            _alone(panel, result, row, colour)
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
    """Limits of each coefficient's axis: the estimates' and the truth, else the calibrated ones."""
    ranges = []
    for index, truth in enumerate(results[0].truth):
        ends = [
            float(each.value[index] + side * _REACH * np.sqrt(each.covariance[index, index]))
            for each in results
            for side in (-1, 1)
            if each.known
        ] or [float(end) for each in results for end in each.calibrated[index]]
        margin = 0.08 * (max(ends) - min(ends))
        low, high = np.fmin(min(ends), truth - margin), np.fmax(max(ends), truth + margin)
        ranges.append((float(low), float(high)))
    return ranges


@styled
def draw(results: Sequence[JointResult]) -> Figure:
    """Draw estimates of one sample: pairs of shifts below the diagonal, each alone on it.

    Full and dashed ellipses hold 68 % and 95 % of the joint distribution of two shifts; grey lines
    and the black cross are the true shifts, where they are known.

    An estimator without values (the sample is outside its calibrated box) is named only.

    Args:
        results: of the estimators, at least one.

    Raises:
        UserError: they are of different samples or coefficients.
    """
    first = results[0]
    for each in results[1:]:
        if (each.sample, each.coefficients) != (first.sample, first.coefficients):
            raise UserError(
                f"--measurement: {each.estimator} measured {', '.join(each.coefficients)} of "
                f"{each.sample}, but {first.estimator} {', '.join(first.coefficients)} of "
                f"{first.sample}; give measurements of the same"
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
            label=each.estimator + ("" if each.known else ": no values"),
        )
        for each, colour in zip(results, itertools.cycle(CURVES), strict=False)
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
