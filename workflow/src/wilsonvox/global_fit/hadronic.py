"""Hadronic corrections as polynomials in q², added to the prediction of each bin.

A bin gets a0 + a1 q² + a2 q⁴ at its centre, in the unit of its observable, with |a0| ≤ 0.01,
|a1| ≤ 0.01/100 GeV⁻² and |a2| ≤ 0.01/1000 GeV⁻⁴: one triple for each kind of observable, or one for
all (Partida and Masjuan).
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
"""No polynomial, one for each kind of observable, one for all observables."""

HALF_WIDTHS = (1e-2, 1e-4, 1e-5)
"""Largest |a0|, |a1| [GeV⁻²] and |a2| [GeV⁻⁴]."""


@dataclass(frozen=True)
class HadronicPolynomials:
    """The polynomials of a set of observables.

    names: of the coefficients, such as ``a0_P5p``, or ``a0`` where they are shared.
    half_widths: float64, shape (n_coefficients,): the largest modulus of each.
    design_matrix: float64, (n_observables, n_coefficients): what each adds to each prediction, for
        a coefficient of 1.
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
        """The polynomials of `choice` for a set.

        Where they are independent, the coefficients stand kind by kind in the order of `KINDS`,
        those of kinds that the set lacks included.
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
