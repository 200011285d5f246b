"""Learned densities of voxels, ratios of which are what an image says of the shifts.

The decay's density at given q² is Σ_i J_i(q²) f_i(Ω) (arXiv:0811.1214, eq. 3.9). With functions
d_i that are dual to the f_i, ∫ d_i f_j dΩ = δ_ij, the mean of d_i over events near some q² is J_i
there: means take the place of a search for the best weights. What is learned, from images alone,
are the J_i of every training point at knots of q², and polynomials of the shifts through them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_orders, polynomial_terms
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


class Q2Histogram:
    """Voxels by mean q2, finely enough to divide them into equal parts; its size is constant."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(_LOG_EDGES) - 1)

    def add(self, mean_q2: NDArray[np.float32], weight: Array | None = None) -> None:
        """Count voxels; `mean_q2` [GeV²] of any shape, `weight` of the same; None: each once."""
        self.counts += np.histogram(_log_q2(mean_q2), _LOG_EDGES, weights=weight)[0]

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


class DualMoments:
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


class Q2Moments:
    """DualMoments of q² times the angular coefficients of one training point, from voxels' sums.

    Of a voxel with expected count λ and sum of q² μ the sum S of its events' q² has ⟨S²⟩ = μ² + the
    second moment that is looked for, because counts are Poisson's.

    Args:
        functions: averages of the eleven angular functions over voxels, shape (bins³, 11).
        dual: see `dual_functions`.
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
        """Add voxels of images of the point: flat indices, mean q2 [GeV²] and events of each."""
        events = count.astype(np.float64)
        total = events * mean_q2
        for order, weights in enumerate((events, total, total**2)):
            filled = np.bincount(voxel, weights, minlength=len(self.dual))
            self.sums[order] += filled @ self.dual
        self.events += float(events.sum())
        self.n_images += n_images

    def expected_counts(self) -> Array:
        """Events expected in each voxel of one image, shape (bins³,)."""
        return np.asarray(self._per_voxel(self.sums[0]))

    def _per_voxel(self, sums: Array) -> Array:
        return np.asarray(self.functions @ sums) / (len(self.functions) * self.n_images)

    def normalised(self) -> Array:
        """∫J_i q^2m dq² for m = 0, 1, 2 [GeV^2m], over the rate, shape (3, 11)."""
        found = self.sums / self.events
        per_image = self.events / self.n_images
        # what is fixed is the number of all events, and not only its expectation
        squares = (1 - 1 / per_image) * self._per_voxel(self.sums[1]) ** 2
        found[2] -= self.n_images * (squares @ self.dual) / self.events
        return found


@dataclass(frozen=True)
class VoxelDensity:
    """Angular coefficients at knots of q², as polynomials of the scaled shifts.

    At each knot they are divided by the integral over the angles at the centre of the training
    points, which is no function of the shifts and so says nothing of them.

    knots: log(q² / GeV²), shape (n_knots,), rising
    tables: shape (n_knots, 11, n_terms), terms as of `wilsonvox.core.polynomials.polynomial_terms`
    centre, scale: of the shifts, shape (k,): the terms are those of (shift − centre) / scale
    degree: of the polynomials
    rate: polynomial that all are divided by, shape (n_terms,), 1 at the centre; None: there is none
    q2_moments: ∫J_i q^2m dq² for m = 0, 1, 2 [GeV^2m], shape (3, 11, n_terms); None: not known
    pairs: the density of the mean q² of two events in one voxel, see `pair_density`; likewise
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
        """Polynomial terms at shifts of shape (n, k), over the rate, shape (n, n_terms)."""
        terms = polynomial_terms((shifts - self.centre) / self.scale, self.degree)
        return terms if self.rate is None else terms / (terms @ self.rate)[:, None]


def moment_variances(moments: Array, flat: Array, dual: Array, weights: Array) -> Array:
    """Squared statistical errors of moments, to the accuracy that weights need.

    Of n events a dual function d has the mean ± √(⟨d²⟩/n), and a hat function of log q² the mean of
    its square is 2/3 of its own mean.

    Args:
        moments: of each point, divided by its sum of weights, shape (n_points, n_knots, 11).
        flat: averages of the eleven angular functions over all voxels, shape (11,).
        dual: see `dual_functions`.
        weights: sum of weights of each point, that is events, shape (n_points,).

    Returns:
        Shape (n_points, n_knots, 11).
    """
    near = np.maximum(moments @ flat, 0) / np.maximum(weights, 1)[:, None]
    return np.asarray(2 / 3 * near[..., None] * (dual**2).mean(axis=0))


def fit_rate(terms: Array, moments: Array, variances: Array) -> Array:
    """The rate Γ(δ) by which angular coefficients were divided, up to a constant.

    Amplitudes are linear in the shifts; so angular coefficients and rate are of second degree, but
    their ratio, which images tell, is not a polynomial. Γ is the polynomial with which the moments
    times Γ are nearest to polynomials of the same degree. That is a linear problem of least
    squares; what errors of the moments add to the squares on average is taken off, because it would
    draw Γ towards a constant.

    Args:
        terms: of the points' scaled shifts, shape (n_points, n_terms).
        moments: shape (n_points, n): what was divided.
        variances: their squared errors, same shape; where zero, a moment is left out.

    Returns:
        Shape (n_terms,), 1 at scaled shifts of zero.
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
    # the constant term is 1
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
    """Polynomials of the shifts through the moments of all training points.

    The degree is lower where there are too few points for it. Of several shifts the polynomials are
    divided by one more, the rate (`fit_rate`), if there are points for it and it is positive there.

    Args:
        knots: shape (n_knots,).
        moments: of each point, divided by its sum of weights, shape (n_points, n_knots, 11).
        shifts: of the points, shape (n_points, k).
        n_images: images of each point, shape (n_points,): their weights in the fit.
        degree: most of the polynomials.
        flat: averages of the eleven angular functions over all voxels, shape (11,).
        variances: squared errors of the moments, same shape; None: no rate is looked for.
        q2_moments: of each point, shape (n_points, 3, 11), see `Q2Moments`; None: not known.
        spectrum: events of all points by q², as `Q2Histogram` counts them, if the density of pairs
            is wanted.
        products: averages over all voxels of the products of two angular functions (11, 11), then.
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
        found = fit_rate(terms, flat_moments, variances.reshape(len(moments), -1))
        if np.all(terms @ found > 0):
            rate_terms = found
            divisor = (terms @ found)[:, None]

    def through(values: Array) -> Array:
        return np.asarray(np.linalg.lstsq(terms * root, values * divisor * root, rcond=None)[0])

    tables = through(flat_moments)
    tables = tables.reshape(terms.shape[1], *moments.shape[1:]).transpose(1, 2, 0)
    rate = tables[:, :, 0] @ flat
    # a knot that no voxel is near has no rate and says nothing
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
    """Numbers of the two angular functions of each of the 66 products of two, each (66,)."""
    first, second = np.triu_indices(11)
    return first, second


_STEP_GEV2 = 0.02  # of the grid of q² on which densities are convolved
_STEPS = 1250


def _product_terms(n: int, degree: int) -> NDArray[np.intp]:
    """Which polynomial term of twice the degree the product of two terms is, (terms, terms)."""
    orders = polynomial_orders(n, degree)
    places = {order: place for place, order in enumerate(polynomial_orders(n, 2 * degree))}
    return np.array([[places[tuple(sorted((*one, *other)))] for other in orders] for one in orders])


def pair_density(
    density: VoxelDensity, at_centre: Array, spectrum: Array, products: Array
) -> VoxelDensity | None:
    """Density of the mean q² of two events of one voxel.

    If the density of one event is Σ_i f_i J_i(q²), that of two is Σ_ij f_i f_j C_ij with the
    convolutions C_ij of J_i and J_j, which are polynomials of twice the degree.

    Args:
        density: of one event.
        at_centre: rate at the centre of the training points over that of `spectrum`, at the knots.
        spectrum: events by q², as `Q2Histogram` counts them.
        products: averages over all voxels of f_i f_j, shape (11, 11).

    Returns:
        As of one event, with the 66 products of `function_pairs` in place of the eleven functions:
        tables of shape (n_knots, 66, n_terms), divided by the mean over all voxels at the centre.
        None where the density of one event is known nowhere.
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
    found = np.zeros((length, len(first), int(target.max()) + 1))
    for one in range(n_terms):
        for other in range(n_terms):
            product = waves[:, first, one] * waves[:, second, other]
            found[:, :, target[one, other]] += np.fft.irfft(product, length, axis=0)
    # f_i f_j and f_j f_i are the same number
    found *= np.where(first == second, 1.0, 2.0)[:, None]
    rate = found[:, :, 0] @ products[first, second]
    mean_q2 = np.arange(length) * _STEP_GEV2 / 2
    inside = np.flatnonzero(rate > 1e-9 * rate.max())
    inside = inside[inside > 0]
    if len(inside) < 2:
        return None
    below = np.cumsum(rate[inside])
    # denser towards the ends, where few pairs are spread widely
    parts = (1 - np.cos(np.linspace(0, np.pi, n_knots))) / 2 * (below[-1] - below[0]) + below[0]
    knots = np.unique(np.interp(parts, below, np.log(mean_q2[inside])))
    ratio = found[inside] / rate[inside][:, None, None]
    place = np.interp(knots, np.log(mean_q2[inside]), np.arange(len(inside)))
    low = np.minimum(place.astype(int), len(inside) - 2)
    share = (place - low)[:, None, None]
    tables = (1 - share) * ratio[low] + share * ratio[low + 1]
    squared = None
    if density.rate is not None:
        squared = np.zeros(int(target.max()) + 1)
        np.add.at(squared, target, np.outer(density.rate, density.rate))
    return VoxelDensity(knots, tables, density.centre, density.scale, 2 * density.degree, squared)
