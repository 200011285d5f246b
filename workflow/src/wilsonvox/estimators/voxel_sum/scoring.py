"""The most likely shifts of an image, from its sums.

Polynomials of the sums (`wilsonvox.estimators.voxel_sum.head`) answer with a mean over what images
look alike and, of several shifts, blur the directions that are known well, which change with the
shifts. So their answer is a start only. Combinations of the sums are described the other way round,
as a function of the shifts: mean μ(δ), polynomials through the training images, and a covariance of
images of one point. (Means of sums over events are linear in the events' density, which is a
polynomial of second degree over another, the rate Γ; so μ is that, too.) The answer is the δ that
makes the image's combinations x most likely if these are normal, found by steps of Fisher's
scoring, δ → δ + (GᵀWG)⁻¹ Gᵀ W (x − μ(δ)), with G = ∂μ/∂δ and W the inverse of the covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_orders, polynomial_terms
from wilsonvox.estimators.voxel_sum.head import Head, by_point, components

Array = NDArray[np.float64]

STEPS = 10
"""Steps of scoring."""
LONGEST_STEP = 0.3
"""Longest step in each scaled shift, of which the training points have −1 … 1."""
REACH = 1.3
"""Largest scaled shift of an answer."""
LEAST_RATE = 0.01
"""Where the rate is less, in units of that at the centre, it is taken as this."""
RIDGE = 1e-3
"""Least information on a scaled shift, which keeps steps finite."""
MOST_COMPONENTS = (2, 3, 4, 6, 8)
"""Numbers of combinations to try, in units of the number of shifts."""


@dataclass(frozen=True)
class Scoring:
    """How sums and a start become the most likely shifts.

    projection: of sums to combinations, shape (n_sums, r); offset: shape (r,)
    mean: μ Γ, coefficients of the polynomials of scaled shifts, shape (n_terms, r), terms as of
        `wilsonvox.core.polynomials.polynomial_terms`
    rate: Γ, likewise, shape (n_terms,)
    weight: W, shape (r, r)
    centre, scale: of the shifts, shape (k,)
    degree: of the polynomials, 1 or more
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
        """Coefficients of μ Γ and of Γ side by side, shape (n_terms, r + 1)."""
        return np.column_stack([self.mean, self.rate])

    @property
    def gradient(self) -> Array:
        """Derivatives of `both` by scaled shifts, of one degree less, shape (n_terms, r + 1, k)."""
        k = len(self.centre)
        lower = {order: row for row, order in enumerate(polynomial_orders(k, self.degree - 1))}
        found = np.zeros((len(lower), len(self.offset) + 1, k))
        for row, order in zip(self.both, polynomial_orders(k, self.degree), strict=True):
            for place, variable in enumerate(order):
                found[lower[(*order[:place], *order[place + 1 :])], :, variable] += row
        return found

    def _model(self, scaled: Array) -> tuple[Array, Array]:
        """μ and G at scaled shifts of shape (n, k), shapes (n, r) and (n, r, k)."""
        values = polynomial_terms(scaled, self.degree) @ self.both
        slopes = np.einsum("nt,trk->nrk", polynomial_terms(scaled, self.degree - 1), self.gradient)
        rate = np.maximum(values[:, -1:], LEAST_RATE)
        mean = values[:, :-1] / rate
        return mean, (slopes[:, :-1] - mean[..., None] * slopes[:, -1:]) / rate[..., None]

    def information(self, shifts: Array) -> Array:
        """GᵀWG in scaled shifts at shifts of shape (n, k), shape (n, k, k)."""
        _, slopes = self._model((shifts - self.centre) / self.scale)
        return np.asarray(np.einsum("nrk,rs,nsl->nkl", slopes, self.weight, slopes))

    def __call__(self, sums: Array, start: Array) -> Array:
        """Shifts of images, shape (n, k), from their sums of shape (n, n_sums) and a start."""
        x = sums @ self.projection + self.offset
        k = len(self.centre)
        z = np.clip((start - self.centre) / self.scale, -REACH, REACH)
        for _ in range(STEPS):
            mean, slopes = self._model(z)
            left = x - mean
            weighted = np.einsum("nrk,rs->nks", slopes, self.weight)
            information = weighted @ slopes + RIDGE * np.eye(k)
            step = np.linalg.solve(information, (weighted @ left[..., None]))[..., 0]
            z = np.clip(z + np.clip(step, -LONGEST_STEP, LONGEST_STEP), -REACH, REACH)
        return np.asarray(self.centre + self.scale * z)


def _candidate(
    sums: Array,
    scaled: Array,
    groups: Sequence[NDArray[np.intp]],
    r: int,
    degree: int,
    rate: Array | None,
) -> tuple[Array, Array, Array, Array, Array] | None:
    """Projection, offset, mean, rate and weight; None where there are too few points."""
    projection, offset, _ = components(sums, groups)
    projection, offset = projection[:, :r], offset[:r]
    x = sums @ projection + offset
    terms = polynomial_terms(scaled, degree)
    points = terms[[each[0] for each in groups]]
    if len(points) < points.shape[1] or np.linalg.matrix_rank(points) < points.shape[1]:
        return None
    # a rate of lower degree has no terms beyond
    divisor = np.zeros(terms.shape[1])
    divisor[: 1 if rate is None else len(rate)] = 1.0 if rate is None else rate
    terms = terms / (terms @ divisor)[:, None]
    mean = np.asarray(np.linalg.lstsq(terms, x, rcond=None)[0], dtype=np.float64)
    left = np.concatenate([x[each] - x[each].mean(axis=0) for each in groups])
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
    """The scoring that is best on validation images, of all numbers of combinations and degrees.

    Best is the least median over images of (δ̂ − δ)ᵀ I (δ̂ − δ), with the information I at the true
    shifts as the largest of the candidates tells it, the same for all.

    Args:
        sums: of the training images, shape (n, n_sums).
        shifts: their true shifts, shape (n, k).
        validation_sums: of the validation images.
        validation_shifts: theirs.
        start: gives the shifts to start from.
        most_degree: the highest degree to try.
        rate: Γ, coefficients of terms of the scaled shifts (−1 … 1 between the training points'
            extremes), positive at all of them; None: it is taken as constant.

    Returns:
        None where the training points are too few for any polynomials.
    """
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    centre, scale = (low + high) / 2, (high - low) / 2
    scaled = (shifts - centre) / scale
    groups = [each for each in by_point(shifts) if len(each) > 1]
    k = shifts.shape[1]
    found: list[Scoring] = []
    least = 1
    while rate is not None and len(polynomial_orders(k, least)) < len(rate):
        least += 1
    for degree in range(least, max(most_degree, least) + 1):
        for factor in MOST_COMPONENTS:
            if factor * k > sums.shape[1] and factor != MOST_COMPONENTS[0]:
                break
            parts = _candidate(sums, scaled, groups, factor * k, degree, rate)
            if parts is not None:
                found.append(Scoring(*parts, centre, scale, degree))
    if not found:
        return None
    information = found[-1].information(validation_shifts)
    begin = start(validation_sums)

    def score(scoring: Scoring) -> float:
        off = (scoring(validation_sums, begin) - validation_shifts) / scale
        return float(np.median(np.einsum("nk,nkl,nl->n", off, information, off)))

    return min(found, key=score)
