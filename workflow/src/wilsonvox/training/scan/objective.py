"""Objective of a hyperparameter scan: mean absolute error on the validation images."""

import os
from collections.abc import Sequence

import numpy as np

from wilsonvox.estimators.model_file import load_estimator
from wilsonvox.voxels.labelled_shards import labels
from wilsonvox.voxels.shards import Shard


def validation_error(
    model: str | os.PathLike[str], shards: Sequence[str], threads: int | None = None
) -> float:
    """Compute the mean absolute error of predicted shifts over validation images and coefficients.

    It is in units of the shifts (dimensionless), whatever the network and its training loss.

    Args:
        model: file of the trained estimator.
        shards: files of the validation shards; one is in memory at a time.
        threads: CPU threads, see `wilsonvox.estimators.networks.backend.prepare_backend`.

    Raises:
        UserError: the model cannot be read, or is for other images.
    """
    estimator = load_estimator(model, threads)
    errors = []
    for path in shards:
        shard = Shard.load(path)
        truth = labels({path: shard}, estimator.metadata.coefficients)
        errors.append(np.abs(estimator.predict(shard, path) - truth))
    return float(np.concatenate(errors).mean())
