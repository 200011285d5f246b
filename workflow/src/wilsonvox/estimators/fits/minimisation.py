"""Minimisation with iminuit, from the best of a coarse scan, with Hesse and Minos errors."""

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SCAN_STEPS = 41
"""Points of a scan in one parameter."""
_SCAN_POINTS = 128
"""Points of a scan in each of several parameters."""
_STARTS = 4
"""Points of a scan in several parameters from which rough fits start."""
_ROUGH_CALLS = 400
"""Most calls of such a fit."""
_MINIMA = 3
"""Most minima of rough fits from which a fit starts."""
_ROUGH_EXCESS = 400.0
"""So much higher than the lowest, in units of `errordef`, is a minimum of a rough fit left out.

With 2,000 of 200,000 events, the difference of two minima is uncertain by up to half of it.
"""
_APART = 0.01
"""Minima closer than this in every parameter, in units of the range, are one."""
_AT_LIMIT = 1e-3
"""A minimum closer than this to a limit, in units of the range, is at the limit."""
_STEP = 1e-5
"""Step in the shifts for second derivatives; good to 1e-7."""


class Objective(Protocol):
    """What is minimised: −ln L (`errordef` 0.5) or χ² (1) of k parameters, with its gradient."""

    @property
    def errordef(self) -> float:
        """Rise above the minimum at one standard deviation."""
        ...

    @property
    def n_parameters(self) -> int:
        """Number of parameters, k."""
        ...

    def value(self, parameters: Array) -> float:
        """At one point, shape (k,)."""
        ...

    def gradient(self, parameters: Array) -> Array:
        """Derivatives at one point, shape (k,)."""
        ...

    def values(self, points: Array) -> Array:
        """At many points, shape (n, k) → (n,)."""
        ...

    def rough(self) -> "Objective":
        """About the same in the same units, but faster, to see where the minima are."""
        ...


def hessian(objective: Objective, parameters: Array) -> Array:
    """Second derivatives, shape (k, k), from differences of the gradient."""
    point, k = np.asarray(parameters, float), objective.n_parameters
    rows = [
        (objective.gradient(point + step) - objective.gradient(point - step)) / (2 * _STEP)
        for step in _STEP * np.eye(k)
    ]
    found = np.array(rows)
    return np.asarray((found + found.T) / 2)


@dataclass(frozen=True)
class Fit:
    """The lowest minimum that was found.

    values: float64, shape (k,)
    errors: float64, shape (k,), of the Hesse matrix
    covariance: float64, shape (k, k)
    minimum: value of the objective there

    All are NaN where no minimum was found inside the range of the parameters.
    """

    values: Array
    errors: Array
    covariance: Array
    minimum: float
    minuit: Any = None

    @property
    def converged(self) -> bool:
        """Whether there is a minimum."""
        return self.minuit is not None


def failed(k: int) -> Fit:
    """A fit of k parameters that found nothing."""
    return Fit(np.full(k, np.nan), np.full(k, np.nan), np.full((k, k), np.nan), float("nan"))


def _minuit(
    objective: Objective,
    start: Array,
    limits: tuple[float | None, float | None] = (None, None),
    calls: int | None = None,
) -> Any:
    """A run of MIGRAD."""
    from iminuit import Minuit

    with warnings.catch_warnings():
        # says that g2 is of no use beside the Hessian; but MINUIT calls it where that is not
        # positive definite (iminuit 2.33)
        warnings.filterwarnings("ignore", "hessian overrides g2")
        # second derivatives are given, because MINUIT's numerical ones made errors too small by
        # a factor of two where parameters are strongly correlated
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
    minuit.print_level = -1  # what failed is told by the result
    minuit.migrad(ncall=calls)
    return minuit


def _scanned(rough: Objective, low: float, high: float) -> list[Array]:
    """The local minima of a scan in one parameter."""
    points = np.linspace(low, high, _SCAN_STEPS)
    padded = np.concatenate([[np.inf], rough.values(points[:, None]), [np.inf]])
    lowest = (padded[1:-1] <= padded[:-2]) & (padded[1:-1] < padded[2:])
    return [points[[index]] for index in np.flatnonzero(lowest)]


def _searched(rough: Objective, low: float, high: float) -> list[Array]:
    """The lowest minima in several parameters, from rough fits.

    These start from the best point of a Halton sequence (which is deterministic) and the Standard
    Model, the best of those farther from it than a quarter of the range, and so on.
    """
    from scipy.stats import qmc

    k = rough.n_parameters
    unit = qmc.Halton(k, scramble=False).random(_SCAN_POINTS * k)
    # half of the points in the middle, where most shifts are
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
    fits.sort(key=lambda found: float(found.fval))
    kept: list[Array] = []
    for found in fits:
        minimum = np.array(found.values)
        near = any(np.all(np.abs(minimum - other) < _APART * (high - low)) for other in kept)
        too_high = found.fval > fits[0].fval + _ROUGH_EXCESS * rough.errordef
        if not near and not too_high:
            kept.append(minimum)
    return kept[:_MINIMA]


def minimise(objective: Objective, limits: tuple[float, float], start: Array | None = None) -> Fit:
    """The lowest minimum of an objective, with Hesse errors.

    The rate is of second degree in the shifts, so that there can be several minima: a fit starts
    from each that a scan shows, and the lowest result is kept. There is none
    where −ln L or χ² is lower at a limit.

    Args:
        objective: what is minimised.
        limits: of every parameter.
        start: where to start, shape (k,), instead of a scan.
    """
    low, high = limits
    if start is not None:
        starts = [start]
    elif objective.n_parameters == 1:
        starts = _scanned(objective.rough(), low, high)
    else:
        starts = _searched(objective.rough(), low, high)
    # without limits, which bend MINUIT's parameters and so the errors
    fits = [_minuit(objective, each) for each in starts]
    margin = _AT_LIMIT * (high - low)
    inside: list[Any] = []
    outside: list[Any] = []
    for found in fits:
        at_limit = any(value < low + margin or value > high - margin for value in found.values)
        (outside if at_limit else inside).append(found)
    inside = [found for found in inside if found.valid]
    if not inside:
        return failed(objective.n_parameters)
    best = min(inside, key=lambda found: float(found.fval))
    edges = [np.clip(np.array(found.values), low, high) for found in outside]
    if any(objective.value(edge) < best.fval for edge in edges):
        return failed(objective.n_parameters)
    best.hesse()
    if not best.valid:
        # MIGRAD's own matrix can make the distance to the minimum look smaller than it is, where
        # parameters are strongly correlated; with that of Hesse it goes on
        best.strategy = 1
        best.migrad()
        best.hesse()
    values, errors = np.array(best.values), np.array(best.errors)
    if not (best.valid and best.accurate and np.all(np.isfinite(errors))):
        return failed(objective.n_parameters)
    return Fit(values, errors, np.array(best.covariance), float(best.fval), best)


def intervals(fit: Fit, level: float) -> Array:
    """Minos intervals: where the objective, minimal in all other parameters, is not too high.

    Args:
        fit: of `minimise`.
        level: confidence level of each interval, between 0 and 1, such as 0.68.

    Returns:
        float64 of shape (k, 2), lower and upper ends; NaN where there is none.
    """
    result = np.full((len(fit.values), 2), np.nan)
    if not fit.converged:
        return result
    fit.minuit.minos(cl=level)
    for index, found in enumerate(fit.minuit.merrors.values()):
        if found.lower_valid:
            result[index, 0] = fit.values[index] + found.lower
        if found.upper_valid:
            result[index, 1] = fit.values[index] + found.upper
    return result
