"""The angular functions f_i against the formulas of arXiv:0811.1214."""

import numpy as np
import pytest

from wilsonvox.theory.angular import NAMES, angular_factors, angular_functions


def published_functions(theta_l, theta_k, phi):
    """The functions of eq. 3.10 of arXiv:0811.1214, in the angles themselves [rad]."""
    s, c = np.sin, np.cos
    return {
        "1s": s(theta_k) ** 2,
        "1c": c(theta_k) ** 2,
        "2s": s(theta_k) ** 2 * c(2 * theta_l),
        "2c": c(theta_k) ** 2 * c(2 * theta_l),
        "3": s(theta_k) ** 2 * s(theta_l) ** 2 * c(2 * phi),
        "4": s(2 * theta_k) * s(2 * theta_l) * c(phi),
        "5": s(2 * theta_k) * s(theta_l) * c(phi),
        "6s": s(theta_k) ** 2 * c(theta_l),
        "7": s(2 * theta_k) * s(theta_l) * s(phi),
        "8": s(2 * theta_k) * s(2 * theta_l) * s(phi),
        "9": s(theta_k) ** 2 * s(theta_l) ** 2 * s(2 * phi),
    }


def random_angles(n=1000):
    rng = np.random.default_rng(5)
    return rng.uniform(0, np.pi, n), rng.uniform(0, np.pi, n), rng.uniform(0, 2 * np.pi, n)


@pytest.mark.parametrize("name", NAMES)
def test_angular_functions_are_the_published_ones(name):
    theta_l, theta_k, chi = random_angles()
    values = angular_functions(np.cos(theta_l), np.cos(theta_k), chi)
    expected = published_functions(theta_l, theta_k, np.pi - chi)[name]
    # sin θ from cos θ loses digits near the poles
    np.testing.assert_allclose(values[:, NAMES.index(name)], expected, atol=1e-10)


def test_angular_factors_multiply_to_the_functions():
    theta_l, theta_k, chi = random_angles()
    angles = np.cos(theta_l), np.cos(theta_k), chi
    factors = angular_factors(*angles)
    assert [part.shape for part in factors] == [(1000, 11)] * 3
    np.testing.assert_array_equal(np.prod(factors, axis=0), angular_functions(*angles))


def test_angular_functions_broadcast():
    mu, k = np.linspace(-1, 1, 4)[:, None], np.linspace(-1, 1, 3)
    assert angular_functions(mu, k, np.asarray(0.3)).shape == (4, 3, 11)


def test_a_cosine_rounded_beyond_one_has_no_sine():
    values = angular_functions(np.array([1 + 1e-7]), np.array([-1 - 1e-7]), np.array([1.0]))
    assert np.isfinite(values).all()
    assert values[0, NAMES.index("1s")] == 0.0
