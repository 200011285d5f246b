"""Hadronic corrections: polynomials in q² that are added to the predictions.

The correction to a bin is a0 + a1 q² + a2 q⁴ at the bin centre, in the unit of the observable, with
|a0| ≤ 0.01, |a1| ≤ 0.01/100 GeV⁻² and |a2| ≤ 0.01/1000 GeV⁻⁴. The coefficients are independent for
each kind of observable or shared by all of them (Partida and Masjuan).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.observables import KINDS, Kind, ObservableSet

Array = NDArray[np.float64]

Hadronic = Literal["none", "independent", "shared"]
HADRONIC: tuple[Hadronic, ...] = get_args(Hadronic)
"""No polynomials, one polynomial per kind of observable, one polynomial for all observables."""

HALF_WIDTHS = (1e-2, 1e-4, 1e-5)
"""Upper limits of |a0|, |a1| [GeV⁻²] and |a2| [GeV⁻⁴]."""


@dataclass(frozen=True)
class HadronicPolynomials:
    """Hadronic polynomials of a set of observables.

    Attributes:
        names: names of the coefficients, such as ``a0_P5p``, or ``a0`` if they are shared.
        half_widths: upper limit of the modulus of each coefficient, float64, shape
            (n_coefficients,).
        design_matrix: derivative of each prediction with respect to each coefficient, float64,
            shape (n_observables, n_coefficients).
    """

    names: tuple[str, ...]
    half_widths: Array
    design_matrix: Array

    @classmethod
    def of(
        cls,
        choice: Hadronic,
        observables: ObservableSet,
        half_widths: Sequence[float] = HALF_WIDTHS,
    ) -> Self:
        """Make the polynomials of `choice` for a set of observables.

        Independent coefficients are ordered by kind as in `KINDS`, including kinds that the set
        does not contain.
        """
        q2 = observables.q2_centres_gev2
        powers = np.stack([np.ones_like(q2), q2, q2**2], axis=1)
        if choice == "none":
            return cls((), np.zeros(0), np.zeros((len(q2), 0)))
        if choice == "shared":
            return cls(("a0", "a1", "a2"), np.array(half_widths, float), powers)
        matrix = np.zeros((len(q2), len(KINDS), 3))
        for row, kind in enumerate(observables.kinds):
            matrix[row, KINDS.index(kind)] = powers[row]
        names = tuple(_name(i, kind) for kind in KINDS for i in range(3))
        widths = np.tile(np.array(half_widths, float), len(KINDS))
        return cls(names, widths, matrix.reshape(len(q2), -1))

    @property
    def n_coefficients(self) -> int:
        """Number of coefficients."""
        return len(self.names)


def _name(power: int, kind: Kind) -> str:
    return f"a{power}_{kind}"
