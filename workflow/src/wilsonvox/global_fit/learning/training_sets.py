"""Training sets: predictions on a grid of shifts, with hadronic polynomials, or smeared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.chi_squared import ChiSquared, Version
from wilsonvox.global_fit.hadronic import HadronicPolynomials
from wilsonvox.global_fit.learning.settings import TrainingSetSettings
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]


def seed_of(seed: int, name: str, *keys: int) -> np.random.SeedSequence:
    """Make a seed sequence from the seed of the run, the name of a model and further keys."""
    return np.random.SeedSequence([seed, *name.encode(), *keys])


def make_chi_squared(
    table: PredictionTable, version: Version, settings: TrainingSetSettings
) -> ChiSquared:
    """Make the χ² with the hadronic polynomials of a training set."""
    polynomials = HadronicPolynomials.of(settings.hadronic, table.observables, settings.half_widths)
    return ChiSquared(table, version, polynomials)


def recomputed(chi_squared: ChiSquared, coefficients: Array) -> Array:
    """Recompute χ² from coefficients, independently of any value that a model generates.

    Args:
        chi_squared: χ² with the corresponding hadronic polynomials.
        coefficients: (C9, C10, hadronic …), float64 of shape (n, 2 + n_coefficients).

    Returns:
        float64 of shape (n,).
    """
    return chi_squared(coefficients[:, 0], coefficients[:, 1], coefficients[:, 2:])


def smeared(chi_squared: ChiSquared, exact: Array, generator: np.random.Generator) -> Array:
    """Draw simulated measurements whose likelihood is exp(−χ²/2).

    The experimental χ² uses the upper error σ₊ if the prediction is above the measured value. As a
    density of the measured value this is a split normal distribution around the prediction, with
    width σ₊ and probability σ₊/(σ₊ + σ₋) below it, and width σ₋ and probability σ₋/(σ₊ + σ₋) above
    it. Its normalisation does not depend on the prediction.

    Args:
        chi_squared: χ² that defines the errors.
        exact: predictions, float64 of shape (n, n_observables).
        generator: random generator.

    Returns:
        float64 of the shape of `exact`.
    """
    normal = generator.standard_normal(exact.shape)
    if chi_squared.covariance is not None:
        return np.asarray(exact + normal @ np.linalg.cholesky(chi_squared.covariance).T)
    up, down = chi_squared.errors_up, chi_squared.errors_down
    below = generator.random(exact.shape) < up / (up + down)
    return np.asarray(exact + np.where(below, -up, down) * np.abs(normal))


def input_scale(chi_squared: ChiSquared) -> Array:
    """Compute symmetric errors of the observables, float64 of shape (n_observables,)."""
    if chi_squared.covariance is not None:
        return np.asarray(np.sqrt(np.diag(chi_squared.covariance)))
    return (chi_squared.errors_up + chi_squared.errors_down) / 2


@dataclass(frozen=True)
class TrainingSet:
    """Predicted observables with their coefficients and χ².

    Attributes:
        observables: predictions, float64 of shape (n, n_observables).
        coefficients: (C9, C10, hadronic …), float64 of shape (n, 2 + n_hadronic).
        chi_squared: χ² of the samples, float64 of shape (n,).
    """

    observables: Array
    coefficients: Array
    chi_squared: Array

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def best(self) -> int:
        """Index of the sample with the smallest χ²."""
        return int(np.argmin(self.chi_squared))


def make_training_set(
    chi_squared: ChiSquared, settings: TrainingSetSettings, seed: np.random.SeedSequence
) -> TrainingSet:
    """Compute predictions on a regular grid of shifts, with random hadronic coefficients.

    The smallest χ² that Partida and Masjuan quote for 10 × 10 values is at (−0.89, 0.11), a point
    of the regular grid with both end points. Their minimum for 50 × 50 values, (−0.92, 0.10), is
    not a point of that grid, so their values may have been drawn at random.

    Args:
        chi_squared: χ² made by `make_chi_squared` with the same settings.
        settings: settings of the grid and the draws.
        seed: seed of the draws.
    """
    values = settings.values_per_coefficient
    c9, c10 = np.meshgrid(
        np.linspace(*settings.c9_range, values),
        np.linspace(*settings.c10_range, values),
        indexing="ij",
    )
    shifts = np.stack([c9.ravel(), c10.ravel()], axis=1)
    half_widths = chi_squared.polynomials.half_widths
    draws = settings.hadronic_draws if len(half_widths) else 1
    shifts = np.repeat(shifts, draws, axis=0)
    generator = np.random.default_rng(seed)
    hadronic = generator.uniform(-1.0, 1.0, (len(shifts), len(half_widths))) * half_widths
    observables = chi_squared.predictions(shifts[:, 0], shifts[:, 1], hadronic)
    return TrainingSet(
        observables,
        np.concatenate([shifts, hadronic], axis=1),
        chi_squared.of_predictions(observables),
    )


def points_in_box(settings: TrainingSetSettings, n: int, seed: np.random.SeedSequence) -> Array:
    """Draw shifts (C9, C10) in the training range from a scrambled Sobol sequence.

    Args:
        settings: settings of the training set, with the ranges of the shifts.
        n: number of points.
        seed: seed of the scrambling.

    Returns:
        float64 of shape (n, 2).
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(2, rng=np.random.default_rng(seed))
    unit = sequence.random_base2(int(np.ceil(np.log2(n))))[:n]
    low, high = np.transpose([settings.c9_range, settings.c10_range])
    return np.asarray(low + (high - low) * unit, dtype=np.float64)
