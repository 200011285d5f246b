"""Fits of (δC9, δC10) with Minuit: minimum, Minos errors and contours, pulls, p-value."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy.stats import chi2

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.global_fit.chi_squared import ChiSquared, Version
from wilsonvox.global_fit.hadronic import Hadronic, HadronicPolynomials
from wilsonvox.global_fit.predictions import PredictionTable
from wilsonvox.global_fit.profiling import profiled, profiled_coefficients
from wilsonvox.records.json_files import RecordedResult
from wilsonvox.records.record import Record

LEVELS = (0.68, 0.95)
"""Confidence levels of the contours, for both shifts jointly."""

START = (-1.0, 0.0)
CONTOUR_POINTS = 48

PAPER_MINIMUM = (-0.92, 0.10)
"""(δC9, δC10) of the smallest χ², 30.67, in the training set of Partida and Masjuan."""


class ChiSquaredAt(StrictModel):
    """χ² at one point of the (δC9, δC10) plane, with the hadronic coefficients profiled."""

    c9: float
    c10: float
    chi_squared: float


class MinosError(StrictModel):
    """Errors of one shift at Δχ² = 1 (68 %), with the other shift profiled."""

    down: float = Field(description="negative")
    up: float


class Contour(StrictModel):
    """Points (δC9, δC10) on a closed contour."""

    level: float = Field(description="joint confidence level of the two shifts")
    delta_chi_squared: float
    c9: list[float]
    c10: list[float]


class FittedObservable(StrictModel):
    """Measured and fitted value of one observable."""

    label: str = Field(description="kind and bin [GeV²]")
    value: float = Field(description="measured value; branching ratios in 1e-8 per GeV²")
    prediction: float = Field(description="at the minimum, hadronic polynomials included")
    pull: float = Field(description="(prediction − value)/σ, without correlations")
    pull_without_shifts: float = Field(description="pull at (0, 0)")


class CoefficientFit(RecordedResult):
    """Result of `wilsonvox global-fit fit`."""

    file_description: ClassVar[str] = "a fit of (C9, C10) (.json)"

    observables: str = Field(description="name of the set of observables")
    version: Version = Field(description="version of the χ²")
    hadronic: Hadronic
    c9: float
    c10: float
    chi_squared: float = Field(description="χ² at the minimum")
    n_observables: int
    n_parameters: int = Field(
        description="the two shifts and the hadronic coefficients that are not at the limit of "
        "their range"
    )
    p_value: float = Field(description="for n_observables − n_parameters degrees of freedom")
    p_value_without_shifts: float = Field(
        description="of χ² at (0, 0), for n_observables degrees of freedom"
    )
    minos: dict[str, MinosError]
    correlation: float = Field(description="of the two shifts, from the Hessian matrix")
    contours: list[Contour]
    points: list[ChiSquaredAt] = Field(description="χ² at (0, 0) and at the requested points")
    hadronic_coefficients: dict[str, float] = Field(description="values at the minimum")
    hadronic_at_limit: list[str] = Field(description="coefficients at the limit of their range")
    fitted: list[FittedObservable]
    provenance: Record | None = None


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
        table: predictions for a set of observables.
        version: version of the χ².
        hadronic: hadronic polynomials that are added to the predictions.
        half_widths: half-widths of the ranges of the coefficients; by default those of the paper.
        points: (δC9, δC10) at which χ² is reported, in addition to (0, 0).
        levels: confidence levels of the contours.

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
    # coefficients at a limit are not free parameters
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
            name for name, limited in zip(polynomials.names, at_limit, strict=True) if limited
        ],
        fitted=[
            FittedObservable(
                label=label,
                value=value,
                prediction=prediction,
                pull=pull,
                pull_without_shifts=pull_at_zero,
            )
            for label, value, prediction, pull, pull_at_zero in rows
        ],
    )
