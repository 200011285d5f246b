"""Stand-in for the modules of estimators that read events: a fit that is a mean.

Its estimate is ``(mean cos θ_μ of the image) × scale`` for each coefficient; it fails to converge
if all cos θ_μ are 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wilsonvox.estimators.fits.prepared import Estimate, PreparedMetadata
from wilsonvox.estimators.settings import EventSettings
from wilsonvox.events.event_file import Events
from wilsonvox.theory.model import DecayModel
from wilsonvox.voxels.specification import ImageSpecification

Array = NDArray[np.float64]


def prepare(
    model: DecayModel,
    image: ImageSpecification,
    coefficients: tuple[str, ...],
    settings: EventSettings,
) -> dict[str, Array]:
    """Compute the arrays: one scale per coefficient, the upper limit of the fitted shift."""
    assert model.q2_min_gev2 < image.q2_max_gev2
    return {"scale": np.full(len(coefficients), settings.parameter_range[1])}


@dataclass
class Mean:
    """Toy fit."""

    scale: Array

    def estimate(self, events: Events) -> Estimate:
        """Return mean and error."""
        angle = events.cos_theta_mu.astype(np.float64)
        if not angle.any():
            nothing = np.full(len(self.scale), np.nan)
            return Estimate(nothing, nothing)
        error = np.std(angle) / np.sqrt(len(angle))
        return Estimate(self.scale * np.mean(angle), self.scale * error)


def estimator(arrays: Mapping[str, Array], metadata: PreparedMetadata, model: DecayModel) -> Mean:
    """Build the fit from the arrays of a file."""
    assert len(arrays["scale"]) == len(metadata.coefficients)
    assert model.inputs.name == metadata.physics_inputs
    return Mean(arrays["scale"])
