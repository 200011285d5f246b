"""Training of a network on shards of images, the same to the last bit on every run of a machine.

Order of images, initial weights and dropout are keyed on the seed; on a CPU every operation is
deterministic. A training that was killed or stopped goes on from its state and gives the same
weights. See docs/user_guide/training.md, and docs/physics/networks.md for what the papers state
and what is chosen.
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
from wilsonvox.training.checkpoint import StateFile, training_key
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
"""Columns of a training history, one row an epoch; `epoch` counts from 1."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the weights of its best epoch.

    model: keras.Model, not compiled
    history: one row an epoch, by `HISTORY_COLUMNS`
    coefficients: what its outputs are, in their order
    training_events, validation_events: events of the images, shard by shard
    """

    model: Any
    history: tuple[Mapping[str, float], ...]
    coefficients: tuple[str, ...]
    training_events: tuple[EventRanges, ...] = ()
    validation_events: tuple[EventRanges, ...] = ()

    @property
    def best(self) -> Mapping[str, float]:
        """The row of the epoch with the lowest validation loss, whose weights the model has."""
        return min(self.history, key=lambda row: row["val_loss"])

    def history_csv(self) -> str:
        """The history as CSV, its numbers in full, equal in equal trainings."""
        lines = [",".join(repr(row[name]) for name in HISTORY_COLUMNS) for row in self.history]
        return "\n".join([",".join(HISTORY_COLUMNS), *lines]) + "\n"


def _framework_seed(seed: int) -> int:
    """Seed of initial weights and dropout, 32 bits, of a run's seed of any size."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(b"weights"),))
    return int(sequence.generate_state(1)[0])


def _on_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _compiles(wanted: bool) -> bool:
    """Whether XLA compiles the network: Keras does not let it where operations are deterministic.

    On a CPU they always are.
    """
    if wanted and not _on_gpu():
        logger.warning("jit_compile is for GPUs: this CPU computes without XLA")
        return False
    return wanted


@contextmanager
def _precision(mixed: bool) -> Iterator[None]:
    """Keras's dtype policy while a network is built and compiled."""
    import keras

    # on a CPU no pooling in float16; with bfloat16 oneDNN's convolutions gave losses of 1e29,
    # others in each run
    if mixed and not _on_gpu():
        logger.warning("mixed precision is for GPUs: this CPU computes in float32")
        mixed = False
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def optimizer_of(training: TrainingSettings) -> Any:
    """Stochastic gradient descent as the settings say (keras.optimizers.SGD)."""
    import keras

    steps = training.gradient_accumulation_steps
    return keras.optimizers.SGD(
        training.learning_rate,
        momentum=training.momentum,
        global_clipnorm=training.clip_norm,
        gradient_accumulation_steps=steps if steps > 1 else None,
    )


def _actual_threads() -> int:
    """Threads of an operation on the CPU, as TensorFlow was started with."""
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
    outputs; the learning rate rises in the first epochs, if that is asked for, and is cut at a
    plateau of the validation loss; training stops when that has not improved for long, and the
    weights of the best epoch are kept.

    Args:
        train_shards: shards by the name of their file, which messages use. Those of
            `wilsonvox.voxels.lazy_shards.open_shard` are not held in memory.
        validation_shards: likewise; they decide on learning rate, end and best epoch.
        architecture: name in `wilsonvox.estimators.ARCHITECTURES`.
        network: sizes of the network.
        training: how it is trained.
        normalisation: of the voxels.
        seed: the run's seed. The same seed, threads and machine give the same weights.
        threads: threads on the CPU, see `prepare_backend`.
        progress_bar: show Keras's progress bar instead of lines in the log.
        state: file (.npz) to write the state of the training to, after every epoch and when a
            signal asks the training to stop, and to go on from if it holds that of the same
            training. It stays when the training has ended; see
            `wilsonvox.training.checkpoint.remove_state`.
        tensorboard: folder to write each epoch's numbers to, for TensorBoard. No output of the
            training: what is in it has times.
        devices: TensorFlow's names of those to divide each batch among; None takes all GPUs that
            this process sees, or the CPU.
        code_digest: digest of the code that trains; a `state` of other code is not resumed.

    Raises:
        TrainingStopped: a signal asked for it, see `wilsonvox.training.signals`.
        UserError: shards that do not fit, see `check_shards`, batches that cannot be divided among
            the devices, settings that are for one device, missing GPUs, images that cannot be read
            any more, a loss that is not finite, or a state that cannot be written.
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
            versions={each.__name__: each.__version__ for each in (keras, np, tf)},
            code_digest=code_digest,
        )
        file = StateFile(state, key)
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
    """What is stored inside the model file, of a trained network and what it was trained with."""
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
