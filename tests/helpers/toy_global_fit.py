"""Small set of observables with made-up predictions, quadratic in the shifts."""

import numpy as np

from wilsonvox.global_fit.observables import ObservableSet, load_observables
from wilsonvox.global_fit.predictions import PredictionTable


def toy_set() -> ObservableSet:
    """The packaged set of 2015, with real values and errors."""
    return load_observables("lhcb-2015")


def toy_table(c9: float = -0.8, c10: float = 0.2, seed: int = 1) -> PredictionTable:
    """Predictions that agree with the measured values, within half an error, at (c9, c10)."""
    observables = toy_set()
    random = np.random.default_rng(seed)
    n = len(observables.measurements)
    coefficients = np.zeros((n, 3, 6))
    coefficients[:, 1:, 0] = 1.0
    # denominators that vary, different for a few observables
    coefficients[:, 1, 1:] = 0.05 * random.uniform(-1, 1, (n, 5))
    coefficients[:, 2, 1:] = coefficients[:, 1, 1:]
    coefficients[:4, 2, 1:] = 0.05 * random.uniform(-1, 1, (4, 5))
    errors = (observables.errors_up + observables.errors_down) / 2
    coefficients[:, 0, 1:] = errors[:, None] * random.uniform(-1, 1, (n, 5))
    table = PredictionTable(observables, coefficients, np.diag((0.3 * errors) ** 2), 100)
    shift = observables.values + 0.5 * errors * random.normal(size=n) - table(c9, c10)[0]
    functions = np.array([1, c9, c10, c9**2, c9 * c10, c10**2])
    coefficients[:, 0, 0] += shift * np.sqrt(np.prod(coefficients[:, 1:] @ functions, axis=1))
    correlated = 0.5 * table.theory_covariance + 0.5 * np.outer(0.3 * errors, 0.3 * errors)
    return PredictionTable(observables, coefficients, correlated, 100)
