"""Predictions that machines learn from: on a grid of shifts, with hadronic polynomials, smeared."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wilsonvox.globalfit.settings import TrainingSetSettings

Array = NDArray[np.float64]


class Predictions(Protocol):
    """Predicted observables, such as `wilsonvox.globalfit.predictions.PredictionTable`."""

    def __call__(self, c9: Array, c10: Array) -> Array:
        """float64 of shape (n, n_observables) for shifts of shape (n,)."""


class ChiSquaredFunction(Protocol):
    """χ² of shifts and hadronic coefficients, such as `wilsonvox.globalfit.ChiSquared`."""

    def __call__(self, c9: Array, c10: Array, hadronic: Array | None = None) -> Array:
        """float64 of shape (n,)."""


@dataclass(frozen=True)
class FitProblem:
    """What machines are to answer: predictions, measurement and χ².

    Attributes:
        predictions: observables by shifts.
        chi_squared: χ² by shifts and hadronic coefficients.
        design: derivative of observables by hadronic coefficients, float64 of shape
            (n_observables, n_coefficients), n_coefficients 0 without any.
        measured: measured values, float64 of shape (n_observables,).
        errors: errors downwards and upwards, float64 of shape (2, n_observables).
        covariance: of the χ², float64 of shape (n_observables, n_observables), where it has one;
            None: uncorrelated with `errors`.
    """

    predictions: Predictions
    chi_squared: ChiSquaredFunction
    design: Array
    measured: Array
    errors: Array
    covariance: Array | None = None

    @property
    def n_observables(self) -> int:
        """Observables."""
        return len(self.measured)

    @property
    def n_hadronic(self) -> int:
        """Hadronic coefficients."""
        return int(self.design.shape[1])

    @property
    def scale(self) -> Array:
        """One symmetric error of each observable, float64 of shape (n_observables,)."""
        if self.covariance is not None:
            return np.sqrt(np.diag(self.covariance))
        return np.asarray(self.errors.mean(axis=0))

    def recomputed(self, coefficients: Array) -> Array:
        """χ² of coefficients, whatever a machine says of it.

        Args:
            coefficients: (C9, C10, hadronic …), float64 of shape (n, 2 + n_hadronic).

        Returns:
            float64 of shape (n,).
        """
        hadronic = coefficients[:, 2:] if self.n_hadronic else None
        return self.chi_squared(coefficients[:, 0], coefficients[:, 1], hadronic)

    def observables(self, coefficients: Array) -> Array:
        """Predicted observables with their hadronic polynomials, of shape (n, n_observables)."""
        exact = self.predictions(coefficients[:, 0], coefficients[:, 1])
        return exact + coefficients[:, 2:] @ self.design.T

    def smeared(self, exact: Array, generator: np.random.Generator) -> Array:
        """Measurements that predictions could give, whose likelihood is exp(−χ²/2).

        Where a prediction lies above the measured value, χ² has the error upwards. As a density of
        the measured value that is a normal distribution of two widths about the prediction, σ₊
        below and σ₋ above it, with the shares σ₊ and σ₋ of σ₊ + σ₋; its norm does not depend on
        the prediction.

        Args:
            exact: float64 of shape (n, n_observables).
            generator: of the draws.

        Returns:
            float64 of the shape of `exact`.
        """
        normal = generator.standard_normal(exact.shape)
        if self.covariance is not None:
            return exact + normal @ np.linalg.cholesky(self.covariance).T
        down, up = self.errors
        below = generator.random(exact.shape) < up / (up + down)
        return exact + np.where(below, -up, down) * np.abs(normal)


@dataclass(frozen=True)
class TrainingSet:
    """Samples with their coefficients.

    Attributes:
        observables: float64 of shape (n, n_observables).
        coefficients: (C9, C10, hadronic …), float64 of shape (n, 2 + n_hadronic).
        chi_squared: float64 of shape (n,).
    """

    observables: Array
    coefficients: Array
    chi_squared: Array

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def best(self) -> int:
        """The sample of the least χ²."""
        return int(np.argmin(self.chi_squared))


def make_training_set(
    problem: FitProblem, settings: TrainingSetSettings, seed: np.random.SeedSequence
) -> TrainingSet:
    """Predictions on a regular grid of shifts, each with its draws of hadronic coefficients.

    The minima that arXiv's paper names in its training sets, (−0.92, 0.10) of 50 × 50 values and
    (−0.89, 0.11) of 10 × 10, are points of regular grids with both ends.

    Args:
        problem: with as many hadronic coefficients as `settings` ask for.
        settings: of the grid and the draws.
        seed: of the draws.
    """
    values = settings.values_per_coefficient
    c9, c10 = np.meshgrid(
        np.linspace(*settings.c9_range, values),
        np.linspace(*settings.c10_range, values),
        indexing="ij",
    )
    shifts = np.stack([c9.ravel(), c10.ravel()], axis=1)
    draws = settings.hadronic_draws if problem.n_hadronic else 1
    shifts = np.repeat(shifts, draws, axis=0)
    half_widths = np.tile(settings.hadronic_half_widths, problem.n_hadronic // 3)
    generator = np.random.default_rng(seed)
    hadronic = generator.uniform(-1.0, 1.0, (len(shifts), problem.n_hadronic)) * half_widths
    coefficients = np.concatenate([shifts, hadronic], axis=1)
    return TrainingSet(
        problem.observables(coefficients), coefficients, problem.recomputed(coefficients)
    )


def points_in_box(settings: TrainingSetSettings, n: int, seed: np.random.SeedSequence) -> Array:
    """Shifts (C9, C10) evenly over the box of training: a scrambled Sobol sequence.

    Args:
        settings: ranges of the shifts.
        n: number of points.
        seed: of the scrambling.

    Returns:
        float64 of shape (n, 2).
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(2, rng=np.random.default_rng(seed))
    unit = sequence.random_base2(int(np.ceil(np.log2(n))))[:n]
    low, high = np.transpose([settings.c9_range, settings.c10_range])
    return np.asarray(low + (high - low) * unit, dtype=np.float64)
