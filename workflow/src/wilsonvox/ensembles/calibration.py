"""Calibration of predictions: response, width and shape of ensembles, and Neyman intervals.

The prediction p of an image with true shift δ has the mean f(δ), the *response*, a standard
deviation σ(δ), the *width*, and a shape that can depend on δ and need not be Gaussian. All three
are estimated from ensembles of test images at known shifts and smoothed in δ. A measured prediction
is converted to a value by inverting f, and to an interval by the Neyman construction: the interval
of confidence level α contains every δ for which the measurement lies in the central region of
probability α expected at that δ (J. Neyman, Phil. Trans. R. Soc. A 236 (1937) 333; see
"Statistics", section 40.4.2.1, in the Review of Particle Physics). Formulas:
docs/physics/statistics.md.

Shifts, predictions and widths are dimensionless; arrays are float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.smoothing import SmoothFit, fit_smooth, weighted_fit

Array = NDArray[np.float64]

LEVELS = (0.68, 0.95)
"""Confidence levels of the intervals."""

MINIMUM_POINTS = 4
"""Minimum number of distinct true values for a response."""

MINIMUM_IMAGES_FOR_SHAPE = 40
"""Minimum number of images in every ensemble to use its quantiles; otherwise Gaussian ones."""

MAXIMUM_RESPONSE_DEGREE = 7
MAXIMUM_WIDTH_DEGREE = 4
_GRID_POINTS = 8001
_FFT_STEP = 0.02


def _moments(predictions: Sequence[Array]) -> tuple[Array, Array, Array]:
    means = np.array([np.mean(sample) for sample in predictions])
    widths = np.array([np.std(sample, ddof=1) for sample in predictions])
    sizes = np.array([len(sample) for sample in predictions], dtype=float)
    return means, widths, sizes


def _standardised(predictions: Sequence[Array]) -> list[Array]:
    """Shift and scale each ensemble to mean 0 and standard deviation (ddof = 1) 1."""
    return [(sample - np.mean(sample)) / np.std(sample, ddof=1) for sample in predictions]


def _check(true: Array, predictions: Sequence[Array]) -> None:
    distinct = len(np.unique(true))
    if distinct < MINIMUM_POINTS:
        raise UserError(
            f"ensembles at {distinct} true values; the response needs at least {MINIMUM_POINTS}: "
            "add test or interpolation points"
        )
    if len(true) != len(predictions):
        raise ValueError("predictions must have one array per true value")
    for value, sample in zip(true, predictions, strict=True):
        if len(sample) < 2:
            raise UserError(f"ensemble at {value:g}: {len(sample)} image; at least 2 are needed")


def fit_width(true: ArrayLike, predictions: Sequence[Array]) -> SmoothFit:
    """Fit the width σ(δ) of predictions: a polynomial for ln σ through the ensembles' spreads.

    var(ln s) = (2 + κ)/(4(N − 1)) and E(ln s) = ln σ − (2 + κ)/(4(N − 1)) with the excess kurtosis
    κ of all ensembles together; the second is corrected for.

    Args:
        true: true shift of each ensemble, shape (n_points,).
        predictions: predictions of each ensemble, shapes (N_i,), not all equal.
    """
    _, widths, sizes = _moments(predictions)
    kurtosis = max(float(np.mean(np.concatenate(_standardised(predictions)) ** 4)) - 3, -1.0)
    variance = (2 + kurtosis) / (4 * (sizes - 1))
    return fit_smooth(true, np.log(widths) + variance, np.sqrt(variance), MAXIMUM_WIDTH_DEGREE)


def fit_response(true: ArrayLike, predictions: Sequence[Array]) -> SmoothFit:
    """Fit the response f(δ): a polynomial of degree 1 or more through the ensembles' means.

    The error of a mean is σ(δ_i)/√N_i with the smoothed width, so that an ensemble that is narrow
    by chance gets no larger weight. If an ensemble has no spread at all (an estimator that does not
    respond), equal errors are used.

    Args:
        true: true shift of each ensemble, shape (n_points,).
        predictions: predictions of each ensemble, shapes (N_i,).

    Raises:
        UserError: fewer than four distinct true values, or an ensemble of one image.
    """
    shifts = np.asarray(true, dtype=float)
    _check(shifts, predictions)
    means, widths, sizes = _moments(predictions)
    if np.all(widths > 0):
        single = np.exp(fit_width(shifts, predictions)(shifts))
    else:
        single = np.full(len(widths), max(float(np.mean(widths)), 1e-12))
    return fit_smooth(shifts, means, single / np.sqrt(sizes), MAXIMUM_RESPONSE_DEGREE, 1)


def quantiles_of_mean(sample: Array, n_images: int, probabilities: ArrayLike) -> Array:
    """Quantiles of √n times the mean of n draws from the empirical distribution of `sample`.

    Equal to a bootstrap with infinitely many draws, but without random numbers: the n-fold
    convolution of the sample's histogram (bins of 0.02, linear sharing between neighbours) by FFT.
    For one draw, the quantiles of the sample, estimated without bias for a normal sample.

    Args:
        sample: sample of mean 0 and standard deviation (ddof = 1) 1, shape (N,).
        n_images: number of draws, n.
        probabilities: shape (k,).

    Returns:
        Shape (k,).
    """
    wanted = np.asarray(probabilities, dtype=float)
    if n_images == 1:
        return np.asarray(np.quantile(sample, wanted, method="normal_unbiased"))
    sample = sample / np.std(sample)
    half = float(np.max(np.abs(sample))) + 9 * np.sqrt(n_images)
    size = 2 ** int(np.ceil(np.log2(2 * half / _FFT_STEP)))
    position = sample / _FFT_STEP
    below = np.floor(position).astype(int)
    share = position - below
    density = np.zeros(size)
    np.add.at(density, below % size, 1 - share)
    np.add.at(density, (below + 1) % size, share)
    transform = np.fft.rfft(density / len(sample)) ** n_images
    total = np.fft.fftshift(np.fft.irfft(transform, size))
    cumulative = np.cumsum(np.clip(total, 0, None))
    cumulative /= cumulative[-1]
    upper_edges = (np.arange(size) - size // 2 + 0.5) * _FFT_STEP
    kept = (cumulative > 1e-9) & (cumulative < 1 - 1e-9)
    values = np.interp(wanted, cumulative[kept], upper_edges[kept])
    return np.asarray(values / np.sqrt(n_images))


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of m measurements; every array has shape (m,).

    low, high: ends; NaN if the accepted shifts reach the edge of the calibrated range, so that the
        true end lies beyond it, and both NaN if no shift is accepted
    empty: no shift in the calibrated range is accepted
    disjoint: the accepted shifts are not contiguous; low and high are the outermost ends
    """

    low: Array
    high: Array
    empty: NDArray[np.bool_]
    disjoint: NDArray[np.bool_]

    def contains(self, shift: ArrayLike) -> NDArray[np.bool_]:
        """Test if each interval contains `shift`; an open end extends to infinity, shape (m,)."""
        true = np.asarray(shift, dtype=float)
        above = np.isnan(self.low) | (true >= self.low)
        below = np.isnan(self.high) | (true <= self.high)
        return np.asarray(above & below & ~self.empty)


@dataclass(frozen=True)
class Calibration:
    """Calibration of an estimator of one coefficient by ensembles of test images.

    true: true shift of each ensemble, shape (n_points,), ascending
    predictions: predictions of each ensemble, shapes (N_i,)
    """

    true: Array
    predictions: tuple[Array, ...]
    _curves: dict[tuple[int, float], tuple[Array, Array]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, true: ArrayLike, predictions: Sequence[ArrayLike]) -> "Calibration":
        """Calibrate with the ensembles of several points, in any order.

        Raises:
            UserError: fewer than four distinct true values, an ensemble of one image, or one whose
                predictions are all equal.
        """
        shifts = np.asarray(true, dtype=float)
        ensembles = [np.asarray(sample, dtype=float) for sample in predictions]
        _check(shifts, ensembles)
        for value, sample in zip(shifts, ensembles, strict=True):
            if not np.std(sample) > 0:
                raise UserError(
                    f"all {len(sample)} predictions of the ensemble at {value:g} are equal: the "
                    "estimator does not respond to its images; train it longer"
                )
        order = np.argsort(shifts, kind="stable")
        return cls(shifts[order], tuple(ensembles[i] for i in order))

    @property
    def low(self) -> float:
        """Lower edge of the calibrated range."""
        return float(self.true[0])

    @property
    def high(self) -> float:
        """Upper edge of the calibrated range."""
        return float(self.true[-1])

    @cached_property
    def response(self) -> SmoothFit:
        """Response: mean prediction f(δ)."""
        return fit_response(self.true, self.predictions)

    @cached_property
    def log_width(self) -> SmoothFit:
        """Logarithm of the standard deviation σ(δ) of the prediction of one image."""
        return fit_width(self.true, self.predictions)

    @cached_property
    def kurtosis(self) -> float:
        """Excess kurtosis of the predictions, relative to the means of their ensembles."""
        return float(np.mean(np.concatenate(_standardised(self.predictions)) ** 4)) - 3

    @property
    def shape_is_gaussian(self) -> bool:
        """True if the ensembles are too small to determine their shape, so that it is Gaussian."""
        return min(len(sample) for sample in self.predictions) < MINIMUM_IMAGES_FOR_SHAPE

    @cached_property
    def grid(self) -> Array:
        """Shifts, equally spaced over the calibrated range, at which intervals are computed."""
        return np.linspace(self.low, self.high, _GRID_POINTS)

    @cached_property
    def falling_ranges(self) -> list[tuple[float, float]]:
        """Parts of the calibrated range in which the response does not rise, as (low, high)."""
        flat = np.concatenate([[False], self.response.derivative(self.grid) <= 0, [False]])
        starts = np.flatnonzero(~flat[:-1] & flat[1:])
        ends = np.flatnonzero(flat[:-1] & ~flat[1:]) - 1
        return [
            (float(self.grid[a]), float(self.grid[b])) for a, b in zip(starts, ends, strict=True)
        ]

    def deviation_quantile(self, shift: ArrayLike, n_images: int, probability: float) -> Array:
        """Quantile of (mean prediction of n images) − f(δ), including the calibration's errors.

        The quantile in units of σ(δ)/√n is a polynomial in δ through the ensembles' own quantiles
        (constant below 5 ensembles, linear below 8, then quadratic). The uncertainty s of the width
        and of this shape widens it by the factor 1 + s²/2 (the leading term of Student's t); the
        uncertainty of the response is added in quadrature.

        Args:
            shift: δ, any shape.
            n_images: number of images, n.
            probability: between 0 and 1.

        Returns:
            Same shape as `shift`.
        """
        from scipy.stats import norm

        normal = float(norm.ppf(probability))
        shape: Array
        if self.shape_is_gaussian:
            shape = np.full(np.shape(shift), normal)
            shape_variance = np.zeros(np.shape(shift))
        else:
            points = [
                float(quantiles_of_mean(sample, n_images, [probability])[0])
                for sample in _standardised(self.predictions)
            ]
            degree = 0 if len(points) < 5 else 1 if len(points) < 8 else 2
            scaled = (2 * self.true - self.low - self.high) / (self.high - self.low)
            sizes = np.array([len(sample) for sample in self.predictions], dtype=float)
            coefficients, covariance, chi2 = weighted_fit(
                np.asarray(legendre.legvander(scaled, degree), dtype=float),
                np.array(points),
                1 / sizes,
            )
            ndf = len(points) - degree - 1
            curve = SmoothFit(
                self.low, self.high, coefficients, covariance * chi2 / ndf, 0.0, chi2, ndf
            )
            shape, shape_variance = curve(shift), curve.variance(shift)
        squared_error = shape_variance + shape**2 * self.log_width.variance(shift)
        width = np.exp(self.log_width(shift)) / np.sqrt(n_images)
        spread = width * shape * (1 + squared_error / 2)
        of_response = normal**2 * self.response.variance(shift)
        return np.asarray(np.sign(spread) * np.sqrt(spread**2 + of_response))

    def acceptance(self, n_images: int, level: float) -> tuple[Array, Array]:
        """Central region of the mean prediction of n images at each shift of `grid`.

        Returns:
            Lower and upper edge, both with the shape of `grid`.
        """
        if (n_images, level) not in self._curves:
            low, high = (
                self.response(self.grid) + self.deviation_quantile(self.grid, n_images, probability)
                for probability in ((1 - level) / 2, (1 + level) / 2)
            )
            self._curves[n_images, level] = (low, high)
        return self._curves[n_images, level]

    def accepts(
        self, observed: ArrayLike, shift: float, n_images: int, level: float
    ) -> NDArray[np.bool_]:
        """Test if the Neyman intervals of mean predictions of n images contain a shift.

        Args:
            observed: mean predictions, shape (m,).
            shift: δ, inside the calibrated range.
            n_images: number of images per mean.
            level: confidence level, such as 0.68.

        Returns:
            Shape (m,).
        """
        deviation = np.asarray(observed, dtype=float) - self.response(shift)
        low, high = (
            self.deviation_quantile(shift, n_images, probability)
            for probability in ((1 - level) / 2, (1 + level) / 2)
        )
        return np.asarray((low <= deviation) & (deviation <= high))

    def pulls(self, observed: ArrayLike, shift: float) -> Array:
        """Pulls of single-image predictions at a shift: (p − f(δ)) / σ(δ).

        Args:
            observed: predictions, shape (m,).
            shift: δ, inside the calibrated range.

        Returns:
            Shape (m,).
        """
        deviation = np.asarray(observed, dtype=float) - self.response(shift)
        return np.asarray(deviation / np.exp(self.log_width(shift)))

    def values(self, observed: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
        """Invert the response: solve f(δ) = observed.

        Args:
            observed: (mean) predictions, shape (m,).

        Returns:
            Shifts, shape (m,), NaN unless there is exactly one solution in the calibrated range,
            and the number of solutions, int64 of shape (m,).
        """
        measured = np.atleast_1d(np.asarray(observed, dtype=float))
        curve = self.response(self.grid)
        shifts = np.full(len(measured), np.nan)
        count = np.zeros(len(measured), dtype=np.int64)
        for row, value in enumerate(measured):
            difference = curve - value
            left = np.flatnonzero((difference[:-1] < 0) != (difference[1:] < 0))
            count[row] = len(left)
            if len(left) == 1:
                i = int(left[0])
                part = difference[i] / (difference[i] - difference[i + 1])
                shifts[row] = self.grid[i] + part * (self.grid[i + 1] - self.grid[i])
        return shifts, count

    def intervals(self, observed: ArrayLike, n_images: int, level: float) -> Intervals:
        """Neyman intervals for δ from mean predictions of n images.

        Args:
            observed: mean predictions, shape (m,).
            n_images: number of images per mean.
            level: confidence level, such as 0.68.
        """
        measured = np.atleast_1d(np.asarray(observed, dtype=float))
        lower, upper = self.acceptance(n_images, level)
        low = np.full(len(measured), np.nan)
        high = np.full(len(measured), np.nan)
        empty = np.zeros(len(measured), dtype=bool)
        disjoint = np.zeros(len(measured), dtype=bool)

        def crossing(margin: Array, inside: int, outside: int) -> float:
            part = margin[inside] / (margin[inside] - margin[outside])
            return float(self.grid[inside] + part * (self.grid[outside] - self.grid[inside]))

        for row, value in enumerate(measured):
            margin = np.minimum(value - lower, upper - value)
            accepted = np.flatnonzero(margin >= 0)
            if not len(accepted):
                empty[row] = True
                continue
            first, last = int(accepted[0]), int(accepted[-1])
            disjoint[row] = last - first + 1 > len(accepted)
            if first > 0:
                low[row] = crossing(margin, first, first - 1)
            if last < len(self.grid) - 1:
                high[row] = crossing(margin, last, last + 1)
        return Intervals(low, high, empty, disjoint)

    def spread_p_values(self, predictions: ArrayLike, shift: float) -> tuple[float, float]:
        """Compare the spread of single-image predictions with that of the ensembles at `shift`.

        X = Σ(p_i − p̄)²/σ(δ)² has mean n − 1 and variance (n − 1)(2 + κ(n − 1)/n) with the excess
        kurtosis κ; it is compared with a scaled χ² of that mean and variance.

        Args:
            predictions: predictions of n ≥ 2 images.
            shift: δ, inside the calibrated range.

        Returns:
            p-values: probability of a spread at least as large, and of one at most as large.
        """
        from scipy.stats import chi2

        sample = np.asarray(predictions, dtype=float)
        n = len(sample)
        width = float(np.exp(self.log_width(shift)))
        statistic = float(np.sum((sample - sample.mean()) ** 2)) / width**2
        scale = 1 + max(self.kurtosis, 0.0) * (n - 1) / n / 2
        return (
            float(chi2.sf(statistic / scale, (n - 1) / scale)),
            float(chi2.cdf(statistic / scale, (n - 1) / scale)),
        )


def coverage(true: ArrayLike, predictions: Sequence[ArrayLike]) -> Array:
    """Coverage of single-image intervals: fraction that contains the true shift, per ensemble.

    Each ensemble is measured with a calibration by all others, so that no image is used in its own
    calibration.

    Args:
        true: true shift of each ensemble, shape (n_points,).
        predictions: predictions of each ensemble, shapes (N_i,).

    Returns:
        Shape (n_points, 2), for the levels `LEVELS`. NaN for an ensemble at an end of the range
        (outside the range of the others), if the others are too few for a calibration, and
        everywhere if an ensemble has no spread.
    """
    shifts = np.asarray(true, dtype=float)
    covered = np.full((len(shifts), len(LEVELS)), np.nan)
    ensembles = [np.asarray(sample, dtype=float) for sample in predictions]
    if not all(np.std(sample) > 0 for sample in ensembles):
        return covered
    for number, shift in enumerate(shifts):
        others = [index for index in range(len(shifts)) if index != number]
        rest = shifts[others]
        if len(np.unique(rest)) < MINIMUM_POINTS or not rest.min() <= shift <= rest.max():
            continue
        calibration = Calibration.of(rest, [ensembles[index] for index in others])
        for column, level in enumerate(LEVELS):
            covered[number, column] = np.mean(
                calibration.accepts(ensembles[number], float(shift), 1, level)
            )
    return covered
