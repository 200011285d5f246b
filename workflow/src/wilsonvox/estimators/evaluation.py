"""Table of an estimator's predictions for the images of one point."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.theory.points import parameter_values
from wilsonvox.voxels.event_overlap import EventRanges, EventRegistry, check_no_shared_events
from wilsonvox.voxels.shards import Shard

if TYPE_CHECKING:
    import pandas as pd

    # keeps the code of either kind of estimator out of the code digest of the other
    from wilsonvox.estimators.fits.prepared import PreparedEstimator
    from wilsonvox.estimators.metadata import EstimatorMetadata
    from wilsonvox.estimators.model_file import Estimator

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]


def check_one_point(shards: Mapping[str, Shard]) -> tuple[str, str]:
    """Return the point and split that all shards have in common.

    Args:
        shards: shards by file name.

    Raises:
        UserError: a shard has no point, split or campaign, a point or split that differs from the
            first shard's, or the campaign of another shard.
    """
    campaigns: dict[str, str] = {}
    origins: list[tuple[str, str]] = []
    for source, shard in shards.items():
        metadata = shard.metadata
        if metadata.point is None or metadata.split is None or metadata.campaign is None:
            raise UserError(
                f"{source}: is not a campaign of a point; use `wilsonvox measure` for other images"
            )
        origins.append((metadata.point, metadata.split))
        if origins[-1] != origins[0]:
            raise UserError(
                f"{source}: holds {metadata.split} images of {metadata.point}, but "
                f"{next(iter(shards))} {origins[0][1]} images of {origins[0][0]}; "
                "give shards of one point and split"
            )
        if metadata.campaign in campaigns:
            raise UserError(
                f"{source}: is campaign {metadata.campaign}, the same as "
                f"{campaigns[metadata.campaign]}"
            )
        campaigns[metadata.campaign] = source
    if not origins:
        raise UserError("there are no shards to evaluate")
    return origins[0]


def check_labels(shards: Mapping[str, Shard], point: str | None, split: str | None) -> None:
    """Check that images have the expected point and split.

    Args:
        shards: shards by file name.
        point: label of the point; None accepts any.
        split: name of the split; None accepts any.

    Raises:
        UserError: a shard has another point or split; the message names both.
    """
    for source, shard in shards.items():
        metadata = shard.metadata
        if point not in (None, metadata.point) or split not in (None, metadata.split):
            raise UserError(
                f"{source}: holds {metadata.split} images of {metadata.point}, not "
                f"{split or metadata.split} images of {point or metadata.point}; delete it and run "
                "again"
            )


def check_unseen(
    metadata: "EstimatorMetadata", model: str | os.PathLike[str], shards: Mapping[str, Shard]
) -> None:
    """Check that test and interpolation images share no events with the estimator's training.

    Images of the training and validation splits are accepted: their split is a column of the table.

    Args:
        metadata: metadata of the estimator.
        model: file name of the estimator, for messages.
        shards: shards by file name.

    Raises:
        UserError: a shard contains events that the estimator was trained or validated with, or two
            shards contain the same events.
    """
    check_no_shared_events(shards.items())
    seen = EventRegistry(
        (role, events)
        for role, used in (
            ("trained", metadata.training_events),
            ("validated", metadata.validation_events),
        )
        for events in used
    )
    for source, shard in shards.items():
        split = shard.metadata.split
        shared = seen.find(EventRanges.of(shard)) if split in ("test", "interpolation") else None
        if shared:
            role, label = shared
            raise UserError(
                f"{source}: its {split} images contain events that {model} was {role} with "
                f"(both are of {label}); make {split} images of other events"
            )


def evaluate(estimator: "Estimator", shards: Mapping[str, Shard]) -> "pd.DataFrame":
    """Predict the shifts of every image of one point with a trained network.

    Args:
        estimator: trained network.
        shards: shards by file name; all of one point and split.

    Returns:
        Prediction table, see `prediction_table`; `error` is NaN, because networks give no errors.

    Raises:
        UserError: see `check_one_point`; or the image specification is not the estimator's.
    """
    check_one_point(shards)
    predicted = {source: estimator.predict(shard, source) for source, shard in shards.items()}
    errors = {source: np.full(values.shape, np.nan) for source, values in predicted.items()}
    return prediction_table(estimator.metadata.coefficients, shards, predicted, errors)


def evaluate_events(
    estimator: "PreparedEstimator", shards: Mapping[str, Shard], events: Mapping[str, str]
) -> "pd.DataFrame":
    """Fit the shifts of every image of one point to the events of the image.

    An image whose fit does not converge keeps its row, with NaN, and is logged.

    Args:
        estimator: prepared estimator.
        shards: shards by file name; all of one point and split.
        events: event file that each shard was made from, by file name of the shard.

    Returns:
        Prediction table, see `prediction_table`; `error` is the error of the fit.

    Raises:
        UserError: see `check_one_point` and `PreparedEstimator.predict`.
    """
    check_one_point(shards)
    check_no_shared_events(shards.items())
    fitted = {
        source: estimator.predict(shard, events[source], source) for source, shard in shards.items()
    }
    for source, (values, _) in fitted.items():
        failed = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(failed):
            logger.warning(
                "%s: the fit of %d of %d images did not converge (image %s); "
                "their predictions are NaN",
                source,
                len(failed),
                len(values),
                ", ".join(map(str, failed[:5])) + (" …" if len(failed) > 5 else ""),
            )
    return prediction_table(
        estimator.metadata.coefficients,
        shards,
        {source: values for source, (values, _) in fitted.items()},
        {source: errors for source, (_, errors) in fitted.items()},
    )


def prediction_table(
    coefficients: Sequence[str],
    shards: Mapping[str, Shard],
    predicted: Mapping[str, Array],
    errors: Mapping[str, Array],
) -> "pd.DataFrame":
    """Build the prediction table of one point in long form.

    Args:
        coefficients: names of the k coefficients, from `wilsonvox.theory.points.PARAMETERS`.
        shards: shards by file name.
        predicted: predicted shifts by file name of the shard, float64 of shape (n_images, k).
        errors: errors of the same shapes, NaN where there are none.

    Returns:
        Table with the columns `wilsonvox.ensembles.tables.PREDICTION_COLUMNS` and one row per image
        and coefficient; the coefficients of an image are consecutive. `image_index` counts the
        images of a campaign from 0; shifts are dimensionless.
    """
    import pandas as pd

    point, split = check_one_point(shards)
    names = tuple(coefficients)
    frames = [
        pd.DataFrame(
            {
                "point": point,
                "split": split,
                "campaign": shard.metadata.campaign,
                "image_index": np.repeat(np.arange(len(shard)), len(names)),
                "coefficient": np.tile(np.array(names, dtype=object), len(shard)),
                "true": parameter_values(shard.shifts, names).ravel(),
                "predicted": predicted[source].ravel(),
                "error": errors[source].ravel(),
            }
        )
        for source, shard in shards.items()
    ]
    return pd.concat(frames, ignore_index=True)
