"""Diagnose mode collapse: compare GAN samples with the training set in the (C9, C10) plane."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.learning.results import Coverage, Verdict
from wilsonvox.global_fit.learning.settings import TrainingSetSettings

Array = NDArray[np.float64]

CELLS = 10
"""Cells of the training range along each shift."""

MIN_FRACTION = 0.1
"""Fraction of the expected samples from which a cell counts as covered."""

COVERING = 0.8
"""Effective number of modes, relative to the training set, from which it counts as covered."""
COLLAPSED = 0.2
"""Effective number of modes, relative to the training set, below which it is mode collapse."""
MIN_VARIANCE = 0.05
"""Smallest variance ratio to the training set below which it is mode collapse."""


def _cells(shifts: Array, box: TrainingSetSettings) -> tuple[Array, float]:
    """Compute the fraction of samples in each cell and outside the training range."""
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
    """Compare generated shifts with the shifts of the training set.

    Mode collapse: the effective number of occupied cells is below 20 % of that of the training set,
    or the variance in some direction is below 5 %. Full coverage: both the effective number of
    cells and the fraction of covered cells are at least 80 %.

    Args:
        generated: generated (C9, C10), float64 of shape (n, 2).
        training: (C9, C10) of the training set, float64 of shape (m, 2).
        box: settings of the training set, with its ranges.
    """
    shares, outside = _cells(generated, box)
    expected, _ = _cells(training, box)
    occupied = expected > 0
    covered = float((shares[occupied] >= MIN_FRACTION * expected[occupied]).mean())
    modes = (1.0 - outside) * _effective(shares) / _effective(expected)
    # eigenvalues of the covariance in the basis in which that of the training set is the identity
    inverse = np.linalg.inv(np.linalg.cholesky(np.cov(training, rowvar=False)))
    ratio = np.linalg.eigvalsh(inverse @ np.cov(generated, rowvar=False) @ inverse.T)
    least = float(max(ratio.min(), 0.0))
    verdict: Verdict
    if modes < COLLAPSED or least < MIN_VARIANCE:
        verdict = "mode collapse"
    elif modes >= COVERING and covered >= COVERING:
        verdict = "covers the training set"
    else:
        verdict = "partial mode collapse"
    words = (
        f"{verdict}: {covered:.0%} of the cells of the training set are covered, the effective "
        f"number of modes is {modes:.0%} and the smallest variance {least:.1%} of the training "
        f"set, {outside:.0%} of the samples are outside the training range"
    )
    return Coverage(
        outside=outside,
        covered_cells=covered,
        effective_modes=modes,
        least_variance_ratio=least,
        verdict=verdict,
        words=words,
    )
