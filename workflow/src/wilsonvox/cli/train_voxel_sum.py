"""`wilsonvox train-voxel-sum`: a network that sums over voxels, made from shards of images."""

import logging
from typing import Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.cli.shard_files import check_paths, training_options
from wilsonvox.estimators.settings import VoxelSumSettings

logger = logging.getLogger(__name__)


@click.command("train-voxel-sum")
@training_options("Shard of validation images, which decide on the size of the head.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads on the CPU; another number may change the weights in their sixth digit.",
)
@options_from(VoxelSumSettings)
@click.option("--out", required=True, metavar="FILE.keras", help="The trained estimator.")
def command(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    estimator: str,
    threads: int,
    out: str,
    **options: Any,
) -> None:
    """Make a network that predicts shifts from what each occupied voxel says alone.

    Learns the shifts (dimensionless) that vary among the training images, by means over voxels and
    least squares, without epochs. One shard is in memory at a time.
    """
    from wilsonvox.estimators.storage import save_estimator
    from wilsonvox.provenance.record import make_record
    from wilsonvox.voxel_sum.fitting import describe, fit_voxel_sum

    settings = model_from(VoxelSumSettings, options)
    for paths, option in ((train_paths, "--train"), (validation_paths, "--validation")):
        check_paths(paths, option)
    fitted = fit_voxel_sum(train_paths, validation_paths, settings, threads=threads)
    metadata = describe(fitted, estimator, settings)
    record = make_record(
        "train_voxel_sum",
        out,
        settings=metadata.model_dump(mode="json", include={"estimator", "architecture", "network"}),
        inputs=[*train_paths, *validation_paths],
    )
    save_estimator(out, fitted.model, metadata, record)
    logger.info("%s: voxel-sum of %s", estimator, ", ".join(fitted.coefficients))
