"""Profile the hadronic coefficients: minimise χ² over their ranges at fixed (δC9, δC10).

The predictions are linear in the coefficients, so this is a least-squares problem with bounds. The
ranges are hard limits with a flat prior inside, as in the paper, which draws the coefficients
uniformly; Gaussian constraints would allow values outside the ranges that it states.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from wilsonvox.global_fit.chi_squared import ChiSquared

Array = NDArray[np.float64]

_MAX_ITERATIONS = 50
_CONVERGED = 1e-10
_MIN_STEP = 1e-3


def _weights(chi_squared: ChiSquared, residuals: Array) -> Array:
    """Whitening matrix near given residuals, float64, shape (n_observables, n_observables)."""
    if chi_squared.covariance is not None:
        return chi_squared.whitened(np.eye(len(residuals))).T
    errors = np.where(residuals > 0, chi_squared.errors_up, chi_squared.errors_down)
    return np.diag(1 / errors)


def profiled_coefficients(chi_squared: ChiSquared, c9: float, c10: float) -> Array:
    """Find the coefficients that minimise χ² within their ranges, float64, (n_coefficients,).

    If the minimum is not unique (a kind with fewer than three bins), one of the minima is returned.
    """
    polynomials = chi_squared.polynomials
    scaled = np.zeros(polynomials.n_coefficients)
    # in units of the half-widths; columns of kinds that are not in the set stay zero
    design = polynomials.design_matrix * polynomials.half_widths
    used = np.flatnonzero(np.abs(design).any(axis=0))
    if len(used) == 0:
        return scaled
    residuals = chi_squared.predictions(c9, c10)[0] - chi_squared.values

    def value(coefficients: Array) -> float:
        return float((chi_squared.whitened(residuals + design @ coefficients) ** 2).sum())

    best = value(scaled)
    # upper and lower errors differ, and a residual may change sign: iterate with the new weights
    for _ in range(_MAX_ITERATIONS):
        rows = _weights(chi_squared, residuals + design @ scaled)
        solution = lsq_linear(rows @ design[:, used], -rows @ residuals, (-1, 1), method="bvls")
        step = np.zeros_like(scaled)
        step[used] = solution.x - scaled[used]
        size = 1.0
        while value(scaled + size * step) > best and size > _MIN_STEP:
            size /= 2
        gain = best - value(scaled + size * step)
        if gain < _CONVERGED:
            break
        scaled, best = scaled + size * step, best - gain
    return np.asarray(scaled * polynomials.half_widths)


def profiled(chi_squared: ChiSquared, c9: float, c10: float) -> float:
    """Compute χ² at (δC9, δC10) with the hadronic coefficients profiled."""
    coefficients = profiled_coefficients(chi_squared, c9, c10)
    return float(chi_squared(c9, c10, coefficients)[0])
