"""`wilsonvox train`: train a network with shards of images."""

import hashlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.cli.shards import open_shards, training_options
from wilsonvox.core.files import atomic_path
from wilsonvox.estimators import ARCHITECTURES
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.voxels.specification import VoxelScaling

if TYPE_CHECKING:
    from wilsonvox.estimators.metadata import EstimatorMetadata

logger = logging.getLogger(__name__)


@click.command("train")
@training_options(
    "Shard of validation images, which determine learning rate, end and best epoch; repeatable."
)
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Seed of the run.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="CPU threads; their number changes the weights in the sixth digit.",
)
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default="resnet",
    show_default=True,
    help="Architecture of the network.",
)
@options_from(NetworkSettings)
@options_from(TrainingSettings)
@options_from(VoxelScaling)
@click.option(
    "--history",
    required=True,
    metavar="FILE.csv",
    help="Losses and learning rate by epoch to write.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Checkpoint, written after each epoch, from which the same command resumes after it was "
    "killed; removed at the end. With it, SIGTERM, SIGUSR1 and SIGUSR2 stop the training after the "
    "current batch and write a checkpoint.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Log folder for TensorBoard: losses and learning rate per epoch, during training.",
)
@click.option("--out", required=True, metavar="FILE.keras", help="Trained estimator to write.")
def command(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    estimator: str,
    seed: int,
    threads: int,
    architecture: str,
    history: str,
    state: Path | None,
    tensorboard: Path | None,
    out: str,
    **options: Any,
) -> None:
    """Train a network to predict shifts from voxel images.

    Learns the shifts (dimensionless) that vary among the training images by stochastic gradient
    descent and keeps the weights of the epoch with the lowest validation loss. The default sizes
    are those of the ResNet-34 of the papers. Several GPUs share each batch.
    """
    from wilsonvox.training.signals import TrainingStopped

    settings: dict[str, Any] = {
        "architecture": architecture,
        "network": model_from(NetworkSettings, options),
        "training": model_from(TrainingSettings, options),
        "normalisation": model_from(VoxelScaling, options),
    }
    try:
        train_and_save(
            train_paths,
            validation_paths,
            estimator=estimator,
            settings=settings,
            seed=seed,
            threads=threads,
            history=history,
            state=state,
            out=out,
            tensorboard=tensorboard,
        )
    except TrainingStopped as stopped:
        logger.warning("%s", stopped)
        click.get_current_context().exit(stopped.exit_code)


def train_and_save(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    *,
    estimator: str,
    settings: Mapping[str, Any],
    seed: int,
    threads: int,
    history: str,
    state: Path | None,
    out: str,
    tensorboard: Path | None = None,
    rule: str = "train",
    more_inputs: tuple[str, ...] = (),
) -> "EstimatorMetadata":
    """Train a network and write it with its history.

    Args:
        train_paths: shards of training images.
        validation_paths: shards of validation images.
        estimator: name of the estimator.
        settings: `architecture`, `network`, `training` and `normalisation`.
        seed: seed of the run.
        threads: number of CPU threads.
        history: file for losses and learning rate by epoch (.csv).
        state: file of the checkpoint, or None.
        out: file of the model (.keras).
        tensorboard: log folder for TensorBoard, or None.
        rule: name of the rule in the record.
        more_inputs: files that were read in addition to the shards.

    Raises:
        TrainingStopped: a signal stopped the training.
        UserError: see `wilsonvox.training.loop.train`.
    """
    from wilsonvox.estimators.model_file import save_estimator
    from wilsonvox.provenance.code import stage_digest
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.training.checkpoint import remove_checkpoint
    from wilsonvox.training.loop import describe, train

    train_shards = open_shards(train_paths, "--train")
    trained = train(
        train_shards,
        open_shards(validation_paths, "--validation"),
        seed=seed,
        threads=threads,
        progress_bar=sys.stdout.isatty(),
        state=state,
        tensorboard=tensorboard,
        code_digest=stage_digest("train", [settings["architecture"]]),
        **settings,
    )
    csv = trained.history_csv().encode()
    metadata = describe(
        trained,
        train_shards,
        estimator=estimator,
        history_digest=hashlib.sha256(csv).hexdigest(),
        **settings,
    )
    record = make_record(
        rule,
        out,
        settings=metadata.model_dump(
            mode="json",
            include={"estimator", "architecture", "network", "training", "normalisation"},
        ),
        inputs=[*train_paths, *validation_paths, *more_inputs],
        seed=seed,
        copies={history: hashlib.sha256(csv).hexdigest()},
    )
    with atomic_path(history) as temporary:
        temporary.write_bytes(csv)
        save_estimator(out, trained.model, metadata, record)
    if state is not None:
        remove_checkpoint(state)
    return metadata
