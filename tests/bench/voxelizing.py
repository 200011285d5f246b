"""Voxel images from events in memory, and from a file."""

import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import boost_histogram as bh
import numpy as np
from decays import decays, write_decays
from measuring import Row, Way, process, race
from scipy.stats import binned_statistic_dd

from wilsonvox.events.event_file import Events
from wilsonvox.voxels import binning as voxels
from wilsonvox.voxels.binning import fill_image, voxelize_file
from wilsonvox.voxels.histograms import ANGLES, SparseImage, image_axes
from wilsonvox.voxels.specification import ImageSpecification

BINS, IMAGE, N_IMAGES = 50, 24_000, 60
SLOW = 3
"""Images for the peers that take seconds for all."""
FILE_EVENTS = 4_300_000
"""As in a job of the demonstration."""


def _sparse(count: Any, mean: Any) -> SparseImage:
    count = count.reshape(-1)
    voxel = np.flatnonzero(count)
    return (
        voxel.astype(np.int32),
        mean.reshape(-1)[voxel].astype(np.float32),
        count[voxel].astype(np.uint16),
    )


_histogram = bh.Histogram(*image_axes(BINS), storage=bh.storage.Mean())


def dense_histogram(events: Events) -> SparseImage:
    """boost-histogram's `Mean` storage over all voxels, one histogram for all images."""
    _histogram.reset()
    columns = [
        np.minimum(getattr(events, name), high, dtype=np.float64)
        for name, (_, high) in ANGLES.items()
    ]
    _histogram.fill(*columns, sample=events.q2)
    return _sparse(_histogram.counts(), _histogram.values())


def packed_sort(events: Events, bins: int = BINS) -> SparseImage:
    """Voxel and q2 of an event packed into one integer, these sorted, equal voxels summed."""
    voxel: Any = np.zeros(len(events), np.int32)
    for name, (low, high) in ANGLES.items():
        position = np.subtract(getattr(events, name), low, dtype=np.float64)
        position /= high - low
        position *= bins
        index = position.astype(np.int32)
        voxel *= bins
        voxel += np.clip(index, 0, bins - 1, out=index)
    keys = voxel.astype(np.int64)
    keys <<= 32
    keys |= events.q2.view(np.uint32)
    keys.sort()
    voxel = (keys >> 32).astype(np.int32)
    row = np.zeros(len(events), np.int64)
    np.cumsum(voxel[1:] != voxel[:-1], out=row[1:])
    count = np.bincount(row)
    occupied = np.empty(count.size, np.int32)
    occupied[row] = voxel
    mean_q2 = np.bincount(row, weights=keys.astype(np.uint32).view(np.float32)) / count
    return occupied, mean_q2.astype(np.float32), count.astype(np.uint16)


def numpy_histogramdd(events: Events) -> SparseImage:
    """`numpy.histogramdd` for the counts and again for the sums of q2."""
    sample = np.stack([getattr(events, name) for name in ANGLES], axis=1).astype(np.float64)
    np.minimum(sample, [np.nextafter(high, low) for low, high in ANGLES.values()], out=sample)
    ranges = list(ANGLES.values())
    count, _ = np.histogramdd(sample, BINS, ranges)
    total, _ = np.histogramdd(sample, BINS, ranges, weights=events.q2)
    return _sparse(count, total / np.maximum(count, 1))


def scipy_binned_statistic(events: Events) -> SparseImage:
    """`scipy.stats.binned_statistic_dd` for the mean, and its bin numbers for the counts."""
    sample = np.stack([getattr(events, name) for name in ANGLES], axis=1).astype(np.float64)
    np.minimum(sample, [np.nextafter(high, low) for low, high in ANGLES.values()], out=sample)
    ranges = list(ANGLES.values())
    mean, _, number = binned_statistic_dd(sample, events.q2, "mean", BINS, ranges)
    # its bin numbers count a bin before and one behind each axis
    count = np.bincount(number, minlength=(BINS + 2) ** 3).reshape((BINS + 2,) * 3)
    return _sparse(count[1:-1, 1:-1, 1:-1], mean)


PEERS = {
    "sorted integers, NumPy": (packed_sort, N_IMAGES),
    "boost-histogram Mean storage, dense": (dense_histogram, N_IMAGES),
    "numpy.histogramdd, counts and sums": (numpy_histogramdd, SLOW),
    "scipy.stats.binned_statistic_dd": (scipy_binned_statistic, SLOW),
}


def run() -> list[Row]:
    """All rows of this module."""
    events = decays(N_IMAGES * IMAGE)
    images = [events[start : start + IMAGE] for start in range(0, len(events), IMAGE)]
    own = fill_image(images[0], BINS)
    for name, (peer, _) in PEERS.items():
        voxel, mean_q2, count = peer(images[0])
        if not (np.array_equal(voxel, own[0]) and np.array_equal(count, own[2])):
            sys.exit(f"{name} fills other voxels")
        np.testing.assert_array_max_ulp(mean_q2, own[1], maxulp=1)

    def all_images(fill: Any, n_images: int = N_IMAGES) -> Any:
        return lambda: [fill(image) for image in images[:n_images]]

    ways = {
        "wilsonvox": Way(
            all_images(lambda image: fill_image(image, BINS)), N_IMAGES * IMAGE, ours=True
        )
    } | {
        name: Way(all_images(peer, n_images), n_images * IMAGE)
        for name, (peer, n_images) in PEERS.items()
    }
    rows = race("voxelize, 24,000 events in 50³", "events", ways)
    for bins in (25, 100):
        ways = {
            "wilsonvox": Way(
                all_images(lambda image, b=bins: fill_image(image, b)), len(events), ours=True
            ),
            "sorted integers, NumPy": Way(
                all_images(lambda image, b=bins: packed_sort(image, b)), len(events)
            ),
        }
        rows += race(f"voxelize, 24,000 events in {bins}³", "events", ways)
    return rows + _of_a_file()


def _of_a_file() -> list[Row]:
    """Reading, selecting, digesting and filling; in this process, and in one of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        write_decays(path, FILE_EVENTS)
        rows: list[Row] = []
        for size in (IMAGE, IMAGE // 10):
            rows += race(
                f"voxelize a file, {size:,} events in {BINS}³",
                "events",
                _ways_of_a_file(path, ImageSpecification(bins=BINS, events_per_image=size)),
            )
        program = str(Path(sys.executable).with_name("wilsonvox"))
        words = [program, "voxelize", "--events", str(path), "--out", f"{folder}/images.npz"]
        costs = [process(words) for _ in range(4)][1:]
    seconds = tuple(cost.seconds for cost in costs)
    memory = f"{max(cost.memory_bytes for cost in costs) / 1e6:.0f} MB of memory"
    name = "wilsonvox voxelize"
    return [
        *rows,
        Row("voxelize a file, whole process", name, True, "events", FILE_EVENTS, seconds, memory),
    ]


def _ways_of_a_file(path: Path, specification: ImageSpecification) -> dict[str, Way]:
    """All of `voxelize_file`, with its own images and with those of `packed_sort`."""

    def with_packed_sort() -> Any:
        with mock.patch.object(voxels, "fill_image", packed_sort):
            return voxelize_file(path, specification)

    return {
        "wilsonvox": Way(lambda: voxelize_file(path, specification), FILE_EVENTS, ours=True),
        "the same with sorted integers": Way(with_packed_sort, FILE_EVENTS),
    }
