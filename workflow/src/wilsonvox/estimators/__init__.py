"""Estimators: maps from images, or from their events, to predicted shifts.

Each architecture is a separate module that is imported by name only when it is built, so that a
new architecture does not change the code digest of the others. A network reads images and is
trained or fitted (`wilsonvox.estimators.model_file`); a likelihood fit reads the events of the
images and is prepared from the decay model (`wilsonvox.estimators.fits.prepared`).
"""

import importlib
from collections.abc import Callable
from typing import Any

from wilsonvox.core.errors import UserError

ARCHITECTURES = {"resnet": "wilsonvox.estimators.networks.resnet"}
"""Module of each network trained by gradient descent, by its name in the configuration."""

SUM_ARCHITECTURES = {"voxel-sum": "wilsonvox.estimators.voxel_sum.network"}
"""Module of each network that sums over voxels and is fitted in closed form, without gradient
descent (`wilsonvox.estimators.voxel_sum`)."""

EVENT_ARCHITECTURES = {
    "likelihood": "wilsonvox.estimators.fits.unbinned",
    "angular-likelihood": "wilsonvox.estimators.fits.angular",
}
"""Module of each estimator that reads events, with the functions ``prepare`` and ``estimator``
(`wilsonvox.estimators.fits.prepared`)."""

TRAINED_FILE, PREPARED_FILE = "model.keras", "estimator.npz"
"""File names of an estimator in a run: trained network and prepared fit."""


def builder(architecture: str) -> Callable[..., Any]:
    """Return the function ``build(shape, n_outputs, settings)`` of an architecture.

    Raises:
        UserError: the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"architecture {architecture!r} is unknown; known are {', '.join(ARCHITECTURES)}"
        )
    build: Callable[..., Any] = importlib.import_module(ARCHITECTURES[architecture]).build
    return build
