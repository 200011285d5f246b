"""Keras callbacks of a training: learning-rate schedules, early stopping and checkpoints.

Imports Keras: import this module inside the functions that need it.
"""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wilsonvox.estimators.networks.image_batches import ImageBatches
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training.checkpoint import Checkpoint, CheckpointFile, Plateau, Progress, Stopping
from wilsonvox.training.progress import EpochLog, TensorBoardLog
from wilsonvox.training.replicas import replica_copies
from wilsonvox.training.signals import LossNotFinite, StopRequest, TrainingStopped


class SetEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the epoch of the training batches, which determines their order."""

    def __init__(self, batches: ImageBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Set the epoch before its first batch is requested."""
        self.batches.epoch = epoch


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Linear warm-up: raises the learning rate in equal steps per batch in the first epochs.

    The last batch of these epochs has the full learning rate. The rate depends only on the position
    of a batch, so that a training can resume anywhere.
    """

    def __init__(self, settings: TrainingSettings, batches: ImageBatches) -> None:
        super().__init__()
        self.epochs = settings.warmup_epochs
        self.learning_rate = settings.learning_rate
        self.batches = batches

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Set the learning rate of a batch during warm-up."""
        batches = self.batches
        if batches.epoch < self.epochs:
            done = batches.epoch * batches.batches_of_epoch + batches.first_batch + batch + 1
            part = done / (self.epochs * batches.batches_of_epoch)
            self.model.optimizer.learning_rate = part * self.learning_rate


class ReduceLROnPlateauAfterWarmup(keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]
    """Reduces the learning rate at a plateau of the validation loss, ignoring warm-up epochs.

    Args:
        settings: settings of the training.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(
            monitor="val_loss",
            mode="min",
            factor=settings.reduce_factor,
            patience=settings.reduce_patience,
            min_delta=0.0,
            min_lr=settings.minimum_learning_rate,
        )
        self.first_epoch = settings.warmup_epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Process the validation loss of an epoch, counted from 0."""
        if epoch >= self.first_epoch:
            super().on_epoch_end(epoch, logs)


class StepDecay(keras.callbacks.LearningRateScheduler):  # type: ignore[misc]
    """Reduces the learning rate at fixed intervals of epochs, counted from the end of warm-up.

    The rate depends only on the epoch, so that a training can resume anywhere.

    Args:
        settings: settings of the training.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        def rate(epoch: int, _before: float) -> float:
            cuts = max(epoch - settings.warmup_epochs, 0) // settings.reduce_patience
            least = min(settings.minimum_learning_rate, settings.learning_rate)
            return max(settings.learning_rate * settings.reduce_factor**cuts, least)

        super().__init__(rate)


class StopWhenNotFinite(keras.callbacks.Callback):  # type: ignore[misc]
    """Stops a training whose loss is no longer finite, with a one-line error."""

    def __init__(self, batches: ImageBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Check the running mean of the training loss.

        Raises:
            LossNotFinite: it is not finite.
        """
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            number = self.batches.first_batch + batch + 1
            raise LossNotFinite(
                f"training: the loss is not finite in epoch {self.batches.epoch + 1}, batch "
                f"{number}; a lower --learning-rate may help"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Check the validation loss.

        Raises:
            LossNotFinite: it is not finite.
        """
        if not math.isfinite((logs or {}).get("val_loss", 0.0)):
            raise LossNotFinite(
                f"training: the validation loss is not finite in epoch {epoch + 1}; "
                "a lower --learning-rate may help"
            )


class SaveCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a checkpoint after every epoch, and restores one before the first epoch.

    If a signal requests a stop, the training ends after the current batch, with a checkpoint of
    that position in the epoch. A partial validation is not stored, but repeated on resuming.

    It must be the last callback: the others change the learning rate or stop the training at the
    end of an epoch, and reset themselves when the training begins.

    Attributes:
        resume_from: checkpoint from which the next `fit` resumes; None: start with the network
            as it is.
    """

    def __init__(
        self,
        file: CheckpointFile,
        resume_from: Checkpoint | None,
        request: StopRequest,
        log: EpochLog,
        plateau: keras.callbacks.ReduceLROnPlateau | None,
        stopping: keras.callbacks.EarlyStopping,
    ) -> None:
        super().__init__()
        self.file = file
        self.resume_from = resume_from
        self.request = request
        self.log = log
        self.batches = log.batches
        self.plateau = plateau
        self.stopping = stopping
        self._epoch = 0
        self._metrics: tuple[Any, ...] = ()

    def on_train_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Restore the network, its optimizer and the other callbacks from the checkpoint."""
        if self.resume_from is None:
            return
        progress = self.resume_from.progress
        for name, value in progress.plateau or ():
            setattr(self.plateau, name, value)
        for name, value in progress.stopping:
            setattr(self.stopping, name, value)
        self.stopping.best_weights = list(self.resume_from.best_weights) or None
        self.log.rows[:] = progress.rows
        self.model.stop_training = progress.stop_training
        # Keras creates the optimizer's variables only in the first step
        if not self.model.optimizer.built:
            with self.model.distribute_strategy.scope():
                self.model.optimizer.build(self.model.trainable_variables)
        for variables, values in (
            (self.model.variables, self.resume_from.variables),
            (self.model.optimizer.variables, self.resume_from.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self._metrics = self.resume_from.metrics
        self.resume_from = None

    def on_epoch_begin(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Restore the sums of the loss, which Keras has just reset, from the checkpoint.

        Raises:
            TrainingStopped: a signal requested it; the checkpoint in the file is of this position.
        """
        self._epoch = epoch
        for copies, values in zip(
            replica_copies(self.model, self.model.metrics_variables) if self._metrics else (),
            self._metrics,
            strict=True,
        ):
            for copy, value in zip(copies, values, strict=True):
                copy.assign(value)
        self._metrics = ()
        if self.request.received:
            raise self._stopped(self.batches.first_batch)

    # Keras passes `logs` of a batch by name
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Write a checkpoint and stop if a signal requested it.

        Raises:
            TrainingStopped: a signal requested it; the checkpoint is written.
            UserError: the file cannot be written.
        """
        if self.request.received:
            self._keep_sums()
            self._stop(self.batches.first_batch + batch + 1)

    def on_test_begin(self, _logs: dict[str, float] | None = None) -> None:
        """Keep the training loss before the validation resets it; stop if requested."""
        self._keep_sums()
        self.on_test_batch_end()

    def on_test_batch_end(self, batch: int = 0, logs: Any = None) -> None:  # noqa: ARG002
        """Stop if requested; only the validation of the epoch is left."""
        if self.request.received:
            self._stop(self.batches.batches_of_epoch)

    def on_epoch_end(self, epoch: int, _logs: dict[str, float] | None = None) -> None:
        """Write a checkpoint, and stop if requested.

        Raises:
            TrainingStopped: a signal requested it.
            UserError: the file cannot be written.
        """
        self._metrics = ()
        state = self._state(epoch + 1, 0)
        self._save(state)
        if self.request.received:
            self._epoch = epoch + 1
            raise self._stopped(0)
        if self.batches.first_batch:
            # the rest of a resumed epoch is a separate `fit`, at whose end other callbacks change
            # weights
            self.resume_from = state

    def _keep_sums(self) -> None:
        copies = replica_copies(self.model, self.model.metrics_variables)
        self._metrics = tuple(
            np.stack([copy.numpy() for copy in copies_of_variable]) for copies_of_variable in copies
        )

    def _stop(self, batches_done: int) -> None:
        self._save(self._state(self._epoch, batches_done))
        raise self._stopped(batches_done)

    def _stopped(self, batches_done: int) -> TrainingStopped:
        number = self.request.received
        assert number is not None
        line = (
            f"stopped by {number.name} {format_position(self._epoch, batches_done, self.batches)}"
        )
        if self._epoch or batches_done:
            line += f": the same command resumes from there; checkpoint in {self.file.path}"
        return TrainingStopped(line, number)

    def _save(self, state: Checkpoint) -> None:
        with self.request.writing():
            self.file.save(state)

    def _state(self, epoch: int, batches_done: int) -> Checkpoint:
        progress = Progress(
            next_epoch=epoch,
            batches_done=batches_done,
            stop_training=self.model.stop_training,
            rows=tuple(self.log.rows),
            stopping=Stopping(
                **{name: getattr(self.stopping, name) for name in Stopping.model_fields}
            ),
            plateau=None
            if self.plateau is None
            else Plateau(**{name: getattr(self.plateau, name) for name in Plateau.model_fields}),
        )
        return Checkpoint(
            progress,
            variables=_values(self.model.variables),
            optimizer=_values(self.model.optimizer.variables),
            best_weights=tuple(self.stopping.best_weights or ()),
            metrics=self._metrics,
        )


def _values(variables: Any) -> tuple[Any, ...]:
    return tuple(keras.ops.convert_to_numpy(variable) for variable in variables)


def format_position(epoch: int, batches_done: int, batches: ImageBatches) -> str:
    """Describe a position in a training.

    Args:
        epoch: epoch, from 0, that is next or in progress.
        batches_done: number of batches of that epoch that are done.
        batches: training batches.
    """
    if batches_done:
        return f"in epoch {epoch + 1} after batch {batches_done} of {batches.batches_of_epoch}"
    return f"after epoch {epoch}" if epoch else "before the first batch"


def make_callbacks(
    settings: TrainingSettings,
    batches: ImageBatches,
    progress_bar: bool,
    file: CheckpointFile | None,
    resume_from: Checkpoint | None,
    request: StopRequest,
    tensorboard: Path | None = None,
) -> tuple[list[Any], EpochLog]:
    """Make the callbacks of a training, in the order in which they run, and return its log as well.

    Args:
        settings: settings of the training.
        batches: training batches.
        progress_bar: True if a progress bar is shown; the log is then quiet.
        file: checkpoint file, or None; if given, `SaveCheckpoint` is the last callback.
        resume_from: checkpoint to resume from, or None.
        request: stop request by a signal.
        tensorboard: folder for TensorBoard, or None.
    """
    log = EpochLog(settings.max_epochs, batches, quiet=progress_bar)
    plateau = (
        ReduceLROnPlateauAfterWarmup(settings)
        if settings.learning_rate_schedule == "plateau"
        else None
    )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss",
        mode="min",
        patience=settings.early_stopping_patience,
        restore_best_weights=True,
    )
    callbacks = [
        SetEpoch(batches),
        WarmUp(settings, batches),
        StopWhenNotFinite(batches),
        log,
        plateau or StepDecay(settings),
        stopping,
    ]
    if tensorboard is not None:
        callbacks.append(TensorBoardLog(tensorboard, log))
    if file is not None:
        callbacks.append(SaveCheckpoint(file, resume_from, request, log, plateau, stopping))
    return callbacks, log
