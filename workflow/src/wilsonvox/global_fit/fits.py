"""Fits of (δC9, δC10): minimum, Minos errors and contours, pulls, p-value."""

import os
from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import Field
from scipy.stats import chi2

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.global_fit.chi_squared import ChiSquared, Version
from wilsonvox.global_fit.hadronic import Hadronic, HadronicPolynomials
from wilsonvox.global_fit.predictions import PredictionTable
from wilsonvox.global_fit.profiling import profiled, profiled_coefficients
from wilsonvox.records.json_files import load_recorded, save_recorded
from wilsonvox.records.record import Record

LEVELS = (0.68, 0.95)
"""Confidence levels of the contours, of both shifts together."""

START = (-1.0, 0.0)
CONTOUR_POINTS = 48

PAPER_MINIMUM = (-0.92, 0.10)
"""(δC9, δC10) of the least χ², 30.67, in the training set of Partida and Masjuan."""


class ChiSquaredAt(StrictModel):
    """χ² at one point of the (δC9, δC10) plane, hadronic coefficients profiled."""

    c9: float
    c10: float
    chi_squared: float


class MinosError(StrictModel):
    """Interval of one shift at Δχ² = 1, the other shift free (68 %)."""

    down: float = Field(description="negative")
    up: float


class Contour(StrictModel):
    """Points (δC9, δC10) of a closed contour."""

    level: float = Field(description="confidence level of both shifts together")
    delta_chi_squared: float
    c9: list[float]
    c10: list[float]


class FittedObservable(StrictModel):
    """One observable at the minimum."""

    label: str = Field(description="kind and bin [GeV²]")
    value: float = Field(description="as measured; branching ratios in 1e-8 per GeV²")
    prediction: float = Field(description="at the minimum, hadronic polynomials included")
    pull: float = Field(description="(prediction − value)/error, without correlations")
    pull_without_shifts: float = Field(description="the same at (0, 0)")


class CoefficientFit(StrictModel):
    """What `wilsonvox global-fit fit` writes."""

    observables: str = Field(description="name of the set")
    version: Version = Field(description="of the χ²")
    hadronic: Hadronic
    c9: float
    c10: float
    chi_squared: float = Field(description="at the minimum")
    n_observables: int
    n_parameters: int = Field(
        description="the two shifts and the hadronic coefficients that are not at an end of their "
        "range"
    )
    p_value: float = Field(description="of χ² with n_observables − n_parameters")
    p_value_without_shifts: float = Field(description="of χ² at (0, 0) with n_observables")
    minos: dict[str, MinosError]
    correlation: float = Field(description="of both shifts, from the second derivatives")
    contours: list[Contour]
    points: list[ChiSquaredAt] = Field(description="χ² at (0, 0) and at the points asked for")
    hadronic_coefficients: dict[str, float] = Field(description="at the minimum")
    hadronic_at_limit: list[str] = Field(description="of these, those at an end of their range")
    fitted: list[FittedObservable]
    provenance: Record | None = None

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as JSON with `record` under the key `provenance`, atomically."""
        save_recorded(self, path, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: no such file, or another kind of file.
        """
        return load_recorded(cls, path, "a fit of (C9, C10) (.json)")


def fit_coefficients(
    table: PredictionTable,
    version: Version,
    hadronic: Hadronic = "none",
    half_widths: Sequence[float] | None = None,
    points: Sequence[tuple[float, float]] = (PAPER_MINIMUM,),
    levels: Sequence[float] = LEVELS,
) -> CoefficientFit:
    """Fit δC9 and δC10 with Minuit; the hadronic coefficients are profiled at each point.

    Args:
        table: predictions of a set of observables.
        version: of the χ².
        hadronic: the polynomials added to the predictions.
        half_widths: of the coefficients' ranges; the paper's if not given.
        points: (δC9, δC10) at which χ² is told beside (0, 0).
        levels: of the contours.

    Raises:
        UserError: Minuit finds no valid minimum.
    """
    from iminuit import Minuit

    chosen = {} if half_widths is None else {"half_widths": half_widths}
    polynomials = HadronicPolynomials.of(hadronic, table.observables, **chosen)
    chi_squared = ChiSquared(table, version, polynomials)
    minuit = Minuit(lambda c9, c10: profiled(chi_squared, c9, c10), c9=START[0], c10=START[1])
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.strategy = 2
    minuit.migrad()
    if not minuit.valid:
        raise UserError(
            f"{table.observables.name}: no minimum of χ² ({version}, hadronic {hadronic}) was "
            "found near (−1, 0)"
        )
    minuit.minos()
    c9, c10 = float(minuit.values["c9"]), float(minuit.values["c10"])
    coefficients = profiled_coefficients(chi_squared, c9, c10)
    contours = []
    for level in levels:
        curve = minuit.mncontour("c9", "c10", cl=level, size=CONTOUR_POINTS)
        contours.append(
            Contour(
                level=level,
                delta_chi_squared=float(chi2.ppf(level, 2)),
                c9=curve[:, 0].tolist(),
                c10=curve[:, 1].tolist(),
            )
        )
    least = profiled(chi_squared, c9, c10)
    at_zero = profiled(chi_squared, 0.0, 0.0)
    at_limit = np.abs(coefficients) > polynomials.half_widths * (1 - 1e-9)
    # what a limit holds is not free: so counts a least-squares fit with bounds its parameters
    n, n_parameters = chi_squared.n_observables, 2 + int((~at_limit).sum())
    predictions = chi_squared.predictions(c9, c10, coefficients)[0]
    pulls = chi_squared.pulls(c9, c10, coefficients)[0]
    pulls_at_zero = chi_squared.pulls(0.0, 0.0)[0]
    rows = zip(
        table.observables.labels,
        chi_squared.values.tolist(),
        predictions.tolist(),
        pulls.tolist(),
        pulls_at_zero.tolist(),
        strict=True,
    )
    return CoefficientFit(
        observables=table.observables.name,
        version=version,
        hadronic=hadronic,
        c9=c9,
        c10=c10,
        chi_squared=least,
        n_observables=n,
        n_parameters=n_parameters,
        p_value=float(chi2.sf(least, n - n_parameters)),
        p_value_without_shifts=float(chi2.sf(at_zero, n)),
        minos={
            name: MinosError(down=minuit.merrors[name].lower, up=minuit.merrors[name].upper)
            for name in ("c9", "c10")
        },
        correlation=float(minuit.covariance.correlation()["c9", "c10"]),
        contours=contours,
        points=[
            ChiSquaredAt(c9=x, c10=y, chi_squared=profiled(chi_squared, x, y))
            for x, y in [(0.0, 0.0), *points]
        ],
        hadronic_coefficients=dict(zip(polynomials.names, coefficients.tolist(), strict=True)),
        hadronic_at_limit=[
            name for name, there in zip(polynomials.names, at_limit, strict=True) if there
        ],
        fitted=[
            FittedObservable(
                label=label, value=value, prediction=found, pull=pull, pull_without_shifts=before
            )
            for label, value, found, pull, before in rows
        ],
    )
