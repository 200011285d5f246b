"""Points in the space of Wilson-coefficient shifts, and their labels.

A point is a set of shifts δC_i = C_i(BSM) − C_i(SM). Its label is what stands in paths and on
command lines: ``c9_-0.90``, or ``c7_+0.05__c9_-0.90`` for several, ``c9p_+0.50`` for primes.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from wilsonvox.errors import UserError

COEFFICIENTS = ("c7", "c9", "c10", "c7p", "c9p", "c10p")
"""Names of the six shifts, in the order of every array of shifts."""

SPLITS = ("train", "validation", "test", "interpolation")
"""Uses of a campaign; no point of `interpolation` has training images."""

_TERM = re.compile(
    rf"({'|'.join(sorted(COEFFICIENTS, key=len, reverse=True))})_([+-]\d+\.\d{{2,}})"
)


def _format_shift(value: float) -> str:
    decimal = Decimal(repr(float(value) + 0.0))
    exponent = decimal.normalize().as_tuple().exponent
    decimals = max(2, -exponent if isinstance(exponent, int) else 2)
    return f"{decimal:+.{decimals}f}"


def point_label(shifts: Mapping[str, float]) -> str:
    """Label of a point, such as ``c9_-0.90``: sign always, two decimals or more.

    >>> point_label({"c9": -0.9})
    'c9_-0.90'
    >>> point_label({"c9": -0.9, "c7": 0.05})
    'c7_+0.05__c9_-0.90'

    Raises:
        UserError: an unknown coefficient, or no coefficient at all.
    """
    unknown = set(shifts) - set(COEFFICIENTS)
    if unknown or not shifts:
        raise UserError(
            f"point {dict(shifts)}: unknown coefficient {sorted(unknown)}; "
            f"known are {', '.join(COEFFICIENTS)}"
            if unknown
            else "a point needs at least one coefficient, such as c9: -0.9"
        )
    return "__".join(
        f"{name}_{_format_shift(shifts[name])}" for name in COEFFICIENTS if name in shifts
    )


def parse_point(label: str) -> dict[str, float]:
    """Shifts of a grid label, the inverse of `point_label`.

    >>> parse_point("c9_-0.90")
    {'c9': -0.9}

    Raises:
        UserError: the label is malformed.
    """
    matches = [_TERM.fullmatch(term) for term in label.split("__")]
    shifts = {match[1]: float(match[2]) for match in matches if match is not None}
    if len(shifts) != len(matches) or point_label(shifts) != label:
        raise UserError(
            f"point {label!r}: not a point label; write coefficient, sign and at least two "
            f"decimals, such as c9_-0.90 (coefficients: {', '.join(COEFFICIENTS)})"
        )
    return shifts


def shift_vector(shifts: Mapping[str, float]) -> NDArray[np.complex128]:
    """The six shifts, complex128 of shape (6,), in the order of `COEFFICIENTS`."""
    return np.array([shifts.get(name, 0.0) for name in COEFFICIENTS], dtype=np.complex128)
