"""Which flavours an image is of, and which angles an anti-B0 has in it.

Events have the angles of their own decay (`wilsonvox.theory.kinematics`): those of an anti-B0 are
the CP-conjugate ones, of its negative lepton, so that without CP violation both flavours have one
distribution. With the angles of the positive lepton, which the papers' code takes for both
flavours, an anti-B0 has −cos_theta_mu and π − chi in their place.
"""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import Events
from wilsonvox.theory.particles import FLAVOURS
from wilsonvox.voxels.specification import ImageSpecification


def is_of(flavour: NDArray[np.integer], name: str) -> NDArray[np.bool_]:
    """Whether events belong to a flavour, ``B0``, ``B0bar`` or ``both``; shape (n,).

    Args:
        flavour: +1 for B0, −1 for anti-B0, shape (n,).
        name: of the flavour.
    """
    if name == "both":
        return np.isin(flavour, list(FLAVOURS.values()))
    return np.asarray(flavour == FLAVOURS[name])


def with_image_angles(events: Events, image: ImageSpecification) -> Events:
    """The events with the angles that they have in an image; themselves where none differs."""
    if image.antiparticle_angles == "conjugate":
        return events
    anti = events.flavour < 0
    turned = np.mod(np.pi - events.chi.astype(np.float64), 2 * np.pi)
    columns = {
        "cos_theta_mu": np.where(anti, -events.cos_theta_mu, events.cos_theta_mu),
        "chi": np.where(anti, turned, events.chi),
    }
    return Events.from_columns(events.columns() | columns)


def fitted_flavour(image: ImageSpecification) -> int:
    """The one flavour, +1 or −1, whose events of an image a fit of the decay model reads.

    Raises:
        UserError: the image is of both, or has other angles than the decay's own.
    """
    if image.flavour == "both" or image.antiparticle_angles != "conjugate":
        raise UserError(
            "a fit of the decay model reads events of one flavour with the angles of its own "
            f"decay, not images of flavour {image.flavour} with antiparticle_angles "
            f"{image.antiparticle_angles}; give it other images"
        )
    return FLAVOURS[image.flavour]
