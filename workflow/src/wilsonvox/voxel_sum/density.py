"""Learned densities of voxels, ratios of which are what an image says of the shifts.

The decay's density at given q² is Σ_i J_i(q²) f_i(Ω) (arXiv:0811.1214, eq. 3.9). With functions
d_i that are dual to the f_i, ∫ d_i f_j dΩ = δ_ij, the mean of d_i over events near some q² is J_i
there: means take the place of a search for the best weights. What is learned, from images alone,
are the J_i of every training point at knots of q², and polynomials of the shifts through them.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.angular import angular_functions

Array = NDArray[np.float64]

LEAST_Q2_GEV2 = 1e-3
"""Below all mean q2 of images [GeV²]; where a voxel's entry is empty, log q² is that of it."""

_LOG_EDGES = np.linspace(np.log(LEAST_Q2_GEV2), np.log(25.0), 4097)
_REFERENCE = (0.3, 0.4, 1.0)  # cos_theta_mu, cos_theta_k, chi where no angular function is zero


def angular_factors(bins: int) -> tuple[Array, Array, Array]:
    """The angular functions, which are products of three, each averaged over the bins of one angle.

    Args:
        bins: equal-width bins in each angle.

    Returns:
        Three arrays of shape (bins, 11), for cos_theta_mu, cos_theta_k and chi; the product of
        their rows is the average of `wilsonvox.theory.angular.angular_functions` over a voxel.
    """
    nodes, weights = np.polynomial.legendre.leggauss(16)
    places = (np.arange(bins)[:, None] + (nodes + 1) / 2) / bins
    mu, k, chi = (np.array(value) for value in _REFERENCE)
    at_reference = angular_functions(mu, k, chi)
    one = angular_functions(2 * places - 1, k, chi)
    two = angular_functions(mu, 2 * places - 1, chi) / at_reference
    three = angular_functions(mu, k, 2 * np.pi * places) / at_reference
    return (
        np.einsum("bni,n->bi", one, weights / 2),
        np.einsum("bni,n->bi", two, weights / 2),
        np.einsum("bni,n->bi", three, weights / 2),
    )


def voxel_functions(bins: int) -> Array:
    """Averages of the eleven angular functions over every voxel, float64 of shape (bins³, 11)."""
    mu, k, chi = angular_factors(bins)
    return (mu[:, None, None] * k[None, :, None] * chi[None, None, :]).reshape(bins**3, -1)


def dual_functions(functions: Array) -> Array:
    """Functions whose mean over flat voxels with each of `functions` is 1 with its own, else 0.

    Args:
        functions: shape (n_voxels, n).

    Returns:
        The same shape.
    """
    return np.asarray(functions @ np.linalg.inv(functions.T @ functions / len(functions)))


def polynomial_orders(n: int, degree: int) -> list[tuple[int, ...]]:
    """Which of `n` values each of `polynomial_terms` is a product of.

    >>> polynomial_orders(2, 2)
    [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]
    """
    return [
        chosen
        for order in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(n), order)
    ]


def polynomial_terms(values: Array, degree: int) -> Array:
    """All products of up to `degree` of k values: 1, x_1 … x_k, x_1², x_1 x_2 and so on.

    Args:
        values: shape (n, k).
        degree: 0 or more.

    Returns:
        Shape (n, number of terms).

    >>> polynomial_terms(np.array([[2.0, 3.0]]), 2)
    array([[1., 2., 3., 4., 6., 9.]])
    """
    orders = polynomial_orders(values.shape[1], degree)
    return np.stack([values[:, list(chosen)].prod(axis=1) for chosen in orders], axis=1)


class Q2Histogram:
    """Voxels by mean q2, finely enough to divide them into equal parts; its size is constant."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(_LOG_EDGES) - 1)

    def add(self, mean_q2: NDArray[np.float32]) -> None:
        """Count voxels; `mean_q2` [GeV²] of any shape."""
        self.counts += np.histogram(_log_q2(mean_q2), _LOG_EDGES)[0]

    def knots(self, number: int) -> Array:
        """Values of log(q² / GeV²) with equally many voxels between them, rising.

        The first and the last are the ends; knots that fall together are one.
        """
        below = np.concatenate([[0.0], np.cumsum(self.counts)])
        inside = np.flatnonzero(np.diff(below))
        parts = np.linspace(0, below[-1], number)[1:-1]
        between = np.interp(parts, below[inside + 1], _LOG_EDGES[inside + 1])
        ends = _LOG_EDGES[inside[0]], _LOG_EDGES[inside[-1] + 1]
        return np.unique([ends[0], *between, ends[1]])


def _log_q2(mean_q2: NDArray[np.float32]) -> Array:
    return np.log(np.maximum(mean_q2.astype(np.float64), LEAST_Q2_GEV2))


class Moments:
    """Sums over voxels of hat functions of log q² times dual angular functions.

    Args:
        knots: of log(q² / GeV²), rising.
        dual: shape (bins³, 11), see `dual_functions`.
    """

    def __init__(self, knots: Array, dual: Array) -> None:
        self.knots = knots
        self.dual = dual
        self.sums = np.zeros((len(knots), dual.shape[1]))
        self.weight = 0.0

    def add(
        self,
        voxel: NDArray[np.integer],
        mean_q2: NDArray[np.float32],
        weight: NDArray[np.floating] | NDArray[np.integer],
        chunk: int = 500_000,
    ) -> None:
        """Add voxels of one training point.

        Args:
            voxel: flat indices, shape (n,).
            mean_q2: GeV², shape (n,).
            weight: how often each counts, shape (n,).
            chunk: voxels at a time, which bounds the memory.
        """
        from scipy.sparse import csr_array

        for start in range(0, len(voxel), chunk):
            part = slice(start, start + chunk)
            place = np.interp(_log_q2(mean_q2[part]), self.knots, np.arange(len(self.knots)))
            first = np.minimum(place.astype(np.int32), len(self.knots) - 2)
            share = place - first
            n = len(first)
            hats = csr_array(
                (
                    np.stack([1 - share, share], axis=1).ravel(),
                    np.stack([first, first + 1], axis=1).ravel(),
                    np.arange(0, 2 * n + 1, 2),
                ),
                shape=(n, len(self.knots)),
            )
            weights = weight[part].astype(np.float64)
            self.sums += hats.T @ (self.dual[voxel[part]] * weights[:, None])
            self.weight += float(weights.sum())


@dataclass(frozen=True)
class VoxelDensity:
    """Angular coefficients at knots of q², as polynomials of the scaled shifts.

    At each knot they are divided by the integral over the angles at the centre of the training
    points, which is no function of the shifts and so says nothing of them.

    knots: log(q² / GeV²), shape (n_knots,), rising
    tables: shape (n_knots, 11, n_terms), terms as of `polynomial_terms`
    centre, scale: of the shifts, shape (k,): the terms are those of (shift − centre) / scale
    degree: of the polynomials
    """

    knots: Array
    tables: Array
    centre: Array
    scale: Array
    degree: int

    def terms(self, shifts: Array) -> Array:
        """Polynomial terms at shifts of shape (n, k), shape (n, n_terms)."""
        return polynomial_terms((shifts - self.centre) / self.scale, self.degree)


def fit_density(
    knots: Array, moments: Array, shifts: Array, n_images: Array, degree: int, flat: Array
) -> VoxelDensity:
    """Polynomials of the shifts through the moments of all training points.

    The degree is lower where there are too few points for it.

    Args:
        knots: shape (n_knots,).
        moments: of each point, divided by its sum of weights, shape (n_points, n_knots, 11).
        shifts: of the points, shape (n_points, k).
        n_images: images of each point, shape (n_points,): their weights in the fit.
        degree: most of the polynomials.
        flat: averages of the eleven angular functions over all voxels, shape (11,).
    """
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    centre, scale = (low + high) / 2, (high - low) / 2
    scaled = (shifts - centre) / scale
    while (
        degree > 1
        and np.linalg.matrix_rank(terms := polynomial_terms(scaled, degree)) < terms.shape[1]
    ):
        degree -= 1
    terms = polynomial_terms(scaled, degree)
    root = np.sqrt(n_images)[:, None]
    flat_moments = moments.reshape(len(moments), -1)
    tables = np.linalg.lstsq(terms * root, flat_moments * root, rcond=None)[0]
    tables = tables.reshape(terms.shape[1], *moments.shape[1:]).transpose(1, 2, 0)
    rate = tables[:, :, 0] @ flat
    # a knot that no voxel is near has no rate and says nothing
    used = rate > 0
    tables = np.divide(tables, rate[:, None, None], out=np.zeros_like(tables),
                       where=used[:, None, None])  # fmt: skip
    return VoxelDensity(knots, tables, centre, scale, degree)
