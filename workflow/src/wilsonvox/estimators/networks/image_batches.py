"""Batches of images, made from sparse shards when the network asks for them.

Networks predict from dense batches. They are trained with sparse ones, which are a third of the
size on their way to a GPU and become dense there (`DenseImages`).

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
"""Threads that read images ahead: most of their time they wait for a disk."""


class DenseImages(keras.layers.Layer):  # type: ignore[misc]
    """Makes images dense where the network is computed.

    Of `voxel` (int32) and `value` (float32), both of shape (batch, length): the occupied voxels of
    an image and their normalised mean q2, filled up with voxel 0 and value 0. Gives float32 of
    shape (batch, bins, bins, bins, 1), 0 where empty.

    Args:
        bins: in each angle.
        most_images: in a batch.
    """

    def __init__(self, bins: int, most_images: int) -> None:
        super().__init__(dtype="float32", trainable=False, name="dense_images")
        self.bins = bins
        # half as fast with 64 bits
        self.index_dtype = "int32" if most_images * bins**3 < 2**31 else "int64"

    def call(self, sparse: dict[str, Any]) -> Any:
        """Add up the values by place; those that fill up add 0 to a voxel."""
        import tensorflow as tf

        voxel, value = (sparse[name] for name in ("voxel", "value"))
        n_images = tf.shape(voxel, out_type=self.index_dtype)[0]
        first = self.bins**3 * tf.range(n_images)[:, None]
        # not scatter_nd: half as fast, and where a GPU has to be deterministic not done by it
        flat = tf.math.unsorted_segment_sum(
            tf.reshape(value, [-1]),
            tf.reshape(first + tf.cast(voxel, self.index_dtype), [-1]),
            n_images * self.bins**3,
        )
        return tf.reshape(flat, [-1, self.bins, self.bins, self.bins, 1])

    def compute_output_shape(self, input_shape: dict[str, Any]) -> tuple[int | None, ...]:
        """Shape of the images."""
        return (input_shape["voxel"][0], self.bins, self.bins, self.bins, 1)


def with_sparse_images(network: Any, most_images: int) -> Any:
    """A network in front of which images become dense; the weights are those of `network`.

    Args:
        network: keras.Model that reads images of shape (batch, bins, bins, bins, 1).
        most_images: in a batch.

    Returns:
        keras.Model that reads the batches of `ImageBatches` with ``sparse=True``.
    """
    sparse = {
        "voxel": keras.Input((None,), dtype="int32", name="voxel"),
        "value": keras.Input((None,), dtype="float32", name="value"),
    }
    images = DenseImages(network.input_shape[1], most_images)(sparse)
    return keras.Model(sparse, network(images), name=f"{network.name}_of_sparse_images")


class ImageBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of one or several shards: images, with labels where there are some.

    Images are numbered through all shards, in their order. With a `seed` each epoch has an order
    of its own, keyed on (seed, `epoch`) alone, so that a training can be taken up at any epoch;
    set `epoch` before the epoch begins. Without a seed the images come in order.

    Args:
        shards: images of one specification.
        normalisation: applied to mean q2 when a batch is made.
        batch_size: images in a batch.
        labels: shape (n_images, n_coefficients), or None for prediction.
        seed: of the order of the images; None keeps them as they are.
        drop_remainder: leave out the images that fill no whole batch, in each epoch others. A
            batch of one or two images would spoil the statistics of the batch normalisation.
            Fewer images than `batch_size` are one batch all the same.
        replicas: devices that a batch is divided among, equally: batches with `drop_remainder` are
            multiples of it (the caller sees to `batch_size`); others with labels are filled up
            with images of weight zero, and come with weights such that Keras's mean over all of
            them is that over the images.
        sparse: give `voxels` instead of dense images.

    Attributes:
        epoch: number, from 0, of the epoch whose order the images have.
        first_batch: the batch, from 0, that the epoch begins with; those before it were done.
        failure: what was wrong when a batch of `dataset` could not be made.
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
        # one length for all, so that TensorFlow traces the network for one shape
        self.length = max(1, *(int(np.diff(s.offsets).max(initial=1)) for s in self.shards))
        if drop_remainder:
            self.batch_size -= self.batch_size % replicas
        self.epoch = 0
        self.first_batch = 0
        self.failure: Exception | None = None
        self._order: tuple[int, NDArray[np.int64]] | None = None

    @property
    def batches_of_epoch(self) -> int:
        """Batches in a whole epoch."""
        if self.n_images == 0:
            return 0
        full, rest = divmod(self.n_images, self.batch_size)
        return full if self.drop_remainder or not rest else full + 1

    @property
    def num_batches(self) -> int:
        """Batches from `first_batch` to the end of the epoch; Keras's name."""
        return self.batches_of_epoch - self.first_batch

    def order(self) -> NDArray[np.int64]:
        """Numbers of the images in the order of the current epoch, shape (n_images,)."""
        if self._order is None or self._order[0] != self.epoch:
            order = np.arange(self.n_images)
            if self.seed is not None:
                key = (zlib.crc32(b"order of images"), self.epoch)
                sequence = np.random.SeedSequence(entropy=self.seed, spawn_key=key)
                order = np.random.default_rng(sequence).permutation(self.n_images)
            self._order = (self.epoch, order)
        return self._order[1]

    def images(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Dense images, float32 of shape (len(numbers), bins, bins, bins, 1)."""
        flat = np.zeros((len(numbers), self.bins**3), dtype=np.float32)
        for image, (shard, index) in zip(flat, self._places(numbers), strict=True):
            shard.fill(image, index, self.normalisation)
        return flat.reshape(len(numbers), self.bins, self.bins, self.bins, 1)

    def voxels(self, numbers: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
        """Images as `DenseImages` reads them.

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
        """Weights of a batch of images and those that fill it up, shape (n_images + n_added,).

        Keras divides the sum of an epoch's weighted losses by the number of all its images, those
        of weight zero too.
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
        """The batches from `first_batch` on, read ahead by threads, in order, epoch after epoch.

        Only for sparse batches with labels. A batch that cannot be made raises an error of
        TensorFlow's in `fit`; what was wrong is in `failure` then.

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
            # not stateful: TensorFlow would call it from one thread alone, where it has to be
            # deterministic; a batch depends on its index and on the epoch, which is set before
            parts = tf.numpy_function(read, [index], kinds, stateful=False)
            for part, shape in zip(parts, shapes, strict=False):
                part.set_shape(shape)
            voxel, value, *rest = parts
            return {"voxel": voxel, "value": value}, *rest

        options = tf.data.Options()
        options.threading.private_threadpool_size = READERS
        # a buffer of automatic size would grow with the number of batches
        return (
            tf.data.Dataset.range(self.num_batches)
            .map(batch, num_parallel_calls=READERS, deterministic=True)
            .prefetch(1)
            .with_options(options)
        )
