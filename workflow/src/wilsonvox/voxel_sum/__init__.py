"""How a `voxel-sum` learns: densities of voxels from labelled images, and a head on their sums.

The network itself is `wilsonvox.estimators.voxel_sum`.
"""
