"""Training of a network on shards of images, reproducible bit by bit on one machine.

Order of images, initial weights and dropout depend on the seed; on a CPU every operation is
deterministic. A training that was killed or stopped resumes from its checkpoint and gives the same
weights. See docs/user_guide/training.md, and docs/physics/networks.md for the choices of the papers
and of this package.
"""

import logging
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wilsonvox.estimators import builder
from wilsonvox.estimators.metadata import EstimatorMetadata
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.networks.gpus import describe_device, log_devices
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.training.checkpoint import CheckpointFile, training_key
from wilsonvox.training.replicas import Replicas
from wilsonvox.voxels.event_overlap import EventRanges
from wilsonvox.voxels.labelled_shards import (
    check_shards,
    labels,
    training_points,
    varying_coefficients,
)
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

logger = logging.getLogger(__name__)

HISTORY_COLUMNS = ("epoch", "loss", "val_loss", "learning_rate")
"""Columns of a training history, one row per epoch; `epoch` counts from 1."""


@dataclass(frozen=True)
class TrainedNetwork:
    """Network with the weights of its best epoch.

    model: keras.Model, not compiled
    history: one row per epoch, with the columns `HISTORY_COLUMNS`
    coefficients: coefficients of its outputs, in order
    training_events, validation_events: events of the images, one entry per shard
    """

    model: Any
    history: tuple[Mapping[str, float], ...]
    coefficients: tuple[str, ...]
    training_events: tuple[EventRanges, ...] = ()
    validation_events: tuple[EventRanges, ...] = ()

    @property
    def best(self) -> Mapping[str, float]:
        """Row of the epoch with the lowest validation loss, whose weights the model has."""
        return min(self.history, key=lambda row: row["val_loss"])

    def history_csv(self) -> str:
        """Format the history as CSV with full precision; equal trainings give equal text."""
        lines = [",".join(repr(row[name]) for name in HISTORY_COLUMNS) for row in self.history]
        return "\n".join([",".join(HISTORY_COLUMNS), *lines]) + "\n"


def _framework_seed(seed: int) -> int:
    """Derive a 32-bit seed of initial weights and dropout from a run's seed of any size."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(b"weights"),))
    return int(sequence.generate_state(1)[0])


def _on_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _compiles(wanted: bool) -> bool:
    """Return True if XLA compiles the network; Keras disables it for deterministic operations.

    On a CPU operations are always deterministic.
    """
    if wanted and not _on_gpu():
        logger.warning("jit_compile is for GPUs; on this CPU XLA is not used")
        return False
    return wanted


@contextmanager
def _precision(mixed: bool) -> Iterator[None]:
    """Set Keras's dtype policy while a network is built and compiled."""
    import keras

    # a CPU has no pooling in float16; with bfloat16, convolutions in oneDNN gave losses of 1e29
    # that differed between runs
    if mixed and not _on_gpu():
        logger.warning("mixed precision is for GPUs; this CPU computes in float32")
        mixed = False
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def optimizer_of(training: TrainingSettings) -> Any:
    """Return the optimizer: stochastic gradient descent (keras.optimizers.SGD) by the settings."""
    import keras

    steps = training.gradient_accumulation_steps
    return keras.optimizers.SGD(
        training.learning_rate,
        momentum=training.momentum,
        global_clipnorm=training.clip_norm,
        gradient_accumulation_steps=steps if steps > 1 else None,
    )


def _actual_threads() -> int:
    """Return the number of CPU threads per operation with which TensorFlow was started."""
    import tensorflow as tf

    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1


def train(
    train_shards: Mapping[str, Shard],
    validation_shards: Mapping[str, Shard],
    *,
    architecture: str,
    network: NetworkSettings,
    training: TrainingSettings,
    normalisation: VoxelScaling,
    seed: int,
    threads: int | None = None,
    progress_bar: bool = False,
    state: Path | None = None,
    tensorboard: Path | None = None,
    devices: Sequence[str] | None = None,
    code_digest: str = "",
) -> TrainedNetwork:
    """Train a network to predict the shifts that vary among the training images.

    Stochastic gradient descent with momentum on the mean absolute (or squared) error of all
    outputs. The learning rate follows an optional warm-up and a schedule; early stopping ends the
    training when the validation loss stops improving, and the weights of the best epoch are kept.

    Args:
        train_shards: training shards by file name (for messages). Those of
            `wilsonvox.voxels.lazy_shards.open_shard` are not held in memory.
        validation_shards: validation shards by file name; they determine learning rate, end and
            best epoch.
        architecture: name in `wilsonvox.estimators.ARCHITECTURES`.
        network: settings of the network.
        training: settings of the training.
        normalisation: scaling of the voxels.
        seed: seed of the run. The same seed, threads and machine give the same weights.
        threads: CPU threads, see `prepare_backend`.
        progress_bar: show Keras's progress bar instead of lines in the log.
        state: checkpoint file (.npz), written after every epoch and when a signal requests a stop;
            the training resumes from it if it belongs to the same training. It remains when the
            training has ended; see `wilsonvox.training.checkpoint.remove_checkpoint`.
        tensorboard: folder for TensorBoard event files, or None. They contain times and are not an
            output of the training.
        devices: TensorFlow's names of the devices that share each batch; None for all visible GPUs,
            or the CPU.
        code_digest: digest of the training code; a checkpoint of other code is not used.

    Raises:
        TrainingStopped: a signal requested it, see `wilsonvox.training.signals`.
        UserError: the shards do not match (see `check_shards`), batches cannot be shared equally by
            the devices, a setting is for one device only, GPUs are missing, images can no longer
            be read, the loss is not finite, or the checkpoint cannot be written.
    """
    check_shards(train_shards, validation_shards)
    coefficients = varying_coefficients(train_shards)
    prepare_backend(threads, training.deterministic_on_gpu)
    log_devices()
    import keras
    import tensorflow as tf

    from wilsonvox.estimators.networks.image_batches import ImageBatches, with_sparse_images
    from wilsonvox.training.epochs import run_epochs

    replicas = Replicas(devices)
    replicas.check_settings(training)
    replicas.check_batches(training.batch_size, sum(map(len, train_shards.values())))
    batches = ImageBatches(
        list(train_shards.values()),
        normalisation,
        training.batch_size,
        labels(train_shards, coefficients),
        seed=seed,
        drop_remainder=True,
        replicas=replicas.number,
        sparse=True,
    )
    validation_batches = ImageBatches(
        list(validation_shards.values()),
        normalisation,
        training.batch_size,
        labels(validation_shards, coefficients),
        replicas=replicas.number,
        sparse=True,
    )
    keras.utils.set_random_seed(_framework_seed(seed))
    shape = (batches.bins, batches.bins, batches.bins, 1)
    with replicas.scope(), _precision(training.mixed_precision):
        model = builder(architecture)(shape, len(coefficients), network)
        trainable = with_sparse_images(model, training.batch_size)
        trainable.compile(
            optimizer_of(training), loss=training.loss, jit_compile=_compiles(training.jit_compile)
        )
    logger.info(
        "training %s (%d parameters) for %s on %s: %d images to train, %d to validate",
        architecture,
        model.count_params(),
        ", ".join(coefficients),
        describe_device(),
        batches.n_images,
        validation_batches.n_images,
    )
    file = None
    if state is not None:
        key = training_key(
            train_shards,
            validation_shards,
            architecture=architecture,
            network=network,
            training=training,
            normalisation=normalisation,
            seed=seed,
            threads=_actual_threads(),
            replicas=replicas.number,
            versions={package.__name__: package.__version__ for package in (keras, np, tf)},
            code_digest=code_digest,
        )
        file = CheckpointFile(state, key)
    replicas.synchronise(model, on=True)
    history = run_epochs(
        trainable, batches, validation_batches, training, file, progress_bar, tensorboard
    )
    replicas.synchronise(model, on=False)
    result = TrainedNetwork(
        model,
        history,
        coefficients,
        tuple(map(EventRanges.of, train_shards.values())),
        tuple(map(EventRanges.of, validation_shards.values())),
    )
    logger.info(
        "best epoch %d of %d: validation loss %.4f",
        result.best["epoch"],
        len(result.history),
        result.best["val_loss"],
    )
    return result


def describe(
    trained: TrainedNetwork,
    train_shards: Mapping[str, Shard],
    *,
    estimator: str,
    architecture: str,
    network: NetworkSettings,
    training: TrainingSettings,
    normalisation: VoxelScaling,
    history_digest: str,
) -> EstimatorMetadata:
    """Return the metadata to store in the model file: the network and its training."""
    shard = next(iter(train_shards.values()))
    return EstimatorMetadata(
        estimator=estimator,
        architecture=architecture,
        image=shard.metadata.image,
        normalisation=normalisation,
        coefficients=trained.coefficients,
        network=network,
        training=training,
        physics_inputs=shard.metadata.physics_inputs,
        lepton=shard.metadata.lepton,
        antiparticle_shifts=shard.metadata.antiparticle_shifts,
        training_points=training_points(train_shards),
        training_events=trained.training_events,
        validation_events=trained.validation_events,
        n_parameters=trained.model.count_params(),
        best_epoch=int(trained.best["epoch"]),
        best_validation_loss=trained.best["val_loss"],
        history_digest=history_digest,
    )
