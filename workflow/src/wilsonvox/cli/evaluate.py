"""`wilsonvox evaluate`: predictions of an estimator for one point's images."""

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
    help="Shard of images; again for each campaign. All of one point and split.",
)
@click.option(
    "--events",
    "event_paths",
    multiple=True,
    metavar="FILE.root",
    help="Event file that the images were made of, for an estimator that reads events; again for "
    "each shard, in the same order.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads on the CPU of a network; another number may change predictions in their sixth "
    "digit.",
)
@click.option("--point", metavar="LABEL", help="Take images of this point only.")
@click.option("--split", type=click.Choice(SPLITS), help="Take images of this split only.")
@click.option("--out", required=True, metavar="FILE.parquet", help="The table of predictions.")
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

    Writes one row an image and coefficient: point, split, campaign, image index, true and
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
        raise UserError(f"--events: {model} reads images only; leave the option out")
    if reads_events and len(events) != len(shards):
        raise UserError(
            f"--events: {model} reads events: give the event file of each of the {len(shards)} "
            f"shard(s), in their order ({len(events)} given)"
        )


def _check_decay(
    model: str, shards: "dict[str, Shard]", metadata: "EstimatorMetadata | PreparedMetadata"
) -> None:
    """Refuse images of another lepton; warn of other inputs, and of antiparticles' shifts."""
    from wilsonvox.voxels.compatibility import antiparticle_warning, check_lepton

    for source, shard in shards.items():
        about = shard.metadata
        check_lepton(source, about.lepton, model, metadata.lepton)
        if about.physics_inputs != metadata.physics_inputs:
            logger.warning(
                "%s: was made with physics inputs %s, the estimator is for %s",
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
    """What a trained network says of the images."""
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
    """What a prepared estimator says of the images' events."""
    from wilsonvox.estimators.evaluation import evaluate_events
    from wilsonvox.estimators.fits.prepared import load_prepared

    estimator = load_prepared(model)
    _check_decay(model, shards, estimator.metadata)
    return estimator.metadata, evaluate_events(estimator, shards, events)
