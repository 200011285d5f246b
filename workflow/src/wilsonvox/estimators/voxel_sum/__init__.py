"""The `voxel-sum` estimator: a sum of log-density ratios over the occupied voxels of an image.

In machine learning it is a Deep-Sets network (arXiv:1703.06114), f(Σ_v φ(v)): the embedding φ of
an occupied voxel v is its log-density ratio at several values of the shifts, and f is a
polynomial readout, the head. In statistics it is an optimal-observable estimator: the sums are
the log-likelihood ratio of the image, from densities learned from labelled images. All weights
come from moments and least squares, in closed form, without gradient descent.
"""
