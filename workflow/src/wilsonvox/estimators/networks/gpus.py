"""GPUs that this process may use, and description of the device in use.

TensorFlow sees only the GPUs in CUDA_VISIBLE_DEVICES, which batch systems set for each job.
"""

import logging
import os

from wilsonvox.core.errors import UserError

logger = logging.getLogger(__name__)

VARIABLE = "CUDA_VISIBLE_DEVICES"


def named_gpus(visible: str) -> int:
    """Count the GPUs in a value of CUDA_VISIBLE_DEVICES.

    The value is a comma-separated list of numbers or names (``GPU-…``, ``MIG-…``); entries after
    an invalid one are not visible (CUDA Programming Guide, section "CUDA_VISIBLE_DEVICES").

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
    """Check that TensorFlow finds all GPUs in CUDA_VISIBLE_DEVICES.

    Without a driver or a library TensorFlow silently computes on the CPU. A TensorFlow built
    without CUDA can use only the CPU and is accepted.

    Raises:
        UserError: TensorFlow is built with CUDA and finds fewer GPUs than are listed.
    """
    import tensorflow as tf

    visible = os.environ.get(VARIABLE)
    if visible is None or not tf.test.is_built_with_cuda():
        return
    named, n_found = named_gpus(visible), len(tf.config.list_physical_devices("GPU"))
    if n_found < named:
        raise UserError(
            f"{VARIABLE}={visible} names {_gpus(named)}, but TensorFlow finds {n_found}: its "
            "driver or a CUDA library is missing; check with `nvidia-smi`, and with "
            "TF_CPP_MIN_LOG_LEVEL=0, which makes TensorFlow name the library; to compute on the "
            f"CPU on purpose set {VARIABLE}=-1"
        )


def describe_device() -> str:
    """Describe the device in use: ``CPU, 2 threads`` or ``2 GPUs, NVIDIA …``."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {_threads()}"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = [
        details_of_gpu.get("device_name", gpu.name)
        for details_of_gpu, gpu in zip(details, gpus, strict=True)
    ]
    return ", ".join([_gpus(len(gpus)), *dict.fromkeys(names)])


def log_devices() -> None:
    """Log one line with CUDA_VISIBLE_DEVICES and the devices that TensorFlow sees."""
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
