"""Predictions of an estimator for the images of one point, as a table."""

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

    # neither kind of estimator is code behind the other's predictions
    from wilsonvox.estimators.fits.prepared import PreparedEstimator
    from wilsonvox.estimators.metadata import EstimatorMetadata
    from wilsonvox.estimators.model_file import Estimator

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]


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
    metadata: "EstimatorMetadata", model: str | os.PathLike[str], shards: Mapping[str, Shard]
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
        found = seen.find(EventRanges.of(shard)) if split in ("test", "interpolation") else None
        if found:
            role, what = found
            raise UserError(
                f"{source}: its {split} images have events in them that {model} was {role} with, "
                f"both are of {what}; make {split} images of other events"
            )


def evaluate(estimator: "Estimator", shards: Mapping[str, Shard]) -> "pd.DataFrame":
    """Predict the shifts of every image of one point's shards with a trained network.

    Args:
        estimator: the network.
        shards: by the name of their file; all of one point and split.

    Returns:
        Prediction table, see `prediction_table`; `error` is NaN, networks give none.

    Raises:
        UserError: see `check_one_point`; or images that the estimator was not trained for.
    """
    check_one_point(shards)
    predicted = {source: estimator.predict(shard, source) for source, shard in shards.items()}
    errors = {source: np.full(values.shape, np.nan) for source, values in predicted.items()}
    return prediction_table(estimator.metadata.coefficients, shards, predicted, errors)


def evaluate_events(
    estimator: "PreparedEstimator", shards: Mapping[str, Shard], events: Mapping[str, str]
) -> "pd.DataFrame":
    """Fit the shifts of the events of every image of one point's shards.

    An image whose fit does not converge keeps its row, with NaN; it is logged.

    Args:
        estimator: the prepared estimator.
        shards: by the name of their file; all of one point and split.
        events: the event file that each was made of, by the same names.

    Returns:
        Prediction table, see `prediction_table`; `error` is that of the fit.

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
                "%s: the fit of %d of %d images did not converge (image %s); they have no value",
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
    """The predictions of one point's shards in long form.

    Args:
        coefficients: k names, of `wilsonvox.theory.points.PARAMETERS`.
        shards: by the name of their file.
        predicted: by the same names, float64 of shape (n_images, k).
        errors: of the same shapes, NaN where there is none.

    Returns:
        `wilsonvox.ensembles.tables.PREDICTION_COLUMNS`: one row an image and coefficient, the
        coefficients of an image after each other. `image_index` counts the images of a campaign
        from 0; shifts are dimensionless.
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
