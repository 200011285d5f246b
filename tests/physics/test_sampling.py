"""The sampler against the model's own integrals, and the promises about its random numbers."""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from wilsonvox import sampling
from wilsonvox.events import Events
from wilsonvox.sampling import Stream, generate
from wilsonvox.theory.amplitudes import phase_space
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions, kinematic_factors
from wilsonvox.theory.coefficients import reduced_polynomials
from wilsonvox.theory.line_shape import line_shape, line_shape_quantiles


def draw(table, shift, n_events, campaign=0, split="test"):
    return Events.concatenate(generate(table, shift, n_events, Stream(11, "p", split, campaign)))


def test_equal_streams_give_equal_events(table):
    one, two = draw(table, -0.9, 20_000), draw(table, -0.9, 20_000)
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, two.columns()[name])


def test_streams_differ_in_every_key(table):
    streams = [
        Stream(11, "p", "test", 0),
        Stream(12, "p", "test", 0),
        Stream(11, "q", "test", 0),
        Stream(11, "p", "train", 0),
        Stream(11, "p", "test", 1),
    ]
    first = [next(generate(table, 0.0, 10, stream)).q2 for stream in streams]
    assert len({tuple(values) for values in first}) == len(streams)


def test_more_events_extend_the_same_ones(table, monkeypatch):
    monkeypatch.setattr(sampling, "CHUNK", 1000)
    short, long = draw(table, 0.0, 2000), draw(table, 0.0, 5000)
    np.testing.assert_array_equal(long.q2[:2000], short.q2)
    assert not np.array_equal(long.q2[:1000], long.q2[1000:2000])


def test_envelope_is_checked(table, monkeypatch):
    monkeypatch.setattr(sampling, "_HEADROOM", 0.5)
    with pytest.raises(RuntimeError, match="exceeds its envelope"):
        draw(table, 0.0, 20_000)


def test_ranges(table):
    events = draw(table, 1.1, 300_000)
    inputs = table.inputs
    assert events.q2.min() >= np.float32(4 * inputs.m_muon_gev**2)
    assert np.all(events.q2 <= (inputs.m_b_meson_gev - events.m_kpi.astype(float)) ** 2 + 1e-5)
    assert np.abs(events.cos_theta_mu).max() <= 1
    assert np.abs(events.cos_theta_k).max() <= 1
    assert events.chi.min() >= 0
    assert events.chi.max() <= np.float32(2 * np.pi)
    assert set(events.flavour) == {1}


def test_mass_follows_the_line_shape(table):
    events = draw(table, -2.0, 200_000)
    mass, cumulative = line_shape_quantiles(table.inputs)
    edges = np.interp(np.linspace(0, 1, 51), cumulative, mass)
    counts = np.histogram(events.m_kpi, edges)[0]
    assert chi2.sf(((counts - 4000) ** 2 / 4000).sum(), 49) > 1e-3
    assert line_shape(np.array([0.5, 1.7]), table.inputs).tolist() == [0, 0]


@pytest.mark.parametrize("n_events", [400_000, pytest.param(4_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_q2_and_angles_follow_the_rate(table, shift, n_events):
    """Weights that map each event's density to a flat one must average to known integrals.

    In cells of q2 and the angles the expected number is an integral of the model that does not
    use the sampler's table, proposals or bounds.
    """
    events = draw(table, shift, n_events)
    inputs = table.inputs
    mass, cumulative = line_shape_quantiles(inputs)
    m_kpi = np.interp((np.arange(40) + 0.5) / 40, cumulative, mass)
    end = (inputs.m_b_meson_gev - m_kpi) ** 2
    q2_edges = np.array([4 * inputs.m_muon_gev**2, 0.5, 2, 4.3, 6.76, 9, 12, 15, 22])
    nodes, weights = np.polynomial.legendre.leggauss(60)
    integrals = []
    for low, high in itertools.pairwise(q2_edges):
        span = np.maximum(np.minimum(high, end) - low, 0)[:, None]
        s = (nodes + 1) / 2
        q2 = low + s**2 * span
        lam, beta2 = phase_space(q2, m_kpi[:, None], inputs)
        j = reduced_polynomials(q2, m_kpi[:, None], inputs)
        j = j * kinematic_factors(q2, lam, beta2)[..., None, :]
        j = np.array([1, shift, shift**2]) @ j * (s * weights * span)[..., None]
        integrals.append(j.sum(axis=1))
    per_mass = np.array(integrals)  # (q2 bin, mass, 11)
    rate = (per_mass @ RATE_WEIGHTS).sum(axis=0)
    j_in_bin = (per_mass / rate[:, None]).mean(axis=1)

    # integrals of the f_i over 4 × 4 × 6 cells of the angles
    cosine, cosine_weight = np.polynomial.legendre.leggauss(8)
    cells = [(-1 + i / 2, -0.5 + i / 2) for i in range(4)]
    chi_cells = [(i * np.pi / 3, (i + 1) * np.pi / 3) for i in range(6)]

    def nodes_of(cell):
        half = (cell[1] - cell[0]) / 2
        return cell[0] + half * (cosine + 1), half * cosine_weight

    expected = []
    for mu in cells:
        for k in cells:
            for chi in chi_cells:
                (x, wx), (y, wy), (z, wz) = nodes_of(mu), nodes_of(k), nodes_of(chi)
                grid = np.meshgrid(x, y, z, indexing="ij")
                functions = angular_functions(*(axis.ravel() for axis in grid))
                weight = np.einsum("i,j,k->ijk", wx, wy, wz).ravel()
                expected.append(weight @ functions * 9 / (32 * np.pi))
    probability = j_in_bin @ np.array(expected).T  # (q2 bin, cell)
    assert probability.sum() == pytest.approx(1, abs=2e-4)
    sample = np.stack([events.q2, events.cos_theta_mu, events.cos_theta_k, events.chi], axis=1)
    edges = [q2_edges, np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), np.linspace(0, 2 * np.pi, 7)]
    edges[-1][-1] += 1e-5
    counts = np.histogramdd(sample, edges)[0].reshape(probability.shape)
    mean = probability * n_events
    assert mean.min() > 20
    statistic = ((counts - mean) ** 2 / mean).sum()
    assert chi2.sf(statistic, mean.size - 1) > 1e-3


def test_every_coefficient_reaches_the_angles(table):
    """J_3 to J_9 are small or zero in the model: enlarge them, and find each in its moment."""
    import dataclasses

    values = table.values.copy()
    transverse, mixed = values[..., 2], np.sqrt(np.abs(values[..., 2] * values[..., 3]))
    root_lambda = 22.0  # GeV²; the reduced J_5, J_6s, J_8 and J_9 are without this factor
    for index, size, factor in (
        (4, transverse, 0.7),
        (5, mixed, 0.35),
        (6, mixed / root_lambda, 0.35),
        (7, transverse / root_lambda, -0.8),
        (8, mixed, 0.35),
        (9, mixed / root_lambda, 0.35),
        (10, transverse / root_lambda, -0.7),
    ):
        values[..., index] = factor * size
    enlarged = dataclasses.replace(table, values=values)
    events = draw(enlarged, 0.0, 300_000)
    events = events[(events.q2 > 1) & (events.q2 < 6)]
    x = {name: column.astype(float) for name, column in events.columns().items()}
    functions = angular_functions(x["cos_theta_mu"], x["cos_theta_k"], x["chi"])
    coefficients = enlarged.polynomials(x["q2"], x["m_kpi"])[:, 0]
    rate = coefficients @ RATE_WEIGHTS
    # <f_i> = Σ_j M_ij J_j/Γ with M_ij = 9/(32π) ∫ f_i f_j dΩ
    cosine, weight = np.polynomial.legendre.leggauss(10)
    chi = np.arange(10) * 2 * np.pi / 10
    grid = np.meshgrid(cosine, cosine, chi, indexing="ij")
    f = angular_functions(*(axis.ravel() for axis in grid))
    w = np.einsum("i,j,k->ijk", weight, weight, np.full(10, 2 * np.pi / 10)).ravel()
    matrix = np.einsum("ni,nj,n->ij", f, f, w) * 9 / (32 * np.pi)
    expected = (coefficients / rate[:, None]).mean(axis=0) @ matrix
    pulls = (functions.mean(axis=0) - expected) / (functions.std(axis=0) / np.sqrt(len(events)))
    assert np.all(np.abs(pulls) < 4), pulls
    # a lost term would show by many deviations
    without = (coefficients / rate[:, None]).mean(axis=0) * np.diag(matrix)
    assert np.all(np.abs(without[4:]) > 8 * functions.std(axis=0)[4:] / np.sqrt(len(events))), (
        without
    )
