"""Predictions of a set of observables at any shifts of C9 and C10, from a table.

Every rate and every angular coefficient is quadratic in the Wilson coefficients, and the shifts
are real, so that what is integrated over a bin is exactly c · φ(C9, C10) with the six functions φ
of `shift_functions`. An observable is N/√(D₁ D₂): D₁ = D₂ is the denominator of a ratio, both
differ for the P′ (arXiv:1303.5794), and both are 1 for a branching ratio.
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
    """1, C9, C10, C9², C9 C10 and C10², float64, shape (n, 6).

    Args:
        c9: shifts δC9 of the muon's coefficient, shape (n,) or a number.
        c10: shifts δC10, likewise.
    """
    x, y = np.broadcast_arrays(
        np.atleast_1d(np.asarray(c9, np.float64)), np.atleast_1d(np.asarray(c10, np.float64))
    )
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


@dataclass(frozen=True)
class PredictionTable:
    """Predictions of the observables of a set, as functions of δC9 and δC10 of muons.

    observables: what was measured.
    coefficients: float64, shape (n_observables, 3, 6): of N, D₁ and D₂.
    theory_covariance: float64, (n_observables, n_observables), at (0, 0), in the units of the
        observables; from `n_draws` draws of the theory's parameters.
    """

    observables: ObservableSet
    coefficients: Array
    theory_covariance: Array
    n_draws: int

    def __call__(self, c9: ArrayLike, c10: ArrayLike) -> Array:
        """Predictions, float64, shape (n, n_observables).

        Dimensionless; of branching ratios in 1e-8 per GeV².

        Args:
            c9: δC9, shape (n,) or a number.
            c10: δC10, likewise.
        """
        functions = shift_functions(c9, c10)
        flat = self.coefficients.reshape(-1, N_FUNCTIONS).T
        found = np.empty((len(functions), len(self.coefficients)))
        for start in range(0, len(functions), _CHUNK):
            part = functions[start : start + _CHUNK] @ flat
            numerator, first, second = np.moveaxis(part.reshape(len(part), -1, 3), -1, 0)
            found[start : start + _CHUNK] = numerator / np.sqrt(first * second)
        return found

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kind of each observable."""
        return self.observables.kinds

    @property
    def q2_centres_gev2(self) -> Array:
        """Middle of each bin [GeV²], float64, shape (n_observables,)."""
        return self.observables.q2_centres_gev2

    @property
    def n_observables(self) -> int:
        """Number of observables."""
        return len(self.coefficients)

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as ``.npz`` with the record inside, atomically."""
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
        """Read what `save` wrote.

        Raises:
            UserError: no such file, or another kind of file.
        """
        found = require_file(path, "a table of predictions (.npz)")
        try:
            # np.load leaves a file open when it raises on a damaged one
            with found.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                return cls(
                    ObservableSet.model_validate_json(str(content["observables"])),
                    content["coefficients"],
                    content["theory_covariance"],
                    int(content["n_draws"]),
                )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{found}: not what `wilsonvox global-fit tabulate` writes; make it again"
            ) from error
