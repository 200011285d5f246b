"""Batches of images, read from sparse shards on demand.

Networks predict from dense batches. They are trained with sparse ones, which are a third of the
size during transfer to a GPU and are made dense there (`DenseImages`).

Imports Keras: import this module inside the functions that need it.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

READERS = 4
"""Threads that read images ahead; they mostly wait for the disk."""


class DenseImages(keras.layers.Layer):  # type: ignore[misc]
    """Layer that makes sparse images dense on the device of the network.

    Input: `voxel` (int32) and `value` (float32), both of shape (batch, length), with the flat
    indices of the occupied voxels of an image and their normalised mean q2, padded with voxel 0
    and value 0. Output: float32 of shape (batch, bins, bins, bins, 1), 0 in empty voxels.

    Args:
        bins: number of bins in each angle.
        most_images: maximum number of images in a batch.
    """

    def __init__(self, bins: int, most_images: int) -> None:
        super().__init__(dtype="float32", trainable=False, name="dense_images")
        self.bins = bins
        # 64-bit indices are half as fast
        self.index_dtype = "int32" if most_images * bins**3 < 2**31 else "int64"

    def call(self, sparse: dict[str, Any]) -> Any:
        """Sum the values in each voxel; padding adds 0."""
        import tensorflow as tf

        voxel, value = (sparse[name] for name in ("voxel", "value"))
        n_images = tf.shape(voxel, out_type=self.index_dtype)[0]
        first = self.bins**3 * tf.range(n_images)[:, None]
        # scatter_nd is half as fast, and unavailable on a GPU in deterministic mode
        flat = tf.math.unsorted_segment_sum(
            tf.reshape(value, [-1]),
            tf.reshape(first + tf.cast(voxel, self.index_dtype), [-1]),
            n_images * self.bins**3,
        )
        return tf.reshape(flat, [-1, self.bins, self.bins, self.bins, 1])

    def compute_output_shape(self, input_shape: dict[str, Any]) -> tuple[int | None, ...]:
        """Return the shape of the dense images."""
        return (input_shape["voxel"][0], self.bins, self.bins, self.bins, 1)


def with_sparse_images(network: Any, most_images: int) -> Any:
    """Prepend a layer that makes images dense to a network, with which it shares its weights.

    Args:
        network: keras.Model with input of shape (batch, bins, bins, bins, 1).
        most_images: maximum number of images in a batch.

    Returns:
        keras.Model with the batches of `ImageBatches` with ``sparse=True`` as input.
    """
    sparse = {
        "voxel": keras.Input((None,), dtype="int32", name="voxel"),
        "value": keras.Input((None,), dtype="float32", name="value"),
    }
    images = DenseImages(network.input_shape[1], most_images)(sparse)
    return keras.Model(sparse, network(images), name=f"{network.name}_of_sparse_images")


class ImageBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of images of one or several shards, with labels for training.

    Images are numbered consecutively through all shards. With a `seed` each epoch has its own
    order, which depends on (seed, `epoch`) alone, so that a training can resume at any epoch; set
    `epoch` before the epoch begins. Without a seed the images come in file order.

    Args:
        shards: images of one specification.
        normalisation: scaling of mean q2, applied when a batch is made.
        batch_size: images per batch.
        labels: shape (n_images, n_coefficients), or None for prediction.
        seed: seed of the order of the images; None keeps the file order.
        drop_remainder: leave out the images that do not fill a batch (different ones in each
            epoch), because a batch of one or two images would spoil the statistics of the batch
            normalisation. Fewer than `batch_size` images still form one batch.
        replicas: devices that share each batch equally. With `drop_remainder` the batch size is
            rounded down to a multiple of it (the caller ensures that this is not 0); other batches
            with labels are padded with images of weight zero, and have sample weights such that
            Keras's mean over all of them is the mean over the images.
        sparse: yield `voxels` instead of dense images.

    Attributes:
        epoch: epoch, from 0, that determines the order of the images.
        first_batch: batch, from 0, at which the epoch begins or resumes.
        failure: exception raised while a batch of `dataset` was made, or None.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        normalisation: VoxelScaling,
        batch_size: int,
        labels: NDArray[np.floating[Any]] | None = None,
        seed: int | None = None,
        drop_remainder: bool = False,
        replicas: int = 1,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.shards = list(shards)
        self.normalisation = normalisation
        self.labels = None if labels is None else labels.astype(np.float32)
        self.seed = seed
        self.bins = self.shards[0].metadata.image.bins
        self.first = np.cumsum([0, *(len(shard) for shard in self.shards)])
        self.n_images = int(self.first[-1])
        self.batch_size = min(batch_size, self.n_images)
        self.drop_remainder = drop_remainder
        self.replicas = replicas
        self.sparse = sparse
        # one length for all batches, so that TensorFlow traces the network for one shape
        self.length = max(1, *(int(np.diff(s.offsets).max(initial=1)) for s in self.shards))
        if drop_remainder:
            self.batch_size -= self.batch_size % replicas
        self.epoch = 0
        self.first_batch = 0
        self.failure: Exception | None = None
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def batches_of_epoch(self) -> int:
        """Number of batches in a whole epoch."""
        if self.n_images == 0:
            return 0
        full, rest = divmod(self.n_images, self.batch_size)
        return full if self.drop_remainder or not rest else full + 1

    @property
    def num_batches(self) -> int:
        """Number of batches from `first_batch` to the end of the epoch (name given by Keras)."""
        return self.batches_of_epoch - self.first_batch

    def order(self) -> NDArray[np.int64]:
        """Return the image numbers in the order of the current epoch, shape (n_images,)."""
        if self._order is None or self._order[0] != self.epoch:
            order = np.arange(self.n_images)
            if self.seed is not None:
                key = (zlib.crc32(b"order of images"), self.epoch)
                sequence = np.random.SeedSequence(entropy=self.seed, spawn_key=key)
                order = np.random.default_rng(sequence).permutation(self.n_images)
            self._order = (self.epoch, order)
        return self._order[1]

    def images(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Return dense images, float32 of shape (len(numbers), bins, bins, bins, 1)."""
        flat = np.zeros((len(numbers), self.bins**3), dtype=np.float32)
        for image, (shard, index) in zip(flat, self._places(numbers), strict=True):
            shard.fill(image, index, self.normalisation)
        return flat.reshape(len(numbers), self.bins, self.bins, self.bins, 1)

    def voxels(self, numbers: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        """Return sparse images, the input of `DenseImages`.

        Returns:
            ``voxel`` (int32) and ``value`` (float32), of shape (len(numbers), `length`).
        """
        voxel = np.zeros((len(numbers), self.length), dtype=np.int32)
        value = np.zeros((len(numbers), self.length), dtype=np.float32)
        for row, (shard, index) in enumerate(self._places(numbers)):
            occupied, values = shard.occupied(index, self.normalisation)
            voxel[row, : len(occupied)] = occupied
            value[row, : len(occupied)] = values
        return {"voxel": voxel, "value": value}

    def _places(self, numbers: NDArray[np.integer[Any]]) -> list[tuple[Shard, int]]:
        owners = np.searchsorted(self.first, numbers, side="right") - 1
        return [
            (self.shards[owner], int(number - self.first[owner]))
            for number, owner in zip(numbers, owners, strict=True)
        ]

    def _weights(self, n_images: int, n_added: int) -> NDArray[np.float32]:
        """Return sample weights of images and padding, shape (n_images + n_added,).

        Keras divides the sum of the weighted losses of an epoch by the number of all its images,
        including those of weight zero.
        """
        full, rest = divmod(self.n_images, self.batch_size)
        added = full * (-self.batch_size % self.replicas) + -rest % self.replicas
        weights = np.zeros(n_images + n_added, dtype=np.float32)
        weights[:n_images] = (self.n_images + added) / self.n_images
        return weights

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        start = (self.first_batch + index) * self.batch_size
        numbers = self.order()[start : start + self.batch_size]
        content = self.voxels if self.sparse else self.images
        if self.labels is None:
            return (content(numbers),)
        if self.replicas == 1 or self.drop_remainder:
            return content(numbers), self.labels[numbers]
        n_added = -len(numbers) % self.replicas
        weights = self._weights(len(numbers), n_added)
        numbers = np.pad(numbers, (0, n_added), mode="edge")
        return content(numbers), self.labels[numbers], weights

    def dataset(self) -> Any:
        """Return the batches from `first_batch` on as a dataset, read ahead by threads, in order.

        Only for sparse batches with labels. If a batch cannot be made, `fit` raises an error of
        TensorFlow, and the cause is in `failure`.

        Returns:
            tf.data.Dataset. At most `READERS` + 2 batches are in memory.
        """
        import tensorflow as tf

        assert self.labels is not None
        weighted = self.replicas > 1 and not self.drop_remainder
        kinds = [tf.int32, tf.float32, tf.float32] + weighted * [tf.float32]
        n_images = self.batch_size if self.drop_remainder else None
        shapes = [[n_images, self.length]] * 2 + [[n_images, self.labels.shape[1]], [n_images]]

        def read(index: int) -> list[NDArray[Any]]:
            try:
                images, *rest = self[int(index)]
            except Exception as error:
                self.failure = error
                raise
            return [images["voxel"], images["value"], *rest]

        def batch(index: Any) -> tuple[Any, ...]:
            # stateful=False: otherwise TensorFlow calls it from a single thread in deterministic
            # mode; a batch depends only on its index and on the epoch, which is set before
            parts = tf.numpy_function(read, [index], kinds, stateful=False)
            for part, shape in zip(parts, shapes, strict=False):
                part.set_shape(shape)
            voxel, value, *rest = parts
            return {"voxel": voxel, "value": value}, *rest

        options = tf.data.Options()
        options.threading.private_threadpool_size = READERS
        # a buffer with automatic size would grow with the number of batches
        return (
            tf.data.Dataset.range(self.num_batches)
            .map(batch, num_parallel_calls=READERS, deterministic=True)
            .prefetch(1)
            .with_options(options)
        )
