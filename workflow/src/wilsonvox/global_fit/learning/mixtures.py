"""Mixtures of two-dimensional Gaussians: density, random draws, credible levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianMixture:
    """Mixtures of Gaussians in (C9, C10), one per measurement.

    Attributes:
        weights: weights of the Gaussians, float64 of shape (n, components), summing to one.
        means: means of the Gaussians, float64 of shape (n, components, 2).
        factors: Cholesky factors L of the covariances L Lᵀ, float64 of shape
            (n, components, 2, 2).
    """

    weights: Array
    means: Array
    factors: Array

    def __len__(self) -> int:
        return len(self.weights)

    def one(self, index: int) -> "GaussianMixture":
        """Select the mixture of one measurement."""
        part = slice(index, index + 1)
        return GaussianMixture(self.weights[part], self.means[part], self.factors[part])

    @classmethod
    def mean_of(cls, mixtures: Sequence["GaussianMixture"]) -> "GaussianMixture":
        """Average the densities of several mixtures for the same measurements."""
        return cls(
            np.concatenate([mixture.weights for mixture in mixtures], axis=1) / len(mixtures),
            np.concatenate([mixture.means for mixture in mixtures], axis=1),
            np.concatenate([mixture.factors for mixture in mixtures], axis=1),
        )

    def rescaled(self, centre: Array, half: Array) -> "GaussianMixture":
        """Return the distributions of centre + half · x for x distributed as these mixtures.

        Args:
            centre: float64 of shape (2,).
            half: float64 of shape (2,), positive.
        """
        return GaussianMixture(
            self.weights, centre + half * self.means, half[:, np.newaxis] * self.factors
        )

    def density(self, points: Array) -> Array:
        """Evaluate the density of each mixture at its own points.

        Args:
            points: float64 of shape (n, n_points, 2).

        Returns:
            float64 of shape (n, n_points).
        """
        total = np.zeros(points.shape[:2])
        for k in range(self.weights.shape[1]):
            factor = self.factors[:, k]
            d9 = (points[..., 0] - self.means[:, k, :1]) / factor[:, 0, :1]
            d10 = points[..., 1] - self.means[:, k, 1:] - factor[:, 1, :1] * d9
            d10 /= factor[:, 1, 1:]
            norm = 2 * np.pi * factor[:, 0, :1] * factor[:, 1, 1:]
            total += self.weights[:, k : k + 1] / norm * np.exp(-0.5 * (d9**2 + d10**2))
        return total

    def mean(self) -> Array:
        """Compute the mean of each mixture, float64 of shape (n, 2)."""
        return np.asarray(np.einsum("nk,nki->ni", self.weights, self.means))

    def draws(self, n_draws: int, generator: np.random.Generator) -> Array:
        """Draw random points from each mixture, float64 of shape (n, n_draws, 2)."""
        # select the component of each draw from the cumulative weights
        uniform = generator.random((len(self), n_draws, 1))
        component = (uniform > np.cumsum(self.weights, axis=1)[:, np.newaxis, :-1]).sum(axis=-1)
        row = np.arange(len(self))[:, np.newaxis]
        normal = generator.standard_normal((len(self), n_draws, 2))
        factors = self.factors[row, component]
        return np.asarray(self.means[row, component] + np.einsum("ndij,ndj->ndi", factors, normal))

    def credible_levels(
        self, truth: Array, generator: np.random.Generator, n_draws: int = 1000
    ) -> Array:
        """Compute the credible level of the highest-density region that just includes the truth.

        The levels are uniform in [0, 1] if the mixtures are the posterior densities.

        Args:
            truth: true shifts, float64 of shape (n, 2).
            generator: random generator for the Monte Carlo estimate.
            n_draws: number of draws of the Monte Carlo estimate.

        Returns:
            float64 of shape (n,).
        """
        at_truth = self.density(truth[:, np.newaxis])
        return np.asarray((self.density(self.draws(n_draws, generator)) > at_truth).mean(axis=1))
