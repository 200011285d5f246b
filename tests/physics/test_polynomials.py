"""J_i as polynomials in the twelve real shifts, against the amplitudes themselves."""

import numpy as np
import pytest

from wilsonvox.core.errors import UserError
from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.theory.angular import angular_functions
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import PARAMETERS, parameter_values

SCALE = np.array([0.3, 4, 4, 0.3, 2, 2])


def random_points(n):
    rng = np.random.default_rng(20)
    return SCALE * (rng.normal(size=(n, 6)) + 1j * rng.normal(size=(n, 6)))


def phase_space_points(model, n, seed=4):
    """Over all of phase space, crowded at the photon pole and at the upper end."""
    rng = np.random.default_rng(seed)
    m_kpi = rng.uniform(model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev, n)
    fraction = rng.beta(0.5, 0.5, n) ** rng.choice([1, 3], n)
    low = model.q2_min_gev2
    return low + fraction * (model.q2_end(m_kpi) - low), m_kpi


@pytest.mark.parametrize("lepton", ["muon", "electron"])
@pytest.mark.parametrize("antiparticle_shifts", ["equal", "conjugate"])
@pytest.mark.parametrize("flavour", [1, -1])
def test_twelve_dimensions_agree_with_the_amplitudes(inputs, lepton, antiparticle_shifts, flavour):
    model = DecayModel(inputs, lepton, antiparticle_shifts)
    q2, m_kpi = phase_space_points(model, 300)
    polynomials = model.polynomials(q2, m_kpi, PARAMETERS, flavour=flavour)
    assert polynomials.shape == (300, 91, 11)
    for shifts in random_points(20):
        direct = model.angular_coefficients(q2, m_kpi, shifts, flavour)
        found = np.einsum("m,nmj->nj", polynomial_terms(parameter_values(shifts), 2), polynomials)
        largest = np.abs(direct).max(axis=1, keepdims=True)
        assert (np.abs(found - direct) / largest).max() < 1e-12


@pytest.mark.parametrize("names", [("c9",), ("c10p", "c9_imaginary"), ("c7_imaginary", "c7")])
def test_a_few_parameters_about_the_others(model, names):
    q2, m_kpi = phase_space_points(model, 50)
    for shifts in random_points(20):
        polynomials = model.polynomials(q2, m_kpi, names, shifts)
        found = polynomial_terms(parameter_values(shifts, names), 2) @ polynomials
        direct = model.angular_coefficients(q2, m_kpi, shifts)
        largest = np.abs(direct).max(axis=1, keepdims=True)
        assert (np.abs(found - direct) / largest).max() < 1e-12


@pytest.mark.parametrize("lepton", ["muon", "electron"])
def test_density_is_nowhere_negative(inputs, lepton):
    model = DecayModel(inputs, lepton)
    q2, m_kpi = phase_space_points(model, 2_000)
    rng = np.random.default_rng(6)
    edges = rng.choice([-1.0, 1.0], (500, 2)), rng.uniform(-1, 1, (1_500, 2))
    cosines = np.concatenate(edges)
    functions = angular_functions(*cosines.T, rng.uniform(0, 2 * np.pi, 2_000))
    for shifts in [np.zeros(6), *random_points(20)]:
        j = model.angular_coefficients(q2, m_kpi, shifts)
        density = (j * functions).sum(axis=1)
        assert np.all(density >= -1e-14 * np.abs(j).max(axis=1))
        assert np.any(density > 0)


def test_gradient_of_the_monomials():
    values, step = np.array([0.3, -1.2, 2.0]), 1e-6
    found = polynomial_gradient(values, 2)
    for index in range(3):
        change = np.zeros(3)
        change[index] = step
        above, below = (polynomial_terms(values + sign * change, 2) for sign in (1, -1))
        expected = (above - below) / (2 * step)
        np.testing.assert_allclose(found[:, index], expected, atol=1e-9)


def test_beyond_the_end_the_rate_is_zero(model):
    beyond = model.angular_coefficients(float(model.q2_end(0.9)) + 0.1, 0.9)
    assert not beyond.any()


def test_unknown_or_repeated_parameters_are_refused(model):
    for names in (["c8"], ["c9", "c9"]):
        with pytest.raises(UserError, match="c9_imaginary"):
            model.polynomials(5.0, 0.9, names)
