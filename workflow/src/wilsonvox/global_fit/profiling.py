"""χ² with its hadronic coefficients profiled: at each (δC9, δC10) the least over their box.

The polynomials add linearly, so that this is a least-squares problem with bounds. The ranges are
limits, with no preference inside, as in the paper that draws them uniformly; a Gaussian constraint
would let them leave the range that it states.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from wilsonvox.global_fit.chi_squared import ChiSquared

Array = NDArray[np.float64]

_MOST_ROUNDS = 50
_CONVERGED = 1e-10
_SHORTEST_STEP = 1e-3


def _weights(chi_squared: ChiSquared, residuals: Array) -> Array:
    """Matrix that whitens residuals near those given, (n_observables, n_observables)."""
    if chi_squared.covariance is not None:
        return chi_squared.whitened(np.eye(len(residuals))).T
    errors = np.where(residuals > 0, chi_squared.errors_up, chi_squared.errors_down)
    return np.diag(1 / errors)


def profiled_coefficients(chi_squared: ChiSquared, c9: float, c10: float) -> Array:
    """The coefficients within their ranges for which χ² is least, float64, (n_coefficients,).

    Where several are equally good (three coefficients of a kind with fewer bins), one of them.
    """
    polynomials = chi_squared.polynomials
    scaled = np.zeros(polynomials.n_coefficients)
    # in units of the half-widths; columns of kinds that the set lacks stay zero
    design = polynomials.design_matrix * polynomials.half_widths
    used = np.flatnonzero(np.abs(design).any(axis=0))
    if len(used) == 0:
        return scaled
    residuals = chi_squared.predictions(c9, c10)[0] - chi_squared.values

    def value(coefficients: Array) -> float:
        return float((chi_squared.whitened(residuals + design @ coefficients) ** 2).sum())

    best = value(scaled)
    # errors up and down differ, and a residual may change its side: the next round sees that
    for _ in range(_MOST_ROUNDS):
        rows = _weights(chi_squared, residuals + design @ scaled)
        found = lsq_linear(rows @ design[:, used], -rows @ residuals, (-1, 1), method="bvls")
        step = np.zeros_like(scaled)
        step[used] = found.x - scaled[used]
        size = 1.0
        while value(scaled + size * step) > best and size > _SHORTEST_STEP:
            size /= 2
        gain = best - value(scaled + size * step)
        if gain < _CONVERGED:
            break
        scaled, best = scaled + size * step, best - gain
    return np.asarray(scaled * polynomials.half_widths)


def profiled(chi_squared: ChiSquared, c9: float, c10: float) -> float:
    """χ² at shifts, with the coefficients of `profiled_coefficients`."""
    coefficients = profiled_coefficients(chi_squared, c9, c10)
    return float(chi_squared(c9, c10, coefficients)[0])
