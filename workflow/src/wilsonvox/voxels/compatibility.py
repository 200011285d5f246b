"""Whether images and what reads them are of one decay: its leptons, and antiparticles' shifts."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError


def check_lepton(
    source: str | os.PathLike[str], found: str | None, other: str, expected: str | None
) -> None:
    """Refuse decays to another lepton than the expected one, where both are known.

    A muon's mass changes the angular distribution at small q2, so that the shifts measured of
    decays to electrons would be wrong.

    Args:
        source: file of the decays, for the message.
        found: ``muon`` or ``electron``; None where it is not known.
        other: what expects other decays, for the message.
        expected: as `found`.

    Raises:
        UserError: both are known and differ.
    """
    if found is not None and expected is not None and found != expected:
        raise UserError(
            f"{source}: is of decays to {found}s, {other} of decays to {expected}s; give both of "
            "the same lepton"
        )


def antiparticle_warning(
    found: str | None,
    expected: str | None,
    flavour: str,
    shifts: NDArray[np.complex128],
    coefficients: Sequence[str],
) -> str | None:
    """What is to be said where imaginary parts of shifts have another sign in two conventions.

    They have for B0: the shifts of an anti-B0 are those given in both conventions.

    Args:
        found: ``equal`` or ``conjugate``, of the sample; None where it is not known.
        expected: of the estimator.
        flavour: ``B0``, ``B0bar`` or ``both``, of the images.
        shifts: of the images, any shape; NaN where they are not known.
        coefficients: names of the estimated shifts.
    """
    if found is None or expected is None or found == expected or flavour == "B0bar":
        return None
    estimated = any(name.endswith("_imaginary") for name in coefficients)
    if not estimated and not np.any(np.nan_to_num(shifts).imag):
        return None
    return (
        f"the sample was generated with antiparticle shifts '{found}', the estimator is for "
        f"'{expected}': imaginary parts of the shifts have the opposite sign"
    )
