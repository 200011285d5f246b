"""Ensembles: predictions of many test images at one point, and their summary.

Shifts, predictions and standard deviations are dimensionless. Definitions:
docs/physics/statistics.md.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.calibration import coverage, fit_response
from wilsonvox.ensembles.joint_calibration import JointCalibration, joint_calibration
from wilsonvox.ensembles.tables import (
    PREDICTION_COLUMNS,
    SUMMARY_COLUMNS,
    JointCovariances,
    PointCovariance,
    TableMetadata,
    read_table,
)
from wilsonvox.theory.points import PARAMETERS, parse_point, set_parameter

SUMMARY_SPLITS = ("test", "interpolation")
"""Splits whose predictions form ensembles; the points of the second are not in the training."""

Bound = Callable[[Mapping[str, complex], tuple[str, ...]], Mapping[str, float]]
"""Function from the shifts of a point to the Cramér–Rao bound on each coefficient's σ per image."""

CovarianceBound = Callable[[Mapping[str, complex], tuple[str, ...]], NDArray[np.float64]]
"""Function from the shifts of a point to the Cramér–Rao bound on the covariance of the named
coefficients for one image, shape (k, k)."""

GAUSSIAN_FIT_BINS = 15
GAUSSIAN_FIT_HALF_RANGE = 3.0
GAUSSIAN_FIT_MINIMUM_IMAGES = 10


@dataclass(frozen=True)
class Ensemble:
    """Predictions of one coefficient for the test images of one point.

    predicted: float64, shape (n_images,)
    true: true shift of the coefficient at the point
    """

    point: str
    split: str
    coefficient: str
    true: float
    predicted: NDArray[np.float64]

    @property
    def seen_in_training(self) -> bool:
        """True if the training of an estimator contains images of this point."""
        return self.split == "test"


@dataclass(frozen=True)
class JointEnsemble:
    """Predictions of all coefficients for the test images of one point.

    true: true shifts of the coefficients at the point, shape (k,)
    predicted: shape (n_images, k)
    """

    point: str
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]


def read_predictions(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[pd.DataFrame, TableMetadata]:
    """Read and concatenate prediction tables of one estimator, in the order of `paths`.

    Raises:
        UserError: there is no table, a table cannot be read, or the tables are of several
            estimators, image specifications or sets of physics inputs.
    """
    frames: list[pd.DataFrame] = []
    first: tuple[str | os.PathLike[str], TableMetadata] | None = None
    for path in paths:
        frame, metadata = read_table(path, PREDICTION_COLUMNS)
        if first is None:
            first = (path, metadata)
        for name in TableMetadata.model_fields:
            expected, value = getattr(first[1], name), getattr(metadata, name)
            if value != expected:
                raise UserError(
                    f"{path}: its {name} ({value}) differs from that of {first[0]} ({expected}); "
                    "summarize one estimator with one image specification at a time"
                )
        frames.append(frame)
    if first is None:
        raise UserError("no prediction tables given")
    return pd.concat(frames, ignore_index=True), first[1]


def coefficients_in(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the coefficients of a prediction table, in the order of `PARAMETERS`.

    Raises:
        UserError: a coefficient is unknown.
    """
    present = {str(name) for name in frame["coefficient"].unique()}
    unknown = sorted(present - set(PARAMETERS))
    if unknown:
        raise UserError(
            f"predictions of unknown coefficient {unknown[0]!r}; known are {', '.join(PARAMETERS)}"
        )
    return tuple(name for name in PARAMETERS if name in present)


def make_ensembles(frame: pd.DataFrame) -> list[Ensemble]:
    """Build the ensembles of a prediction table, sorted by coefficient, true shift and label.

    Raises:
        UserError: a split that forms no ensembles, a duplicated prediction, a point in two splits
            or with two true values, an ensemble of one image, or a value that is not finite.
    """
    key = ["split", "point", "campaign", "image_index", "coefficient"]
    twice = frame[frame.duplicated(key)]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"predictions of point {row['point']}, campaign {row['campaign']}, image "
            f"{row['image_index']}, {row['coefficient']} are duplicated; give each table once"
        )
    ensembles: list[Ensemble] = []
    for name in coefficients_in(frame):
        splits: dict[str, str] = {}
        of_name = frame[frame["coefficient"] == name]
        for (point, split), group in of_name.groupby(["point", "split"], sort=False):
            where = f"predictions of point {point}, split {split}, {name}"
            true = group["true"].to_numpy(dtype=float)
            predicted = group["predicted"].to_numpy(dtype=float)
            if split not in SUMMARY_SPLITS:
                raise UserError(
                    f"{where}: only the splits {' and '.join(SUMMARY_SPLITS)} are summarized"
                )
            if point in splits:
                raise UserError(
                    f"{where}: the point is also in split {splits[str(point)]}, but interpolation "
                    "points are never trained on"
                )
            if len(np.unique(true)) != 1 or not np.isfinite(true[0]):
                raise UserError(f"{where}: the true shift is not a single finite number")
            if not np.all(np.isfinite(predicted)):
                raise UserError(
                    f"{where}: {int(np.sum(~np.isfinite(predicted)))} of {len(predicted)} are not "
                    "finite; the training has diverged, or fits did not converge (the log of "
                    "the evaluation lists the images)"
                )
            if len(predicted) < 2:
                raise UserError(f"{where}: one image; an ensemble needs at least 2")
            splits[str(point)] = str(split)
            ensembles.append(Ensemble(str(point), str(split), name, float(true[0]), predicted))
    order = {name: i for i, name in enumerate(PARAMETERS)}
    return sorted(
        ensembles, key=lambda ensemble: (order[ensemble.coefficient], ensemble.true, ensemble.point)
    )


def joint_ensembles(frame: pd.DataFrame) -> list[JointEnsemble]:
    """Build ensembles of all coefficients together, in the order of the table's points.

    Columns of shifts and predictions are in the order of `coefficients_in`. The table must be valid
    for `make_ensembles`.

    Raises:
        UserError: an image lacks a prediction of one of the coefficients.
    """
    names = list(coefficients_in(frame))
    ensembles: list[JointEnsemble] = []
    for point, group in frame.groupby("point", sort=False):
        by_image = group.pivot_table(
            index=["campaign", "image_index"], columns="coefficient", values=["true", "predicted"]
        )
        if by_image.shape[1] != 2 * len(names) or by_image.isna().any(axis=None):
            raise UserError(
                f"predictions of point {point}: an image lacks a prediction of one of "
                f"{', '.join(names)}; evaluate it again"
            )
        true = by_image["true"][names].to_numpy(dtype=float)
        predicted = by_image["predicted"][names].to_numpy(dtype=float)
        ensembles.append(JointEnsemble(str(point), true[0], predicted))
    return ensembles


def calibrate_jointly(frame: pd.DataFrame) -> JointCalibration | None:
    """Build the joint calibration of all coefficients of a prediction table.

    Returns:
        Calibration, or None for one coefficient, or if there are too few points or images (see
        `joint_calibration`).

    Raises:
        UserError: see `joint_ensembles`.
    """
    if len(coefficients_in(frame)) < 2:
        return None
    ensembles = joint_ensembles(frame)
    true = np.array([ensemble.true for ensemble in ensembles])
    return joint_calibration(true, [ensemble.predicted for ensemble in ensembles])


def joint_covariances(frame: pd.DataFrame, bound: CovarianceBound) -> JointCovariances | None:
    """Compare the covariance of the estimates at each point with the Cramér–Rao bound.

    With the covariance C of a point's predictions (ddof = 1) and the Jacobian F of the response,
    the covariance of the estimates is F⁻¹ C F⁻ᵀ. Their volume relative to the bound B is
    √(det F⁻¹ C F⁻ᵀ / det B), divided by the exponential of the mean of its logarithm for a normal
    sample of N images, because the determinant of a sample covariance is biased low.

    Args:
        frame: prediction table of the splits test and interpolation.
        bound: Cramér–Rao bound of one image at a point.

    Returns:
        None if there is no joint calibration (`calibrate_jointly`).
    """
    from scipy.special import digamma

    joint = calibrate_jointly(frame)
    if joint is None:
        return None
    names = coefficients_in(frame)
    rows: list[PointCovariance] = []
    for ensemble in joint_ensembles(frame):
        known = _labelled_shifts(ensemble.point)
        for name, value in zip(names, map(float, ensemble.true), strict=True):
            set_parameter(known, name, value)
        least = bound(known, names)
        covariance = joint.calibrated_covariance(np.cov(ensemble.predicted.T), ensemble.true)
        freedom = len(ensemble.predicted) - 1 - np.arange(len(names))
        low = float(np.sum(digamma(freedom / 2) + np.log(2 / (len(ensemble.predicted) - 1))))
        logarithm = float(np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(least)[1]) - low
        rows.append(
            PointCovariance(
                point=ensemble.point,
                covariance=tuple(tuple(map(float, row)) for row in covariance),
                bound=tuple(tuple(map(float, row)) for row in least),
                volume_over_bound=float(np.exp(logarithm / 2)),
            )
        )
    return JointCovariances(coefficients=names, points=tuple(rows))


def gaussian_fit(predicted: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a Gaussian to the histogram of predictions and return its mean and σ.

    Binned maximum likelihood in 15 bins over median ± 3 s, with s half the distance between the
    16 % and 84 % quantiles. The likelihood is that of the bin contents given the number of
    predictions in the window (multinomial, with the Gaussian integrated over each bin), so that it
    describes the core and is not affected by outliers.

    Args:
        predicted: shape (n,).

    Returns:
        Mean and σ; both NaN for fewer than 10 predictions, if all are equal, or if no Gaussian fits
        the histogram (σ outside s/4 … 4 s).
    """
    from scipy.optimize import minimize
    from scipy.stats import norm

    lower, middle, upper = np.quantile(predicted, [0.16, 0.5, 0.84])
    scale = (upper - lower) / 2
    if len(predicted) < GAUSSIAN_FIT_MINIMUM_IMAGES or not scale > 0:
        return float("nan"), float("nan")
    edges = np.linspace(-GAUSSIAN_FIT_HALF_RANGE, GAUSSIAN_FIT_HALF_RANGE, GAUSSIAN_FIT_BINS + 1)
    counts, _ = np.histogram((predicted - middle) / scale, edges)

    def negative_log_likelihood(parameters: NDArray[np.float64]) -> float:
        mean, log_sigma = parameters
        cumulative = norm.cdf(edges, mean, np.exp(log_sigma))
        inside = cumulative[-1] - cumulative[0]
        contents = np.clip(np.diff(cumulative) / max(inside, 1e-300), 1e-300, None)
        return -float(np.sum(counts * np.log(contents)))

    limit = np.log(4.0)
    result = minimize(
        negative_log_likelihood,
        x0=np.zeros(2),
        method="L-BFGS-B",
        bounds=[(-2.0, 2.0), (-limit, limit)],
    )
    mean, log_sigma = result.x
    if abs(log_sigma) > 0.999 * limit or abs(mean) > 1.998:
        return float("nan"), float("nan")
    return float(middle + scale * mean), float(scale * np.exp(log_sigma))


def summarize(frame: pd.DataFrame, bound: Bound, trained: bool = True) -> pd.DataFrame:
    """Summarize the ensembles of one estimator, with one row per point and coefficient.

    With the predictions p of a point's images: mean p̄; bias p̄ − δ; sigma_left = p̄ − q16 and
    sigma_right = q84 − p̄ with the 16 % and 84 % quantiles of p; sigma their standard deviation
    (ddof = 1); response_slope = f′(δ) of the response f fitted to all points
    (`wilsonvox.ensembles.calibration.fit_response`); sigma_over_bound = sigma / f′(δ) / bound, the
    standard deviation of the estimate after calibration relative to the Cramér–Rao bound, NaN where
    the response does not rise (f′ ≤ 0) and the estimator measures nothing; coverage_68 and
    coverage_95: fraction of the images whose intervals contain the true shift
    (`wilsonvox.ensembles.calibration.coverage`).

    For several coefficients with enough points the calibration is joint: response_slope is the
    diagonal element of the Jacobian, and sigma_over_bound the square root of the diagonal element
    of F⁻¹ C F⁻ᵀ over the bound (`joint_covariances`).

    Args:
        frame: prediction table of the splits test and interpolation.
        bound: Cramér–Rao bound of one image at a point.
        trained: False for an estimator without training, for which no point is a training point.

    Returns:
        Columns `SUMMARY_COLUMNS`, sorted by coefficient, then true shift.

    Raises:
        UserError: see `make_ensembles`; or fewer than four distinct true shifts.
    """
    ensembles = make_ensembles(frame)
    names = coefficients_in(frame)
    shifts: dict[str, dict[str, complex]] = {}
    slopes: list[float] = []
    covered: list[NDArray[np.float64]] = []
    for name in names:
        chosen = [ensemble for ensemble in ensembles if ensemble.coefficient == name]
        true = np.array([ensemble.true for ensemble in chosen])
        predicted = [ensemble.predicted for ensemble in chosen]
        slopes += fit_response(true, predicted).derivative(true).tolist()
        covered += list(coverage(true, predicted))
    for ensemble in ensembles:
        known = shifts.setdefault(ensemble.point, _labelled_shifts(ensemble.point))
        set_parameter(known, ensemble.coefficient, ensemble.true)
    bounds = {point: bound(values, names) for point, values in shifts.items()}
    widths = [
        float(np.std(ensemble.predicted, ddof=1)) / slope if slope > 0 else float("nan")
        for ensemble, slope in zip(ensembles, slopes, strict=True)
    ]
    joint = calibrate_jointly(frame)
    if joint is not None:
        together = {ensemble.point: ensemble for ensemble in joint_ensembles(frame)}
        slopes = [
            _slope(joint, together[ensemble.point], names, ensemble) for ensemble in ensembles
        ]
        widths = [
            _width(joint, together[ensemble.point], names, ensemble) for ensemble in ensembles
        ]
        parts = {
            point: joint.coverage(ensemble.true, ensemble.predicted)
            for point, ensemble in together.items()
        }
        covered = [
            parts[ensemble.point][names.index(ensemble.coefficient)] for ensemble in ensembles
        ]
    rows = [
        _summary_row(ensemble, slope, width, float(bounds[ensemble.point][ensemble.coefficient]))
        | {"coverage_68": covers[0], "coverage_95": covers[1]}
        for ensemble, slope, width, covers in zip(ensembles, slopes, widths, covered, strict=True)
    ]
    summary = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).astype(SUMMARY_COLUMNS)
    summary["seen_in_training"] &= trained
    return summary


def _slope(
    joint: JointCalibration, point: JointEnsemble, names: tuple[str, ...], ensemble: Ensemble
) -> float:
    """Derivative of a coefficient's response with respect to its own shift."""
    index = names.index(ensemble.coefficient)
    return float(joint.jacobian(point.true)[index, index])


def _width(
    joint: JointCalibration, point: JointEnsemble, names: tuple[str, ...], ensemble: Ensemble
) -> float:
    """Standard deviation of a coefficient's estimates after the joint calibration."""
    index = names.index(ensemble.coefficient)
    covariance = joint.calibrated_covariance(np.cov(point.predicted.T), point.true)
    return float(np.sqrt(covariance[index, index]))


def _labelled_shifts(point: str) -> dict[str, complex]:
    """Shifts given by the label of a point, including coefficients that are not estimated."""
    try:
        return dict(parse_point(point))
    except UserError:
        return {}


def _summary_row(ensemble: Ensemble, slope: float, width: float, bound: float) -> dict[str, object]:
    predicted = ensemble.predicted
    mean = float(np.mean(predicted))
    lower, upper = np.quantile(predicted, [0.16, 0.84])
    sigma = float(np.std(predicted, ddof=1))
    gauss_mean, gauss_sigma = gaussian_fit(predicted)
    return {
        "point": ensemble.point,
        "coefficient": ensemble.coefficient,
        "true": ensemble.true,
        "seen_in_training": ensemble.seen_in_training,
        "n_images": len(predicted),
        "mean": mean,
        "bias": mean - ensemble.true,
        "sigma_left": mean - float(lower),
        "sigma_right": float(upper) - mean,
        "sigma": sigma,
        "response_slope": slope,
        "bound": bound,
        "sigma_over_bound": width / bound if slope > 0 else float("nan"),
        "gauss_mean": gauss_mean,
        "gauss_sigma": gauss_sigma,
    }


def summary_csv(summary: pd.DataFrame) -> str:
    """Format the summary as CSV for reading: the same rows, six significant digits."""
    return summary.to_csv(index=False, float_format="%.6g", lineterminator="\n")
