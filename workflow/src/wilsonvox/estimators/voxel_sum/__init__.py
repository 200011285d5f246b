"""The `voxel-sum` estimator: a network that sums log-density ratios over occupied voxels."""
