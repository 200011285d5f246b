"""`wilsonvox evaluate`: predictions of an estimator for the images of one point."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wilsonvox.core.errors import UserError
from wilsonvox.theory.points import SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from wilsonvox.estimators.fits.prepared import PreparedMetadata
    from wilsonvox.estimators.metadata import EstimatorMetadata
    from wilsonvox.voxels.shards import Shard

logger = logging.getLogger(__name__)


@click.command("evaluate")
@click.option(
    "--model",
    required=True,
    metavar="FILE",
    help="A trained estimator (.keras), or a prepared one (.npz).",
)
@click.option(
    "--shard",
    "shard_paths",
    multiple=True,
    required=True,
    metavar="FILE.npz",
    help="Shard of images of one point and split; repeat for each campaign.",
)
@click.option(
    "--events",
    "event_paths",
    multiple=True,
    metavar="FILE.root",
    help="Event file from which the images were made, for an estimator that reads events; repeat "
    "for each shard, in the same order.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPU threads of a network; their number may change predictions in the sixth digit.",
)
@click.option("--point", metavar="LABEL", help="Require images of this point.")
@click.option("--split", type=click.Choice(SPLITS), help="Require images of this split.")
@click.option("--out", required=True, metavar="FILE.parquet", help="Table of predictions to write.")
def command(
    model: str,
    shard_paths: tuple[str, ...],
    event_paths: tuple[str, ...],
    threads: int,
    point: str | None,
    split: str | None,
    out: str,
) -> None:
    """Predict the shifts (dimensionless) of every image of one point.

    Writes one row per image and coefficient: point, split, campaign, image index, true and
    predicted shift, and the error of a fit.
    """
    from wilsonvox.cli.shards import load_shards
    from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, TableMetadata, write_table
    from wilsonvox.estimators.evaluation import check_labels, check_one_point
    from wilsonvox.provenance.recording import make_record

    reads_events = Path(model).suffix == ".npz"
    _check_events(model, reads_events, shard_paths, event_paths)
    shards = load_shards(shard_paths, "--shard")
    check_labels(shards, point, split)
    point, split = check_one_point(shards)
    settings = {"point": point, "split": split}
    metadata: EstimatorMetadata | PreparedMetadata
    if reads_events:
        rule = "evaluate_events"
        metadata, frame = _fitted(model, shards, dict(zip(shard_paths, event_paths, strict=True)))
        settings["architecture"] = metadata.architecture
    else:
        rule = "evaluate"
        metadata, frame = _predicted(model, shards, threads)
    record = make_record(rule, out, settings=settings, inputs=[model, *shard_paths, *event_paths])
    about = TableMetadata(
        estimator=metadata.estimator,
        image=metadata.image,
        physics_inputs=metadata.physics_inputs,
        lepton=metadata.lepton,
        antiparticle_shifts=metadata.antiparticle_shifts,
        trained=not reads_events,
    )
    write_table(out, frame, PREDICTION_COLUMNS, about, record)
    logger.info(
        "%s: %d %s images of %s predicted",
        metadata.estimator,
        sum(map(len, shards.values())),
        split,
        point,
    )


def _check_events(
    model: str, reads_events: bool, shards: tuple[str, ...], events: tuple[str, ...]
) -> None:
    if not reads_events and events:
        raise UserError(f"--events: {model} reads images only; omit the option")
    if reads_events and len(events) != len(shards):
        raise UserError(
            f"--events: {model} reads events: give the event file of each of the {len(shards)} "
            f"shard(s), in the same order ({len(events)} given)"
        )


def _check_decay(
    model: str, shards: "dict[str, Shard]", metadata: "EstimatorMetadata | PreparedMetadata"
) -> None:
    """Check that images and estimator belong to the same decay.

    Raises:
        UserError: the leptons differ. Other differences are logged as warnings.
    """
    from wilsonvox.voxels.compatibility import antiparticle_warning, check_lepton

    for source, shard in shards.items():
        about = shard.metadata
        check_lepton(source, about.lepton, model, metadata.lepton)
        if about.physics_inputs != metadata.physics_inputs:
            logger.warning(
                "%s: made with physics inputs %s, but the estimator is for %s",
                source,
                about.physics_inputs,
                metadata.physics_inputs,
            )
        warning = antiparticle_warning(
            about.antiparticle_shifts,
            metadata.antiparticle_shifts,
            about.image.flavour,
            shard.shifts,
            metadata.coefficients,
        )
        if warning:
            logger.warning("%s: %s", source, warning)


def _predicted(
    model: str, shards: "dict[str, Shard]", threads: int
) -> "tuple[EstimatorMetadata, pd.DataFrame]":
    """Return the metadata of a trained network and its predictions."""
    from wilsonvox.estimators.evaluation import check_unseen, evaluate
    from wilsonvox.estimators.model_file import load_estimator, read_estimator_metadata

    metadata = read_estimator_metadata(model)
    check_unseen(metadata, model, shards)
    _check_decay(model, shards, metadata)
    estimator = load_estimator(model, threads)
    return estimator.metadata, evaluate(estimator, shards)


def _fitted(
    model: str, shards: "dict[str, Shard]", events: dict[str, str]
) -> "tuple[PreparedMetadata, pd.DataFrame]":
    """Return the metadata of a prepared estimator and its fits to the events of the images."""
    from wilsonvox.estimators.evaluation import evaluate_events
    from wilsonvox.estimators.fits.prepared import load_prepared

    estimator = load_prepared(model)
    _check_decay(model, shards, estimator.metadata)
    return estimator.metadata, evaluate_events(estimator, shards, events)
