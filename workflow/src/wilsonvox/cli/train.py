"""`wilsonvox train`: a network fitted to shards of images."""

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
@training_options("Shard of validation images, which decide on learning rate, end and best epoch.")
@click.option("--seed", type=click.IntRange(min=0), required=True, help="The run's seed.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Threads on the CPU; another number changes the weights in their sixth digit.",
)
@click.option(
    "--architecture",
    type=click.Choice(list(ARCHITECTURES)),
    default="resnet",
    show_default=True,
    help="Family of the network.",
)
@options_from(NetworkSettings)
@options_from(TrainingSettings)
@options_from(VoxelScaling)
@click.option(
    "--history", required=True, metavar="FILE.csv", help="Losses and learning rate by epoch."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="State of the training after each epoch, from which the same command goes on if it was "
    "killed; removed in the end. With it SIGTERM, SIGUSR1 and SIGUSR2 stop the training after the "
    "batch in work, whose state is kept too.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for TensorBoard: losses and learning rate of each epoch, while it trains.",
)
@click.option("--out", required=True, metavar="FILE.keras", help="The trained estimator.")
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

    Learns the shifts (dimensionless) that vary among the training images, by stochastic gradient
    descent, and keeps the weights of the epoch with the lowest validation loss. The defaults of
    all sizes are the papers' ResNet-34. Several GPUs share each batch.
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
        validation_paths: of validation images.
        estimator: name of the estimator.
        settings: `architecture`, `network`, `training` and `normalisation`.
        seed: the run's.
        threads: on the CPU.
        history: file for losses and learning rate by epoch (.csv).
        state: file of the training's state, or None.
        out: file of the model (.keras).
        tensorboard: folder for TensorBoard, or None.
        rule: that is recorded.
        more_inputs: files that were read besides the shards.

    Raises:
        TrainingStopped: a signal asked for it.
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
