"""Whether samples of a GAN cover the box of (C9, C10) as the training set does."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.learning.results import Coverage, Verdict
from wilsonvox.global_fit.learning.settings import TrainingSetSettings

Array = NDArray[np.float64]

CELLS = 10
"""Cells of the box along each shift."""

LEAST_SHARE = 0.1
"""A cell counts as covered with this part of the samples that an even distribution puts there."""

COVERING = 0.8
"""Part of the cells' effective number from which samples cover the box."""
COLLAPSED = 0.2
"""Part of the cells' effective number below which samples are collapsed."""
LEAST_VARIANCE = 0.05
"""Variance, relative to the training set's in the direction where it is least, with the same
meaning."""


def _cells(shifts: Array, box: TrainingSetSettings) -> tuple[Array, float]:
    """Share of the samples in each cell of the box, and of those outside."""
    counts, _, _ = np.histogram2d(
        shifts[:, 0], shifts[:, 1], bins=CELLS, range=[box.c9_range, box.c10_range]
    )
    return counts / len(shifts), float(1.0 - counts.sum() / len(shifts))


def _effective(shares: Array) -> float:
    total = shares.sum()
    if total == 0:
        return 0.0
    occupied = shares[shares > 0] / total
    return float(np.exp(-(occupied * np.log(occupied)).sum()))


def coverage(generated: Array, training: Array, box: TrainingSetSettings) -> Coverage:
    """Compare generated shifts with those of the training set.

    Collapsed: the samples' effective number of cells is below a fifth of the training set's, or
    their variance in some direction is below a twentieth. Covering: the effective number is at
    least four fifths, as is the share of covered cells.

    Args:
        generated: (C9, C10), float64 of shape (n, 2).
        training: the same of the training set.
        box: its range.
    """
    shares, outside = _cells(generated, box)
    expected, _ = _cells(training, box)
    occupied = expected > 0
    covered = float((shares[occupied] >= LEAST_SHARE * expected[occupied]).mean())
    modes = (1.0 - outside) * _effective(shares) / _effective(expected)
    # eigenvalues of the covariance where the training set's is the unit matrix
    inverse = np.linalg.inv(np.linalg.cholesky(np.cov(training, rowvar=False)))
    ratio = np.linalg.eigvalsh(inverse @ np.cov(generated, rowvar=False) @ inverse.T)
    least = float(max(ratio.min(), 0.0))
    verdict: Verdict
    if modes < COLLAPSED or least < LEAST_VARIANCE:
        verdict = "mode collapse"
    elif modes >= COVERING and covered >= COVERING:
        verdict = "covers the training set"
    else:
        verdict = "partial mode collapse"
    words = (
        f"{verdict}: {covered:.0%} of the training set's cells are covered, the effective number "
        f"of modes is {modes:.0%} and the least variance {least:.1%} of the training set's, and "
        f"{outside:.0%} of the samples lie outside the box"
    )
    return Coverage(
        outside=outside,
        covered_cells=covered,
        effective_modes=modes,
        least_variance_ratio=least,
        verdict=verdict,
        words=words,
    )
