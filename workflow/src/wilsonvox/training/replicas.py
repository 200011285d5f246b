"""Distribution of a training over several devices."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.settings import TrainingSettings


class Replicas:
    """Devices that share a training, each with a replica of the network.

    With several devices (`tf.distribute.MirroredStrategy`) each batch is divided among them, and
    gradients and statistics of the batch normalisation are summed over all of them. The result is
    that of one device, except for the order of summation and the dropout masks, which are the same
    on all devices.

    Args:
        devices: TensorFlow's names, such as ``GPU:0``; None for all visible GPUs, or the CPU.
    """

    def __init__(self, devices: Sequence[str] | None = None) -> None:
        import tensorflow as tf

        if devices is None:
            gpus = tf.config.list_physical_devices("GPU")
            devices = [f"GPU:{number}" for number in range(len(gpus))]
        self.number = max(1, len(devices))
        """Number of devices."""
        self._strategy: Any = None
        if self.number > 1:
            # its own log has a line for each sum of gradients
            logging.getLogger("tensorflow").setLevel(logging.WARNING)
            self._strategy = tf.distribute.MirroredStrategy(list(devices))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Context in which the network and its optimizer must be created."""
        if self._strategy is None:
            yield
            return
        with self._strategy.scope():
            yield

    def check_batches(self, batch_size: int, n_images: int) -> None:
        """Check that batches can be divided equally.

        Args:
            batch_size: images per batch, on all devices together.
            n_images: number of training images.

        Raises:
            UserError: `batch_size` is not a multiple of the number of devices, or there are fewer
                images than devices.
        """
        number = self.number
        if batch_size % number:
            raise UserError(
                f"--batch-size: {batch_size} cannot be divided among the {number} GPUs of this "
                f"job; give a multiple of {number}, or another number of GPUs"
            )
        if n_images < number:
            raise UserError(
                f"--train: {n_images} images cannot be divided among the {number} GPUs of this "
                "job; give it one GPU"
            )

    def check_settings(self, training: TrainingSettings) -> None:
        """Check that no setting requires a single device.

        Args:
            training: settings of the training.

        Raises:
            UserError: a setting that several devices cannot use, or would use differently from one.
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
                    f"--{option}: is for one GPU, but this job has {self.number}: {reason}; "
                    "remove it, or give the job one GPU"
                )

    def synchronise(self, model: Any, on: bool) -> None:
        """Let batch normalisation use the statistics of the whole batch, or of each device's part.

        No effect with one device. Call it with True before the first batch, and with False before
        the network is saved, so that the file does not depend on the devices.
        """
        import keras

        if self.number == 1:
            return
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = on


def replica_copies(model: Any, variables: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the copies of each variable of a compiled model, one per device.

    Sums that each device keeps separately, such as those of a loss, are saved and restored copy by
    copy, so that they are reproduced bit by bit.
    """
    strategy = model.distribute_strategy
    return [strategy.experimental_local_results(variable.value) for variable in variables]
