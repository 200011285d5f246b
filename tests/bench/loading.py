"""From a file of images to a dense batch."""

import tempfile
from pathlib import Path

import numpy as np
from decays import record, write_decays
from measuring import Row, Way, race

from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling

N_IMAGES, IMAGE, BINS = 50, 24_000, 50


def run() -> list[Row]:
    """All rows of this module."""
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.root"
        write_decays(events, int(1.01 * N_IMAGES * IMAGE))
        specification = ImageSpecification(bins=BINS, events_per_image=IMAGE)
        shard = voxelize_file(events, specification, N_IMAGES)
        sparse, dense = Path(folder) / "sparse.npz", Path(folder) / "dense.npz"
        shard.save(sparse, record())
        numbers, normalisation = np.arange(N_IMAGES), VoxelScaling()
        np.savez_compressed(dense, images=shard.dense(numbers, normalisation))

        def load_own() -> np.ndarray:
            return Shard.load(sparse).dense(numbers, normalisation)

        def load_dense() -> np.ndarray:
            with np.load(dense) as content:
                return content["images"]

        np.testing.assert_array_equal(load_own(), load_dense())
        size = {
            path: f"{path.stat().st_size / N_IMAGES / 1000:.0f} kB an image"
            for path in (sparse, dense)
        }
        return race(
            "load a shard as dense images",
            "images",
            {
                "wilsonvox, digest checked": Way(load_own, N_IMAGES, True, size[sparse]),
                "numpy, dense compressed npz": Way(load_dense, N_IMAGES, note=size[dense]),
            },
        )
