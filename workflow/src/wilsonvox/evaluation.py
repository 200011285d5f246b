"""Predictions of a trained estimator for the images of one point, as a table."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from wilsonvox.errors import UserError
from wilsonvox.estimators.storage import Estimator, EstimatorMetadata
from wilsonvox.points import COEFFICIENTS
from wilsonvox.shards import Shard
from wilsonvox.source_events import SourceEvents, UsedEvents, check_no_shared_events

if TYPE_CHECKING:
    import pandas as pd


def check_one_point(shards: Mapping[str, Shard]) -> tuple[str, str]:
    """Point and split that all `shards`, by the name of their file, have in common.

    Raises:
        UserError: a shard has no point, split or campaign, another one than the first, or a
            campaign that another shard has too.
    """
    campaigns: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    for source, shard in shards.items():
        metadata = shard.metadata
        if metadata.point is None or metadata.split is None or metadata.campaign is None:
            raise UserError(
                f"{source}: is no campaign of a point; `wilsonvox measure` takes other images"
            )
        found.append((metadata.point, metadata.split))
        if found[-1] != found[0]:
            raise UserError(
                f"{source}: holds {metadata.split} images of {metadata.point}, but "
                f"{next(iter(shards))} {found[0][1]} images of {found[0][0]}; give shards of one "
                "point and split"
            )
        if metadata.campaign in campaigns:
            raise UserError(
                f"{source}: is campaign {metadata.campaign}, and so is "
                f"{campaigns[metadata.campaign]}"
            )
        campaigns[metadata.campaign] = source
    if not found:
        raise UserError("there are no shards to evaluate")
    return found[0]


def check_labels(shards: Mapping[str, Shard], point: str | None, split: str | None) -> None:
    """Refuse images that are not of the point and the split that they are taken for.

    Args:
        shards: by the name of their file.
        point: label of the point; None takes any.
        split: None takes any.

    Raises:
        UserError: names the shard, what it holds and what was expected.
    """
    for source, shard in shards.items():
        found = shard.metadata
        if point not in (None, found.point) or split not in (None, found.split):
            raise UserError(
                f"{source}: holds {found.split} images of {found.point}, not "
                f"{split or found.split} images of {point or found.point}; delete it and run again"
            )


def check_unseen(
    metadata: EstimatorMetadata, model: str | os.PathLike[str], shards: Mapping[str, Shard]
) -> None:
    """Refuse test and interpolation images of events that the estimator has seen.

    Images of the training or validation split may be evaluated, they say what they are.

    Args:
        metadata: of the estimator.
        model: its file, for the message.
        shards: by the name of their file.

    Raises:
        UserError: names the shard, the model and what they share; or two shards with the same
            events.
    """
    check_no_shared_events(shards.items())
    seen = UsedEvents(
        (role, events)
        for role, used in (
            ("trained", metadata.training_events),
            ("validated", metadata.validation_events),
        )
        for events in used
    )
    for source, shard in shards.items():
        split = shard.metadata.split
        found = seen.find(SourceEvents.of(shard)) if split in ("test", "interpolation") else None
        if found:
            role, what = found
            raise UserError(
                f"{source}: its {split} images have events in them that {model} was {role} with, "
                f"both are of {what}; make {split} images of other events"
            )


def evaluate(estimator: Estimator, shards: Mapping[str, Shard]) -> "pd.DataFrame":
    """Predict the shifts of every image of one point's shards.

    Args:
        estimator: a trained network.
        shards: by the name of their file; all of one point and split.

    Returns:
        Prediction table (`wilsonvox.tables.PREDICTION_COLUMNS`): one row an image and coefficient,
        the coefficients of an image after each other. `image_index` counts the images of a
        campaign from 0; shifts are dimensionless; `error` is NaN, networks give none.

    Raises:
        UserError: see `check_one_point`; or images that the estimator was not trained for.
    """
    import pandas as pd

    point, split = check_one_point(shards)
    names = estimator.metadata.coefficients
    columns = [COEFFICIENTS.index(name) for name in names]
    frames = []
    for source, shard in shards.items():
        predicted = estimator.predict(shard, source)
        frames.append(
            pd.DataFrame(
                {
                    "point": point,
                    "split": split,
                    "campaign": shard.metadata.campaign,
                    "image_index": np.repeat(np.arange(len(shard)), len(names)),
                    "coefficient": np.tile(np.array(names, dtype=object), len(shard)),
                    "true": shard.shifts.real[:, columns].ravel(),
                    "predicted": predicted.ravel(),
                    "error": np.nan,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
