"""What the figures of summaries share: reading, choosing rows, and the papers' markers."""

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
"""Black circles: true values that the estimator was trained with."""
INTERPOLATED: dict[str, Any] = {
    "marker": "x",
    "color": CROSS,
    "linestyle": "none",
    "markersize": 4.8,
    "markeredgewidth": 1.2,
    "elinewidth": 0.9,
}
"""Red crosses: true values of which no image was in training."""


@dataclass(frozen=True)
class Summary:
    """One estimator's summary of one coefficient, rows in the order of the true values.

    coefficient: which shift
    frame: columns of `SUMMARY_COLUMNS` (all dimensionless)
    metadata: the estimator's name, image specification and physics inputs
    """

    coefficient: str
    frame: pd.DataFrame
    metadata: TableMetadata

    def column(self, name: str) -> NDArray[np.float64]:
        """A column as float64, shape (n_points,)."""
        return self.frame[name].to_numpy(dtype=np.float64)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether each point was seen in training, shape (n_points,)."""
        return self.frame["seen_in_training"].to_numpy(dtype=np.bool_)


def read(path: str | os.PathLike[str], coefficient: str) -> Summary:
    """Read the rows of `coefficient` from a summary.

    Raises:
        UserError: not a summary, or without that coefficient.
    """
    frame, metadata = read_table(path, SUMMARY_COLUMNS)
    wanted = frame[frame["coefficient"] == coefficient].sort_values("true", kind="stable")
    if wanted.empty:
        raise UserError(f"{path}: no row of {coefficient} in this summary")
    return Summary(coefficient, wanted.reset_index(drop=True), metadata)


def padded(low: float, high: float, fraction: float = 0.06) -> tuple[float, float]:
    """Axis limits around [low, high] with a margin of `fraction` of their distance."""
    margin = fraction * (high - low) or 0.1
    return low - margin, high + margin


def finite(values: Sequence[Any]) -> NDArray[np.float64]:
    """All finite numbers of several arrays, as one float64 array of shape (n,)."""
    joined = np.concatenate([np.ravel(np.asarray(each, dtype=np.float64)) for each in values])
    kept: NDArray[np.float64] = joined[np.isfinite(joined)]
    return kept
