"""The model's integrals against what real EvtGen gave (statistical errors of 200,000 events)."""

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq

from wilsonvox.theory import bound
from wilsonvox.theory.amplitudes import phase_space
from wilsonvox.theory.angular import RATE_WEIGHTS, kinematic_factors, observables
from wilsonvox.theory.coefficients import grid_q2, grid_variable, reduced_polynomials
from wilsonvox.theory.line_shape import line_shape, line_shape_quantiles

ERRORS = {"q2": 0.012, "A_FB": 0.005, "F_L": 0.004, "S5": 0.006}
REFERENCE = {
    0.0: {"q2": 9.461, "A_FB": 0.042, "F_L": 0.802, "S5": -0.229},
    -0.9: {"q2": 9.328, "A_FB": -0.007, "F_L": 0.775, "S5": -0.154},
    -2.0: {"q2": 9.051, "A_FB": -0.089, "F_L": 0.719, "S5": -0.034},
}
Q2_EDGES = [0.04, 0.1, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 22]
Q2_FRACTIONS = (
    np.array([134, 674, 396, 761, 876, 1098, 1179, 1234, 1244, 1168, 933, 304], dtype=float)
    / 10_000
)


@pytest.fixture(scope="module")
def integrate(inputs):
    """J_i integrated over a q2 range at each of 60 line-shape quantiles, and ∫ q2 dΓ, at δC9."""
    mass, cumulative = line_shape_quantiles(inputs)
    m_kpi = np.interp((np.arange(60) + 0.5) / 60, cumulative, mass)
    end = (inputs.m_b_meson_gev - m_kpi) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(300)

    def run(low, high, shift):
        low = max(low, 4 * inputs.m_muon_gev**2)
        span = np.maximum(np.minimum(high, end) - low, 0)[:, None]
        s = (nodes + 1) / 2
        q2 = low + s**2 * span
        lam, beta2 = phase_space(q2, m_kpi[:, None], inputs)
        factors = kinematic_factors(q2, lam, beta2)[..., None, :]
        polynomials = reduced_polynomials(q2, m_kpi[:, None], inputs) * factors
        j = np.array([1, shift, shift**2]) @ polynomials * (s * weights * span)[..., None]
        return j.sum(axis=1), (q2 * (j @ RATE_WEIGHTS)).sum(axis=1)

    return run


@pytest.mark.parametrize("shift", REFERENCE)
def test_moments(integrate, shift):
    everything, first = integrate(0, 30, shift)
    rate = everything @ RATE_WEIGHTS
    part, _ = integrate(1, 6, shift)
    found = {key: float(v) for key, v in observables((part / rate[:, None]).mean(axis=0)).items()}
    found["q2"] = float((first / rate).mean())
    for name, error in ERRORS.items():
        assert abs(found[name] - REFERENCE[shift][name]) < 3.5 * error, name


def test_q2_fractions(integrate):
    rate = integrate(0, 30, 0.0)[0] @ RATE_WEIGHTS
    found = [
        float((integrate(low, high, 0.0)[0] @ RATE_WEIGHTS / rate).mean())
        for low, high in itertools.pairwise(Q2_EDGES)
    ]
    # three errors of 200,000 events and the rounding of the reference
    errors = np.sqrt(Q2_FRACTIONS / 200_000)
    assert np.all(np.abs(np.array(found) - Q2_FRACTIONS) < 3.5 * errors + 5e-5)


@pytest.mark.parametrize(("shift", "zero"), [(0.0, 2.94), (-0.9, 3.59), (-2.0, 4.82)])
def test_zero_of_forward_backward_asymmetry(inputs, shift, zero):
    def asymmetry(q2):
        at, mass = np.array([q2]), np.array([0.89555])
        lam, beta2 = phase_space(at, mass, inputs)
        polynomials = reduced_polynomials(at, mass, inputs) * kinematic_factors(at, lam, beta2)
        return float(observables(np.array([1, shift, shift**2]) @ polynomials[0])["A_FB"])

    assert brentq(asymmetry, 1.5, 6) == pytest.approx(zero, abs=0.006)


def test_table_interpolates_to_1e_4(inputs, table):
    rng = np.random.default_rng(5)
    m_kpi = rng.uniform(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, 20_000)
    low = 4 * inputs.m_muon_gev**2
    fraction = rng.random(20_000) ** rng.choice([1, 4], 20_000)  # crowd at the photon pole too
    q2 = low + fraction * ((inputs.m_b_meson_gev - m_kpi) ** 2 - low)
    lam, beta2 = phase_space(q2, m_kpi, inputs)
    factors = kinematic_factors(q2, lam, beta2)[:, None, :]
    direct = reduced_polynomials(q2, m_kpi, inputs) * factors
    found = table.polynomials(q2, m_kpi)
    for shift in (-2.0, 0.0, 1.1):
        powers = np.array([1, shift, shift**2])
        rate = powers @ direct @ RATE_WEIGHTS
        assert np.abs((powers @ found - powers @ direct) / rate[:, None]).max() < 1.5e-4


def test_grid_variable_inverts(inputs):
    t = np.linspace(-np.pi / 2, 1.4, 500)
    np.testing.assert_allclose(grid_variable(grid_q2(t, inputs), inputs), t, atol=1e-7)


def test_line_shape_quantiles(inputs):
    mass, cumulative = line_shape_quantiles(inputs)
    nodes, weights = np.polynomial.legendre.leggauss(4000)
    low, high = inputs.m_kpi_min_gev, inputs.m_kpi_max_gev
    whole = weights @ line_shape(low + (high - low) * (nodes + 1) / 2, inputs) * (high - low) / 2
    for upto in (0.8, 0.89555, 1.0, 1.3):
        part = weights @ line_shape(low + (upto - low) * (nodes + 1) / 2, inputs) * (upto - low) / 2
        assert np.interp(upto, mass, cumulative) == pytest.approx(part / whole, abs=1e-6)


def test_information_by_simulation(table):
    """The information is the variance of the score over events of the sampler."""
    from wilsonvox.events import Events
    from wilsonvox.sampling import Stream, generate
    from wilsonvox.theory.angular import angular_functions

    shift, step = -1.0, 1e-3
    events = Events.concatenate(generate(table, shift, 200_000, Stream(1, "c9_-1.00", "test", 0)))
    events = events[(events.q2 > 1) & (events.q2 < 6)]
    x = {name: column.astype(float) for name, column in events.columns().items()}
    functions = angular_functions(x["cos_theta_mu"], x["cos_theta_k"], x["chi"])
    polynomials = np.einsum("npj,nj->np", table.polynomials(x["q2"], x["m_kpi"]), functions)
    score = polynomials @ [0, 1, 2 * shift] / (polynomials @ [1, shift, shift**2])
    # normalise the rate at each m_Kπ, over the whole q2 range, as events are drawn
    nodes, weights = np.polynomial.legendre.leggauss(200)
    mass = np.linspace(table.m_kpi[0], table.m_kpi[-1], 100)
    low = 4 * table.inputs.m_muon_gev**2
    span = ((table.inputs.m_b_meson_gev - mass) ** 2 - low)[:, None]
    s = (nodes + 1) / 2
    q2 = low + s**2 * span
    rates = table.polynomials(q2, np.broadcast_to(mass[:, None], q2.shape)) @ RATE_WEIGHTS
    rates = (rates * (weights * s)[:, None]).sum(axis=1)
    log_rate = [np.log(rates @ [1, d, d * d]) for d in (shift + step, shift - step)]
    score = score - np.interp(x["m_kpi"], mass, (log_rate[0] - log_rate[1]) / (2 * step))
    squares = (score - score.mean()) ** 2
    error = squares.std() / np.sqrt(len(squares))
    found = bound.fisher_information(table, shift, 1.0, 6.0)
    assert abs(squares.mean() - found) < 4 * error
    assert error / found < 0.02


def test_information_loses_what_a_veto_takes(table):
    whole = bound.fisher_information(table, -1.0)
    vetoed = bound.fisher_information(table, -1.0, vetoes_gev2=[(8, 11), (12.5, 15)])
    low = bound.fisher_information(table, -1.0, 0.0, 8.0)
    assert vetoed != pytest.approx(whole, rel=0.02)
    assert low > whole  # an event of low q2 tells more than one of any q2


def test_bound_scales_with_events(table):
    one = bound.cramer_rao_bound(table, {"c9": -0.9}, ("c9",), 24_000)["c9"]
    four = bound.cramer_rao_bound(table, {"c9": -0.9}, ("c9",), 96_000)["c9"]
    assert one == pytest.approx(2 * four)
    assert 0.03 < one < 0.07
