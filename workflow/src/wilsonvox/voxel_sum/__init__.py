"""How a `voxel-sum` learns: densities of voxels from labelled images, and a head on their sums.

The network itself is `wilsonvox.estimators.voxel_sum`.
"""

MOST_ANCHORS = 24
"""Most values of the shifts at which the density of a voxel is computed."""

IMAGES_AT_A_TIME = 8
"""Images whose voxels are in the network at a time."""
