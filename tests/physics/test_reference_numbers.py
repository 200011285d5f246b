"""Integrals of the model against EvtGen (statistical errors of 200,000 events)."""

import itertools

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import interp1d
from scipy.optimize import brentq

from wilsonvox.provenance.recording import make_record
from wilsonvox.theory import fisher as bound
from wilsonvox.theory import integrals
from wilsonvox.theory.angular import RATE_WEIGHTS, observables
from wilsonvox.theory.coefficient_table import (
    POLE_POWER,
    AngularCoefficients,
    grid_q2,
    grid_variable,
)
from wilsonvox.theory.line_shape import line_shape, line_shape_quantiles
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import parameter_values, shift_vector

ERRORS = {"q2": 0.012, "A_FB": 0.005, "F_L": 0.004, "S5": 0.006}
REFERENCE = {
    0.0: {"q2": 9.461, "A_FB": 0.042, "F_L": 0.802, "S5": -0.229},
    -0.9: {"q2": 9.328, "A_FB": -0.007, "F_L": 0.775, "S5": -0.154},
    -2.0: {"q2": 9.051, "A_FB": -0.089, "F_L": 0.719, "S5": -0.034},
}
SHIFTS = np.array([0.1 + 0.2j, -1 + 0.5j, 0.3, 0.05 - 0.1j, 0.5j, -0.4])
Q2_EDGES = [0.04, 0.1, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 22]
Q2_FRACTIONS = (
    np.array([134, 674, 396, 761, 876, 1098, 1179, 1234, 1244, 1168, 933, 304], dtype=float)
    / 10_000
)


@pytest.fixture(scope="module")
def integrate(inputs, model):
    """Integrate J_i and q2 dΓ over a q2 range at 60 quantiles of the line shape, at δC9."""
    mass, cumulative = line_shape_quantiles(inputs)
    m_kpi = np.interp((np.arange(60) + 0.5) / 60, cumulative, mass)
    end = (inputs.m_b_meson_gev - m_kpi) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(300)

    def run(low, high, shift):
        low = max(low, 4 * inputs.m_muon_gev**2)
        span = np.maximum(np.minimum(high, end) - low, 0)[:, None]
        s = (nodes + 1) / 2
        q2 = low + s**2 * span
        j = model.angular_coefficients(q2, m_kpi[:, None], shift_vector({"c9": shift}))
        j = j * (s * weights * span)[..., None]
        return j.sum(axis=1), (q2 * (j @ RATE_WEIGHTS)).sum(axis=1)

    return run


@pytest.mark.parametrize("shift", REFERENCE)
def test_moments(integrate, shift):
    everything, first = integrate(0, 30, shift)
    rate = everything @ RATE_WEIGHTS
    part, _ = integrate(1, 6, shift)
    result = {key: float(v) for key, v in observables((part / rate[:, None]).mean(axis=0)).items()}
    result["q2"] = float((first / rate).mean())
    for name, error in ERRORS.items():
        assert abs(result[name] - REFERENCE[shift][name]) < 3.5 * error, name


def test_q2_fractions(integrate):
    rate = integrate(0, 30, 0.0)[0] @ RATE_WEIGHTS
    result = [
        float((integrate(low, high, 0.0)[0] @ RATE_WEIGHTS / rate).mean())
        for low, high in itertools.pairwise(Q2_EDGES)
    ]
    # three standard errors of 200,000 events and the rounding of the reference
    errors = np.sqrt(Q2_FRACTIONS / 200_000)
    assert np.all(np.abs(np.array(result) - Q2_FRACTIONS) < 3.5 * errors + 5e-5)


@pytest.mark.parametrize(("shift", "zero"), [(0.0, 2.94), (-0.9, 3.59), (-2.0, 4.82)])
def test_zero_of_forward_backward_asymmetry(model, shift, zero):
    def asymmetry(q2):
        j = model.angular_coefficients(q2, 0.89555, shift_vector({"c9": shift}))
        return float(observables(j)["A_FB"])

    assert brentq(asymmetry, 1.5, 6) == pytest.approx(zero, abs=0.006)


@pytest.mark.parametrize("lepton", ["muon", "electron"])
@pytest.mark.parametrize("antiparticle_shifts", ["equal", "conjugate"])
def test_table_agrees_with_the_model(inputs, lepton, antiparticle_shifts):
    """Compare the interpolated table at six complex shifts with the amplitudes."""
    model = DecayModel(inputs, lepton, antiparticle_shifts)
    table = AngularCoefficients.tabulate(model)
    rng = np.random.default_rng(5)
    t = np.sort(np.concatenate([rng.uniform(-1, 0, 300), rng.uniform(0, table.t[-1], 300)]))
    m_kpi, q2 = rng.uniform(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, 9), grid_q2(t, model)
    inside = q2 < model.q2_end(m_kpi)[:, None]
    for shifts in (SHIFTS, shift_vector({"c9": -2.0}), np.zeros(6)):
        for flavour in (1, -1):
            result = interp1d(table.t, table.at(shifts, flavour, m_kpi), axis=1)(t)
            result = result / q2[:, None] ** POLE_POWER
            direct = model.reduced_coefficients(
                *np.broadcast_arrays(q2, m_kpi[:, None]), shifts, flavour
            )
            largest = np.abs(direct).max(axis=-1)
            assert (np.abs(result - direct).max(axis=-1) / largest)[inside].max() < 3e-4


def test_table_round_trip(model, table, tmp_path):
    table.save(tmp_path / "table.npz", make_record("angular_coefficients", "table.npz", {}))
    again = AngularCoefficients.load(tmp_path / "table.npz")
    assert again.model == model
    np.testing.assert_array_equal(again.at(SHIFTS), table.at(SHIFTS))


@pytest.mark.parametrize("lepton", ["muon", "electron"])
def test_grid_variable_inverts(inputs, lepton):
    model, t = DecayModel(inputs, lepton), np.linspace(-1, 1.4, 500)
    np.testing.assert_allclose(grid_variable(grid_q2(t, model), model), t, atol=1e-7)


def test_line_shape_quantiles(inputs):
    mass, cumulative = line_shape_quantiles(inputs)

    def integral(low, high):
        peak = [m for m in (0.8, 0.88, 0.895, 0.91, 1.0) if low < m < high]
        return quad(line_shape, low, high, args=(inputs,), points=peak, epsrel=1e-10)[0]

    whole = integral(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev)
    for upto in (0.8, 0.89555, 1.0, 1.3):
        part = integral(inputs.m_kpi_min_gev, upto)
        assert np.interp(upto, mass, cumulative) == pytest.approx(part / whole, abs=1e-6)


def test_information_agrees_with_simulation(model, table):
    """The information is the variance of the score over generated events."""
    from wilsonvox.events.event_file import Events
    from wilsonvox.events.generation.sampler import Stream, generate
    from wilsonvox.theory.angular import angular_functions

    shift, step = -1.0, 1e-3
    shifts, stream = shift_vector({"c9": shift}), Stream(1, "c9_-1.00", "test", 0)
    events = Events.concatenate(generate(table, shifts, 200_000, stream))
    events = events[(events.q2 > 1) & (events.q2 < 6)]
    x = {name: column.astype(float) for name, column in events.columns().items()}
    functions = angular_functions(x["cos_theta_mu"], x["cos_theta_k"], x["chi"])
    at_events = model.polynomials(x["q2"], x["m_kpi"], ["c9"])
    polynomials = np.einsum("npj,nj->np", at_events, functions)
    score = polynomials @ [0, 1, 2 * shift] / (polynomials @ [1, shift, shift**2])
    # the rate of generated events is normalised over all q2 at each m_Kπ
    nodes, weights = np.polynomial.legendre.leggauss(200)
    mass = np.linspace(table.m_kpi[0], table.m_kpi[-1], 100)
    low = model.q2_min_gev2
    span = (model.q2_end(mass) - low)[:, None]
    s = (nodes + 1) / 2
    q2 = low + s**2 * span
    rates = model.polynomials(q2, mass[:, None], ["c9"]) @ RATE_WEIGHTS
    rates = (rates * (weights * s)[:, None]).sum(axis=1)
    log_rate = [np.log(rates @ [1, d, d * d]) for d in (shift + step, shift - step)]
    score = score - np.interp(x["m_kpi"], mass, (log_rate[0] - log_rate[1]) / (2 * step))
    squares = (score - score.mean()) ** 2
    error = squares.std() / np.sqrt(len(squares))
    result = bound.fisher_information(model, shifts, ["c9"], 1.0, 6.0)[0, 0]
    assert abs(squares.mean() - result) < 4 * error
    assert error / result < 0.02


def test_veto_reduces_the_information(model):
    def information(*cuts, **more):
        return bound.fisher_information(model, shift_vector({"c9": -1.0}), ["c9"], *cuts, **more)

    whole = information()[0, 0]
    vetoed = information(vetoes_gev2=[(8, 11), (12.5, 15)])[0, 0]
    assert vetoed != pytest.approx(whole, rel=0.02)
    assert information(0.0, 8.0)[0, 0] > whole  # events of low q2 have more information on average


def test_bound_where_phase_space_ends_inside_the_cut(model):
    """Compare with a fine grid near the upper end of q², which only light Kπ pairs reach."""
    shifts, mass = shift_vector({"c9": 0.0}), np.linspace(0.6656, 5.27964 - np.sqrt(17.5), 120)
    mass = (mass[1:] + mass[:-1]) / 2
    shape = line_shape(mass, model.inputs)
    moments = np.zeros(3)
    for m_kpi, weight in zip(mass, shape, strict=True):
        q2, weights = integrals.q2_quadrature(model, float(m_kpi), integrals.ALL_Q2)
        rates = weights @ (model.polynomials(q2, m_kpi, ["c9"]) @ RATE_WEIGHTS)
        q2, weights = integrals.q2_quadrature(model, float(m_kpi), [(17.5, 20.0)])
        polynomials = model.polynomials(q2, m_kpi, ["c9"])
        zeroth, first, second = bound.score_moments(polynomials, weights, np.zeros(1))
        slope = rates[1] / rates[0]
        moments += (weight / rates[0]) * np.array(
            [
                zeroth,
                first[0] - slope * zeroth,
                second[0, 0] - 2 * slope * first[0] + slope**2 * zeroth,
            ]
        )
    expected = moments[2] / moments[0] - (moments[1] / moments[0]) ** 2
    result = bound.fisher_information(model, shifts, ["c9"], 17.5, 20.0)[0, 0]
    assert result == pytest.approx(expected, rel=1e-3)


def test_bound_scales_with_events(model):
    cuts = (1.0, 19.0)
    one = bound.cramer_rao_bound(model, {"c9": -0.9}, ("c9",), 24_000, *cuts)["c9"]
    four = bound.cramer_rao_bound(model, {"c9": -0.9}, ("c9",), 96_000, *cuts)["c9"]
    assert one == pytest.approx(2 * four)
    assert 0.03 < one < 0.07


def test_bound_of_several_parameters(model, inputs):
    """Correlations increase the bound; conjugate shifts of a B0 only change signs."""
    names = ("c7", "c9", "c9_imaginary", "c10p")
    at = {"c9": -0.9 + 0.3j}
    covariance = bound.covariance_bound(model, at, names, 24_000)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0
    information = np.linalg.inv(covariance) / 24_000
    for index, name in enumerate(names):
        alone = bound.cramer_rao_bound(model, at, (name,), 24_000)[name]
        assert alone == pytest.approx((24_000 * information[index, index]) ** -0.5, rel=1e-9)
        assert np.sqrt(covariance[index, index]) > alone
    weak = DecayModel(inputs, antiparticle_shifts="conjugate")
    signs = np.array([1, 1, -1, 1])
    conjugate = bound.covariance_bound(weak, {"c9": -0.9 - 0.3j}, names, 24_000)
    np.testing.assert_allclose(conjugate * np.outer(signs, signs), covariance, rtol=1e-9)
    same = bound.covariance_bound(weak, at, names, 24_000, flavour=-1)
    np.testing.assert_allclose(same, covariance, rtol=1e-9)


def test_information_matrix_agrees_with_the_covariance_of_the_score(model):
    """Compare with numerical derivatives of the normalised density on a grid."""
    names, step = ("c9", "c10_imaginary"), 1e-4
    shifts = shift_vector({"c9": -0.5, "c10": 0.2j})
    m_kpi = model.inputs.m_k_star_gev
    nodes, weights = integrals.q2_quadrature(model, m_kpi, integrals.ALL_Q2)
    functions, angular_weights = bound.angular_grid()
    volume = weights[:, None] * angular_weights

    def log_density(change):
        moved = shifts + change
        density = model.angular_coefficients(nodes, m_kpi, moved) @ functions.T
        return np.log(density / (density * volume).sum()), density / (density * volume).sum()

    unit = {"c9": shift_vector({"c9": 1}), "c10_imaginary": shift_vector({"c10": 1j})}
    scores = [
        (log_density(step * unit[name])[0] - log_density(-step * unit[name])[0]) / (2 * step)
        for name in names
    ]
    density = log_density(0)[1] * volume
    expected = np.array([[(a * b * density).sum() for a in scores] for b in scores])
    polynomials = model.polynomials(nodes, m_kpi, names, shifts)
    zeroth, first, second = bound.score_moments(
        polynomials, weights, parameter_values(shifts, names)
    )
    result = second / zeroth - np.outer(first, first) / zeroth**2
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)
