"""What happens between the epochs of a training.

Imports Keras: import this module inside the functions that need it.
"""

import logging
import math
import time
from typing import Any

import keras

from wilsonvox.batches import ImageBatches
from wilsonvox.errors import UserError
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training_state import Plateau, Progress, StateFile, Stopping, TrainingState

logger = logging.getLogger(__name__)


class OrderOfEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the training batches which epoch begins, since their order is keyed on it."""

    def __init__(self, batches: ImageBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Set the epoch before the first batch of it is asked for."""
        self.batches.epoch = epoch


class StopWhenNotFinite(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training whose loss is not a finite number any more, with one clear line."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Remember the epoch for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Check the running mean of the training loss.

        Raises:
            UserError: it is not finite.
        """
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise UserError(
                f"training: the loss is not finite in epoch {self.epoch + 1}, batch {batch + 1}; "
                "a lower --learning-rate may help"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Check the validation loss.

        Raises:
            UserError: it is not finite.
        """
        if not math.isfinite((logs or {}).get("val_loss", 0.0)):
            raise UserError(
                f"training: the validation loss is not finite in epoch {epoch + 1}; "
                "a lower --learning-rate may help"
            )


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """One row of history an epoch and, unless a progress bar shows it, one line in the log.

    Attributes:
        rows: ``epoch`` (from 1), ``loss``, ``val_loss``, ``learning_rate`` (that the epoch was
            trained with). No times: equal trainings have equal rows.
    """

    def __init__(self, max_epochs: int, n_images: int, quiet: bool) -> None:
        super().__init__()
        self.max_epochs = max_epochs
        self.n_images = n_images
        self.quiet = quiet
        self.rows: list[dict[str, float]] = []
        self._learning_rate = math.nan
        self._begin = 0.0

    def on_epoch_begin(self, _epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Note the learning rate, which other callbacks change when the epoch ends."""
        self._learning_rate = float(self.model.optimizer.learning_rate)
        self._begin = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the epoch's row."""
        row = {
            "epoch": epoch + 1,
            "loss": float((logs or {})["loss"]),
            "val_loss": float((logs or {})["val_loss"]),
            "learning_rate": self._learning_rate,
        }
        self.rows.append(row)
        if not self.quiet:
            seconds = time.monotonic() - self._begin
            logger.info(
                "epoch %d of at most %d: loss %.4f, validation loss %.4f, learning rate %.2g, "
                "%.0f images/s",
                row["epoch"],
                self.max_epochs,
                row["loss"],
                row["val_loss"],
                row["learning_rate"],
                self.n_images / seconds,
            )


class KeepState(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the state of the training after every epoch, and restores it before the first one.

    It has to come last: the others change the learning rate and end the training when an epoch
    ends, and reset themselves when the training begins.
    """

    def __init__(
        self,
        file: StateFile,
        begun: TrainingState | None,
        log: EpochLog,
        plateau: keras.callbacks.ReduceLROnPlateau,
        stopping: keras.callbacks.EarlyStopping,
    ) -> None:
        super().__init__()
        self.file = file
        self.begun = begun
        self.log = log
        self.plateau = plateau
        self.stopping = stopping

    def on_train_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Put the network, its optimizer and the other callbacks where the state has them."""
        if self.begun is None:
            return
        progress = self.begun.progress
        for name, value in progress.plateau:
            setattr(self.plateau, name, value)
        for name, value in progress.stopping:
            setattr(self.stopping, name, value)
        self.stopping.best_weights = list(self.begun.best_weights) or None
        self.log.rows[:] = progress.rows
        self.model.stop_training = progress.stop_training
        # Keras makes the optimizer's variables in the first step only
        self.model.optimizer.build(self.model.trainable_variables)
        for variables, values in (
            (self.model.variables, self.begun.variables),
            (self.model.optimizer.variables, self.begun.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.begun = None

    def on_epoch_end(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Write the state.

        Raises:
            UserError: the file cannot be written.
        """
        progress = Progress(
            next_epoch=epoch + 1,
            stop_training=self.model.stop_training,
            rows=tuple(self.log.rows),
            stopping=Stopping(
                **{name: getattr(self.stopping, name) for name in Stopping.model_fields}
            ),
            plateau=Plateau(**{name: getattr(self.plateau, name) for name in Plateau.model_fields}),
        )
        self.file.save(
            TrainingState(
                progress,
                variables=_values(self.model.variables),
                optimizer=_values(self.model.optimizer.variables),
                best_weights=tuple(self.stopping.best_weights or ()),
            )
        )


def _values(variables: Any) -> tuple[Any, ...]:
    return tuple(keras.ops.convert_to_numpy(variable) for variable in variables)


def make_callbacks(
    settings: TrainingSettings,
    batches: ImageBatches,
    progress_bar: bool,
    file: StateFile | None = None,
    begun: TrainingState | None = None,
) -> tuple[list[Any], EpochLog]:
    """The callbacks of a training, in the order in which they run, and the log among them.

    Args:
        settings: of the training.
        batches: the training images.
        progress_bar: whether one is shown, so that the log stays quiet.
        file: where to keep the state, or None.
        begun: the state to go on from, or None.
    """
    log = EpochLog(
        settings.max_epochs, batches.num_batches * batches.batch_size, quiet=progress_bar
    )
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss",
        mode="min",
        factor=settings.reduce_factor,
        patience=settings.reduce_patience,
        min_delta=0.0,
        min_lr=settings.minimum_learning_rate,
    )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        mode="min",
        patience=settings.early_stopping_patience,
        restore_best_weights=True,
    )
    callbacks = [OrderOfEpoch(batches), StopWhenNotFinite(), log, plateau, stopping]
    if file is not None:
        callbacks.append(KeepState(file, begun, log, plateau, stopping))
    return callbacks, log
