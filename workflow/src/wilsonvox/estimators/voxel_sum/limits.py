"""Limits of the `voxel-sum` estimator: number of anchors and batch size.

Anchors are values of the shifts at which the log-density ratios of a voxel are computed.
"""

MAX_ANCHORS = 24
"""Maximum number of anchors for one coefficient."""


def max_anchors(n_coefficients: int) -> int:
    """Return the maximum number of anchors for a number of coefficients."""
    return MAX_ANCHORS if n_coefficients == 1 else 2 * MAX_ANCHORS


IMAGES_PER_BATCH = 8
"""Number of images per batch."""
