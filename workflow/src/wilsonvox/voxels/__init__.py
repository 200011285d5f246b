"""Voxel images: specification, binning, shards and their information."""
