"""Common parts of figures of summaries: reading, selection of rows, marker styles."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, TableMetadata, read_table
from wilsonvox.figures.style import BLACK, CROSS

TRAINED: dict[str, Any] = {
    "marker": "o",
    "color": BLACK,
    "linestyle": "none",
    "markersize": 3.6,
    "elinewidth": 0.9,
}
"""Style of true values used in training: black circles, as in the papers."""
INTERPOLATED: dict[str, Any] = {
    "marker": "x",
    "color": CROSS,
    "linestyle": "none",
    "markersize": 4.8,
    "markeredgewidth": 1.2,
    "elinewidth": 0.9,
}
"""Style of true values not used in training: red crosses, as in the papers."""


@dataclass(frozen=True)
class Summary:
    """Summary of one estimator for one coefficient, sorted by the true values.

    Attributes:
        coefficient: the coefficient whose shift is estimated.
        frame: columns of `SUMMARY_COLUMNS` (all dimensionless).
        metadata: name of the estimator, image specification and physics inputs.
    """

    coefficient: str
    frame: pd.DataFrame
    metadata: TableMetadata

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column as float64, shape (n_points,)."""
        return self.frame[name].to_numpy(dtype=np.float64)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Mask of the points used in training, bool, shape (n_points,)."""
        return self.frame["seen_in_training"].to_numpy(dtype=np.bool_)


def read(path: str | os.PathLike[str], coefficient: str) -> Summary:
    """Read the rows of `coefficient` from a summary.

    Raises:
        UserError: the file is not a summary, or the coefficient is missing.
    """
    frame, metadata = read_table(path, SUMMARY_COLUMNS)
    wanted = frame[frame["coefficient"] == coefficient].sort_values("true", kind="stable")
    if wanted.empty:
        raise UserError(f"{path}: no row of {coefficient} in this summary")
    return Summary(coefficient, wanted.reset_index(drop=True), metadata)


def padded(low: float, high: float, fraction: float = 0.06) -> tuple[float, float]:
    """Compute axis limits around [low, high] with a margin of `fraction` of the range."""
    margin = fraction * (high - low) or 0.1
    return low - margin, high + margin


def finite(values: Sequence[Any]) -> NDArray[np.float64]:
    """Concatenate the finite values of several arrays, float64, shape (n,)."""
    joined = np.concatenate([np.ravel(np.asarray(array, dtype=np.float64)) for array in values])
    kept: NDArray[np.float64] = joined[np.isfinite(joined)]
    return kept
