"""Voxel images as histograms of boost-histogram: their axes, and conversion in both ways."""

from typing import Any

import boost_histogram as bh
import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError

ANGLES = {"cos_theta_mu": (-1.0, 1.0), "cos_theta_k": (-1.0, 1.0), "chi": (0.0, 2 * np.pi)}
"""The axes of an image and their ranges, in the order of its axes; chi in rad."""

SparseImage = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.uint16]]
"""Occupied voxels of one image, as in `Shard`: voxel, mean_q2 [GeV²] and count, of equal length."""


def image_axes(bins: int) -> tuple[bh.axis.Regular, ...]:
    """Axes of an image: `bins` equal-width bins in each of `ANGLES`, without flow bins.

    The upper edge of an axis belongs to its last bin. The attribute ``name`` of each axis, which
    `hist` reads, is that of the angle.
    """
    axes = []
    for name, (low, high) in ANGLES.items():
        axis = bh.axis.Regular(bins, low, high, underflow=False, overflow=False)
        axis.name = name
        axes.append(axis)
    return tuple(axes)


def stored_counts(count: NDArray[np.float64 | np.int64]) -> NDArray[np.uint16]:
    """Numbers of events per voxel in the 16 bits of a shard.

    Raises:
        UserError: a voxel holds more events than 16 bits can count.
    """
    if count.size and count.max() > np.iinfo(np.uint16).max:
        raise UserError(
            f"a voxel holds {int(count.max())} events, at most 65535 can be stored; use more bins "
            "(--bins) or fewer events per image"
        )
    return count.astype(np.uint16)


def histogram_from_image(image: SparseImage, bins: int) -> bh.Histogram[bh.storage.Mean]:
    """Dense histogram of one image: `Mean` storage of q2 [GeV²] on `image_axes`.

    A shard keeps the mean q2 of a voxel but not its spread: variances of voxels with several events
    are NaN.
    """
    voxel, mean_q2, count = image
    # count, value and variance
    cells = np.zeros((bins**3, 3))
    cells[voxel, 0] = count
    cells[voxel, 1] = mean_q2
    cells[voxel[count > 1], 2] = np.nan
    histogram = bh.Histogram(*image_axes(bins), storage=bh.storage.Mean())
    histogram[...] = cells.reshape(bins, bins, bins, 3)
    return histogram


def image_from_histogram(histogram: bh.Histogram[Any]) -> SparseImage:
    """Occupied voxels of a histogram of q2 [GeV²] with `Mean` storage and the axes of an image.

    The axes may have flow bins; what is in them is left out.

    Raises:
        UserError: another storage or other axes than `image_axes`, or more than 65535 events in a
            voxel.
    """
    if not issubclass(histogram.storage_type, bh.storage.Mean):
        raise UserError(
            f"the storage of the histogram is {histogram.storage_type.__name__}; an image needs "
            "Mean, filled with sample=q2"
        )
    bins = histogram.axes[0].size
    expected = image_axes(bins)
    if histogram.ndim != len(expected) or not all(
        np.array_equal(own.edges, axis.edges)
        for own, axis in zip(histogram.axes, expected, strict=True)
    ):
        raise UserError(
            "the axes of the histogram are not those of an image: equal numbers of bins in "
            + ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ANGLES.items())
        )
    count = histogram.counts().reshape(-1)
    voxel = np.flatnonzero(count)
    mean_q2 = histogram.values().reshape(-1)[voxel]
    return voxel.astype(np.int32), mean_q2.astype(np.float32), stored_counts(count[voxel])
