"""Angular distribution of the events in an image of one or both flavours.

With the angles of the positive lepton, J_5, J_6s, J_8 and J_9 of an anti-B0 change sign relative to
those of the CP-conjugate angles (arXiv:0811.1214, section 3). In an image of both flavours they
cancel.
"""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.angular import NAMES
from wilsonvox.voxels.specification import ImageSpecification

POSITIVE_LEPTON_SIGNS = np.array([-1.0 if name in ("5", "6s", "8", "9") else 1.0 for name in NAMES])
"""Signs of the J_i of an anti-B0 with the angles of its positive lepton, shape (11,)."""


def image_distribution(image: ImageSpecification) -> tuple[int, NDArray[np.float64]]:
    """Return the flavour whose angular distribution the image follows and the factor of each J_i.

    Both flavours of a mixed image are equally frequent and decay with equal shifts
    (`generation.antiparticle_shifts`), so that each J_i is the mean of both.

    Returns:
        +1 for B0 or −1 for anti-B0, and the factors, float64 of shape (11,).
    """
    conjugate = image.antiparticle_angles == "conjugate"
    own = np.ones(len(NAMES))
    signs = own if conjugate else POSITIVE_LEPTON_SIGNS
    return {"B0": (1, own), "B0bar": (-1, signs), "both": (1, (own + signs) / 2)}[image.flavour]
