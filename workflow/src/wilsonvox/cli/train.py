"""`wilsonvox train`: a network fitted to shards of images."""

import hashlib
import logging
import sys
from pathlib import Path
from typing import Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.cli.shard_files import load_shards, training_options
from wilsonvox.estimators import ARCHITECTURES
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.files import atomic_path
from wilsonvox.shards import Normalisation

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
@options_from(Normalisation)
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
    out: str,
    **options: Any,
) -> None:
    """Train a network to predict shifts from voxel images.

    Learns the shifts (dimensionless) that vary among the training images, by stochastic gradient
    descent, and keeps the weights of the epoch with the lowest validation loss. The defaults of
    all sizes are the papers' ResNet-34. Several GPUs share each batch.
    """
    from wilsonvox.estimators.storage import save_estimator
    from wilsonvox.provenance.record import make_record
    from wilsonvox.training import describe, train
    from wilsonvox.training_signals import TrainingStopped
    from wilsonvox.training_state import remove_state

    settings: dict[str, Any] = {
        "architecture": architecture,
        "network": model_from(NetworkSettings, options),
        "training": model_from(TrainingSettings, options),
        "normalisation": model_from(Normalisation, options),
    }
    train_shards = load_shards(train_paths, "--train")
    try:
        trained = train(
            train_shards,
            load_shards(validation_paths, "--validation"),
            seed=seed,
            threads=threads,
            progress_bar=sys.stdout.isatty(),
            state=state,
            **settings,
        )
    except TrainingStopped as stopped:
        logger.warning("%s", stopped)
        click.get_current_context().exit(stopped.exit_code)
    csv = trained.history_csv().encode()
    metadata = describe(
        trained,
        train_shards,
        estimator=estimator,
        history_digest=hashlib.sha256(csv).hexdigest(),
        **settings,
    )
    record = make_record(
        "train",
        out,
        settings=metadata.model_dump(
            mode="json",
            include={"estimator", "architecture", "network", "training", "normalisation"},
        ),
        inputs=[*train_paths, *validation_paths],
        seed=seed,
        copies={history: hashlib.sha256(csv).hexdigest()},
    )
    with atomic_path(history) as temporary:
        temporary.write_bytes(csv)
        save_estimator(out, trained.model, metadata, record)
    if state is not None:
        remove_state(state)
