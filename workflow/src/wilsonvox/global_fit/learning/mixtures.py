"""Mixtures of two-dimensional Gaussians: density, draws, credible levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianMixture:
    """Mixtures, one for each of n measurements.

    Attributes:
        weights: float64 of shape (n, components), summing to one.
        means: float64 of shape (n, components, 2).
        factors: lower triangular L of the covariances L Lᵀ, of shape (n, components, 2, 2).
    """

    weights: Array
    means: Array
    factors: Array

    def __len__(self) -> int:
        return len(self.weights)

    def one(self, index: int) -> "GaussianMixture":
        """The mixture of one measurement."""
        part = slice(index, index + 1)
        return GaussianMixture(self.weights[part], self.means[part], self.factors[part])

    @classmethod
    def mean_of(cls, mixtures: Sequence["GaussianMixture"]) -> "GaussianMixture":
        """The mean density of several mixtures of the same measurements, itself a mixture."""
        return cls(
            np.concatenate([each.weights for each in mixtures], axis=1) / len(mixtures),
            np.concatenate([each.means for each in mixtures], axis=1),
            np.concatenate([each.factors for each in mixtures], axis=1),
        )

    def moved(self, centre: Array, half: Array) -> "GaussianMixture":
        """The mixtures of centre + half · x, x being distributed as now.

        Args:
            centre: float64 of shape (2,).
            half: float64 of shape (2,), positive.
        """
        return GaussianMixture(
            self.weights, centre + half * self.means, half[:, np.newaxis] * self.factors
        )

    def density(self, points: Array) -> Array:
        """Density of each mixture at its own points.

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
        """Mean of each mixture, float64 of shape (n, 2)."""
        return np.asarray(np.einsum("nk,nki->ni", self.weights, self.means))

    def draws(self, n_draws: int, generator: np.random.Generator) -> Array:
        """Draws of each mixture, float64 of shape (n, n_draws, 2)."""
        # each draw's component by its place in the cumulative weights
        place = generator.random((len(self), n_draws, 1))
        component = (place > np.cumsum(self.weights, axis=1)[:, np.newaxis, :-1]).sum(axis=-1)
        row = np.arange(len(self))[:, np.newaxis]
        normal = generator.standard_normal((len(self), n_draws, 2))
        factors = self.factors[row, component]
        moved = np.einsum("ndij,ndj->ndi", factors, normal)
        return np.asarray(self.means[row, component] + moved)

    def credible_levels(
        self, truth: Array, generator: np.random.Generator, n_draws: int = 1000
    ) -> Array:
        """Probability of the region of higher density than at the truth.

        Evenly distributed between 0 and 1 if the mixtures are the posterior densities.

        Args:
            truth: float64 of shape (n, 2).
            generator: of the draws by which it is computed.
            n_draws: their number.

        Returns:
            float64 of shape (n,).
        """
        there = self.density(truth[:, np.newaxis])
        return np.asarray((self.density(self.draws(n_draws, generator)) > there).mean(axis=1))
