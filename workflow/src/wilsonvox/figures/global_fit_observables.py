"""Observables by bin of q²: measured, predicted without shifts, and at the minimum of a fit."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from wilsonvox.errors import UserError
from wilsonvox.figures.style import BLACK, BLUE, DOUBLE_COLUMN, ORANGE, new_figure, styled
from wilsonvox.globalfit.fits import CoefficientFit
from wilsonvox.globalfit.observables import KINDS, Kind
from wilsonvox.globalfit.predictions import PredictionTable

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


def _panel(axes: Axes, kind: Kind, table: PredictionTable, fit: CoefficientFit) -> None:
    observables = table.observables
    standard = table(0.0, 0.0)[0]
    errors = np.sqrt(np.diag(table.theory_covariance))
    rows = [i for i, each in enumerate(observables.kinds) if each == kind]
    ends = []
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
        axes.hlines(fit.fitted[i].prediction, low, high, color=BLUE, linewidth=1.6, zorder=3)
        ends += [
            observables.values[i] - observables.errors_down[i],
            observables.values[i] + observables.errors_up[i],
            standard[i] - errors[i],
            standard[i] + errors[i],
            fit.fitted[i].prediction,
        ]
    axes.set_ylim(*_range(kind, ends))
    axes.set_ylabel(SYMBOLS[kind])
    axes.set_title(TITLES[kind], fontsize=7.5, loc="left", pad=3)


def _range(kind: Kind, ends: list[float]) -> tuple[float, float]:
    """Range of an axis: all that is drawn, but |P| ≤ 1.2, which a few errors exceed."""
    low, high = min(ends), max(ends)
    if kind in ("P1", "P2", "P4p", "P5p"):
        low, high = max(low, -1.2), min(high, 1.2)
    elif kind in ("BR_K0", "BR_Kstar0"):
        low = 0.0
    margin = 0.08 * (high - low)
    return (low if low == 0.0 else low - margin), high + margin


@styled
def draw(table: PredictionTable, fit: CoefficientFit) -> Figure:
    """Draw one panel for each kind of observable.

    The boxes are the predictions without shifts with the theory's errors. Errors of a few angular
    observables are longer than the axis, which ends at ±1.2.

    Args:
        table: predictions.
        fit: of the same set.

    Raises:
        UserError: the fit is of another set.
    """
    if [each.label for each in fit.fitted] != list(table.observables.labels):
        raise UserError(
            f"--fit: is of the set {fit.observables}, the table of {table.observables.name}; give "
            "a fit of this table"
        )
    kinds = [kind for kind in KINDS if kind in table.kinds]
    n_rows = -(-len(kinds) // COLUMNS)
    hadronic = "" if fit.hadronic == "none" else f", {fit.hadronic} hadronic polynomials"
    figure = new_figure(
        DOUBLE_COLUMN,
        0.55 + 1.75 * n_rows,
        f"{fit.observables}, {fit.n_observables} observables; {fit.version} $\\chi^2${hadronic}; "
        "predictions of flavio",
    )
    for index, kind in enumerate(kinds):
        axes = figure.add_subplot(n_rows, COLUMNS, index + 1)
        _panel(axes, kind, table, fit)
        axes.set_xlabel(r"$q^2$ [GeV$^2$]")
    at_zero, point = fit.points[0].chi_squared, f"({fit.c9:.2f}, {fit.c10:.2f})"
    handles = [
        Line2D([], [], marker="o", color=BLACK, markersize=2.5, label="measured"),
        Patch(
            facecolor=ORANGE, alpha=0.55, edgecolor=ORANGE,
            label=rf"Standard Model with theory errors: $\chi^2$ = {at_zero:.1f}",
        ),
        Line2D(
            [], [], color=BLUE, linewidth=1.6,
            label=rf"$(\delta C_9, \delta C_{{10}})$ = {point.replace('-', '−')}: "
            rf"$\chi^2$ = {fit.chi_squared:.1f}",
        ),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1.4)
    return figure
