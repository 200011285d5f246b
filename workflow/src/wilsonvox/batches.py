"""Batches of dense images, made from sparse shards when the network asks for them.

Imports Keras: import this module inside the functions that need it.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wilsonvox.shards import Normalisation, Shard


class ImageBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of one or several shards: dense images, with labels where there are some.

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

    Attributes:
        epoch: number, from 0, of the epoch whose order the images have.
        first_batch: the batch, from 0, that the epoch begins with; those before it were done.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        normalisation: Normalisation,
        batch_size: int,
        labels: NDArray[np.floating[Any]] | None = None,
        seed: int | None = None,
        drop_remainder: bool = False,
        replicas: int = 1,
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
        if drop_remainder:
            self.batch_size -= self.batch_size % replicas
        self.epoch = 0
        self.first_batch = 0
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
        owners = np.searchsorted(self.first, numbers, side="right") - 1
        for image, number, owner in zip(flat, numbers, owners, strict=True):
            self.shards[owner].fill(image, int(number - self.first[owner]), self.normalisation)
        return flat.reshape(len(numbers), self.bins, self.bins, self.bins, 1)

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

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], ...]:
        start = (self.first_batch + index) * self.batch_size
        numbers = self.order()[start : start + self.batch_size]
        if self.labels is None:
            return (self.images(numbers),)
        if self.replicas == 1 or self.drop_remainder:
            return self.images(numbers), self.labels[numbers]
        n_added = -len(numbers) % self.replicas
        weights = self._weights(len(numbers), n_added)
        numbers = np.pad(numbers, (0, n_added), mode="edge")
        return self.images(numbers), self.labels[numbers], weights
