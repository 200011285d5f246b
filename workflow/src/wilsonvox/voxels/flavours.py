"""Selection of events by flavour, and the angles of anti-B0 in images.

The angles of events are those of their own decay (`wilsonvox.theory.kinematics`). For an anti-B0
these are the CP-conjugate angles, which refer to the negative lepton, so that both flavours have
the same distribution without CP violation. With the angles of the positive lepton for both
flavours, as in the code of the papers, an anti-B0 has −cos_theta_mu and π − chi instead.
"""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import Events
from wilsonvox.theory.particles import FLAVOURS
from wilsonvox.voxels.specification import ImageSpecification


def flavour_mask(flavour: NDArray[np.integer], name: str) -> NDArray[np.bool_]:
    """Return the mask of events that belong to a flavour, bool of shape (n,).

    Args:
        flavour: +1 for B0, −1 for anti-B0, shape (n,).
        name: ``B0``, ``B0bar`` or ``both``.
    """
    if name == "both":
        return np.isin(flavour, list(FLAVOURS.values()))
    return np.asarray(flavour == FLAVOURS[name])


def with_image_angles(events: Events, image: ImageSpecification) -> Events:
    """Return the events with the angles used in an image (unchanged for conjugate angles)."""
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
    """Return the flavour, +1 or −1, of the events that a fit of the decay model reads.

    Raises:
        UserError: the image has both flavours, or angles other than those of the decay itself.
    """
    if image.flavour == "both" or image.antiparticle_angles != "conjugate":
        raise UserError(
            "a fit of the decay model reads events of one flavour with the angles of its own "
            f"decay, not images of flavour {image.flavour} with antiparticle_angles "
            f"{image.antiparticle_angles}; give it other images"
        )
    return FLAVOURS[image.flavour]
