"""Head of a `voxel-sum`: polynomial least-squares regression of the shifts on the sums.

The sums of an image at neighbouring anchors are almost equal. In units of their scatter between
images of one point, a few linear combinations contain all differences between points; polynomials
of these combinations are fitted to the true shifts of the training images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.polynomials import polynomial_terms

Array = NDArray[np.float64]

MINIMUM_RELATIVE_VARIANCE = 1.2
"""Minimum variance of a combination that is used, relative to that between images of one point."""

MAX_TERMS = 300
"""Maximum number of terms of the polynomials of a head."""


@dataclass(frozen=True)
class Head:
    """Polynomial readout: ``polynomial_terms(sums @ projection + offset) @ coefficients``.

    projection: shape (n_sums, r)
    offset: shape (r,)
    coefficients: shape (n_terms, k)
    degree: degree of the polynomials
    """

    projection: Array
    offset: Array
    coefficients: Array
    degree: int

    def __call__(self, sums: Array) -> Array:
        """Return shifts of images, shape (n, k), from their sums of shape (n, n_sums)."""
        return np.asarray(
            polynomial_terms(sums @ self.projection + self.offset, self.degree) @ self.coefficients
        )


def by_point(shifts: Array) -> list[NDArray[np.intp]]:
    """Group images by point: indices of the images of each point, from the shifts of all images."""
    _, point = np.unique(shifts, axis=0, return_inverse=True)
    point = point.ravel()
    return [np.flatnonzero(point == number) for number in range(point.max() + 1)]


def components(sums: Array, groups: Sequence[NDArray[np.intp]]) -> tuple[Array, Array, Array]:
    """Find combinations of sums that differ between points, in falling order of significance.

    Args:
        sums: sums of the training images, shape (n, n_sums).
        groups: indices of the images of each point.

    Returns:
        Projection of shape (n_sums, n), offset of shape (n,) and, for each combination, its
        variance over all images relative to that between images of one point. Projected sums have
        mean 0 and variance 1.
    """
    mean = sums.mean(axis=0)
    within = sum(len(images) * np.cov(sums[images].T, bias=True) for images in groups) / len(sums)
    within = np.atleast_2d(within)
    scale = np.sqrt(np.diag(within))
    values, vectors = np.linalg.eigh(within / np.outer(scale, scale))
    kept = values > 1e-6 * values[-1]
    whitening = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    total = np.atleast_2d(np.cov(((sums - mean) @ whitening).T, bias=True))
    variances, rotation = np.linalg.eigh(total)
    order = np.argsort(variances)[::-1]
    projection = whitening @ rotation[:, order] / np.sqrt(variances[order])
    return projection, -mean @ projection, variances[order]


def _least_squares(
    terms: Array,
    shifts: Array,
    groups: Sequence[NDArray[np.intp]],
    variance: Array,
    bias_weight: float,
) -> Array:
    """Minimise Σ_points (variance + bias_weight × bias²) / `variance` over the coefficients.

    Ordinary least squares (`bias_weight` 1) estimates the mean true shift of similar images, which
    is biased towards the centre of the training points near their ends.
    """
    columns = []
    for output, truth in enumerate(shifts.T):
        rows: list[Array] = []
        values: list[Array] = []
        for number, images in enumerate(groups):
            weight = 1 / np.sqrt(variance[number, output])
            mean = terms[images].mean(axis=0)
            heavy = np.sqrt(bias_weight * len(images)) * weight
            rows += [(terms[images] - mean) * weight, heavy * mean[None]]
            values += [np.zeros(len(images)), np.array([heavy * truth[images[0]]])]
        columns.append(np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0])
    return np.stack(columns, axis=1)


def _spread(predicted: Array, groups: Sequence[NDArray[np.intp]]) -> Array:
    """Return the variance of the predictions of each point's images, shape (n_points, k)."""
    return np.stack([predicted[images].var(axis=0) for images in groups])


def _score(
    predicted: Array, shifts: Array, groups: Sequence[NDArray[np.intp]], bias_weight: float
) -> float:
    """Average variance + bias_weight × bias² over points and outputs (shifts squared)."""
    bias = np.stack([(predicted[images] - shifts[images]).mean(axis=0) for images in groups])
    return float((_spread(predicted, groups) + bias_weight * bias**2).mean())


def fit_head(
    sums: Array,
    shifts: Array,
    validation_sums: Array,
    validation_shifts: Array,
    most_degree: int,
    bias_weight: float,
) -> Head:
    """Fit heads with all numbers of components and degrees; return the best on validation images.

    Args:
        sums: sums of the training images, shape (n, n_sums).
        shifts: true shifts of the training images, shape (n, k).
        validation_sums: sums of the validation images.
        validation_shifts: true shifts of the validation images.
        most_degree: maximum degree.
        bias_weight: weight of the squared bias of a point's mean relative to the variance.
    """
    groups = [images for images in by_point(shifts) if len(images) > 1]
    validation_groups = by_point(validation_shifts)
    projection, offset, variances = components(sums, groups)
    k = shifts.shape[1]
    signals = max(k, int((variances > MINIMUM_RELATIVE_VARIANCE).sum()))
    best: tuple[float, Head] | None = None
    for r in range(k, min(signals, projection.shape[1]) + 1):
        project, shift = projection[:, :r], offset[:r]
        for degree in range(1, most_degree + 1):
            terms = polynomial_terms(sums @ project + shift, degree)
            if terms.shape[1] > min(MAX_TERMS, len(sums) // 4):
                break
            variance = np.ones((len(groups), k))
            for _ in range(3):  # the weights are variances, which depend on the fit
                coefficients = _least_squares(terms, shifts, groups, variance, bias_weight)
                variance = np.maximum(_spread(terms @ coefficients, groups), 1e-12)
            head = Head(project, shift, coefficients, degree)
            score = _score(head(validation_sums), validation_shifts, validation_groups, bias_weight)
            if best is None or score < best[0]:
                best = score, head
    assert best is not None
    return best[1]
