"""The epochs of a training, from their first batch or from wherever the training's state has it.

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
from wilsonvox.training.checkpoint import StateFile, TrainingState
from wilsonvox.training.signals import StopRequest, listening

logger = logging.getLogger(__name__)


def _take_up(file: StateFile, batches: ImageBatches, max_epochs: int) -> TrainingState | None:
    """The state to go on from, if there is one, with a line in the log."""
    file.check_writable()
    begun = file.load()
    if begun is None:
        return None
    done = begun.progress.next_epoch
    if begun.progress.stop_training or done >= max_epochs:
        logger.info("training had ended after epoch %d: its best weights from %s", done, file.path)
    elif begun.progress.batches_done:
        where = format_position(done, begun.progress.batches_done, batches)
        logger.info("resuming %s, of at most %d epochs, from %s", where, max_epochs, file.path)
    else:
        logger.info("resuming at epoch %d of at most %d from %s", done + 1, max_epochs, file.path)
    return begun


def _validate(
    model: Any, validation_batches: ImageBatches, callbacks: list[Any], epoch: int
) -> None:
    """The end of an epoch whose batches are all done: what `fit` does after them."""
    events = keras.callbacks.CallbackList(callbacks, model=model)
    events.on_train_begin()
    model.reset_metrics()
    events.on_epoch_begin(epoch)
    logs = dict(model.get_metrics_result())
    found = model.evaluate(
        validation_batches.dataset(), callbacks=events, return_dict=True, verbose=0
    )
    events.on_epoch_end(epoch, logs | {f"val_{name}": value for name, value in found.items()})


@contextmanager
def _failures_of(*batches: ImageBatches) -> Iterator[None]:
    """Raise what was wrong with the images instead of TensorFlow's error about it."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError:
        for each in batches:
            if each.failure is not None:
                raise each.failure from None
        raise


def run_epochs(
    model: Any,
    batches: ImageBatches,
    validation_batches: ImageBatches,
    settings: TrainingSettings,
    file: StateFile | None,
    progress_bar: bool,
    tensorboard: Path | None = None,
) -> tuple[Mapping[str, float], ...]:
    """Train a network to the end, when it has the weights of its best epoch.

    Args:
        model: keras.Model, compiled.
        batches: images to train with.
        validation_batches: images that decide on learning rate, end and best epoch.
        settings: of the training.
        file: of its state, to write it to and to go on from; None keeps none.
        progress_bar: show Keras's progress bar instead of lines in the log.
        tensorboard: folder for TensorBoard, see `wilsonvox.training.progress.TensorBoardLog`.

    Returns:
        One row an epoch, by `wilsonvox.training.loop.HISTORY_COLUMNS`.

    Raises:
        TrainingStopped: a signal asked for it; without `file` signals do what they always do.
        UserError: the loss is not finite, images cannot be read any more, or the state cannot be
            written.
    """
    begun = _take_up(file, batches, settings.max_epochs) if file else None
    with (
        listening() if file else nullcontext(StopRequest()) as request,
        _failures_of(batches, validation_batches),
    ):
        callbacks, log = make_callbacks(
            settings, batches, progress_bar, file, begun, request, tensorboard
        )

        def fit(first: int, end: int) -> None:
            model.fit(
                batches.dataset(),
                validation_data=validation_batches.dataset(),
                initial_epoch=first,
                epochs=end,
                callbacks=callbacks,
                shuffle=False,  # the batches shuffle themselves
                verbose=1 if progress_bar else 0,
            )

        progress = begun.progress if begun else None
        del begun  # as large as three networks
        if progress and progress.batches_done:
            epoch = progress.next_epoch
            batches.epoch, batches.first_batch = epoch, progress.batches_done
            if batches.num_batches:
                fit(epoch, epoch + 1)
            else:
                _validate(model, validation_batches, callbacks, epoch)
            batches.first_batch = 0
            progress = callbacks[-1].begun.progress
        first = progress.next_epoch if progress else 0
        # no epoch at all where only the writing of the model is left to do
        fit(first, first if progress and progress.stop_training else settings.max_epochs)
    return tuple(log.rows)
