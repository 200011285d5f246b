"""What networks are computed on: the GPUs that this process was given, or the CPU.

TensorFlow sees no more GPUs than CUDA_VISIBLE_DEVICES names, which batch systems set for a job.
"""

import logging
import os

from wilsonvox.core.errors import UserError

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
