"""Joint calibration of an estimator of several coefficients: response and covariance.

With k shifts δ, the mean prediction f(δ) and the covariance Σ(δ) of one image's predictions are
smooth functions of all shifts. Both are estimated from ensembles of test images: f by polynomials
through the ensembles' means, Σ by its modified Cholesky decomposition, whose factors are
unconstrained (M. Pourahmadi, Biometrika 86 (1999) 677): Σ⁻¹ = Tᵀ D⁻¹ T, where T is unit lower
triangular with minus the coefficients of a regression of each prediction on the preceding ones, and
D is diagonal with the residual variances. The coefficients and ln D are polynomials.

A measured mean prediction p̄ of n images is converted to the δ with f(δ) = p̄, and, with the Jacobian
F = ∂f/∂δ, to the covariance F⁻¹ (Σ/n + V) F⁻ᵀ, where V is the covariance of f itself. Formulas:
docs/physics/statistics.md.

Shifts and predictions are dimensionless; arrays are float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.ensembles.calibration import LEVELS
from wilsonvox.ensembles.smoothing import excess_variance, weighted_fit

Array = NDArray[np.float64]

MAXIMUM_RESPONSE_DEGREE = 3
MAXIMUM_COVARIANCE_DEGREE = 2
_NEWTON_STEPS = 50


def enough_points(true: Array) -> bool:
    """Test if ensembles at the points `true`, shape (n_points, k), determine a joint response.

    Requires twice as many points as a linear response has coefficients, spread in all directions.
    """
    points = np.unique(true, axis=0)
    n, k = points.shape
    spread = points - points.mean(axis=0)
    scale = np.ptp(points, axis=0)
    if n < 2 * (k + 1) or not np.all(scale > 0):
        return False
    return bool(np.linalg.svd(spread / scale, compute_uv=False)[-1] > 1e-3)


@dataclass(frozen=True)
class Surface:
    """Polynomial in k scaled shifts.

    coefficients: shape (n_terms,), in the order of `wilsonvox.core.polynomials.polynomial_terms`
    weights: shape (n_terms, n_points); the coefficients are `weights` times the points' values
    scatter: standard deviation of the points about the curve in excess of their errors (0 if none)
    """

    degree: int
    coefficients: Array
    weights: Array
    scatter: float


def fit_surface(scaled: Array, y: Array, error: Array, maximum: int, minimum: int = 0) -> Surface:
    """Fit a polynomial in several shifts to points, with its degree chosen by AICc.

    Same method as `wilsonvox.ensembles.smoothing.fit_smooth`, which is for one shift: the degree
    with the lowest AICc, with a scatter added in quadrature to the errors.

    Args:
        scaled: points, shape (n, k), of order 1.
        y: values, shape (n,).
        error: standard errors, positive, shape (n,).
        maximum: maximum degree; lower if there are not more points than terms.
        minimum: minimum degree.
    """
    best: tuple[float, Surface] | None = None
    for degree in range(minimum, maximum + 1):
        basis = polynomial_terms(scaled, degree)
        n, terms = basis.shape
        if degree > minimum and (n < terms + 3 or np.linalg.matrix_rank(basis) < terms):
            break
        scatter2 = excess_variance(basis, y, error)
        variance = error**2 + scatter2
        coefficients, covariance, chi2 = weighted_fit(basis, y, variance)
        penalty = 2 * terms + 2 * terms * (terms + 1) / max(n - terms - 1, 1)
        criterion = float(np.sum(np.log(variance))) + chi2 + penalty
        if best is None or criterion < best[0]:
            weights = covariance @ (basis / variance[:, None]).T
            best = criterion, Surface(degree, coefficients, weights, float(np.sqrt(scatter2)))
    assert best is not None
    return best[1]


def _regressions(sample: Array) -> tuple[Array, Array, Array, Array]:
    """Linear regression of each column of a sample on the preceding columns.

    Args:
        sample: shape (n, k).

    Returns:
        Coefficients, shape (k, k), with row a for the regression of column a on the columns before
        a; logarithms of the residual variances, shape (k,); and the standard errors of both.
    """
    n, k = sample.shape
    centred = sample - sample.mean(axis=0)
    coefficients, errors = np.zeros((k, k)), np.ones((k, k))
    log_variance, log_errors = np.zeros(k), np.zeros(k)
    for a in range(k):
        before = centred[:, :a]
        freedom = n - 1 - a
        if a:
            coefficients[a, :a] = np.linalg.lstsq(before, centred[:, a], rcond=None)[0]
        left = centred[:, a] - before @ coefficients[a, :a]
        variance = float(left @ left) / freedom
        kurtosis = max(float(np.mean(left**4) / np.mean(left**2) ** 2) - 3, -1.0)
        log_errors[a] = np.sqrt((2 + kurtosis) / freedom)
        # the logarithm of a sample variance is biased low
        log_variance[a] = np.log(variance) + log_errors[a] ** 2 / 2
        if a:
            errors[a, :a] = np.sqrt(variance * np.diag(np.linalg.inv(before.T @ before)))
    return coefficients, log_variance, errors, log_errors


@dataclass(frozen=True)
class JointEstimate:
    """Estimated shifts of a sample and their covariance.

    value: shape (k,), NaN if no shifts in the calibrated box have this mean prediction
    covariance: shape (k, k), NaN likewise
    """

    value: Array
    covariance: Array


@dataclass(frozen=True)
class JointCalibration:
    """Calibration of an estimator of k coefficients by ensembles of test images.

    true: true shifts of each ensemble, shape (n_points, k), see `enough_points`
    predictions: predictions of each ensemble, shapes (N_i, k), N_i of 2 (k + 1) or more
    """

    true: Array
    predictions: tuple[Array, ...]

    def ordered(self, columns: Sequence[int]) -> "JointCalibration":
        """Return the calibration with its coefficients reordered, given their indices."""
        chosen = list(columns)
        return JointCalibration(
            self.true[:, chosen], tuple(sample[:, chosen] for sample in self.predictions)
        )

    @property
    def low(self) -> Array:
        """Lower corner of the calibrated box, shape (k,)."""
        return np.asarray(self.true.min(axis=0))

    @property
    def high(self) -> Array:
        """Upper corner of the calibrated box, shape (k,)."""
        return np.asarray(self.true.max(axis=0))

    def _scaled(self, shifts: Array) -> Array:
        return (2 * shifts - self.low - self.high) / (self.high - self.low)

    @cached_property
    def _factors(self) -> tuple[list[list[Surface]], list[Surface]]:
        """Surfaces of the regression coefficients, by row, and of the logarithmic variances."""
        scaled = self._scaled(self.true)
        parts = [_regressions(sample) for sample in self.predictions]
        coefficients, logarithms, errors, log_errors = (
            np.array([row[part] for row in parts]) for part in range(4)
        )

        def surface(y: Array, error: Array) -> Surface:
            return fit_surface(scaled, y, error, MAXIMUM_COVARIANCE_DEGREE)

        k = self.true.shape[1]
        rows = [
            [surface(coefficients[:, a, b], errors[:, a, b]) for b in range(a)] for a in range(k)
        ]
        return rows, [surface(logarithms[:, a], log_errors[:, a]) for a in range(k)]

    def covariance(self, shift: Array) -> Array:
        """Covariance Σ(δ) of the predictions of one image at shifts of shape (k,), shape (k, k)."""
        rows, logarithms = self._factors
        scaled = self._scaled(shift)[None]

        def at(surface: Surface) -> float:
            return float((polynomial_terms(scaled, surface.degree) @ surface.coefficients)[0])

        k = len(logarithms)
        unit = np.eye(k)
        for a, row in enumerate(rows):
            unit[a, :a] = [-at(surface) for surface in row]
        factor = np.linalg.inv(unit) * np.exp([at(surface) / 2 for surface in logarithms])
        return np.asarray(factor @ factor.T)

    @cached_property
    def _response(self) -> list[Surface]:
        """Surfaces of the mean predictions, of degree 1 or more."""
        means = np.array([sample.mean(axis=0) for sample in self.predictions])
        sizes = np.array([len(sample) for sample in self.predictions])
        errors = np.array([np.sqrt(np.diag(self.covariance(shift))) for shift in self.true])
        errors /= np.sqrt(sizes)[:, None]
        scaled = self._scaled(self.true)
        return [
            fit_surface(scaled, y, error, MAXIMUM_RESPONSE_DEGREE, 1)
            for y, error in zip(means.T, errors.T, strict=True)
        ]

    def response(self, shift: Array) -> Array:
        """Response f(δ): mean predictions at shifts of shape (k,), same shape."""
        scaled = self._scaled(shift)[None]
        return np.array(
            [
                float((polynomial_terms(scaled, surface.degree) @ surface.coefficients)[0])
                for surface in self._response
            ]
        )

    def jacobian(self, shift: Array) -> Array:
        """Jacobian F = ∂f_a/∂δ_b at shifts of shape (k,), shape (k, k)."""
        scaled = self._scaled(shift)
        rows = [
            surface.coefficients @ polynomial_gradient(scaled, surface.degree)
            for surface in self._response
        ]
        return np.array(rows) * 2 / (self.high - self.low)

    @cached_property
    def _of_means(self) -> Array:
        """Covariance of the mean of each ensemble, shape (n_points, k, k)."""
        return np.array(
            [
                self.covariance(true) / len(sample)
                for true, sample in zip(self.true, self.predictions, strict=True)
            ]
        )

    def response_covariance(self, shift: Array) -> Array:
        """Covariance V(δ) of f: errors of the ensembles' means, and the scatter about f."""
        scaled = self._scaled(shift)[None]
        shares = np.array(
            [
                polynomial_terms(scaled, surface.degree)[0] @ surface.weights
                for surface in self._response
            ]
        )
        of_means = self._of_means
        scatter = np.array([surface.scatter for surface in self._response])
        # scatter of the points propagated through the fit, plus that of the true response itself
        own = np.diag(scatter**2 * (1 + (shares**2).sum(axis=1)))
        return np.asarray(np.einsum("ai,bi,iab->ab", shares, shares, of_means) + own)

    def invert(self, observed: Array, extrapolate: bool = False) -> Array:
        """Solve f(δ) = `observed` by Newton's method; NaN if there is no solution in the box.

        Args:
            observed: mean predictions, shape (k,).
            extrapolate: accept solutions outside the box, where f is extrapolated.
        """
        reach = self.high - self.low
        shift = np.clip(observed, self.low, self.high)
        for _ in range(_NEWTON_STEPS):
            try:
                step = np.linalg.solve(self.jacobian(shift), observed - self.response(shift))
            except np.linalg.LinAlgError:
                return np.full(len(observed), np.nan)
            # polynomials are meaningless far outside the box
            shift = np.clip(shift + step, self.low - reach, self.high + reach)
            if np.all(np.abs(step) < 1e-10 * reach):
                if extrapolate or np.all((shift >= self.low) & (shift <= self.high)):
                    return shift
                break
        return np.full(len(observed), np.nan)

    def calibrated_covariance(self, covariance: Array, shift: Array) -> Array:
        """Convert a covariance C of predictions to F⁻¹ C F⁻ᵀ of shifts, both of shape (k, k)."""
        inverse = np.linalg.inv(self.jacobian(shift))
        return np.asarray(inverse @ covariance @ inverse.T)

    def estimate(self, predictions: Array, extrapolate: bool = False) -> JointEstimate:
        """Estimate the shifts of a sample from the predictions of its images, shape (n, k).

        Args:
            predictions: predictions of the images.
            extrapolate: accept solutions outside the box, see `invert`.
        """
        value = self.invert(predictions.mean(axis=0), extrapolate)
        if not np.all(np.isfinite(value)):
            return JointEstimate(value, np.full((len(value), len(value)), np.nan))
        of_mean = self.covariance(value) / len(predictions) + self.response_covariance(value)
        return JointEstimate(value, self.calibrated_covariance(of_mean, value))

    def pulls(self, true: Array, predictions: Array) -> Array:
        """Pulls (δ̂ − δ)/σ of single images, per coefficient; NaN without an estimate.

        Args:
            true: δ, shape (k,).
            predictions: shape (n, k).

        Returns:
            Shape (n, k).
        """
        rows = [self.estimate(image[None], extrapolate=True) for image in predictions]
        return np.array(
            [(estimate.value - true) / np.sqrt(np.diag(estimate.covariance)) for estimate in rows]
        )

    def coverage(self, true: Array, predictions: Array) -> Array:
        """Coverage of single-image 68 % and 95 % intervals, per coefficient.

        An image without an estimate counts as not covered.

        Args:
            true: δ, shape (k,).
            predictions: shape (n, k).

        Returns:
            Shape (k, 2).
        """
        from scipy.stats import norm

        off = np.abs(self.pulls(true, predictions))
        return np.array([(off <= norm.ppf((1 + level) / 2)).mean(axis=0) for level in LEVELS]).T

    def spread_p_values(self, predictions: Array, shift: Array) -> tuple[float, float]:
        """Compare the spread of single-image predictions with that of the ensembles at `shift`.

        X = Σ (p_i − p̄)ᵀ Σ⁻¹ (p_i − p̄) is compared with χ² of k (n − 1) degrees of freedom.

        Args:
            predictions: predictions of n ≥ 2 images, shape (n, k).
            shift: δ, inside the calibrated box, shape (k,).

        Returns:
            p-values: probability of a spread at least as large, and of one at most as large.
        """
        from scipy.stats import chi2

        n, k = predictions.shape
        centred = predictions - predictions.mean(axis=0)
        inverse = np.linalg.inv(self.covariance(shift))
        statistic = float(np.einsum("na,ab,nb->", centred, inverse, centred))
        return float(chi2.sf(statistic, k * (n - 1))), float(chi2.cdf(statistic, k * (n - 1)))


def joint_calibration(true: Array, predictions: Sequence[Array]) -> JointCalibration | None:
    """Build the calibration from ensembles at several points; None if these are too few.

    Args:
        true: true shifts of each ensemble, shape (n_points, k).
        predictions: predictions of each ensemble, shapes (N_i, k).
    """
    k = true.shape[1]
    if k < 2 or not enough_points(true):
        return None
    if min(len(sample) for sample in predictions) < 2 * (k + 1):
        return None
    return JointCalibration(np.asarray(true, float), tuple(predictions))
