"""Minimisation with iminuit, starting from a coarse scan, with Hesse and Minos errors."""

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SCAN_STEPS = 41
"""Points of a scan in one parameter."""
_SCAN_POINTS = 128
"""Points per parameter of a scan in several parameters."""
_STARTS = 4
"""Points of a scan in several parameters at which rough fits start."""
_ROUGH_CALLS = 400
"""Maximum number of function calls of a rough fit."""
_MINIMA = 3
"""Maximum number of minima of rough fits at which a fit starts."""
_ROUGH_EXCESS = 400.0
"""Height above the lowest minimum, in units of `errordef`, above which a rough one is ignored.

With 2,000 of 200,000 events, the difference of two minima is uncertain by up to half of it.
"""
_APART = 0.01
"""Minima closer than this in every parameter, relative to the range, are the same."""
_AT_LIMIT = 1e-3
"""A minimum closer than this to a limit, relative to the range, is at the limit."""
_STEP = 1e-5
"""Step in the shifts for second derivatives; accurate to 1e-7."""


class Objective(Protocol):
    """Function to minimise: −ln L (`errordef` 0.5) or χ² (1) of k parameters, with its gradient."""

    @property
    def errordef(self) -> float:
        """Rise above the minimum at one standard deviation."""
        ...

    @property
    def n_parameters(self) -> int:
        """Number of parameters, k."""
        ...

    def value(self, parameters: Array) -> float:
        """Return the value at one point, shape (k,)."""
        ...

    def gradient(self, parameters: Array) -> Array:
        """Return the derivatives at one point, shape (k,)."""
        ...

    def values(self, points: Array) -> Array:
        """Return the values at n points of shape (n, k), shape (n,)."""
        ...

    def rough(self) -> "Objective":
        """Return a faster approximation in the same units, to locate minima."""
        ...


def hessian(objective: Objective, parameters: Array) -> Array:
    """Compute second derivatives, shape (k, k), from finite differences of the gradient."""
    point, k = np.asarray(parameters, float), objective.n_parameters
    rows = [
        (objective.gradient(point + step) - objective.gradient(point - step)) / (2 * _STEP)
        for step in _STEP * np.eye(k)
    ]
    matrix = np.array(rows)
    return np.asarray((matrix + matrix.T) / 2)


@dataclass(frozen=True)
class Fit:
    """Result of a fit: the lowest minimum.

    values: float64, shape (k,)
    errors: float64, shape (k,), of the Hesse matrix
    covariance: float64, shape (k, k)
    minimum: value of the objective at the minimum
    minuit: iminuit's object at the minimum, for Minos

    All are NaN if there is no minimum inside the limits of the parameters.
    """

    values: Array
    errors: Array
    covariance: Array
    minimum: float
    minuit: Any = None

    @property
    def converged(self) -> bool:
        """True if there is a minimum."""
        return self.minuit is not None


def failed(k: int) -> Fit:
    """Return the result of a failed fit of k parameters: NaN."""
    return Fit(np.full(k, np.nan), np.full(k, np.nan), np.full((k, k), np.nan), float("nan"))


def _minuit(
    objective: Objective,
    start: Array,
    limits: tuple[float | None, float | None] = (None, None),
    calls: int | None = None,
) -> Any:
    """Run MIGRAD."""
    from iminuit import Minuit

    with warnings.catch_warnings():
        # iminuit warns that g2 is unused if a Hessian is given; MINUIT does call it where the
        # Hessian is not positive definite (iminuit 2.33)
        warnings.filterwarnings("ignore", "hessian overrides g2")
        # second derivatives are given, because MINUIT's numerical ones make errors too small by a
        # factor of two for strongly correlated parameters
        minuit = Minuit(
            objective.value,
            start,
            grad=objective.gradient,
            g2=lambda point: np.diag(hessian(objective, point)),
            hessian=lambda point: hessian(objective, point),
        )
    minuit.errordef = objective.errordef
    minuit.limits = [limits] * objective.n_parameters
    minuit.strategy = 0  # hesse follows
    minuit.print_level = -1  # the result reports failures
    minuit.migrad(ncall=calls)
    return minuit


def _scan_minima(rough: Objective, low: float, high: float) -> list[Array]:
    """Return the local minima of a scan in one parameter."""
    points = np.linspace(low, high, _SCAN_STEPS)
    padded = np.concatenate([[np.inf], rough.values(points[:, None]), [np.inf]])
    lowest = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] < padded[2:])
    return [points[[index]] for index in np.flatnonzero(lowest)]


def _search_minima(rough: Objective, low: float, high: float) -> list[Array]:
    """Return the lowest minima in several parameters, from rough fits.

    Rough fits start at the best point of a (deterministic) Halton sequence and the Standard Model,
    then at the best point farther from it than a quarter of the range, and so on.
    """
    from scipy.stats import qmc

    k = rough.n_parameters
    unit = qmc.Halton(k, scramble=False).random(_SCAN_POINTS * k)
    # half of the points in the central region, where most shifts are
    unit[1::2] = 0.5 + (unit[1::2] - 0.5) / 4
    points = np.concatenate([np.clip(np.zeros((1, k)), low, high), low + (high - low) * unit])
    values = rough.values(points)
    fits = []
    for _ in range(_STARTS):
        start = np.clip(points[np.argmin(values)], low + _STEP, high - _STEP)
        fits.append(_minuit(rough, start, (low, high), _ROUGH_CALLS))
        values[np.abs(points - start).max(axis=1) < (high - low) / 4] = np.inf
        if not np.isfinite(values).any():
            break
    fits.sort(key=lambda result: float(result.fval))
    kept: list[Array] = []
    for result in fits:
        minimum = np.array(result.values)
        near = any(np.all(np.abs(minimum - other) < _APART * (high - low)) for other in kept)
        too_high = result.fval > fits[0].fval + _ROUGH_EXCESS * rough.errordef
        if not near and not too_high:
            kept.append(minimum)
    return kept[:_MINIMA]


def minimise(objective: Objective, limits: tuple[float, float], start: Array | None = None) -> Fit:
    """Find the lowest minimum of an objective, with Hesse errors.

    The rate is of second degree in the shifts, so that there can be several minima: fits start at
    each minimum of a scan, and the lowest result is kept. The fit fails if the objective is lower
    at a limit.

    Args:
        objective: function to minimise.
        limits: lower and upper limit of every parameter.
        start: start values, shape (k,), instead of a scan.
    """
    low, high = limits
    if start is not None:
        starts = [start]
    elif objective.n_parameters == 1:
        starts = _scan_minima(objective.rough(), low, high)
    else:
        starts = _search_minima(objective.rough(), low, high)
    # without limits in MINUIT, whose parameter transformation distorts errors
    fits = [_minuit(objective, point) for point in starts]
    margin = _AT_LIMIT * (high - low)
    inside: list[Any] = []
    outside: list[Any] = []
    for result in fits:
        at_limit = any(value < low + margin or value > high - margin for value in result.values)
        (outside if at_limit else inside).append(result)
    inside = [result for result in inside if result.valid]
    if not inside:
        return failed(objective.n_parameters)
    best = min(inside, key=lambda result: float(result.fval))
    edges = [np.clip(np.array(result.values), low, high) for result in outside]
    if any(objective.value(edge) < best.fval for edge in edges):
        return failed(objective.n_parameters)
    best.hesse()
    if not best.valid:
        # MIGRAD's approximate matrix can underestimate the distance to the minimum for strongly
        # correlated parameters; with the Hesse matrix it continues
        best.strategy = 1
        best.migrad()
        best.hesse()
    values, errors = np.array(best.values), np.array(best.errors)
    if not (best.valid and best.accurate and np.all(np.isfinite(errors))):
        return failed(objective.n_parameters)
    return Fit(values, errors, np.array(best.covariance), float(best.fval), best)


def intervals(fit: Fit, level: float) -> Array:
    """Compute Minos intervals, profiling over all other parameters.

    Args:
        fit: result of `minimise`.
        level: confidence level of each interval, between 0 and 1, such as 0.68.

    Returns:
        float64 of shape (k, 2), lower and upper ends; NaN where Minos failed.
    """
    result = np.full((len(fit.values), 2), np.nan)
    if not fit.converged:
        return result
    fit.minuit.minos(cl=level)
    for index, error in enumerate(fit.minuit.merrors.values()):
        if error.lower_valid:
            result[index, 0] = fit.values[index] + error.lower
        if error.upper_valid:
            result[index, 1] = fit.values[index] + error.upper
    return result
