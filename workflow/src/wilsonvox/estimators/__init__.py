"""Estimators: whatever maps images, or their events, to predicted shifts.

Each architecture is a module of its own, imported by name only when it is built, so that a new
one is no part of the code behind the others. A network reads images and is trained or fitted
(`wilsonvox.estimators.model_file`); a fit reads the images' events and is prepared
(`wilsonvox.estimators.fits.prepared`).
"""

import importlib
from collections.abc import Callable
from typing import Any

from wilsonvox.core.errors import UserError

ARCHITECTURES = {"resnet": "wilsonvox.estimators.networks.resnet"}
"""The module of each network, by the name that the configuration calls it."""

SUM_ARCHITECTURES = {"voxel-sum": "wilsonvox.estimators.voxel_sum.network"}
"""The module of each network that is no stack of layers to descend a gradient in, but is put
together from sums over voxels (`wilsonvox.estimators.voxel_sum`)."""

EVENT_ARCHITECTURES = {
    "likelihood": "wilsonvox.estimators.fits.unbinned",
    "angular-likelihood": "wilsonvox.estimators.fits.angular",
}
"""The module of each estimator that reads events, with the functions ``prepare`` and
``estimator`` (`wilsonvox.estimators.fits.prepared`)."""

TRAINED_FILE, PREPARED_FILE = "model.keras", "estimator.npz"
"""Names of an estimator's file in a run: of a trained one, and of one that reads events."""


def builder(architecture: str) -> Callable[..., Any]:
    """The function ``build(shape, n_outputs, settings)`` of an architecture.

    Raises:
        UserError: there is no such architecture.
    """
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"architecture {architecture!r} is unknown; known are {', '.join(ARCHITECTURES)}"
        )
    build: Callable[..., Any] = importlib.import_module(ARCHITECTURES[architecture]).build
    return build
