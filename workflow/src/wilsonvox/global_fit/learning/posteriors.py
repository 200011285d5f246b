"""Posterior densities of (C9, C10) on a grid: 68 % and 95 % regions, and their overlap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.chi_squared import ChiSquared
from wilsonvox.global_fit.learning.mixtures import GaussianMixture
from wilsonvox.global_fit.learning.settings import TrainingSetSettings

Array = NDArray[np.float64]

LEVELS = (0.68, 0.95)
"""Probabilities of the regions."""

GRID = 161
"""Grid points along each shift."""


@dataclass(frozen=True)
class GridDensity:
    """Density on a grid over the training range, normalised there.

    Attributes:
        c9: grid points of C9, float64 of shape (n,), ascending.
        c10: grid points of C10, float64 of shape (n,), ascending.
        probability: probability of each cell, float64 of shape (n, n) in C9 and C10, with unit sum.
    """

    c9: Array
    c10: Array
    probability: Array

    @property
    def cell_area(self) -> float:
        """Area of a cell of the grid."""
        return float((self.c9[1] - self.c9[0]) * (self.c10[1] - self.c10[0]))

    @property
    def mode(self) -> Array:
        """Mode, interpolated with a parabola along each axis, float64 of shape (2,)."""
        i, j = divmod(int(np.argmax(self.probability)), self.probability.shape[1])
        log = np.log(np.maximum(self.probability, 1e-300))
        mode = []
        slices: tuple[tuple[Array, int, Array], ...] = (
            (self.c9, i, log[:, j]),
            (self.c10, j, log[i]),
        )
        for axis, index, line in slices:
            shift = 0.0
            if 0 < index < len(axis) - 1:
                before, here, after = line[index - 1 : index + 2]
                shift = 0.5 * (before - after) / (before - 2 * here + after)
            mode.append(axis[index] + shift * (axis[1] - axis[0]))
        return np.array(mode)

    @property
    def mean(self) -> Array:
        """Mean, float64 of shape (2,)."""
        return np.array(
            [self.probability.sum(axis=1) @ self.c9, self.probability.sum(axis=0) @ self.c10]
        )

    @property
    def covariance(self) -> Array:
        """Covariance, float64 of shape (2, 2)."""
        d9, d10 = self.c9 - self.mean[0], self.c10 - self.mean[1]
        mixed = float(d9 @ self.probability @ d10)
        return np.array(
            [
                [self.probability.sum(axis=1) @ d9**2, mixed],
                [mixed, self.probability.sum(axis=0) @ d10**2],
            ]
        )

    def threshold(self, level: float) -> float:
        """Find the cell probability at the boundary of the `level` highest-density region."""
        descending = np.sort(self.probability.ravel())[::-1]
        index = int(np.searchsorted(np.cumsum(descending), level))
        return float(descending[min(index, descending.size - 1)])

    def area(self, level: float) -> float:
        """Compute the area of the highest-density region with probability `level`."""
        return float((self.probability >= self.threshold(level)).sum() * self.cell_area)

    def contours(self, level: float) -> list[Array]:
        """Trace the boundary of that region: lines, each float64 of shape (n_points, 2)."""
        from contourpy import contour_generator

        lines = contour_generator(self.c9, self.c10, self.probability.T)
        return [np.asarray(line) for line in lines.lines(self.threshold(level))]


def _grid(box: TrainingSetSettings) -> tuple[Array, Array, Array]:
    c9, c10 = np.linspace(*box.c9_range, GRID), np.linspace(*box.c10_range, GRID)
    points = np.stack(np.meshgrid(c9, c10, indexing="ij"), axis=-1).reshape(-1, 2)
    return c9, c10, points


def exact_density(chi_squared: ChiSquared, box: TrainingSetSettings) -> GridDensity:
    """Compute exp(−χ²/2) normalised over the box, the posterior for a uniform prior."""
    c9, c10, points = _grid(box)
    values = chi_squared(points[:, 0], points[:, 1]).reshape(GRID, GRID)
    density = np.exp(-0.5 * (values - values.min()))
    return GridDensity(c9, c10, density / density.sum())


def learned_density(mixture: GaussianMixture, box: TrainingSetSettings) -> GridDensity:
    """Normalise the density of a mixture over the box, outside of which the prior is zero."""
    c9, c10, points = _grid(box)
    density = mixture.density(points[np.newaxis]).mean(axis=0).reshape(GRID, GRID)
    return GridDensity(c9, c10, density / density.sum())


def mean_density(densities: list[GridDensity]) -> GridDensity:
    """Average the densities of an ensemble."""
    first = densities[0]
    mean = np.mean([density.probability for density in densities], axis=0)
    return GridDensity(first.c9, first.c10, mean)


def distance(one: Array, other: Array, covariance: Array) -> float:
    """Compute the Mahalanobis distance √(dᵀ C⁻¹ d) of two points."""
    d = one - other
    return float(np.sqrt(d @ np.linalg.solve(covariance, d)))


def overlap(one: GridDensity, other: GridDensity) -> float:
    """Compute ∫ min(p, q): 1 for equal densities, 0 for disjoint ones."""
    return float(np.minimum(one.probability, other.probability).sum())
