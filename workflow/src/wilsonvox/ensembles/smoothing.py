"""Polynomial fits to points with errors, with the degree chosen by AICc.

Values, errors and shifts are dimensionless; arrays are float64.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothFit:
    """Polynomial on [low, high], as a Legendre series in x = (2δ − low − high) / (high − low).

    coefficients: shape (degree + 1,)
    covariance: covariance of the coefficients, shape (degree + 1, degree + 1)
    scatter: standard deviation of the points about the curve in excess of their errors (0 if none)
    chi2, ndf: χ² of the points without that scatter, and its number of degrees of freedom
    """

    low: float
    high: float
    coefficients: Array
    covariance: Array
    scatter: float
    chi2: float
    ndf: int

    @property
    def degree(self) -> int:
        """Degree of the polynomial."""
        return len(self.coefficients) - 1

    def _scaled(self, shift: ArrayLike) -> Array:
        return (2 * np.asarray(shift, dtype=float) - self.low - self.high) / (self.high - self.low)

    def __call__(self, shift: ArrayLike) -> Array:
        """Evaluate the curve at `shift`, same shape."""
        return np.asarray(legendre.legval(self._scaled(shift), self.coefficients))

    def derivative(self, shift: ArrayLike) -> Array:
        """Evaluate the derivative with respect to the shift, same shape."""
        slope = legendre.legval(self._scaled(shift), legendre.legder(self.coefficients))
        return np.asarray(slope * 2 / (self.high - self.low))

    def variance(self, shift: ArrayLike) -> Array:
        """Squared uncertainty of the curve at `shift`: variance of the fit plus squared scatter."""
        scaled = self._scaled(shift)
        basis = legendre.legvander(scaled, self.degree).reshape(*scaled.shape, -1)
        fitted = np.einsum("...i,ij,...j->...", basis, self.covariance, basis)
        return np.asarray(fitted + self.scatter**2)


def weighted_fit(basis: Array, y: Array, variance: Array) -> tuple[Array, Array, float]:
    """Weighted least squares: return coefficients, their covariance, and χ²."""
    weighted = basis / np.sqrt(variance)[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    coefficients = covariance @ (weighted.T @ (y / np.sqrt(variance)))
    chi2 = float(np.sum((y - basis @ coefficients) ** 2 / variance))
    return coefficients, np.asarray(covariance, dtype=float), chi2


def excess_variance(basis: Array, y: Array, error: Array) -> float:
    """Solve χ²(error² + τ²) = number of degrees of freedom for τ²; 0 if χ²(error²) is not above it.

    Estimator of R. C. Paule and J. Mandel, J. Res. Natl. Bur. Stand. 87 (1982) 377.
    """
    from scipy.optimize import brentq

    ndf = len(y) - int(basis.shape[1])

    def excess(variance: float) -> float:
        return weighted_fit(basis, y, np.asarray(error**2 + variance))[2] - ndf

    if ndf < 1 or excess(0.0) <= 0:
        return 0.0
    upper = float(np.var(y)) + float(np.max(error)) ** 2
    while excess(upper) > 0:
        upper *= 2
    return float(brentq(excess, 0.0, upper, rtol=1e-6))


def fit_smooth(
    shift: ArrayLike,
    y: ArrayLike,
    error: ArrayLike,
    maximum_degree: int,
    minimum_degree: int = 0,
) -> SmoothFit:
    """Fit a polynomial to points (shift, y ± error), with its degree chosen by AICc.

    Each degree up to `maximum_degree`, but at most half the number of points less one, is fitted by
    weighted least squares with a scatter τ added in quadrature to the errors. The fit with the
    lowest AICc = −2 ln L + 2k + 2k(k + 1)/(n − k − 1) is returned (Hurvich and Tsai, Biometrika 76
    (1989) 297), with k = degree + 1.

    Args:
        shift: true shifts, shape (n,).
        y: values, shape (n,).
        error: standard errors, positive, shape (n,).
        maximum_degree: maximum degree.
        minimum_degree: minimum degree.

    Returns:
        Fit over [min(shift), max(shift)].
    """
    points = np.asarray(shift, dtype=float)
    values = np.asarray(y, dtype=float)
    errors = np.asarray(error, dtype=float)
    low, high = float(points.min()), float(points.max())
    scaled = (2 * points - low - high) / (high - low)
    distinct = len(np.unique(points))
    highest = max(min(maximum_degree, distinct // 2 - 1), minimum_degree)
    best: tuple[float, SmoothFit] | None = None
    for degree in range(minimum_degree, highest + 1):
        basis: Array = np.asarray(legendre.legvander(scaled, degree), dtype=float)
        scatter2 = excess_variance(basis, values, errors)
        variance = errors**2 + scatter2
        coefficients, covariance, chi2 = weighted_fit(basis, values, variance)
        k = degree + 1
        penalty = 2 * k + 2 * k * (k + 1) / max(len(points) - k - 1, 1)
        criterion = float(np.sum(np.log(variance))) + chi2 + penalty
        if best is None or criterion < best[0]:
            fit = SmoothFit(
                low=low,
                high=high,
                coefficients=coefficients,
                covariance=covariance,
                scatter=float(np.sqrt(scatter2)),
                chi2=weighted_fit(basis, values, errors**2)[2],
                ndf=len(points) - k,
            )
            best = (criterion, fit)
    assert best is not None
    return best[1]
