"""Batches of the occupied voxels of images, filled up to equal lengths.

Imports Keras: import this module inside the functions that need it.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wilsonvox.shards import Shard

LENGTH_STEP = 2048
"""Lengths of batches are multiples of it [voxels]."""


class VoxelBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """A shard's images in their order, as what `wilsonvox.estimators.voxel_sum` reads.

    Args:
        shard: the images.
        batch_size: images in a batch; the last may have fewer.
    """

    def __init__(self, shard: Shard, batch_size: int) -> None:
        super().__init__()
        self.shard = shard
        self.batch_size = batch_size
        # few different lengths, so that TensorFlow traces the network for few shapes
        longest = int(np.diff(shard.offsets).max(initial=1))
        self.length = LENGTH_STEP * -(-longest // LENGTH_STEP)

    @property
    def num_batches(self) -> int:
        """Number of batches; Keras's name."""
        return -(-len(self.shard) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]]]:
        shard = self.shard
        first = index * self.batch_size
        last = min(first + self.batch_size, len(shard))
        lengths = np.diff(shard.offsets[first : last + 1])
        filled = np.arange(self.length) < lengths[:, None]
        entries = slice(shard.offsets[first], shard.offsets[last])
        batch = {}
        for name, dtype in (("voxel", np.int32), ("mean_q2", np.float32), ("count", np.float32)):
            batch[name] = np.zeros(filled.shape, dtype=dtype)
            batch[name][filled] = getattr(shard, name)[entries]
        return (batch,)
