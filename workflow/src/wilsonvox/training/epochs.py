"""Epochs of a training, from the beginning or from a checkpoint.

Imports Keras: import this module inside the functions that need it.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import keras

from wilsonvox.estimators.networks.image_batches import ImageBatches
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training.callbacks import format_position, make_callbacks
from wilsonvox.training.checkpoint import Checkpoint, CheckpointFile
from wilsonvox.training.signals import StopRequest, handle_stop_signals

logger = logging.getLogger(__name__)


def _load_checkpoint(
    file: CheckpointFile, batches: ImageBatches, max_epochs: int
) -> Checkpoint | None:
    """Load the checkpoint to resume from, if there is one, and log it."""
    file.check_writable()
    checkpoint = file.load()
    if checkpoint is None:
        return None
    done = checkpoint.progress.next_epoch
    if checkpoint.progress.stop_training or done >= max_epochs:
        logger.info("training had ended after epoch %d: its best weights from %s", done, file.path)
    elif checkpoint.progress.batches_done:
        where = format_position(done, checkpoint.progress.batches_done, batches)
        logger.info("resuming %s, of at most %d epochs, from %s", where, max_epochs, file.path)
    else:
        logger.info("resuming at epoch %d of at most %d from %s", done + 1, max_epochs, file.path)
    return checkpoint


def _validate(
    model: Any, validation_batches: ImageBatches, callbacks: list[Any], epoch: int
) -> None:
    """Finish an epoch whose batches are all done, as `fit` does."""
    events = keras.callbacks.CallbackList(callbacks, model=model)
    events.on_train_begin()
    model.reset_metrics()
    events.on_epoch_begin(epoch)
    logs = dict(model.get_metrics_result())
    metrics = model.evaluate(
        validation_batches.dataset(), callbacks=events, return_dict=True, verbose=0
    )
    events.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in metrics.items()})


@contextmanager
def _raise_image_errors(*batches: ImageBatches) -> Iterator[None]:
    """Replace an error of TensorFlow by the error in the images that caused it."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError:
        for images in batches:
            if images.failure is not None:
                raise images.failure from None
        raise


def run_epochs(
    model: Any,
    batches: ImageBatches,
    validation_batches: ImageBatches,
    settings: TrainingSettings,
    file: CheckpointFile | None,
    progress_bar: bool,
    tensorboard: Path | None = None,
) -> tuple[Mapping[str, float], ...]:
    """Train a network to the end and restore the weights of its best epoch.

    Args:
        model: keras.Model, compiled.
        batches: training images.
        validation_batches: validation images, which determine learning rate, end and best epoch.
        settings: settings of the training.
        file: checkpoint file to write and to resume from; None for no checkpoints.
        progress_bar: show Keras's progress bar instead of lines in the log.
        tensorboard: folder for TensorBoard, see `wilsonvox.training.progress.TensorBoardLog`.

    Returns:
        One row per epoch, with the columns `wilsonvox.training.loop.HISTORY_COLUMNS`.

    Raises:
        TrainingStopped: a signal requested it; without `file` signals have their default effect.
        UserError: the loss is not finite, images can no longer be read, or the checkpoint cannot be
            written.
    """
    resume_from = _load_checkpoint(file, batches, settings.max_epochs) if file else None
    with (
        handle_stop_signals() if file else nullcontext(StopRequest()) as request,
        _raise_image_errors(batches, validation_batches),
    ):
        callbacks, log = make_callbacks(
            settings, batches, progress_bar, file, resume_from, request, tensorboard
        )

        def fit(first: int, end: int) -> None:
            model.fit(
                batches.dataset(),
                validation_data=validation_batches.dataset(),
                initial_epoch=first,
                epochs=end,
                callbacks=callbacks,
                shuffle=False,  # the batches are already shuffled
                verbose=1 if progress_bar else 0,
            )

        progress = resume_from.progress if resume_from else None
        del resume_from  # three times as large as the network
        if progress and progress.batches_done:
            epoch = progress.next_epoch
            batches.epoch, batches.first_batch = epoch, progress.batches_done
            if batches.num_batches:
                fit(epoch, epoch + 1)
            else:
                _validate(model, validation_batches, callbacks, epoch)
            batches.first_batch = 0
            progress = callbacks[-1].resume_from.progress
        first = progress.next_epoch if progress else 0
        # no epoch if only the model is left to write
        fit(first, first if progress and progress.stop_training else settings.max_epochs)
    return tuple(log.rows)
