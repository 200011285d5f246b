"""Ensembles: the predictions of many test images at one point, and their summary.

Shifts, predictions and all sigmas are dimensionless. Definitions: docs/physics/statistics.md.
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
"""Splits whose predictions make ensembles; points of the second were never trained on."""

Bound = Callable[[Mapping[str, complex], tuple[str, ...]], Mapping[str, float]]
"""Cramér–Rao bound on each named coefficient's σ for one image, at a point's shifts."""

CovarianceBound = Callable[[Mapping[str, complex], tuple[str, ...]], NDArray[np.float64]]
"""Cramér–Rao bound on the covariance of the named coefficients, shape (k, k), likewise."""

GAUSSIAN_FIT_BINS = 15
GAUSSIAN_FIT_HALF_RANGE = 3.0
GAUSSIAN_FIT_MINIMUM_IMAGES = 10


@dataclass(frozen=True)
class Ensemble:
    """Predictions of one coefficient for the test images of one point.

    predicted: float64, shape (n_images,). true: the coefficient's shift at the point.
    """

    point: str
    split: str
    coefficient: str
    true: float
    predicted: NDArray[np.float64]

    @property
    def seen_in_training(self) -> bool:
        """Whether an estimator that is trained has seen images of this point."""
        return self.split == "test"


@dataclass(frozen=True)
class JointEnsemble:
    """Predictions of all coefficients for the test images of one point.

    true: the coefficients' shifts at the point, shape (k,). predicted: shape (n_images, k).
    """

    point: str
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]


def read_predictions(
    paths: Iterable[str | os.PathLike[str]],
) -> tuple[pd.DataFrame, TableMetadata]:
    """Prediction tables of one estimator, one under the other in the order of `paths`.

    Raises:
        UserError: no table, one that cannot be read, or tables of several estimators, image
            specifications or sets of physics inputs.
    """
    frames: list[pd.DataFrame] = []
    first: tuple[str | os.PathLike[str], TableMetadata] | None = None
    for path in paths:
        frame, metadata = read_table(path, PREDICTION_COLUMNS)
        if first is None:
            first = (path, metadata)
        for name in TableMetadata.model_fields:
            expected, found = getattr(first[1], name), getattr(metadata, name)
            if found != expected:
                raise UserError(
                    f"{path}: its {name} ({found}) is not that of {first[0]} ({expected}); "
                    "a summary is of one estimator with one image specification"
                )
        frames.append(frame)
    if first is None:
        raise UserError("no prediction tables given")
    return pd.concat(frames, ignore_index=True), first[1]


def coefficients_in(frame: pd.DataFrame) -> tuple[str, ...]:
    """The coefficients of a prediction table, in the order of `PARAMETERS`.

    Raises:
        UserError: one is not known.
    """
    found = {str(name) for name in frame["coefficient"].unique()}
    unknown = sorted(found - set(PARAMETERS))
    if unknown:
        raise UserError(
            f"predictions of unknown coefficient {unknown[0]!r}; known are {', '.join(PARAMETERS)}"
        )
    return tuple(name for name in PARAMETERS if name in found)


def make_ensembles(frame: pd.DataFrame) -> list[Ensemble]:
    """Ensembles of a prediction table, by coefficient, then true shift, then label.

    Raises:
        UserError: a split that makes no ensembles, a prediction that stands there twice, a point
            in two splits or with two true values, an ensemble of one image, or a value that is
            not finite.
    """
    key = ["split", "point", "campaign", "image_index", "coefficient"]
    twice = frame[frame.duplicated(key)]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"predictions of point {row['point']}, campaign {row['campaign']}, image "
            f"{row['image_index']}, {row['coefficient']} stand there twice; give each table once"
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
                raise UserError(f"{where}: only {' and '.join(SUMMARY_SPLITS)} images make these")
            if point in splits:
                raise UserError(
                    f"{where}: the point is also in split {splits[str(point)]}, but interpolation "
                    "points are never trained on"
                )
            if len(np.unique(true)) != 1 or not np.isfinite(true[0]):
                raise UserError(f"{where}: the true shift is not one finite number")
            if not np.all(np.isfinite(predicted)):
                raise UserError(
                    f"{where}: {int(np.sum(~np.isfinite(predicted)))} of {len(predicted)} are not "
                    "finite; the training has diverged, or fits did not converge (the log of "
                    "their evaluation names the images)"
                )
            if len(predicted) < 2:
                raise UserError(f"{where}: one image; an ensemble needs at least 2")
            splits[str(point)] = str(split)
            ensembles.append(Ensemble(str(point), str(split), name, float(true[0]), predicted))
    order = {name: i for i, name in enumerate(PARAMETERS)}
    return sorted(ensembles, key=lambda each: (order[each.coefficient], each.true, each.point))


def joint_ensembles(frame: pd.DataFrame) -> list[JointEnsemble]:
    """Ensembles of all coefficients together, in the order of the table's points.

    Columns of shifts and predictions are in the order of `coefficients_in`. The table must be one
    that `make_ensembles` takes.

    Raises:
        UserError: an image without a prediction of one of the coefficients.
    """
    names = list(coefficients_in(frame))
    ensembles: list[JointEnsemble] = []
    for point, group in frame.groupby("point", sort=False):
        by_image = group.pivot_table(
            index=["campaign", "image_index"], columns="coefficient", values=["true", "predicted"]
        )
        if by_image.shape[1] != 2 * len(names) or by_image.isna().any(axis=None):
            raise UserError(
                f"predictions of point {point}: an image has none of one of {', '.join(names)}; "
                "evaluate it again"
            )
        true = by_image["true"][names].to_numpy(dtype=float)
        predicted = by_image["predicted"][names].to_numpy(dtype=float)
        ensembles.append(JointEnsemble(str(point), true[0], predicted))
    return ensembles


def calibrate_jointly(frame: pd.DataFrame) -> JointCalibration | None:
    """The joint calibration of all coefficients of a prediction table.

    None for one coefficient, and where points or images are too few (`joint_calibration`).

    Raises:
        UserError: see `joint_ensembles`.
    """
    if len(coefficients_in(frame)) < 2:
        return None
    ensembles = joint_ensembles(frame)
    true = np.array([each.true for each in ensembles])
    return joint_calibration(true, [each.predicted for each in ensembles])


def joint_covariances(frame: pd.DataFrame, bound: CovarianceBound) -> JointCovariances | None:
    """Covariance of the estimates at each point, beside the Cramér–Rao bound.

    With C the covariance of a point's predictions (ddof = 1) and F the Jacobian of the response
    there, F⁻¹ C F⁻ᵀ; and √(det F⁻¹ C F⁻ᵀ / det B) with the bound B, divided by the exponential of
    what the logarithm of it is on average for a normal sample of N images (that of a determinant
    from a sample is low).

    Args:
        frame: prediction table of the splits test and interpolation.
        bound: Cramér–Rao bound of one image at a point.

    Returns:
        None where there is no joint calibration (`calibrate_jointly`).
    """
    from scipy.special import digamma

    joint = calibrate_jointly(frame)
    if joint is None:
        return None
    names = coefficients_in(frame)
    rows: list[PointCovariance] = []
    for each in joint_ensembles(frame):
        known = _labelled_shifts(each.point)
        for name, value in zip(names, map(float, each.true), strict=True):
            set_parameter(known, name, value)
        least = bound(known, names)
        found = joint.calibrated_covariance(np.cov(each.predicted.T), each.true)
        freedom = len(each.predicted) - 1 - np.arange(len(names))
        low = float(np.sum(digamma(freedom / 2) + np.log(2 / (len(each.predicted) - 1))))
        logarithm = float(np.linalg.slogdet(found)[1] - np.linalg.slogdet(least)[1]) - low
        rows.append(
            PointCovariance(
                point=each.point,
                covariance=tuple(tuple(map(float, row)) for row in found),
                bound=tuple(tuple(map(float, row)) for row in least),
                volume_over_bound=float(np.exp(logarithm / 2)),
            )
        )
    return JointCovariances(coefficients=names, points=tuple(rows))


def gaussian_fit(predicted: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and σ of a Gaussian fitted to the histogram of predictions.

    Binned maximum likelihood in 15 bins over median ± 3 s, with s half the distance between the
    16 % and 84 % points. The likelihood is that of the bins' contents given the number of
    predictions in the window (multinomial, the Gaussian integrated over each bin), so it describes
    the core and predictions far out do not pull it.

    Args:
        predicted: shape (n,).

    Returns:
        Both NaN for fewer than 10 predictions, none of them different, or a histogram to which
        no Gaussian fits (its σ leaves s/4 … 4 s).
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
    """Summary of the ensembles of one estimator: one row a point and coefficient.

    With p the predictions of a point's images: mean p̄, bias p̄ − δ, sigma_left = p̄ − q16 and
    sigma_right = q84 − p̄ with the 16 % and 84 % points of p, sigma their standard deviation
    (ddof = 1); response_slope = f′(δ) of the response f fitted to all points
    (`wilsonvox.ensembles.calibration.fit_response`); sigma_over_bound = sigma / f′(δ) / bound, the
    spread of the estimate after calibration over the least that any unbiased estimate can have.
    Where the response does not rise (f′ ≤ 0) the estimator measures nothing and sigma_over_bound is
    NaN. coverage_68 and coverage_95: part of the images whose intervals hold the true shift
    (`wilsonvox.ensembles.calibration.coverage`).

    Of several coefficients with points enough for it the calibration is joint: response_slope is
    the coefficient's own derivative, the diagonal of the Jacobian, and sigma_over_bound the root of
    the diagonal of F⁻¹ C F⁻ᵀ over the bound (`joint_covariances`).

    Args:
        frame: prediction table of the splits test and interpolation.
        bound: Cramér–Rao bound of one image at a point.
        trained: whether the estimator is trained; else it has seen no point in training.

    Returns:
        Columns `SUMMARY_COLUMNS`, by coefficient, then true shift.

    Raises:
        UserError: see `make_ensembles`; or fewer than four distinct true shifts.
    """
    ensembles = make_ensembles(frame)
    names = coefficients_in(frame)
    shifts: dict[str, dict[str, complex]] = {}
    slopes: list[float] = []
    covered: list[NDArray[np.float64]] = []
    for name in names:
        chosen = [each for each in ensembles if each.coefficient == name]
        true = np.array([each.true for each in chosen])
        predicted = [each.predicted for each in chosen]
        slopes += fit_response(true, predicted).derivative(true).tolist()
        covered += list(coverage(true, predicted))
    for each in ensembles:
        known = shifts.setdefault(each.point, _labelled_shifts(each.point))
        set_parameter(known, each.coefficient, each.true)
    bounds = {point: bound(values, names) for point, values in shifts.items()}
    widths = [
        float(np.std(each.predicted, ddof=1)) / slope if slope > 0 else float("nan")
        for each, slope in zip(ensembles, slopes, strict=True)
    ]
    joint = calibrate_jointly(frame)
    if joint is not None:
        together = {each.point: each for each in joint_ensembles(frame)}
        slopes = [_slope(joint, together[each.point], names, each) for each in ensembles]
        widths = [_width(joint, together[each.point], names, each) for each in ensembles]
        parts = {
            point: joint.coverage(each.true, each.predicted) for point, each in together.items()
        }
        covered = [parts[each.point][names.index(each.coefficient)] for each in ensembles]
    rows = [
        _summary_row(each, slope, width, float(bounds[each.point][each.coefficient]))
        | {"coverage_68": covers[0], "coverage_95": covers[1]}
        for each, slope, width, covers in zip(ensembles, slopes, widths, covered, strict=True)
    ]
    summary = pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).astype(SUMMARY_COLUMNS)
    summary["seen_in_training"] &= trained
    return summary


def _slope(
    joint: JointCalibration, point: JointEnsemble, names: tuple[str, ...], ensemble: Ensemble
) -> float:
    """Derivative of a coefficient's response by its own shift."""
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
    """Shifts that the label tells, also of coefficients that are not estimated."""
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
    """The summary as CSV text for people: the same rows, six significant digits."""
    return summary.to_csv(index=False, float_format="%.6g", lineterminator="\n")
