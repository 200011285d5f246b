"""What networks are computed on: the GPUs that this process was given, or the CPU.

TensorFlow sees no more GPUs than CUDA_VISIBLE_DEVICES names, which batch systems set for a job.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wilsonvox.errors import UserError
from wilsonvox.estimators.settings import TrainingSettings

logger = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"


def named_gpus(visible: str) -> int:
    """Number of GPUs that a value of CUDA_VISIBLE_DEVICES names.

    Numbers or names (``GPU-…``, ``MIG-…``) with commas between; what follows something else is
    not visible either (CUDA Programming Guide, section "CUDA_VISIBLE_DEVICES").

    >>> named_gpus("0,1"), named_gpus("GPU-8932f937"), named_gpus("1,-1,2")
    (2, 1, 1)
    >>> named_gpus(""), named_gpus("-1"), named_gpus("NoDevFiles")
    (0, 0, 0)
    """
    number = 0
    for word in visible.split(","):
        name = word.strip()
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))):
            break
        number += 1
    return number


def check_gpus() -> None:
    """Refuse to compute on less than what CUDA_VISIBLE_DEVICES names.

    Without a driver or a library TensorFlow says nothing and computes on the CPU. A TensorFlow
    that is built for CPUs cannot do otherwise, and is not refused.

    Raises:
        UserError: TensorFlow is built with CUDA and finds fewer GPUs than are named.
    """
    import tensorflow as tf

    visible = os.environ.get(VARIABLE)
    if visible is None or not tf.test.is_built_with_cuda():
        return
    named, found = named_gpus(visible), len(tf.config.list_physical_devices("GPU"))
    if found < named:
        raise UserError(
            f"{VARIABLE}={visible} names {_gpus(named)}, but TensorFlow finds {found}: its driver "
            "or a CUDA library is missing; check with `nvidia-smi`, and with "
            "TF_CPP_MIN_LOG_LEVEL=0, which makes TensorFlow name the library; to compute on the "
            f"CPU on purpose set {VARIABLE}=-1"
        )


def describe_device() -> str:
    """What networks are computed on: ``CPU, 2 threads`` or ``2 GPUs, NVIDIA …``."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {_threads()}"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = [each.get("device_name", gpu.name) for each, gpu in zip(details, gpus, strict=True)]
    return ", ".join([_gpus(len(gpus)), *dict.fromkeys(names)])


def log_devices() -> None:
    """Write one line to the log: CUDA_VISIBLE_DEVICES as given, and what TensorFlow sees."""
    import tensorflow as tf

    visible = os.environ.get(VARIABLE)
    given = f"{VARIABLE} is not set" if visible is None else f"{VARIABLE}={visible}"
    if tf.config.list_physical_devices("GPU"):
        sees = describe_device()
    elif tf.test.is_built_with_cuda():
        sees = f"no GPU; computing on {_threads()}"
    else:
        sees = f"this TensorFlow is built for CPUs; computing on {_threads()}"
    logger.info("%s: %s", given, sees)


def _gpus(number: int) -> str:
    return f"{number} GPU{'s' if number != 1 else ''}"


def _threads() -> str:
    import tensorflow as tf

    number = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
    return f"{number} thread{'s' if number != 1 else ''}"


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
