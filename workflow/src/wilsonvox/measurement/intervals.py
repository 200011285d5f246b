"""Measured shifts: values and confidence intervals from predictions and their calibration.

For one coefficient, or for several together. Shifts are dimensionless. Definitions:
docs/physics/statistics.md and docs/physics/several_coefficients.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.models import StrictModel
from wilsonvox.ensembles.calibration import LEVELS, Calibration
from wilsonvox.ensembles.joint_calibration import JointCalibration

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]

SPREAD_P_VALUE = 0.001
"""p-value of the spread of single-image predictions below which a warning is given."""


class CoefficientMeasurement(StrictModel):
    """One measured shift; values outside the calibrated range are null."""

    value: float | None = Field(description="δC of the sample (dimensionless)")
    interval_68: Ends = Field(description="central 68 % confidence interval; null: open end")
    interval_95: Ends = Field(description="central 95 % confidence interval; null: open end")
    per_image: list[float | None] = Field(description="calibrated value of each image alone")
    pulls: list[float] | None = Field(
        default=None,
        description="pull of each image, if the true shift is known: deviation of its prediction "
        "from the expectation at the true shift, in standard deviations",
    )
    mean_prediction: float = Field(description="mean prediction before calibration")
    calibrated_range: tuple[float, float] = Field(description="range of the ensembles' shifts")
    levels_without_shift: list[int] = Field(
        default=[],
        description="levels [%] at which no shift in the calibrated range agrees with the sample",
    )


class JointMeasurement(StrictModel):
    """Covariance and correlation of several measured shifts."""

    coefficients: tuple[str, ...] = Field(description="names of rows and columns, in order")
    covariance: tuple[tuple[float, ...], ...] = Field(
        description="covariance of the values (dimensionless), including errors of the calibration"
    )
    correlation: tuple[tuple[float, ...], ...] = Field(description="correlation of the values")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def symbol(coefficient: str) -> str:
    """Format the name of a shift for display.

    >>> symbol("c9p"), symbol("c9_imaginary")
    ('δC9′', 'Im δC9')
    """
    name, _, part = coefficient.partition("_")
    return ("Im " if part else "") + "δC" + name[1:].replace("p", "′")


def format_number(value: float, decimals: int = 2) -> str:
    """Format a number for display, with a minus sign."""
    return f"{value:.{decimals}f}".replace("-", "−")


def measure_coefficient(
    coefficient: str, calibration: Calibration, predictions: Array, true: float | None = None
) -> tuple[CoefficientMeasurement, list[str]]:
    """Compute value and intervals of one shift, and warnings.

    Args:
        coefficient: name of the coefficient, such as c9.
        calibration: calibration of the estimator by its ensembles.
        predictions: predictions of the sample's images, float64, shape (n_images,).
        true: true shift, if known.
    """
    name, n = symbol(coefficient), len(predictions)
    mean = float(np.mean(predictions))
    low, high = calibration.low, calibration.high
    edges = f"{format_number(low)} … {format_number(high)}"
    warnings: list[str] = []
    if calibration.shape_is_gaussian:
        smallest = min(len(sample) for sample in calibration.predictions)
        warnings.append(
            f"{name}: the smallest ensemble has {smallest} images, too few to determine the "
            "shape of the predictions; the intervals assume a Gaussian"
        )
    if calibration.falling_ranges:
        stretches = ", ".join(
            f"{format_number(a)} … {format_number(b)}" for a, b in calibration.falling_ranges
        )
        warnings.append(
            f"{name}: the estimator's response does not rise everywhere in the calibrated range "
            f"(not in {stretches}), so that one prediction can correspond to several shifts"
        )
    values, count = calibration.values([mean])
    if count[0] == 0:
        curve = calibration.response(calibration.grid)
        warnings.append(
            f"{name}: the mean prediction {format_number(mean, 3)} is outside the calibrated "
            f"response {format_number(float(curve.min()), 3)} … "
            f"{format_number(float(curve.max()), 3)} (shifts {edges}); no value is given"
        )
    elif count[0] > 1:
        warnings.append(
            f"{name}: the mean prediction {format_number(mean, 3)} corresponds to {count[0]} "
            "shifts, because the response does not rise everywhere; no value is given"
        )
    intervals: list[Ends] = []
    nowhere: list[int] = []
    for level in LEVELS:
        neyman = calibration.intervals([mean], n, level)
        ends = (_number(neyman.low[0]), _number(neyman.high[0]))
        intervals.append(ends)
        label = f"{name}: {round(100 * level)} % interval"
        if neyman.empty[0]:
            nowhere.append(round(100 * level))
            warnings.append(
                f"{label}: no shift in the calibrated range {edges} agrees with the sample"
            )
            continue
        if neyman.disjoint[0]:
            warnings.append(f"{label}: consists of several ranges; its outermost ends are given")
        for side, end, edge in (("lower", ends[0], low), ("upper", ends[1], high)):
            if end is None:
                warnings.append(
                    f"{label}: {side} end open: beyond the calibrated range (it ends at "
                    f"{format_number(edge)})"
                )
    if n >= 2:
        p_values = _spread_p_values(calibration, predictions, float(values[0]))
        warnings += _spread_warnings(name, *p_values)
    pulls = None
    if true is not None and low <= true <= high:
        pulls = calibration.pulls(predictions, true).tolist()
    measured = CoefficientMeasurement(
        pulls=pulls,
        value=_number(values[0]),
        interval_68=intervals[0],
        interval_95=intervals[1],
        per_image=[_number(value) for value in calibration.values(predictions)[0]],
        mean_prediction=mean,
        calibrated_range=(low, high),
        levels_without_shift=nowhere,
    )
    return measured, warnings


def measure_jointly(
    names: Sequence[str],
    calibration: JointCalibration,
    predictions: Array,
    truth: Mapping[str, float] | None = None,
) -> tuple[dict[str, CoefficientMeasurement], JointMeasurement | None, list[str]]:
    """Compute values, intervals and covariance of several shifts, and warnings.

    The intervals are those of a normal distribution with the covariance at the values.

    Args:
        names: names of the k coefficients.
        calibration: calibration of the estimator by its ensembles.
        predictions: predictions of the sample's images, float64, shape (n_images, k).
        truth: true shifts by name, as far as they are known.
    """
    from scipy.stats import norm

    estimate = calibration.estimate(predictions)
    errors = np.sqrt(np.diag(estimate.covariance))
    known = bool(np.all(np.isfinite(estimate.value)))
    together = ", ".join(map(symbol, names))
    warnings: list[str] = []
    if not known:
        warnings.append(
            f"{together}: the mean prediction corresponds to no shifts in the calibrated box "
            + ", ".join(
                f"{symbol(name)} {format_number(low)} … {format_number(high)}"
                for name, low, high in zip(names, calibration.low, calibration.high, strict=True)
            )
            + "; no values are given"
        )
    elif len(predictions) >= 2:
        p_values = calibration.spread_p_values(predictions, estimate.value)
        warnings += _spread_warnings(together, *p_values)
    images = np.array([calibration.invert(image) for image in predictions])
    true = np.array([(truth or {}).get(name, np.nan) for name in names])
    pulls = calibration.pulls(true, predictions)
    measured: dict[str, CoefficientMeasurement] = {}
    for index, name in enumerate(names):
        low, high = float(calibration.low[index]), float(calibration.high[index])
        intervals: list[Ends] = []
        for level in LEVELS:
            reach = float(norm.ppf((1 + level) / 2) * errors[index])
            ends = (float(estimate.value[index]) - reach, float(estimate.value[index]) + reach)
            inside = (ends[0] >= low, ends[1] <= high)
            intervals.append((ends[0] if inside[0] else None, ends[1] if inside[1] else None))
            for side, within, edge in zip(("lower", "upper"), inside, (low, high), strict=True):
                if known and not within:
                    warnings.append(
                        f"{symbol(name)}: {round(100 * level)} % interval: {side} end open: beyond "
                        f"the calibrated range (it ends at {format_number(edge)})"
                    )
        measured[name] = CoefficientMeasurement(
            value=_number(estimate.value[index]),
            interval_68=intervals[0],
            interval_95=intervals[1],
            per_image=[_number(value) for value in images[:, index]],
            mean_prediction=float(predictions[:, index].mean()),
            calibrated_range=(low, high),
            pulls=pulls[:, index].tolist() if np.isfinite(pulls[:, index]).all() else None,
        )
    if not known:
        return measured, None, warnings
    joint = JointMeasurement(
        coefficients=tuple(names),
        covariance=_matrix(estimate.covariance),
        correlation=_matrix(estimate.covariance / np.outer(errors, errors)),
    )
    return measured, joint, warnings


def _matrix(values: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in values)


def _spread_p_values(calibration: Calibration, predictions: Array, value: float) -> Sequence[float]:
    """Spread p-values at the measured shift, or at the shift with the closest response if none."""
    shift = value
    if not np.isfinite(shift):
        curve = calibration.response(calibration.grid)
        shift = float(calibration.grid[np.argmin(np.abs(curve - np.mean(predictions)))])
    return calibration.spread_p_values(predictions, shift)


def _spread_warnings(name: str, larger: float, smaller: float) -> list[str]:
    """Warn if the predictions of the images scatter differently from those of the ensembles.

    Args:
        name: name of the measured shift.
        larger: probability of a spread at least as large.
        smaller: probability of a spread at most as large.
    """
    if min(larger, smaller) >= SPREAD_P_VALUE:
        return []
    comparative, meaning = (
        ("more", "the sample differs from the training events")
        if larger < smaller
        else ("less", "are the same events in several images?")
    )
    p_value = f"p-value {min(larger, smaller):.1g}"
    comparison = f"the images' predictions scatter {comparative} than the ensembles' ({p_value})"
    return [f"{name}: {comparison}; {meaning}"]
