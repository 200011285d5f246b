"""Points in the space of Wilson-coefficient shifts, and their labels.

A point is a set of complex shifts δC_i = C_i(BSM) − C_i(SM). Its label is used in paths and on
command lines: ``c9_-0.90``, or ``c7_+0.05__c9_-0.90`` for several shifts, ``c9p_+0.50`` for primed
coefficients, ``c9_-0.90+0.30i`` with an imaginary part. The label of a sampled point,
``sobol_0017``, does not contain its shifts (`wilsonvox.theory.sobol`).
"""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError

COEFFICIENTS = ("c7", "c9", "c10", "c7p", "c9p", "c10p")
"""Names of the six shifts, in the order of every array of shifts."""

PARAMETERS = (*COEFFICIENTS, *(f"{name}_imaginary" for name in COEFFICIENTS))
"""Names of the twelve real parameters: real parts under the bare name, then imaginary parts."""

SPLITS = ("train", "validation", "test", "interpolation")
"""Uses of a campaign. Points of the split `interpolation` have no training images."""

_NUMBER = r"[+-]\d+\.\d{2,}"
_TERM = re.compile(
    rf"({'|'.join(sorted(COEFFICIENTS, key=len, reverse=True))})_({_NUMBER})(?:({_NUMBER})i)?"
)
_SAMPLED = re.compile(r"sobol_\d{4,}")


def _format_real(value: float) -> str:
    decimal = Decimal(repr(float(value) + 0.0))
    exponent = decimal.normalize().as_tuple().exponent
    decimals = max(2, -exponent if isinstance(exponent, int) else 2)
    return f"{decimal:+.{decimals}f}"


def _format_shift(value: complex) -> str:
    number = complex(value)
    imaginary = f"{_format_real(number.imag)}i" if number.imag else ""
    return _format_real(number.real) + imaginary


def _simplest(value: complex) -> float | complex:
    """Convert to float if the imaginary part is zero."""
    number = complex(value)
    return number if number.imag else number.real


def parse_shift(text: str) -> float | complex:
    """Parse one shift, with the imaginary unit i; the result is a float if it is real.

    >>> parse_shift("-0.9+0.3i")
    (-0.9+0.3j)

    Raises:
        UserError: `text` is not a finite number.
    """
    try:
        number = complex(text.strip().replace(" ", "").replace("i", "j"))
        if not np.isfinite(number) or "j" in text or "nan" in text.lower():
            raise ValueError
    except ValueError:
        raise UserError(f"shift {text!r}: not a number such as -0.9 or -0.9+0.3i") from None
    return _simplest(number)


def point_label(shifts: Mapping[str, complex]) -> str:
    """Return the label of a point, such as ``c9_-0.90``, with signs and at least two decimals.

    A non-zero imaginary part follows the real part and ends with an i.

    >>> point_label({"c9": -0.9})
    'c9_-0.90'
    >>> point_label({"c9": -0.9, "c7": 0.05})
    'c7_+0.05__c9_-0.90'
    >>> point_label({"c9": -0.9 + 0.3j})
    'c9_-0.90+0.30i'

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


def is_sampled(label: str) -> bool:
    """Return whether a label is that of a sampled point, such as ``sobol_0017``."""
    return _SAMPLED.fullmatch(label) is not None


def parse_point(label: str) -> dict[str, float | complex]:
    """Parse the label of a grid point, the inverse of `point_label`; real shifts are floats.

    >>> parse_point("c9_-0.90")
    {'c9': -0.9}

    Raises:
        UserError: the label is malformed or that of a sampled point.
    """
    if is_sampled(label):
        raise UserError(
            f"point {label!r}: the label of a sampled point does not contain its shifts; write "
            "them out, such as c9_-0.90"
        )
    matches = [_TERM.fullmatch(term) for term in label.split("__")]
    shifts = {
        match[1]: _simplest(complex(float(match[2]), float(match[3] or 0)))
        for match in matches
        if match is not None
    }
    if len(shifts) != len(matches) or point_label(shifts) != label:
        raise UserError(
            f"point {label!r}: not a point label; write coefficient, sign and at least two "
            f"decimals, such as c9_-0.90 (coefficients: {', '.join(COEFFICIENTS)})"
        )
    return shifts


def shift_vector(shifts: Mapping[str, complex]) -> NDArray[np.complex128]:
    """Return the six shifts as complex128 of shape (6,), in the order of `COEFFICIENTS`."""
    return np.array([shifts.get(name, 0.0) for name in COEFFICIENTS], dtype=np.complex128)


def parameter_values(
    shifts: NDArray[np.complex128], names: Sequence[str] = PARAMETERS
) -> NDArray[np.float64]:
    """Return the values of real parameters, float64 of shape (…, len(names)).

    Args:
        shifts: complex128 of shape (…, 6), in the order of `COEFFICIENTS`.
        names: parameters, from `PARAMETERS`.

    >>> parameter_values(shift_vector({"c9": -0.9 + 0.3j}), ["c9", "c9_imaginary"])
    array([-0.9,  0.3])
    """
    vector = np.asarray(shifts)
    both = np.concatenate([vector.real, vector.imag], axis=-1)
    return np.asarray(both[..., [PARAMETERS.index(name) for name in names]])


def set_parameter(shifts: MutableMapping[str, complex], name: str, value: float) -> None:
    """Set one real parameter from `PARAMETERS` in a mapping of shifts by coefficient.

    >>> shifts = {"c9": -0.9}
    >>> set_parameter(shifts, "c9_imaginary", 0.3)
    >>> shifts
    {'c9': (-0.9+0.3j)}
    """
    index = PARAMETERS.index(name)
    coefficient = COEFFICIENTS[index % len(COEFFICIENTS)]
    number = complex(shifts.get(coefficient, 0.0))
    new = complex(value, number.imag) if index < len(COEFFICIENTS) else complex(number.real, value)
    shifts[coefficient] = _simplest(new)
