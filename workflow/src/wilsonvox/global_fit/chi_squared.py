"""χ² of the measured observables as a function of δC9 and δC10, in three versions."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wilsonvox.global_fit.hadronic import HadronicPolynomials
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

Version = Literal["experimental", "uncorrelated", "correlated"]
VERSIONS: tuple[Version, ...] = get_args(Version)
"""Treatment of the uncertainties in a χ².

experimental: experimental uncertainties only, without correlations. The upper uncertainty is used
for predictions above the measured value, the lower one for predictions below it. This is the χ² of
Partida and Masjuan.
uncorrelated: mean of the upper and lower experimental uncertainties, added in quadrature to the
theory uncertainty.
correlated: mean of the upper and lower experimental uncertainties with their published
correlations, plus the theory covariance at (0, 0).
"""


class ChiSquared:
    """χ² as a function of δC9, δC10 and the coefficients of the hadronic polynomials.

    Args:
        table: predictions for a set of observables.
        version: one of `VERSIONS`.
        polynomials: hadronic corrections; none if not given.

    Attributes:
        covariance: float64, shape (n_observables, n_observables); None for the version
            `experimental`.
    """

    def __init__(
        self,
        table: PredictionTable,
        version: Version,
        polynomials: HadronicPolynomials | None = None,
    ) -> None:
        observables = table.observables
        self.table = table
        self.version = version
        self.polynomials = polynomials or HadronicPolynomials.of("none", observables)
        self.values = observables.values
        self.errors_up, self.errors_down = observables.errors_up, observables.errors_down
        self.covariance: Array | None = None
        if version != "experimental":
            mean = (self.errors_up + self.errors_down) / 2
            covariance = observables.correlation * np.outer(mean, mean) + table.theory_covariance
            if version == "uncorrelated":
                covariance = np.diag(np.diag(covariance))
            self.covariance = covariance
            # L⁻¹ of the covariance L Lᵀ: χ² is the sum of the squared whitened residuals
            self._whitening: Array = np.linalg.inv(np.linalg.cholesky(covariance))

    @property
    def n_observables(self) -> int:
        """Number of observables."""
        return len(self.values)

    def predictions(
        self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None
    ) -> Array:
        """Predict the observables, hadronic polynomials included.

        Args:
            c9: δC9, shape (n,) or a number.
            c10: δC10, shape (n,) or a number.
            hadronic: coefficients of the polynomials, shape (n, n_coefficients) or
                (n_coefficients,); zeros if not given.

        Returns:
            float64, shape (n, n_observables), in the units of the observables.
        """
        predicted = self.table(c9, c10)
        if hadronic is None:
            return predicted
        return (
            predicted
            + np.atleast_2d(np.asarray(hadronic, float)) @ self.polynomials.design_matrix.T
        )

    def whitened(self, residuals: Array) -> Array:
        """Whiten residuals (prediction − measured value): their squares then sum to χ².

        Args:
            residuals: float64, shape (…, n_observables).

        Returns:
            float64 of the same shape, dimensionless.
        """
        if self.covariance is not None:
            return np.asarray(residuals @ self._whitening.T)
        return np.asarray(residuals / np.where(residuals > 0, self.errors_up, self.errors_down))

    def of_predictions(self, predictions: Array) -> Array:
        """Compute χ² of given predictions, float64, shape (n,).

        Args:
            predictions: float64, shape (n, n_observables).
        """
        return np.asarray((self.whitened(predictions - self.values) ** 2).sum(axis=-1))

    def __call__(self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None) -> Array:
        """Compute χ², float64, shape (n,); the arguments are those of `predictions`."""
        return self.of_predictions(self.predictions(c9, c10, hadronic))

    def pulls(self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None) -> Array:
        """Compute the pulls (prediction − measured value)/σ, float64, shape (n, n_observables).

        σ is the total uncertainty of this version of the χ², without correlations.
        """
        residuals = self.predictions(c9, c10, hadronic) - self.values
        if self.covariance is None:
            return self.whitened(residuals)
        return np.asarray(residuals / np.sqrt(np.diag(self.covariance)))
