"""How a `voxel-sum` learns: densities of voxels from labelled images, and a head on their sums.

The network itself is `wilsonvox.estimators.voxel_sum.network`.
"""

MOST_ANCHORS = 24
"""Most values of the shifts at which the density of a voxel is computed, for one coefficient."""


def most_anchors(n_coefficients: int) -> int:
    """Most values of the shifts at which the density of a voxel is computed."""
    return MOST_ANCHORS if n_coefficients == 1 else 2 * MOST_ANCHORS


IMAGES_AT_A_TIME = 8
"""Images whose voxels are in the network at a time."""
