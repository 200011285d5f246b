"""Minimisation with iminuit of functions with known minima."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import chi2

from wilsonvox.estimators.fits.minimisation import failed, hessian, intervals, minimise


@dataclass(frozen=True)
class Quadratic:
    """½ (x − centre)ᵀ C⁻¹ (x − centre), as a −ln L or as a χ²."""

    centre: np.ndarray
    covariance: np.ndarray
    errordef: float = 0.5

    @property
    def n_parameters(self):
        return len(self.centre)

    def value(self, parameters):
        difference = parameters - self.centre
        return float(self.errordef * difference @ np.linalg.solve(self.covariance, difference))

    def gradient(self, parameters):
        return 2 * self.errordef * np.linalg.solve(self.covariance, parameters - self.centre)

    def values(self, points):
        return np.array([self.value(point) for point in points])

    def rough(self):
        return self


@dataclass(frozen=True)
class TwoMinima:
    """Function with minima near ±2 in the first parameter; the one at −2 is deeper by 1."""

    n_parameters: int
    errordef: float = 0.5

    def value(self, parameters):
        first, rest = parameters[0], np.asarray(parameters[1:])
        return float((first**2 - 4) ** 2 + first / 4 + (rest - 1) @ (rest - 1))

    def gradient(self, parameters):
        first, rest = parameters[0], np.asarray(parameters[1:])
        return np.array([4 * first * (first**2 - 4) + 0.25, *(2 * (rest - 1))])

    def values(self, points):
        return np.array([self.value(point) for point in points])

    def rough(self):
        return self


@pytest.mark.parametrize("errordef", [0.5, 1.0])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_errors_of_strongly_correlated_parameters(k, errordef):
    centre, sigma = np.linspace(-1, 2, k), np.linspace(0.1, 0.3, k)
    correlation = np.full((k, k), 0.99) + 0.01 * np.eye(k)
    covariance = correlation * np.outer(sigma, sigma)
    result = minimise(Quadratic(centre, covariance, errordef), (-5, 5))
    assert result.converged
    np.testing.assert_allclose(result.values, centre, atol=0.02 * sigma.min())
    np.testing.assert_allclose(result.errors, sigma, rtol=1e-4)
    np.testing.assert_allclose(result.covariance, covariance, rtol=1e-3)
    for level in (0.68, 0.95):
        width = np.sqrt(chi2(1).ppf(level)) * sigma
        ends = intervals(result, level)
        np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * width, rtol=0.01)


@pytest.mark.parametrize("k", [1, 3])
def test_lower_of_two_minima_is_returned(k):
    result = minimise(TwoMinima(k), (-5, 5))
    assert result.values[0] == pytest.approx(-2, abs=0.02)
    # the other minimum, if the first is out of range or the start is near the other
    assert minimise(TwoMinima(k), (-1.0, 5.0)).values[0] == pytest.approx(2, abs=0.02)
    start = np.array([2.1, *np.ones(k - 1)])
    assert minimise(TwoMinima(k), (-5, 5), start).values[0] == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("k", [1, 2])
def test_minimum_at_a_limit_is_not_converged(k):
    result = minimise(Quadratic(np.full(k, 3.0), 0.01 * np.eye(k)), (-2, 2))
    assert not result.converged
    for array in (result.values, result.errors, result.covariance, intervals(result, 0.68)):
        assert np.isnan(array).all()
    assert failed(2).values.shape == (2,)


def test_hessian():
    covariance = np.array([[1.0, 0.3], [0.3, 2.0]])
    objective = Quadratic(np.zeros(2), covariance)
    result = hessian(objective, np.array([0.4, -3.0]))
    np.testing.assert_allclose(result, np.linalg.inv(covariance), rtol=1e-8)
