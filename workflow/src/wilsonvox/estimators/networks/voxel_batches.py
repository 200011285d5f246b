"""Batches of the occupied voxels of images, padded to equal lengths.

Imports Keras: import this module inside the functions that need it.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wilsonvox.voxels.shards import Shard

LENGTH_STEP = 1024
"""Lengths of batches are rounded up to multiples of this [voxels]."""


_COLUMNS = {"voxel": np.int32, "mean_q2": np.float32, "count": np.float32}


class VoxelBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Images of a shard in file order, as input of `wilsonvox.estimators.voxel_sum.network`.

    Args:
        shard: images.
        batch_size: images per batch; the last batch may have fewer.
        split_by_count: put voxels with two events, and those with more, in separate inputs.
    """

    def __init__(self, shard: Shard, batch_size: int, split_by_count: bool) -> None:
        super().__init__()
        self.shard = shard
        self.batch_size = batch_size
        self.parts = {"": np.ones(len(shard.voxel), dtype=np.bool_)}
        if split_by_count:
            self.parts = {
                "": shard.count == 1,
                "pair_": shard.count == 2,
                "several_": shard.count > 2,
            }
        self.offsets = {}
        self.lengths = {}
        for name, chosen in self.parts.items():
            before = np.concatenate([[0], np.cumsum(chosen)])
            self.offsets[name] = before[shard.offsets]
            longest = int(np.diff(self.offsets[name]).max(initial=1))
            # few different lengths, so that TensorFlow traces the network for few shapes
            self.lengths[name] = LENGTH_STEP * -(-longest // LENGTH_STEP)

    @property
    def num_batches(self) -> int:
        """Number of batches (name given by Keras)."""
        return -(-len(self.shard) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]]]:
        first = index * self.batch_size
        last = min(first + self.batch_size, len(self.shard))
        entries = slice(self.shard.offsets[first], self.shard.offsets[last])
        batch = {}
        for part, chosen in self.parts.items():
            lengths = np.diff(self.offsets[part][first : last + 1])
            filled = np.arange(self.lengths[part]) < lengths[:, None]
            for name, dtype in _COLUMNS.items():
                column = np.zeros(filled.shape, dtype=dtype)
                column[filled] = getattr(self.shard, name)[entries][chosen[entries]]
                batch[part + name] = column
        return (batch,)
