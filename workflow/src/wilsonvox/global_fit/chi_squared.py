"""χ² of the measured observables at shifts δC9 and δC10, in three versions."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wilsonvox.global_fit.hadronic import HadronicPolynomials
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

Version = Literal["experimental", "uncorrelated", "correlated"]
VERSIONS: tuple[Version, ...] = get_args(Version)
"""What a χ² knows of errors.

experimental: experimental errors alone, uncorrelated; a prediction above the value is compared with
the error upwards, one below with that downwards. The χ² of Partida and Masjuan.
uncorrelated: the mean of the errors up and down, and the theory's error in quadrature.
correlated: the mean of the errors up and down with their published correlations, and the theory's
covariance at (0, 0).
"""


class ChiSquared:
    """χ² as a function of δC9, δC10 and coefficients of hadronic polynomials.

    Args:
        table: predictions of a set of observables.
        version: of `VERSIONS`.
        polynomials: of the hadronic corrections; none if not given.

    Attributes:
        covariance: float64, (n_observables, n_observables); None in the version `experimental`.
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
            # L⁻¹ of the covariance L Lᵀ: whitened residuals add in quadrature
            self._whitening: Array = np.linalg.inv(np.linalg.cholesky(covariance))

    @property
    def n_observables(self) -> int:
        """Number of observables."""
        return len(self.values)

    def predictions(
        self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None
    ) -> Array:
        """Predictions with the hadronic polynomials, float64, shape (n, n_observables).

        Args:
            c9: δC9, shape (n,) or a number.
            c10: δC10, likewise.
            hadronic: coefficients of the polynomials, shape (n, n_coefficients) or
                (n_coefficients,); zeros if not given.
        """
        found = self.table(c9, c10)
        if hadronic is None:
            return found
        return found + np.atleast_2d(np.asarray(hadronic, float)) @ self.polynomials.design_matrix.T

    def whitened(self, residuals: Array) -> Array:
        """Residuals (prediction − value) as numbers whose squares add up to χ², same shape.

        Args:
            residuals: float64, shape (…, n_observables).
        """
        if self.covariance is not None:
            return np.asarray(residuals @ self._whitening.T)
        return np.asarray(residuals / np.where(residuals > 0, self.errors_up, self.errors_down))

    def of_predictions(self, predictions: Array) -> Array:
        """χ² of given predictions, float64, shape (n,).

        Args:
            predictions: float64, shape (n, n_observables).
        """
        return np.asarray((self.whitened(predictions - self.values) ** 2).sum(axis=-1))

    def __call__(self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None) -> Array:
        """χ² at shifts and coefficients as in `predictions`, float64, shape (n,)."""
        return self.of_predictions(self.predictions(c9, c10, hadronic))

    def pulls(self, c9: ArrayLike, c10: ArrayLike, hadronic: ArrayLike | None = None) -> Array:
        """(prediction − value)/error of each observable, float64, shape (n, n_observables).

        The error is the total one of the version, without correlations.
        """
        residuals = self.predictions(c9, c10, hadronic) - self.values
        if self.covariance is None:
            return self.whitened(residuals)
        return np.asarray(residuals / np.sqrt(np.diag(self.covariance)))
