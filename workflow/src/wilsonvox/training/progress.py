"""Progress of a training: history, log lines, and event files for TensorBoard.

Imports Keras: import this module inside the functions that need it.
"""

import logging
import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import keras

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.image_batches import ImageBatches

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0
"""Interval of additional log lines during a long epoch [s]."""


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Records the history, one row per epoch, and logs it unless a progress bar is shown.

    There is one line per epoch, and one per minute in longer epochs. The time left is an upper
    limit, for the maximum number of epochs; early stopping usually ends a training sooner.

    Attributes:
        rows: ``epoch`` (from 1), ``loss``, ``val_loss``, ``learning_rate`` (of the last batch of
            the epoch). Without times, so that equal trainings have equal rows.
    """

    def __init__(self, max_epochs: int, batches: ImageBatches, quiet: bool) -> None:
        super().__init__()
        self.max_epochs = max_epochs
        self.batches = batches
        self.quiet = quiet
        self.rows: list[dict[str, float]] = []
        self._begin = 0.0
        self._validated = 0.0
        self._line = 0.0
        # duration of the last validation in this process [s]
        self._validation = 0.0

    def on_epoch_begin(self, _epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Store the start time."""
        self._begin = self._validated = self._line = time.monotonic()

    # Keras passes `logs` of a batch by name
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Log a line if the last one is a minute old."""
        now = time.monotonic()
        if self.quiet or now - self._line < SECONDS_BETWEEN_LINES:
            return
        self._line = now
        done = batch + 1
        seconds_per_batch = (now - self._begin) / done
        epochs_after = self.max_epochs - self.batches.epoch - 1
        left = (
            self.batches.num_batches - done + epochs_after * self.batches.batches_of_epoch
        ) * seconds_per_batch + (epochs_after + 1) * self._validation
        logger.info(
            "epoch %d, batch %d of %d: loss %.4f, %.0f images/s, at most %s left",
            self.batches.epoch + 1,
            self.batches.first_batch + done,
            self.batches.batches_of_epoch,
            float((logs or {}).get("loss", math.nan)),
            self.batches.batch_size / seconds_per_batch,
            _duration(left),
        )

    def on_test_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Store the time at which the validation begins."""
        self._validated = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the row of an epoch, with the learning rate before other callbacks change it."""
        row = {
            "epoch": epoch + 1,
            "loss": float((logs or {})["loss"]),
            "val_loss": float((logs or {})["val_loss"]),
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
        }
        self.rows.append(row)
        if self.quiet:
            return
        now = time.monotonic()
        self._validation = now - self._validated
        n_batches = self.batches.num_batches
        seconds = self._validated - self._begin
        rate, left = "", ""
        if n_batches:  # zero if only the validation was left to do
            rate = f", {n_batches * self.batches.batch_size / max(seconds, 1e-9):.0f} images/s"
            epoch_seconds = seconds * self.batches.batches_of_epoch / n_batches + self._validation
            left = f", at most {_duration((self.max_epochs - epoch - 1) * epoch_seconds)} left"
        logger.info(
            "epoch %d of at most %d: loss %.4f, validation loss %.4f, learning rate %.2g%s%s",
            row["epoch"],
            self.max_epochs,
            row["loss"],
            row["val_loss"],
            row["learning_rate"],
            rate,
            left,
        )


def _duration(seconds: float) -> str:
    """Format a duration in hours, minutes and seconds, as ``2:05:00``."""
    return str(timedelta(seconds=round(seconds)))


class TensorBoardLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes event files for TensorBoard, with the tags of Keras's own callback.

    Keras's callback needs the package tensorboard; TensorFlow alone can write these files. A
    resumed training writes further files to the same folders.

    Args:
        folder: parent of the folders ``train`` and ``validation``.
        log: log whose rows are written; it must run before this callback.

    Raises:
        UserError: the folder cannot be created.
    """

    def __init__(self, folder: Path, log: EpochLog) -> None:
        super().__init__()
        self.log = log
        self.folders = {name: folder / name for name in ("train", "validation")}
        try:
            for subfolder in self.folders.values():
                subfolder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"--tensorboard: {folder}: cannot be created: {error.strerror}; give another folder"
            ) from error
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Write the losses and the learning rate of an epoch, counted from 0."""
        row = self.log.rows[-1]
        self._write("train", epoch, loss=row["loss"], learning_rate=row["learning_rate"])
        self._write("validation", epoch, loss=row["val_loss"])

    def _write(self, folder: str, epoch: int, **values: float) -> None:
        import tensorflow as tf

        if folder not in self._writers:
            self._writers[folder] = tf.summary.create_file_writer(str(self.folders[folder]))
        summary = tf.compat.v1.Summary(
            value=[
                tf.compat.v1.Summary.Value(tag=f"epoch_{name}", simple_value=value)
                for name, value in values.items()
            ]
        )
        with self._writers[folder].as_default():
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=epoch)
        self._writers[folder].flush()
