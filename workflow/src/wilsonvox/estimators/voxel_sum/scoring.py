"""Maximum-likelihood shifts of an image from its sums, by Fisher scoring.

The polynomials of the head (`wilsonvox.estimators.voxel_sum.head`) predict the mean over similar
images; for several shifts they mix well-known and poorly known directions, which depend on the
shifts. Their prediction is therefore only a start. Here combinations x of the sums are modelled as
a function of the shifts: a mean μ(δ), fitted to the training images, and the covariance between
images of one point. (Means of sums over events are linear in the density of the events, a ratio of
a polynomial of second degree and the rate Γ; so μ has this form, too.) The prediction is the δ that
maximises the normal likelihood of x, found by iterating δ → δ + (GᵀWG)⁻¹ Gᵀ W (x − μ(δ)), with
G = ∂μ/∂δ and W the inverse of the covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_orders, polynomial_terms
from wilsonvox.estimators.voxel_sum.head import Head, by_point, components

Array = NDArray[np.float64]

ITERATIONS = 10
"""Number of iterations."""
MAX_STEP = 0.3
"""Maximum step in each scaled shift; training points have scaled shifts between −1 and 1."""
MAX_SCALED_SHIFT = 1.3
"""Maximum absolute value of a predicted scaled shift."""
MINIMUM_RATE = 0.01
"""Lower limit of the rate, in units of the rate at the centre."""
RIDGE = 1e-3
"""Regularisation: information added to each scaled shift, which keeps steps finite."""
COMPONENTS_PER_SHIFT = (2, 3, 4, 6, 8)
"""Numbers of combinations to try, in units of the number of shifts."""


@dataclass(frozen=True)
class Scoring:
    """Fisher scoring: model of the combinations of sums as a function of the shifts.

    projection: linear map from sums to combinations, shape (n_sums, r)
    offset: offset of the combinations, shape (r,)
    mean: coefficients of the polynomials μ Γ in the scaled shifts, shape (n_terms, r), in the order
        of `wilsonvox.core.polynomials.polynomial_terms`
    rate: coefficients of the polynomial Γ in the scaled shifts, shape (n_terms,)
    weight: W, shape (r, r)
    centre, scale: shape (k,); scaled shifts are (shift − centre) / scale
    degree: degree of the polynomials, at least 1
    """

    projection: Array
    offset: Array
    mean: Array
    rate: Array
    weight: Array
    centre: Array
    scale: Array
    degree: int

    @property
    def both(self) -> Array:
        """Coefficients of μ Γ and, as the last column, of Γ, shape (n_terms, r + 1)."""
        return np.column_stack([self.mean, self.rate])

    @property
    def gradient(self) -> Array:
        """Derivatives of `both`, one degree lower, shape (n_terms, r + 1, k)."""
        k = len(self.centre)
        lower = {order: row for row, order in enumerate(polynomial_orders(k, self.degree - 1))}
        derivatives = np.zeros((len(lower), len(self.offset) + 1, k))
        for row, order in zip(self.both, polynomial_orders(k, self.degree), strict=True):
            for place, variable in enumerate(order):
                derivatives[lower[(*order[:place], *order[place + 1 :])], :, variable] += row
        return derivatives

    def _model(self, scaled: Array) -> tuple[Array, Array]:
        """Return μ and G at scaled shifts of shape (n, k), shapes (n, r) and (n, r, k)."""
        values = polynomial_terms(scaled, self.degree) @ self.both
        slopes = np.einsum("nt,trk->nrk", polynomial_terms(scaled, self.degree - 1), self.gradient)
        rate = np.maximum(values[:, -1:], MINIMUM_RATE)
        mean = values[:, :-1] / rate
        return mean, (slopes[:, :-1] - mean[..., None] * slopes[:, -1:]) / rate[..., None]

    def information(self, shifts: Array) -> Array:
        """Return GᵀWG in scaled shifts at shifts of shape (n, k), shape (n, k, k)."""
        _, slopes = self._model((shifts - self.centre) / self.scale)
        return np.asarray(np.einsum("nrk,rs,nsl->nkl", slopes, self.weight, slopes))

    def __call__(self, sums: Array, start: Array) -> Array:
        """Return shifts of images, shape (n, k), from sums of shape (n, n_sums) and a start."""
        x = sums @ self.projection + self.offset
        k = len(self.centre)
        z = np.clip((start - self.centre) / self.scale, -MAX_SCALED_SHIFT, MAX_SCALED_SHIFT)
        for _ in range(ITERATIONS):
            mean, slopes = self._model(z)
            left = x - mean
            weighted = np.einsum("nrk,rs->nks", slopes, self.weight)
            information = weighted @ slopes + RIDGE * np.eye(k)
            step = np.linalg.solve(information, (weighted @ left[..., None]))[..., 0]
            z = np.clip(z + np.clip(step, -MAX_STEP, MAX_STEP), -MAX_SCALED_SHIFT, MAX_SCALED_SHIFT)
        return np.asarray(self.centre + self.scale * z)


def _candidate(
    sums: Array,
    scaled: Array,
    groups: Sequence[NDArray[np.intp]],
    r: int,
    degree: int,
    rate: Array | None,
) -> tuple[Array, Array, Array, Array, Array] | None:
    """Fit projection, offset, mean, rate and weight; None if there are too few points."""
    projection, offset, _ = components(sums, groups)
    projection, offset = projection[:, :r], offset[:r]
    x = sums @ projection + offset
    terms = polynomial_terms(scaled, degree)
    points = terms[[images[0] for images in groups]]
    if len(points) < points.shape[1] or np.linalg.matrix_rank(points) < points.shape[1]:
        return None
    # a rate of lower degree is padded with zeros
    divisor = np.zeros(terms.shape[1])
    divisor[: 1 if rate is None else len(rate)] = 1.0 if rate is None else rate
    terms = terms / (terms @ divisor)[:, None]
    mean = np.asarray(np.linalg.lstsq(terms, x, rcond=None)[0], dtype=np.float64)
    left = np.concatenate([x[images] - x[images].mean(axis=0) for images in groups])
    covariance = left.T @ left / max(len(left) - len(groups), 1)
    return projection, offset, mean, divisor, np.asarray(np.linalg.inv(covariance))


def fit_scoring(
    sums: Array,
    shifts: Array,
    validation_sums: Array,
    validation_shifts: Array,
    start: Head,
    most_degree: int,
    rate: Array | None = None,
) -> Scoring | None:
    """Fit with all numbers of combinations and degrees; return the best on validation images.

    The best has the lowest median over images of (δ̂ − δ)ᵀ I (δ̂ − δ), with the information I at the
    true shifts from the largest candidate, the same for all.

    Args:
        sums: sums of the training images, shape (n, n_sums).
        shifts: true shifts of the training images, shape (n, k).
        validation_sums: sums of the validation images.
        validation_shifts: true shifts of the validation images.
        start: head that predicts the start.
        most_degree: maximum degree.
        rate: coefficients of Γ in the scaled shifts (−1 … 1 between the extreme training points),
            positive at all training points; None: constant.

    Returns:
        Best scoring, or None if there are too few training points for a polynomial.
    """
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    centre, scale = (low + high) / 2, (high - low) / 2
    scaled = (shifts - centre) / scale
    groups = [images for images in by_point(shifts) if len(images) > 1]
    k = shifts.shape[1]
    candidates: list[Scoring] = []
    least = 1
    while rate is not None and len(polynomial_orders(k, least)) < len(rate):
        least += 1
    for degree in range(least, max(most_degree, least) + 1):
        for factor in COMPONENTS_PER_SHIFT:
            if factor * k > sums.shape[1] and factor != COMPONENTS_PER_SHIFT[0]:
                break
            parts = _candidate(sums, scaled, groups, factor * k, degree, rate)
            if parts is not None:
                candidates.append(Scoring(*parts, centre, scale, degree))
    if not candidates:
        return None
    information = candidates[-1].information(validation_shifts)
    begin = start(validation_sums)

    def score(scoring: Scoring) -> float:
        off = (scoring(validation_sums, begin) - validation_shifts) / scale
        return float(np.median(np.einsum("nk,nkl,nl->n", off, information, off)))

    return min(candidates, key=score)
