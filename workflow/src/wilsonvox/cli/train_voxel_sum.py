"""`wilsonvox train-voxel-sum`: fit a network that sums over voxels to shards of images."""

import logging
from typing import TYPE_CHECKING, Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.cli.shards import check_paths, training_options
from wilsonvox.estimators.settings import VoxelSumSettings

if TYPE_CHECKING:
    from wilsonvox.estimators.metadata import EstimatorMetadata

logger = logging.getLogger(__name__)


@click.command("train-voxel-sum")
@training_options("Shard of validation images, which determine the size of the head; repeatable.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPU threads; their number may change the weights in the sixth digit.",
)
@options_from(VoxelSumSettings)
@click.option("--out", required=True, metavar="FILE.keras", help="Trained estimator to write.")
def command(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    estimator: str,
    threads: int,
    out: str,
    **options: Any,
) -> None:
    """Fit a network that predicts shifts from a sum over the occupied voxels.

    Learns the shifts (dimensionless) that vary among the training images from means over voxels and
    by least squares, without epochs. One shard at a time is in memory.
    """
    settings = model_from(VoxelSumSettings, options)
    fit_and_save(
        train_paths,
        validation_paths,
        estimator=estimator,
        settings=settings,
        threads=threads,
        out=out,
    )


def fit_and_save(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    *,
    estimator: str,
    settings: VoxelSumSettings,
    threads: int,
    out: str,
    rule: str = "train_voxel_sum",
    more_inputs: tuple[str, ...] = (),
) -> "EstimatorMetadata":
    """Fit a network that sums over voxels and write it.

    Args:
        train_paths: shards of training images.
        validation_paths: shards of validation images.
        estimator: name of the estimator.
        settings: settings of the network.
        threads: number of CPU threads.
        out: file of the model (.keras).
        rule: name of the rule in the record.
        more_inputs: files that were read in addition to the shards.

    Raises:
        UserError: see `wilsonvox.estimators.voxel_sum.fitting.fit_voxel_sum`.
    """
    from wilsonvox.estimators.model_file import save_estimator
    from wilsonvox.estimators.voxel_sum.fitting import describe, fit_voxel_sum
    from wilsonvox.provenance.recording import make_record

    for paths, option in ((train_paths, "--train"), (validation_paths, "--validation")):
        check_paths(paths, option)
    fitted = fit_voxel_sum(train_paths, validation_paths, settings, threads=threads)
    metadata = describe(fitted, estimator, settings)
    record = make_record(
        rule,
        out,
        settings=metadata.model_dump(mode="json", include={"estimator", "architecture", "network"}),
        inputs=[*train_paths, *validation_paths, *more_inputs],
    )
    save_estimator(out, fitted.model, metadata, record)
    logger.info("%s: voxel-sum of %s", estimator, ", ".join(fitted.coefficients))
    return metadata
