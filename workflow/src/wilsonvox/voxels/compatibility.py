"""Check that sample and estimator describe the same decay (lepton, CP convention)."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError


def check_lepton(
    source: str | os.PathLike[str], actual: str | None, other: str, expected: str | None
) -> None:
    """Raise an error if the lepton of a sample differs from the expected one.

    The muon mass changes the angular distribution at small q2, so that shifts measured with the
    wrong lepton would be biased.

    Args:
        source: file of the sample, for the error message.
        actual: lepton of the sample, ``muon`` or ``electron``; None if unknown.
        other: name of the file or estimator that expects another lepton, for the error message.
        expected: expected lepton, ``muon`` or ``electron``; None if unknown.

    Raises:
        UserError: both leptons are known and differ.
    """
    if actual is not None and expected is not None and actual != expected:
        raise UserError(
            f"{source}: contains decays to {actual}s, not to {expected}s as {other}; "
            "use files with the same lepton"
        )


def antiparticle_warning(
    actual: str | None,
    expected: str | None,
    flavour: str,
    shifts: NDArray[np.complex128],
    coefficients: Sequence[str],
) -> str | None:
    """Return a warning if sample and estimator use different CP conventions for complex shifts.

    The imaginary parts of the shifts of a B0 have opposite signs in the two conventions; those of
    an anti-B0 are the same in both.

    Args:
        actual: convention of the sample, ``equal`` or ``conjugate``; None if unknown.
        expected: convention of the estimator; None if unknown.
        flavour: flavour of the images, ``B0``, ``B0bar`` or ``both``.
        shifts: complex shifts of the images, any shape; NaN if unknown.
        coefficients: names of the estimated parameters.

    Returns:
        The warning, or None if the conventions agree or do not matter.
    """
    if actual is None or expected is None or actual == expected or flavour == "B0bar":
        return None
    estimated = any(name.endswith("_imaginary") for name in coefficients)
    if not estimated and not np.any(np.nan_to_num(shifts).imag):
        return None
    return (
        f"the sample was generated with antiparticle shifts '{actual}', the estimator is for "
        f"'{expected}': imaginary parts of the shifts have the opposite sign"
    )
