"""Set-up of TensorFlow and Keras: threads, determinism and log messages."""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from wilsonvox.estimators.networks.gpus import check_gpus

logger = logging.getLogger(__name__)

# TensorFlow 2.18 and later writes these during import, at any log level
# (github.com/tensorflow/tensorflow/issues/100442)
_START_MESSAGE = re.compile(
    r"WARNING: All log messages before absl|I\d{4} |To enable the following instructions"
)


def _set_environment() -> None:
    """Set the variables that TensorFlow and Keras read during import."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    # on by default on x86; an explicit value suppresses a warning at every start
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@contextlib.contextmanager
def _without_start_messages() -> Iterator[None]:
    """Hold back output of libraries to standard error, then write all but `_START_MESSAGE`."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held_back.seek(0)
            for line in held_back.read().decode(errors="replace").splitlines():
                if not _START_MESSAGE.match(line):
                    sys.stderr.write(f"{line}\n")


def prepare_backend(threads: int | None = None, deterministic_on_gpu: bool = False) -> None:
    """Import TensorFlow and Keras and make the settings that must precede the first operation.

    On a CPU all operations are made deterministic, at no measurable cost. Results depend on
    `threads` in the sixth digit, because it is the number of partial sums.

    Args:
        threads: CPU threads per operation, and operations at a time; None uses all cores
            (TensorFlow's default). It cannot change after the first operation in this process; a
            later attempt is logged as a warning.
        deterministic_on_gpu: make operations deterministic on a GPU too. TensorFlow raises
            `UnimplementedError` for operations without a deterministic implementation.

    Raises:
        UserError: GPUs are missing, see `wilsonvox.estimators.networks.gpus.check_gpus`.
    """
    if "tensorflow" not in sys.modules:
        _set_environment()
        with _without_start_messages():
            import tensorflow as tf
    import keras
    import tensorflow as tf

    # overrides ~/.keras/keras.json
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    set_before = tf.config.threading.get_intra_op_parallelism_threads()
    if threads is not None and threads != set_before:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            logger.warning("threads stay at %s: TensorFlow has already started", set_before)
    check_gpus()
    gpus = tf.config.list_physical_devices("GPU")
    with contextlib.suppress(RuntimeError):  # already set and in use
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    if deterministic_on_gpu or not gpus:
        tf.config.experimental.enable_op_determinism()
