"""Points of a Sobol sequence in a box of shifts, and their labels.

The label of such a point, ``sobol_0017``, contains its number in the sequence. Its shifts follow
from the box in the configuration.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wilsonvox.theory.points import COEFFICIENTS

MOST_POINTS = 2**20
"""Largest number of points of the sequence."""


def sampled_label(number: int) -> str:
    """Return the label of a point of the sequence, with four digits or more.

    >>> sampled_label(17)
    'sobol_0017'
    """
    return f"sobol_{number:04d}"


def sobol_sequence(dimensions: int, number: int, first: int = 0) -> NDArray[np.float64]:
    """Return points of the Sobol sequence in the unit cube, float64 of shape (number, dimensions).

    Args:
        dimensions: dimension of the cube.
        number: number of points.
        first: index of the first point in the sequence.
    """
    from scipy.stats import qmc

    exponent = (first + number - 1).bit_length()
    points = qmc.Sobol(dimensions, scramble=False).random_base2(exponent)
    return np.asarray(points[first : first + number])


def sobol_points(
    box: Mapping[str, tuple[float, float]], number: int, first: int = 0
) -> list[dict[str, float]]:
    """Return points of the Sobol sequence in a box, in the order of the sequence.

    The sequence is that of S. Joe and F. Y. Kuo, SIAM J. Sci. Comput. 30 (2008) 2635, without
    scrambling. Point n of a box does not depend on a seed, on the number of points or on the
    version of the library, so that adding points does not change earlier ones. Point 0 is the lower
    corner of the box, point 1 its centre; 2^m points starting at a multiple of 2^m fill it evenly.

    Args:
        box: lower and upper end of each shift (dimensionless), by coefficient.
        number: number of points.
        first: index of the first point in the sequence.

    Returns:
        Shifts by coefficient, in the order of `wilsonvox.theory.points.COEFFICIENTS`.

    >>> sobol_points({"c9": (-2.0, 1.0)}, 3)
    [{'c9': -2.0}, {'c9': -0.5}, {'c9': 0.25}]
    """
    names = [name for name in COEFFICIENTS if name in box]
    low, high = (np.array([box[name][end] for name in names]) for end in (0, 1))
    unit = sobol_sequence(len(names), number, first)
    return [dict(zip(names, map(float, row), strict=True)) for row in low + (high - low) * unit]
