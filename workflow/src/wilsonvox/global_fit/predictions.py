"""Table of predictions for a set of observables as functions of the shifts of C9 and C10.

Rates and angular coefficients are quadratic in the Wilson coefficients and the shifts are real, so
every integral over a q² bin is exactly c · φ(C9, C10) with the six functions φ of
`shift_functions`. An observable is N/√(D₁ D₂): D₁ = D₂ is the denominator of a ratio, D₁ ≠ D₂ for
P4′ and P5′ (arXiv:1303.5794), and D₁ = D₂ = 1 for a branching ratio.
"""

import os
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.global_fit.observables import Kind, ObservableSet
from wilsonvox.records.digests import KEY, digest_arrays
from wilsonvox.records.record import Record

Array = NDArray[np.float64]

N_FUNCTIONS = 6
_CHUNK = 16384


def shift_functions(c9: ArrayLike, c10: ArrayLike) -> Array:
    """Evaluate the monomials 1, C9, C10, C9², C9 C10 and C10², float64, shape (n, 6).

    Args:
        c9: shifts δC9 for muons, shape (n,) or a number.
        c10: shifts δC10 for muons, shape (n,) or a number.
    """
    x, y = np.broadcast_arrays(
        np.atleast_1d(np.asarray(c9, np.float64)), np.atleast_1d(np.asarray(c10, np.float64))
    )
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


@dataclass(frozen=True)
class PredictionTable:
    """Predictions for a set of observables as functions of δC9 and δC10 for muons.

    Attributes:
        observables: the measured observables.
        coefficients: coefficients of N, D₁ and D₂, float64, shape (n_observables, 3, 6).
        theory_covariance: covariance of the predictions at (0, 0) in the units of the observables,
            float64, shape (n_observables, n_observables).
        n_draws: draws of the theory parameters from which the covariance was computed.
    """

    observables: ObservableSet
    coefficients: Array
    theory_covariance: Array
    n_draws: int

    def __call__(self, c9: ArrayLike, c10: ArrayLike) -> Array:
        """Predict the observables, float64, shape (n, n_observables).

        Predictions are dimensionless, except branching ratios, which are in 1e-8 per GeV².

        Args:
            c9: δC9, shape (n,) or a number.
            c10: δC10, shape (n,) or a number.
        """
        functions = shift_functions(c9, c10)
        flat = self.coefficients.reshape(-1, N_FUNCTIONS).T
        predicted = np.empty((len(functions), len(self.coefficients)))
        for start in range(0, len(functions), _CHUNK):
            part = functions[start : start + _CHUNK] @ flat
            numerator, first, second = np.moveaxis(part.reshape(len(part), -1, 3), -1, 0)
            predicted[start : start + _CHUNK] = numerator / np.sqrt(first * second)
        return predicted

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kind of each observable."""
        return self.observables.kinds

    @property
    def q2_centres_gev2(self) -> Array:
        """Centre of each q² bin [GeV²], float64, shape (n_observables,)."""
        return self.observables.q2_centres_gev2

    @property
    def n_observables(self) -> int:
        """Number of observables."""
        return len(self.coefficients)

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as ``.npz``, record included, atomically."""
        arrays = {
            "observables": np.array(self.observables.model_dump_json()),
            "coefficients": self.coefficients,
            "theory_covariance": self.theory_covariance,
            "n_draws": np.array(self.n_draws),
        }
        full = record.model_copy(update={"content_digest": digest_arrays(arrays.items())})
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, allow_pickle=False, **arrays, **{KEY: np.array(full.to_json())})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a table that `save` wrote.

        Raises:
            UserError: the file does not exist or is not a table of predictions.
        """
        file = require_file(path, "a table of predictions (.npz)")
        try:
            # np.load does not close a damaged file when it raises
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                return cls(
                    ObservableSet.model_validate_json(str(content["observables"])),
                    content["coefficients"],
                    content["theory_covariance"],
                    int(content["n_draws"]),
                )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{file}: not a table of `wilsonvox global-fit tabulate`; delete it and run again"
            ) from error
