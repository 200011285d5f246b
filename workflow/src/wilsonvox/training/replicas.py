"""Devices over which a training is distributed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.settings import TrainingSettings


class Replicas:
    """The devices that a training is spread over, each with a copy of the network.

    With several (`tf.distribute.MirroredStrategy`) each batch is divided among them, and gradients
    and the statistics of the batch normalisation are summed over all: it is the training of one
    device but for the order of summation and the masks of the dropout, of which all copies draw
    the same.

    Args:
        devices: TensorFlow's names, such as ``GPU:0``; None takes all GPUs that this process sees.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        import tensorflow as tf

        if devices is None:
            gpus = tf.config.list_physical_devices("GPU")
            devices = [f"GPU:{number}" for number in range(len(gpus))]
        self.number = max(1, len(devices))
        """How many."""
        self._strategy: Any = None
        if self.number > 1:
            # its own log has a line for each sum of gradients
            logging.getLogger("tensorflow").setLevel(logging.WARNING)
            self._strategy = tf.distribute.MirroredStrategy(list(devices))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Where the network and its optimizer have to be made."""
        if self._strategy is None:
            yield
            return
        with self._strategy.scope():
            yield

    def check_batches(self, batch_size: int, n_images: int) -> None:
        """Refuse batches that cannot be divided equally.

        Args:
            batch_size: images in a batch of all devices together.
            n_images: images to train with.

        Raises:
            UserError: `batch_size` is no multiple of their number, or there are fewer images.
        """
        number = self.number
        if batch_size % number:
            raise UserError(
                f"--batch-size: {batch_size} cannot be divided among the {number} GPUs of this "
                f"job; give a multiple of {number}, or the job another number of GPUs"
            )
        if n_images < number:
            raise UserError(
                f"--train: {n_images} images cannot be divided among the {number} GPUs of this "
                "job; give it one GPU"
            )

    def check_settings(self, training: TrainingSettings) -> None:
        """Refuse what several devices together would compute otherwise than one, or not at all.

        Args:
            training: how the network is trained.

        Raises:
            UserError: a setting that is for one device alone.
        """
        if self.number == 1:
            return
        for option, given, reason in (
            ("jit-compile", training.jit_compile, "XLA cannot sum over GPUs"),
            (
                "gradient-accumulation-steps",
                training.gradient_accumulation_steps > 1,
                "Keras cannot accumulate over GPUs",
            ),
            (
                "clip-norm",
                training.clip_norm is not None,
                "each GPU would clip its own part of the gradient",
            ),
        ):
            if given:
                raise UserError(
                    f"--{option}: is for one GPU, but this job has {self.number}: {reason}; leave "
                    "it out, or give the job one GPU"
                )

    def synchronise(self, model: Any, on: bool) -> None:
        """Make batch normalisation use the statistics of the whole batch, or of one device's part.

        Nothing changes where there is one device. To be called before the first batch, and with
        False before the network is saved, whose file does not depend on the devices.
        """
        import keras

        if self.number == 1:
            return
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = on


def of_each_replica(model: Any, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The copies of each variable of a compiled model, one a device.

    Sums that each device keeps for itself, such as those of a loss, are read and restored copy by
    copy: only then do they come back to the last bit.
    """
    strategy = model.distribute_strategy
    return [strategy.experimental_local_results(variable.value) for variable in variables]
