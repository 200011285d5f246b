"""`wilsonvox evaluate`: predictions of a trained estimator for one point's images."""

import logging

import click

from wilsonvox.cli.train import load_shards
from wilsonvox.points import SPLITS

logger = logging.getLogger(__name__)


@click.command("evaluate")
@click.option("--model", required=True, metavar="FILE.keras", help="A trained estimator.")
@click.option(
    "--shard",
    "shard_paths",
    multiple=True,
    required=True,
    metavar="FILE.npz",
    help="Shard of images; again for each campaign. All of one point and split.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads on the CPU; another number may change predictions in their sixth digit.",
)
@click.option("--point", metavar="LABEL", help="Take images of this point only.")
@click.option("--split", type=click.Choice(SPLITS), help="Take images of this split only.")
@click.option("--out", required=True, metavar="FILE.parquet", help="The table of predictions.")
def command(
    model: str,
    shard_paths: tuple[str, ...],
    threads: int,
    point: str | None,
    split: str | None,
    out: str,
) -> None:
    """Predict the shifts (dimensionless) of every image of one point.

    Writes one row an image and coefficient: point, split, campaign, image index, true and
    predicted shift.
    """
    from wilsonvox.estimators.storage import load_estimator, read_estimator_metadata
    from wilsonvox.evaluation import check_labels, check_one_point, check_unseen, evaluate
    from wilsonvox.provenance.record import make_record
    from wilsonvox.tables import PREDICTION_COLUMNS, TableMetadata, write_table

    shards = load_shards(shard_paths, "--shard")
    check_labels(shards, point, split)
    point, split = check_one_point(shards)
    check_unseen(read_estimator_metadata(model), model, shards)
    estimator = load_estimator(model, threads)
    trained_with = estimator.metadata.physics_inputs
    for source, shard in shards.items():
        if shard.metadata.physics_inputs != trained_with:
            logger.warning(
                "%s: was made with physics inputs %s, the estimator was trained with %s",
                source,
                shard.metadata.physics_inputs,
                trained_with,
            )
    frame = evaluate(estimator, shards)
    record = make_record(
        "evaluate", out, settings={"point": point, "split": split}, inputs=[model, *shard_paths]
    )
    metadata = TableMetadata(
        estimator=estimator.metadata.estimator,
        image=estimator.metadata.image,
        physics_inputs=trained_with,
    )
    write_table(out, frame, PREDICTION_COLUMNS, metadata, record)
    logger.info(
        "%s: %d %s images of %s predicted",
        estimator.metadata.estimator,
        sum(map(len, shards.values())),
        split,
        point,
    )
