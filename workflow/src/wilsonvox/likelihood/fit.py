"""Minimisation with iminuit, from the best of a coarse scan, with Hesse and Minos errors."""

from collections.abc import Iterator
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
"""Most minima of a scan in several parameters from which a fit starts."""
_AT_LIMIT = 1e-3
"""A minimum closer than this to a limit, in units of the range, is at the limit."""


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

    def scan(self, points: Array) -> Array:
        """At many points, shape (n, k) → (n,), in the same units, perhaps roughly."""
        ...


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


def _line_starts(objective: Objective, low: float, high: float) -> Iterator[tuple[Array, float]]:
    """Every local minimum of a scan in one parameter, and the distance of its points."""
    points = np.linspace(low, high, _SCAN_STEPS)
    values = objective.scan(points[:, None])
    padded = np.concatenate([[np.inf], values, [np.inf]])
    lowest = (values <= padded[:-2]) & (values < padded[2:])
    for index in np.flatnonzero(lowest):
        yield points[[index]], float(points[1] - points[0])


def _starts(objective: Objective, low: float, high: float) -> Iterator[tuple[Array, float]]:
    """Points from which to start, and a step.

    In several parameters the points are a Halton sequence (deterministic) and the Standard Model;
    the best is taken, then the best of those farther from it than a quarter of the range, …
    """
    k = objective.n_parameters
    if k == 1:
        yield from _line_starts(objective, low, high)
        return
    from scipy.stats import qmc

    unit = qmc.Halton(k, scramble=False).random(_SCAN_POINTS * k)
    # half of the points in the middle, where most shifts are
    unit[1::2] = 0.5 + (unit[1::2] - 0.5) / 4
    points = np.concatenate([np.clip(np.zeros((1, k)), low, high), low + (high - low) * unit])
    values = objective.scan(points)
    for _ in range(_STARTS):
        if not np.isfinite(values).any():
            return
        best = points[np.nanargmin(np.where(np.isfinite(values), values, np.nan))]
        yield best, (high - low) / 40
        values[np.abs(points - best).max(axis=1) < (high - low) / 4] = np.inf


def minimise(objective: Objective, limits: tuple[float, float], start: Array | None = None) -> Fit:
    """The lowest minimum of an objective, with Hesse errors.

    The rate is of second degree in the shifts, so that there can be several minima: a fit starts
    from each that a coarse scan shows, and the lowest result is kept. A result at a limit is none.

    Args:
        objective: what is minimised.
        limits: of every parameter.
        start: where to start, shape (k,), instead of a scan.
    """
    from iminuit import Minuit  # type: ignore[import-untyped]

    low, high = limits
    best: Any = None
    starts = _starts(objective, low, high) if start is None else [(start, (high - low) / 40)]
    for first, step in starts:
        inside = np.clip(first, low + step / 2, high - step / 2)
        minuit = Minuit(objective.value, inside, grad=objective.gradient)
        minuit.errordef = objective.errordef
        minuit.limits = [limits] * len(first)
        minuit.errors = [step / 4] * len(first)
        minuit.strategy = 0  # hesse follows
        minuit.migrad()
        if minuit.valid and (best is None or minuit.fval < best.fval):
            best = minuit
    if best is None:
        return failed(objective.n_parameters)
    best.hesse()
    values, errors = np.array(best.values), np.array(best.errors)
    margin = _AT_LIMIT * (high - low)
    at_limit = bool(np.any((values < low + margin) | (values > high - margin)))
    if not (best.valid and best.accurate and not at_limit and np.all(np.isfinite(errors))):
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
