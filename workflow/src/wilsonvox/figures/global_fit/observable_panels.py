"""Common panels of figures of observables in q² bins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from wilsonvox.figures.style import BLACK, DOUBLE_COLUMN, ORANGE, new_figure
from wilsonvox.global_fit.observables import KINDS, Kind
from wilsonvox.global_fit.predictions import PredictionTable

SYMBOLS: dict[Kind, str] = {
    "P1": r"$\langle P_1\rangle$",
    "P2": r"$\langle P_2\rangle$",
    "P4p": r"$\langle P_4^{\,\prime}\rangle$",
    "P5p": r"$\langle P_5^{\,\prime}\rangle$",
    "BR_K0": r"$10^{8}\,d\mathcal{B}/dq^2$ [GeV$^{-2}$]",
    "BR_Kstar0": r"$10^{8}\,d\mathcal{B}/dq^2$ [GeV$^{-2}$]",
    "R_K": r"$R_K$",
    "R_Kstar": r"$R_{K^{*0}}$",
}
TITLES: dict[Kind, str] = {
    "P1": r"$B^0\to K^{*0}\mu\mu$",
    "P2": r"$B^0\to K^{*0}\mu\mu$",
    "P4p": r"$B^0\to K^{*0}\mu\mu$",
    "P5p": r"$B^0\to K^{*0}\mu\mu$",
    "BR_K0": r"$B^0\to K^0\mu\mu$",
    "BR_Kstar0": r"$B^0\to K^{*0}\mu\mu$",
    "R_K": r"$B^+\to K^+\ell\ell$",
    "R_Kstar": r"$B^0\to K^{*0}\ell\ell$",
}

COLUMNS = 4


@dataclass(frozen=True)
class Prediction:
    """Predictions, drawn as a horizontal line in each bin.

    Attributes:
        values: predictions, float64 of shape (n_observables,).
        label: label in the legend.
        colour: colour of the lines.
        style: style of the lines.
    """

    values: NDArray[np.float64]
    label: str
    colour: str
    style: Literal["-", "--"] = "-"


def _panel(
    axes: Axes, kind: Kind, table: PredictionTable, predictions: Sequence[Prediction]
) -> None:
    observables = table.observables
    standard = table(0.0, 0.0)[0]
    errors = np.sqrt(np.diag(table.theory_covariance))
    rows = [i for i, row_kind in enumerate(observables.kinds) if row_kind == kind]
    ends: list[float] = []
    for i in rows:
        low, high = observables.measurements[i].q2_gev2
        centre = (low + high) / 2
        axes.add_patch(
            Rectangle(
                (low, standard[i] - errors[i]), high - low, 2 * errors[i],
                facecolor=ORANGE, alpha=0.55, edgecolor=ORANGE, linewidth=0.6,
            )
        )  # fmt: skip
        axes.errorbar(
            centre, observables.values[i],
            xerr=[[centre - low], [high - centre]],
            yerr=[[observables.errors_down[i]], [observables.errors_up[i]]],
            fmt="o", color=BLACK, markersize=2.5, linewidth=0.8,
        )  # fmt: skip
        for prediction in predictions:
            axes.hlines(
                prediction.values[i], low, high,
                color=prediction.colour, linestyle=prediction.style, linewidth=1.6, zorder=3,
            )  # fmt: skip
        ends += [
            observables.values[i] - observables.errors_down[i],
            observables.values[i] + observables.errors_up[i],
            standard[i] - errors[i],
            standard[i] + errors[i],
            *(prediction.values[i] for prediction in predictions),
        ]
    axes.set_ylim(*_range(kind, ends))
    axes.set_ylabel(SYMBOLS[kind])
    axes.set_title(TITLES[kind], fontsize=7.5, loc="left", pad=3)
    axes.set_xlabel(r"$q^2$ [GeV$^2$]")


def _range(kind: Kind, ends: list[float]) -> tuple[float, float]:
    """Range of an axis: all errors and predictions, but |P| ≤ 1.2, which a few errors exceed."""
    low, high = min(ends), max(ends)
    if kind in ("P1", "P2", "P4p", "P5p"):
        low, high = max(low, -1.2), min(high, 1.2)
    elif kind in ("BR_K0", "BR_Kstar0"):
        low = 0.0
    margin = 0.08 * (high - low)
    return (low if low == 0.0 else low - margin), high + margin


def point_label(c9: float, c10: float) -> str:
    """Format (δC9, δC10) for a legend."""
    # + 0.0 avoids −0.00
    values = f"({round(c9, 2) + 0.0:.2f}, {round(c10, 2) + 0.0:.2f})"
    return r"$(\delta C_9, \delta C_{10})$ = " + values.replace("-", "−")


def draw_panels(
    table: PredictionTable,
    chi_squared_at_zero: float,
    predictions: Sequence[Prediction],
    note: str,
    columns: int = 3,
) -> Figure:
    """Draw one panel per kind of observable: measurements, SM predictions and other predictions.

    Boxes are the Standard Model predictions with theory uncertainties. The errors of a few angular
    observables exceed the range of the axis, ±1.2.

    Args:
        table: table of predictions.
        chi_squared_at_zero: χ² without shifts, for the legend.
        predictions: predictions that are drawn as lines.
        note: note at the foot of the figure.
        columns: number of columns of the legend.
    """
    kinds = [kind for kind in KINDS if kind in table.kinds]
    n_rows = -(-len(kinds) // COLUMNS)
    lines = -(-(2 + len(predictions)) // columns)
    figure = new_figure(DOUBLE_COLUMN, 0.37 + 0.18 * lines + 1.75 * n_rows, note)
    for index, kind in enumerate(kinds):
        _panel(figure.add_subplot(n_rows, COLUMNS, index + 1), kind, table, predictions)
    handles = [
        Line2D([], [], marker="o", color=BLACK, markersize=2.5, label="data"),
        Patch(
            facecolor=ORANGE, alpha=0.55, edgecolor=ORANGE,
            label=rf"SM prediction: $\chi^2$ = {chi_squared_at_zero:.1f}",
        ),
        *(
            Line2D(
                [], [], color=prediction.colour, linestyle=prediction.style, linewidth=1.6,
                label=prediction.label,
            )
            for prediction in predictions
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.4)
    return figure
