"""Voxel densities learned from images; their logarithms are summed by `voxel-sum`.

The density of the decay at given q² is Σ_i J_i(q²) f_i(Ω) (arXiv:0811.1214, eq. 3.9). With
functions d_i dual to the f_i, ∫ d_i f_j dΩ = δ_ij, the mean of d_i over events near some q² is J_i
there, so that the densities follow from moments, without gradient descent. From images alone are
learned the J_i of every training point at knots of q², and polynomials in the shifts through them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_orders, polynomial_terms
from wilsonvox.theory.angular import angular_functions

Array = NDArray[np.float64]

LEAST_Q2_GEV2 = 1e-3
"""Lower bound on the mean q2 of images [GeV²]; log q² of padding is that of this value."""

_LOG_EDGES = np.linspace(np.log(LEAST_Q2_GEV2), np.log(25.0), 4097)
_REFERENCE = (0.3, 0.4, 1.0)  # cos_theta_mu, cos_theta_k, chi at which no angular function is zero


def angular_factors(bins: int) -> tuple[Array, Array, Array]:
    """Factorise the angular functions, and average each factor over the bins of its angle.

    Args:
        bins: number of bins of equal width in each angle.

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
    """Average the eleven angular functions over every voxel, float64 of shape (bins³, 11)."""
    mu, k, chi = angular_factors(bins)
    return (mu[:, None, None] * k[None, :, None] * chi[None, None, :]).reshape(bins**3, -1)


def dual_functions(functions: Array) -> Array:
    """Compute dual functions: their mean product over all voxels with `functions` is δ_ij.

    Args:
        functions: shape (n_voxels, n).

    Returns:
        Dual functions, shape (n_voxels, n).
    """
    return np.asarray(functions @ np.linalg.inv(functions.T @ functions / len(functions)))


class Q2Histogram:
    """Fine histogram of the mean q2 of voxels, for quantiles; its size is constant."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(_LOG_EDGES) - 1)

    def add(self, mean_q2: NDArray[np.float32], weight: Array | None = None) -> None:
        """Fill with `mean_q2` [GeV²] of any shape, and weights of the same shape (None: 1)."""
        self.counts += np.histogram(_log_q2(mean_q2), _LOG_EDGES, weights=weight)[0]

    def knots(self, number: int) -> Array:
        """Return knots in log(q² / GeV²), rising, with equally many voxels between them.

        The first and the last knot are the ends of the range; coincident knots are merged.
        """
        below = np.concatenate([[0.0], np.cumsum(self.counts)])
        inside = np.flatnonzero(np.diff(below))
        parts = np.linspace(0, below[-1], number)[1:-1]
        between = np.interp(parts, below[inside + 1], _LOG_EDGES[inside + 1])
        ends = _LOG_EDGES[inside[0]], _LOG_EDGES[inside[-1] + 1]
        return np.unique([ends[0], *between, ends[1]])


def _log_q2(mean_q2: NDArray[np.float32]) -> Array:
    return np.log(np.maximum(mean_q2.astype(np.float64), LEAST_Q2_GEV2))


class DualMoments:
    """Sums over voxels of hat functions of log q² times dual angular functions.

    Args:
        knots: knots in log(q² / GeV²), rising.
        dual: dual functions, shape (bins³, 11), see `dual_functions`.
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
            mean_q2: mean q² [GeV²], shape (n,).
            weight: weights of the voxels, shape (n,).
            chunk: number of voxels processed at a time, which limits the memory.
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


class Q2Moments:
    """Moments in q² of the angular coefficients of one training point, from sums over voxels.

    In a voxel with expected count λ and expected sum of q² μ, the sum S of the q² of its events has
    ⟨S²⟩ = μ² + (second moment), because counts follow a Poisson distribution.

    Args:
        functions: averages of the eleven angular functions over voxels, shape (bins³, 11).
        dual: dual functions, see `dual_functions`.
    """

    def __init__(self, functions: Array, dual: Array) -> None:
        self.functions = functions
        self.dual = dual
        self.sums = np.zeros((3, dual.shape[1]))
        self.events = 0.0
        self.n_images = 0

    def add(
        self,
        voxel: NDArray[np.integer],
        mean_q2: NDArray[np.float32],
        count: NDArray[np.integer],
        n_images: int,
    ) -> None:
        """Add voxels of images of the point: flat indices, mean q2 [GeV²] and numbers of events."""
        events = count.astype(np.float64)
        total = events * mean_q2
        for order, weights in enumerate((events, total, total**2)):
            filled = np.bincount(voxel, weights, minlength=len(self.dual))
            self.sums[order] += filled @ self.dual
        self.events += float(events.sum())
        self.n_images += n_images

    def expected_counts(self) -> Array:
        """Return the expected number of events in each voxel of one image, shape (bins³,)."""
        return np.asarray(self._per_voxel(self.sums[0]))

    def _per_voxel(self, sums: Array) -> Array:
        return np.asarray(self.functions @ sums) / (len(self.functions) * self.n_images)

    def normalised(self) -> Array:
        """Return ∫J_i q^2m dq² for m = 0, 1, 2 [GeV^2m], divided by the rate, shape (3, 11)."""
        moments = self.sums / self.events
        per_image = self.events / self.n_images
        # the total number of events is fixed, not Poisson-distributed
        squares = (1 - 1 / per_image) * self._per_voxel(self.sums[1]) ** 2
        moments[2] -= self.n_images * (squares @ self.dual) / self.events
        return moments


@dataclass(frozen=True)
class VoxelDensity:
    """Angular coefficients at knots of q², as polynomials in the scaled shifts.

    At each knot they are divided by the integral over the angles at the centre of the training
    points, which does not depend on the shifts and so carries no information on them.

    knots: log(q² / GeV²), shape (n_knots,), rising
    tables: coefficients of the polynomials, shape (n_knots, 11, n_terms), in the order of
        `wilsonvox.core.polynomials.polynomial_terms`
    centre, scale: shape (k,); scaled shifts are (shift − centre) / scale
    degree: degree of the polynomials
    rate: polynomial by which all are divided, shape (n_terms,), 1 at the centre; None: no division
    q2_moments: ∫J_i q^2m dq² for m = 0, 1, 2 [GeV^2m], shape (3, 11, n_terms); None: unknown
    pairs: density of the mean q² of two events in one voxel, see `pair_density`; None: unknown
    """

    knots: Array
    tables: Array
    centre: Array
    scale: Array
    degree: int
    rate: Array | None = None
    q2_moments: Array | None = None
    pairs: "VoxelDensity | None" = None

    def terms(self, shifts: Array) -> Array:
        """Return polynomial terms at shifts of shape (n, k), over the rate, shape (n, n_terms)."""
        terms = polynomial_terms((shifts - self.centre) / self.scale, self.degree)
        return terms if self.rate is None else terms / (terms @ self.rate)[:, None]


def moment_variances(moments: Array, flat: Array, dual: Array, weights: Array) -> Array:
    """Estimate squared statistical errors of moments, accurately enough for weights.

    The mean of a dual function d over n events has the error √(⟨d²⟩/n), and the mean square of a
    hat function of log q² is 2/3 of its mean.

    Args:
        moments: moments of each point over its sum of weights, shape (n_points, n_knots, 11).
        flat: averages of the eleven angular functions over all voxels, shape (11,).
        dual: dual functions, see `dual_functions`.
        weights: sum of weights of each point, that is its number of events, shape (n_points,).

    Returns:
        Shape (n_points, n_knots, 11).
    """
    near = np.maximum(moments @ flat, 0) / np.maximum(weights, 1)[:, None]
    return np.asarray(2 / 3 * near[..., None] * (dual**2).mean(axis=0))


def fit_rate(terms: Array, moments: Array, variances: Array) -> Array:
    """Fit the rate Γ(δ) by which angular coefficients were divided, up to a constant.

    Amplitudes are linear in the shifts, so that angular coefficients and rate are of second degree;
    their ratio, which determines the images, is not a polynomial. Γ is the polynomial for which the
    moments times Γ are closest to polynomials of the same degree, a linear least-squares problem.
    The mean contribution of the errors of the moments to the squares is subtracted, because it
    would bias Γ towards a constant.

    Args:
        terms: polynomial terms of the scaled shifts of the points, shape (n_points, n_terms).
        moments: divided moments, shape (n_points, n).
        variances: squared errors of the moments, same shape; moments with zero are ignored.

    Returns:
        Coefficients of Γ, shape (n_terms,), with Γ = 1 at scaled shifts of zero.
    """
    scale = variances.mean(axis=0)
    used = scale > 0
    values = moments[:, used] / np.sqrt(scale[used])
    errors = (variances[:, used] / scale[used]).sum(axis=1)
    basis, _ = np.linalg.qr(terms)
    square = np.zeros((terms.shape[1], terms.shape[1]))
    for column in values.T:
        product = terms * column[:, None]
        left = product - basis @ (basis.T @ product)
        square += left.T @ left
    square -= terms.T @ (terms * (errors * (1 - (basis**2).sum(axis=1)))[:, None])
    # the constant term is fixed to 1
    others = np.linalg.lstsq(square[1:, 1:], -square[1:, 0], rcond=None)[0]
    return np.concatenate([[1.0], others])


def fit_density(
    knots: Array,
    moments: Array,
    shifts: Array,
    n_images: Array,
    degree: int,
    flat: Array,
    variances: Array | None = None,
    q2_moments: Array | None = None,
    spectrum: Array | None = None,
    products: Array | None = None,
) -> VoxelDensity:
    """Fit polynomials in the shifts to the moments of all training points.

    The degree is reduced if there are too few points. For several shifts the polynomials are
    divided by another one, the rate (`fit_rate`), if there are enough points and the rate is
    positive at all of them.

    Args:
        knots: shape (n_knots,).
        moments: moments of each point over its sum of weights, shape (n_points, n_knots, 11).
        shifts: shifts of the points, shape (n_points, k).
        n_images: number of images of each point, shape (n_points,), used as weights of the fit.
        degree: maximum degree of the polynomials.
        flat: averages of the eleven angular functions over all voxels, shape (11,).
        variances: squared errors of the moments, same shape; None: no rate is fitted.
        q2_moments: moments in q² of each point, shape (n_points, 3, 11), see `Q2Moments`; None:
            unknown.
        spectrum: events of all points by q², counts of a `Q2Histogram`; None: no density of pairs.
        products: averages over all voxels of the products of two angular functions, shape
            (11, 11); needed for the density of pairs.
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
    rate_terms = None
    divisor = np.ones((len(moments), 1))
    if (
        variances is not None
        and shifts.shape[1] > 1
        and degree > 1
        and len(shifts) >= 2 * terms.shape[1]
    ):
        rate_candidate = fit_rate(terms, flat_moments, variances.reshape(len(moments), -1))
        if np.all(terms @ rate_candidate > 0):
            rate_terms = rate_candidate
            divisor = (terms @ rate_candidate)[:, None]

    def through(values: Array) -> Array:
        return np.asarray(np.linalg.lstsq(terms * root, values * divisor * root, rcond=None)[0])

    tables = through(flat_moments)
    tables = tables.reshape(terms.shape[1], *moments.shape[1:]).transpose(1, 2, 0)
    rate = tables[:, :, 0] @ flat
    # a knot without voxels nearby has no rate and carries no information
    used = rate > 0
    tables = np.divide(tables, rate[:, None, None], out=np.zeros_like(tables),
                       where=used[:, None, None])  # fmt: skip
    density = VoxelDensity(knots, tables, centre, scale, degree, rate_terms)
    if spectrum is not None and products is not None:
        everywhere = np.average(moments @ flat, axis=0, weights=n_images)
        at_centre = np.divide(rate, everywhere, out=np.zeros_like(rate), where=everywhere > 0)
        density = replace(density, pairs=pair_density(density, at_centre, spectrum, products))
    if q2_moments is not None:
        q2_moments = through(q2_moments.reshape(len(moments), -1)).reshape(-1, 3, 11)
        q2_moments = q2_moments.transpose(1, 2, 0)
    return replace(density, q2_moments=q2_moments)


def function_pairs() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the two angular functions in each of the 66 products, each (66,)."""
    first, second = np.triu_indices(11)
    return first, second


_STEP_GEV2 = 0.02  # step of the grid of q² on which densities are convolved
_STEPS = 1250


def _product_terms(n: int, degree: int) -> NDArray[np.intp]:
    """Indices of the products of two terms among the terms of twice the degree, (terms, terms)."""
    orders = polynomial_orders(n, degree)
    places = {order: place for place, order in enumerate(polynomial_orders(n, 2 * degree))}
    return np.array([[places[tuple(sorted((*one, *other)))] for other in orders] for one in orders])


def pair_density(
    density: VoxelDensity, at_centre: Array, spectrum: Array, products: Array
) -> VoxelDensity | None:
    """Compute the density of the mean q² of two events in one voxel.

    If the density of one event is Σ_i f_i J_i(q²), that of two is Σ_ij f_i f_j C_ij with the
    convolutions C_ij of J_i and J_j, which are polynomials of twice the degree.

    Args:
        density: density of one event.
        at_centre: rate at the centre of the training points over that of `spectrum`, at the knots.
        spectrum: events by q², counts of a `Q2Histogram`.
        products: averages over all voxels of f_i f_j, shape (11, 11).

    Returns:
        Density in the same form as that of one event, with the 66 products of `function_pairs` in
        place of the eleven functions: tables of shape (n_knots, 66, n_terms), divided by the mean
        over all voxels at the centre. None if the density of one event is unknown everywhere.
    """
    log_q2 = (_LOG_EDGES[1:] + _LOG_EDGES[:-1]) / 2
    n_knots, n_functions, n_terms = density.tables.shape

    def between(values: Array) -> Array:
        place = np.interp(log_q2, density.knots, np.arange(n_knots))
        low = np.minimum(place.astype(int), n_knots - 2)
        share = (place - low).reshape(-1, *(1,) * (values.ndim - 1))
        return np.asarray((1 - share) * values[low] + share * values[low + 1])

    events = (spectrum / spectrum.sum() * between(at_centre))[:, None, None]
    mass = (events * between(density.tables)).reshape(len(log_q2), -1)
    place = np.exp(log_q2) / _STEP_GEV2
    low = np.minimum(place.astype(int), _STEPS - 2)
    share = (place - low)[:, None]
    grid = np.zeros((_STEPS, n_functions * n_terms))
    np.add.at(grid, low, (1 - share) * mass)
    np.add.at(grid, low + 1, share * mass)
    length = 2 * _STEPS
    waves = np.fft.rfft(grid, length, axis=0).reshape(-1, n_functions, n_terms)
    first, second = function_pairs()
    target = _product_terms(len(density.centre), density.degree)
    convolved = np.zeros((length, len(first), int(target.max()) + 1))
    for one in range(n_terms):
        for other in range(n_terms):
            product = waves[:, first, one] * waves[:, second, other]
            convolved[:, :, target[one, other]] += np.fft.irfft(product, length, axis=0)
    # f_i f_j and f_j f_i are equal
    convolved *= np.where(first == second, 1.0, 2.0)[:, None]
    rate = convolved[:, :, 0] @ products[first, second]
    mean_q2 = np.arange(length) * _STEP_GEV2 / 2
    inside = np.flatnonzero(rate > 1e-9 * rate.max())
    inside = inside[inside > 0]
    if len(inside) < 2:
        return None
    below = np.cumsum(rate[inside])
    # knots are denser towards the ends, where few pairs cover a wide range
    parts = (1 - np.cos(np.linspace(0, np.pi, n_knots))) / 2 * (below[-1] - below[0]) + below[0]
    knots = np.unique(np.interp(parts, below, np.log(mean_q2[inside])))
    ratio = convolved[inside] / rate[inside][:, None, None]
    place = np.interp(knots, np.log(mean_q2[inside]), np.arange(len(inside)))
    low = np.minimum(place.astype(int), len(inside) - 2)
    share = (place - low)[:, None, None]
    tables = (1 - share) * ratio[low] + share * ratio[low + 1]
    squared = None
    if density.rate is not None:
        squared = np.zeros(int(target.max()) + 1)
        np.add.at(squared, target, np.outer(density.rate, density.rate))
    return VoxelDensity(knots, tables, density.centre, density.scale, 2 * density.degree, squared)
