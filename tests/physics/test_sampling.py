"""The sampler against the model's own integrals, and the promises about its random numbers."""

import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from wilsonvox.events.event_file import Events
from wilsonvox.events.generation import kernel
from wilsonvox.events.generation import sampler as generation
from wilsonvox.events.generation.cells import angle_grid
from wilsonvox.events.generation.sampler import Stream, generate, make_chunk, prepare
from wilsonvox.records.digests import content_digest
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_factors, angular_functions
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.line_shape import line_shape, line_shape_quantiles
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.points import shift_vector

COMPLEX = {
    "c7": 0.1 + 0.2j,
    "c9": -1 + 0.5j,
    "c10": 0.3,
    "c7p": 0.05 - 0.1j,
    "c9p": 0.5j,
    "c10p": -0.4,
}
EXTREME = {"c7": 2.0, "c9": -8 + 3j, "c9p": 5.0, "c10p": -4j}
NONE = {"c9": -4.2, "c10": 4.1}
"""Shifts that take almost all of C9 and C10 away: what is left is the photon."""


@pytest.fixture(scope="module")
def tables(table, inputs):
    conjugate = DecayModel(inputs, "muon", "conjugate")
    electron = DecayModel(inputs, "electron")
    return {
        "muon": table,
        "conjugate": AngularCoefficients.tabulate(conjugate),
        "electron": AngularCoefficients.tabulate(electron),
    }


def draw(table, shifts, n_events, campaign=0, split="test", **options):
    stream = Stream(11, "p", split, campaign)
    return Events.concatenate(generate(table, shift_vector(shifts), n_events, stream, **options))


def assert_equal(one, two):
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, two.columns()[name])


def test_equal_streams_give_equal_events(table):
    assert_equal(draw(table, {"c9": -0.9}, 20_000), draw(table, {"c9": -0.9}, 20_000))


def test_streams_differ_in_every_key():
    streams = [
        Stream(11, "p", "test", 0),
        Stream(12, "p", "test", 0),
        Stream(11, "q", "test", 0),
        Stream(11, "p", "train", 0),
        Stream(11, "p", "test", 1),
    ]
    words = [tuple(stream.bits(0).random_raw(4)) for stream in streams]
    words += [tuple(streams[0].bits(1).random_raw(4)), tuple(streams[0].bits(0, 1).random_raw(4))]
    assert len(set(words)) == len(words)


def test_flavours_of_a_campaign_are_independent(table):
    """With the same key and the same shifts they would be the same decays."""
    both = [draw(table, {"c9": -0.9}, 2000, flavour=flavour) for flavour in (1, -1)]
    assert not np.any(both[0].q2 == both[1].q2)
    assert not np.any(both[0].chi == both[1].chi)


def test_threads_do_not_change_the_events(table, monkeypatch):
    monkeypatch.setattr(generation, "CHUNK", 3000)
    one = draw(table, {"c9": -0.9}, 20_000)
    for threads in (2, 3):
        assert_equal(one, draw(table, {"c9": -0.9}, 20_000, threads=threads))
    # and any chunk can be made alone
    prepared = prepare(table, shift_vector({"c9": -0.9}))
    assert_equal(one[6000:9000], make_chunk(prepared, 3000, Stream(11, "p", "test", 0).bits(2)))


def test_places_in_memory_do_not_change_what_is_prepared(table):
    """Linear algebra rounds by the place of its arrays; nodes, cells and bounds are the same."""
    rng, kept, found = np.random.default_rng(), [], set()
    for _ in range(6):
        kept.append(np.empty(rng.integers(1, 200_000)))
        prepared = prepare(table, shift_vector({"c9": -1.0}))
        found.add((prepared.density.q2_nodes.tobytes(), prepared.proposal.bounds.tobytes()))
    assert len(found) == 1


def test_threads_of_linear_algebra_do_not_change_the_events(tmp_path):
    """As a job of Snakemake, which has one, and by hand, with all."""
    digests = set()
    for threads in ("1", "2"):
        path = tmp_path / f"{threads}.root"
        subprocess.run(
            [Path(sys.executable).with_name("wilsonvox"), "generate", "--point", "c9_-0.90",
             "--events", "300000", "--seed", "3", "--out", path],
            env=os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            check=True,
        )  # fmt: skip
        digests.add(content_digest(path))
    assert len(digests) == 1


def test_more_events_extend_the_same_ones(table, monkeypatch):
    monkeypatch.setattr(generation, "CHUNK", 1000)
    short, long = draw(table, {}, 2300), draw(table, {}, 5000)
    assert_equal(long[:2300], short)
    assert not np.array_equal(long.q2[:1000], long.q2[1000:2000])


def test_bounds_are_checked(table):
    prepared = prepare(table, shift_vector({}))
    prepared.proposal.bounds[:, 0] *= 0.7
    with pytest.raises(RuntimeError, match="exceeds its bound"):
        make_chunk(prepared, 20_000, np.random.Philox(1))


def test_ranges(table):
    events = draw(table, {"c9": 1.1}, 300_000)
    inputs = table.inputs
    assert events.q2.min() >= np.float32(4 * inputs.m_muon_gev**2)
    assert np.all(events.q2 <= (inputs.m_b_meson_gev - events.m_kpi.astype(float)) ** 2 + 1e-5)
    assert np.abs(events.cos_theta_mu).max() <= 1
    assert np.abs(events.cos_theta_k).max() <= 1
    assert events.chi.min() >= 0
    assert events.chi.max() < 2 * np.pi
    assert set(events.flavour) == {1}
    assert set(draw(table, {}, 100, flavour=-1).flavour) == {-1}


def test_mass_follows_the_line_shape(table):
    events = draw(table, {"c9": -2.0}, 400_000)
    mass, cumulative = line_shape_quantiles(table.inputs)
    # finer at both ends
    steps = np.concatenate([[0, 2e-4, 1e-3, 5e-3], np.linspace(0.02, 0.98, 49), [0.995, 0.999, 1]])
    counts = np.histogram(events.m_kpi, np.interp(steps, cumulative, mass))[0]
    mean = np.diff(steps) * len(events)
    assert chi2.sf(((counts - mean) ** 2 / mean).sum(), len(mean) - 1) > 1e-3
    assert line_shape(np.array([0.5, 1.7]), table.inputs).tolist() == [0, 0]


def test_functions_are_products():
    mu, k, chi = np.linspace(-1, 1, 7), np.linspace(-1, 1, 8), np.linspace(0, 6, 9)
    grid = np.meshgrid(mu, k, chi, indexing="ij")
    expected = angular_functions(*grid).reshape(-1, 11)
    np.testing.assert_allclose(angle_grid(angular_factors(mu, k, chi)), expected, atol=1e-15)


def tabulated(density, interval, sigma, m_kpi):
    """9/(32π) J_i of the tabulated density, and the width of the interval of q²."""
    y = (m_kpi - density.m_start) / density.m_step
    j = np.minimum(y.astype(int), len(density.values) - 2)
    w = (y - j)[:, None]
    low, high = (
        (1 - w) * density.values[j, n] + w * density.values[j + 1, n]
        for n in (interval, interval + 1)
    )
    span = (density.m_b_meson - m_kpi) ** 2 - density.cusp
    a, b = np.diff(density.q2_nodes, axis=0)[interval].T
    sigma = np.asarray(sigma)[..., None]
    return ((1 - sigma) * low + sigma * high)[:, :11], a + span * b


@pytest.mark.parametrize(
    ("name", "shifts", "flavour"),
    [
        ("muon", {}, 1),
        ("muon", EXTREME, -1),
        ("conjugate", COMPLEX, 1),
        ("electron", {"c7p": 0.3}, -1),
        ("electron", NONE, 1),
    ],
)
def test_bounds_hold(tables, name, shifts, flavour):
    """Places in cells, where half of them are at an end of the cell in each variable."""
    density, proposal, _ = prepare(tables[name], shift_vector(shifts), flavour)
    rng = np.random.default_rng(5)
    n = 200_000
    rows, columns = (
        rng.integers(len(proposal.ranges), size=n),
        rng.integers(len(proposal.angles), size=n),
    )

    def place():
        return np.clip(2 * rng.random(n) - 0.5, 0, 1)

    which, first, count = proposal.ranges[rows].T
    y = first + count * place()
    interval = np.minimum(y.astype(int), (first + count - 1).astype(int))
    fraction = y - interval
    curve = density.curves[interval]
    root = np.sqrt(np.maximum(curve**2 + 4 * (1 - curve) * fraction, 0))
    sigma = np.divide(2 * fraction, curve + root, out=np.zeros(n), where=curve + root > 0)
    quantiles = proposal.mass_quantiles
    z = place() * (quantiles.shape[1] - 1)
    node = np.minimum(z.astype(int), quantiles.shape[1] - 2)
    which = which.astype(int)
    low, high = quantiles[which, node], quantiles[which, node + 1]
    m_kpi = low + (z - node) * (high - low)
    angles = proposal.angles[columns].T
    mu, k = angles[0] + angles[1] * place(), angles[2] + angles[3] * place()
    chi = angles[4] + angles[5] * (place() - 0.5)
    j, width = tabulated(density, interval, sigma, m_kpi)
    found = (j * angular_functions(mu, k, chi)).sum(axis=1) * width
    largest, smallest = proposal.bounds[rows * len(proposal.angles) + columns].T
    assert np.all(found <= largest)
    # at the end of phase space the density is zero, but for rounding
    assert np.all(found >= (smallest - 1e-12) * largest)
    # and they are not just very wide
    assert proposal.proposals < 1.7
    assert found.min() > -1e-6 * found.max()


@pytest.mark.parametrize(("name", "shifts"), [("muon", EXTREME), ("electron", COMPLEX)])
def test_the_compiled_loop_compares_with_the_tabulated_density(tables, name, shifts):
    """A proposal just below the density is kept, one just above it is not."""
    density, proposal, _ = prepare(tables[name], shift_vector(shifts))
    n = kernel.BATCH
    integers, reals = (np.empty(n, np.int32) for _ in range(4)), (np.empty(n) for _ in range(9))
    batch = kernel.Batch(np.empty(n, np.uint32), *integers, *reals)
    undecided = 0
    for block in range(40):
        words = np.random.Philox(block).random_raw(n * kernel.WORDS).reshape(n, kernel.WORDS)
        kernel._choose_cells(words, proposal, batch)
        kernel._place(words, density, proposal, batch)
        nodes = density.q2_at_nodes(batch.m_kpi)[np.arange(n), batch.interval]
        np.testing.assert_allclose(batch.q2, nodes + batch.fraction * batch.width, rtol=1e-12)
        curve = density.curves[batch.interval]
        root = np.sqrt(np.maximum(curve**2 + 4 * (1 - curve) * batch.fraction, 0))
        j, width = tabulated(
            density, batch.interval, 2 * batch.fraction / (curve + root), batch.m_kpi
        )
        np.testing.assert_allclose(batch.width, width, rtol=1e-9)
        angles = angular_functions(batch.cos_theta_mu, batch.cos_theta_k, batch.chi)
        expected = (j * angles).sum(axis=1) * width / proposal.bounds[batch.cell, 0]
        for side, kept in ((1 - 1e-5, 1), (1 + 1e-5, 0)):
            batch.level[:] = expected * side
            batch.undecided[:] = np.arange(n)
            kernel._compare(n, density, proposal, batch)
            clear = expected > 0.05  # rounding is relative to the bound, not to the density
            assert np.all(batch.kept[clear] == kept)
            undecided += clear.sum()
    assert undecided > 15_000


def test_the_compiled_angular_functions_are_those_of_the_theory(tables):
    """The copy in single precision, at places in cells all over the angles."""
    density, proposal, _ = prepare(tables["muon"], shift_vector({"c9": -0.9}))
    n = kernel.BATCH
    integers, reals = (np.empty(n, np.int32) for _ in range(4)), (np.empty(n) for _ in range(9))
    batch = kernel.Batch(np.empty(n, np.uint32), *integers, *reals)
    compiled = np.zeros((n, 12), np.float32)
    for block in range(20):
        words = np.random.Philox(block).random_raw(n * kernel.WORDS).reshape(n, kernel.WORDS)
        kernel._choose_cells(words, proposal, batch)
        kernel._place(words, density, proposal, batch)
        for b in range(n):
            kernel._angular_functions(batch, b, proposal.angles, compiled[b])
        expected = angular_functions(batch.cos_theta_mu, batch.cos_theta_k, batch.chi)
        np.testing.assert_allclose(compiled[:, :11], expected, atol=1e-5)
        assert not compiled[:, 11].any()


@pytest.mark.parametrize(
    ("name", "shifts"), [("muon", {}), ("muon", EXTREME), ("electron", COMPLEX)]
)
def test_density_is_the_models(tables, name, shifts):
    """Tabulated J_i against the amplitudes, in the middle of each interval of q² and σ."""
    table = tables[name]
    density = prepare(table, shift_vector(shifts)).density
    mass, cumulative = line_shape_quantiles(table.inputs)
    interval = np.arange(len(density.curves))
    for m_kpi in np.interp([0.01, 0.3, 0.6, 0.99], cumulative, mass):
        nodes = density.q2_at_nodes(np.array([m_kpi]))[0]

        def at(sigma, nodes=nodes):
            return nodes[:-1] + np.diff(nodes) * (
                density.curves * sigma + (1 - density.curves) * sigma**2
            )

        def exact(q2, m_kpi=m_kpi):
            return table.model.angular_coefficients(q2, m_kpi, shift_vector(shifts))

        whole = 0.0
        for sigma, weight in zip(*np.polynomial.legendre.leggauss(5), strict=True):
            place = (sigma + 1) / 2
            slope = np.diff(nodes) * (density.curves + 2 * (1 - density.curves) * place)
            whole += weight / 2 * (exact(at(place)) @ RATE_WEIGHTS) @ slope
        found, width = tabulated(density, interval, np.full(1024, 0.5), np.full(1024, m_kpi))
        np.testing.assert_allclose(width, np.diff(nodes), rtol=1e-9)
        expected = exact(at(0.5)) * 9 / (32 * np.pi) / whole
        difference = np.abs(found - expected).max(axis=1) / (expected @ RATE_WEIGHTS)
        assert np.quantile(difference, 0.95) < 2e-4
        # the last intervals hold few events
        assert difference @ np.diff(nodes) / np.diff(nodes).sum() < 5e-4


def gauss(low, high, n):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return low + (high - low) * (nodes + 1) / 2, (high - low) / 2 * weights


def expected_fractions(model, shifts, flavour, q2_edges):
    """Fractions of events in cells of (q², cos θ_μ, cos θ_K, χ), by Gauß's rule on the model."""
    inputs = model.inputs
    mass, cumulative = line_shape_quantiles(inputs)
    m_kpi = np.interp((np.arange(60) + 0.5) / 60, cumulative, mass)
    end = model.q2_end(m_kpi)
    integrals = []
    for low, high in itertools.pairwise(q2_edges):
        top = np.minimum(high, end)
        span = np.maximum(top - low, 0)[:, None]
        # logarithmic against the photon pole, and quadratic at both ends for the square roots
        x, weights = gauss(0, 1, 80)
        share = x * x * (3 - 2 * x)
        ratio = np.log(np.maximum(top / low, 1.0))[:, None]
        q2 = low * np.exp(ratio * share)
        slope = weights * 6 * x * (1 - x) * ratio * q2 * (span > 0)
        j = model.angular_coefficients(q2, m_kpi[:, None], shift_vector(shifts), flavour)
        integrals.append((j * slope[..., None]).sum(axis=1))
    per_mass = np.array(integrals)
    rate = (per_mass @ RATE_WEIGHTS).sum(axis=0)
    j_in_bin = (per_mass / rate[:, None]).mean(axis=1)
    functions = []
    for mu, k, chi in itertools.product(range(4), range(4), range(6)):
        axes = (
            gauss(-1 + mu / 2, -0.5 + mu / 2, 8),
            gauss(-1 + k / 2, -0.5 + k / 2, 8),
            gauss(chi * np.pi / 3, (chi + 1) * np.pi / 3, 8),
        )
        grid = np.meshgrid(*(nodes for nodes, _ in axes), indexing="ij")
        weight = np.einsum("i,j,k->ijk", *(weights for _, weights in axes)).ravel()
        values = angular_functions(*(axis.ravel() for axis in grid))
        functions.append(weight @ values * 9 / (32 * np.pi))
    return j_in_bin @ np.array(functions).T


CASES = [
    ("muon", {"c9": -2.0}, 1),
    ("muon", COMPLEX, -1),
    ("conjugate", COMPLEX, 1),
    ("electron", {"c9": -0.9, "c7p": 0.2j}, 1),
]


@pytest.mark.parametrize("n_events", [400_000, pytest.param(8_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "shifts", "flavour"), CASES)
def test_q2_and_angles_follow_the_rate(tables, name, shifts, flavour, n_events):
    """Counts in cells of all four variables against integrals that use nothing of the sampler."""
    model = tables[name].model
    events = draw(tables[name], shifts, n_events, flavour=flavour)
    inner = [0.5, 2, 4.3, 6.76, 9, 12, 15, 22]
    poles = [0.1] if name != "electron" else [1e-5, 1e-3, 0.04]
    q2_edges = np.array([model.q2_min_gev2, *poles, *inner])
    probability = expected_fractions(model, shifts, flavour, q2_edges)
    assert probability.sum() == pytest.approx(1, abs=3e-5)
    edges = [q2_edges, np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), np.linspace(0, 2 * np.pi, 7)]
    edges[0][0] *= 0.999  # single precision
    sample = np.stack([events.q2, events.cos_theta_mu, events.cos_theta_k, events.chi], axis=1)
    counts = np.histogramdd(sample, edges)[0].reshape(probability.shape)
    mean = probability * n_events
    used = mean > 10
    assert mean[used].sum() > 0.99 * n_events
    statistic = ((counts - mean)[used] ** 2 / mean[used]).sum()
    assert chi2.sf(statistic, used.sum() - 1) > 1e-3
    # one per cent more events on one side of a variable would be seen
    tilted = counts * np.where(np.arange(counts.shape[1]) % 4 < 2, 1.01, 0.99)
    if n_events > 1_000_000:
        tilt = ((tilted - mean)[used] ** 2 / mean[used]).sum()
        assert chi2.sf(tilt, used.sum() - 1) < 1e-6


def test_conjugate_flavours_have_one_distribution(tables):
    """An anti-B0 with the conjugate shifts decays as a B0: of the same random bits, to the last."""

    def decays(shifts, flavour):
        prepared = prepare(tables["conjugate"], shift_vector(shifts), flavour)
        return make_chunk(prepared, 5000, Stream(11, "p", "test", 0).bits(0))

    anti = decays(COMPLEX, -1)
    other = {name: np.conj(value) for name, value in COMPLEX.items()}
    assert_equal(dataclasses.replace(anti, flavour=-anti.flavour), decays(other, 1))
    assert not np.array_equal(decays(COMPLEX, 1).q2, anti.q2)


def test_every_coefficient_reaches_the_angles(table):
    """J_3 to J_9 are small or zero in the model: enlarge them, and find each in its moment."""
    values = table.at(shift_vector({}))
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
    terms = np.stack([np.zeros(11, int), np.arange(11)], axis=1)  # the monomial 1, every J_i
    enlarged = dataclasses.replace(table, terms=terms, values=values)
    events = draw(enlarged, {}, 300_000)
    events = events[(events.q2 > 1) & (events.q2 < 6)]
    x = {name: column.astype(float) for name, column in events.columns().items()}
    functions = angular_functions(x["cos_theta_mu"], x["cos_theta_k"], x["chi"])
    density = prepare(enlarged, shift_vector({})).density
    # below the cusp the nodes are at fixed q²
    nodes = density.q2_nodes[:, 0]
    interval = np.searchsorted(nodes, x["q2"], side="right") - 1
    sigma = (x["q2"] - nodes[interval]) / (nodes[interval + 1] - nodes[interval])
    coefficients = tabulated(density, interval, sigma, x["m_kpi"])[0]
    rate = coefficients @ RATE_WEIGHTS
    # <f_i> = Σ_j M_ij J_j/Γ with M_ij = 9/(32π) ∫ f_i f_j dΩ
    cosine, weight = np.polynomial.legendre.leggauss(10)
    chi = np.arange(10) * 2 * np.pi / 10
    grid = np.meshgrid(cosine, cosine, chi, indexing="ij")
    f = angular_functions(*(axis.ravel() for axis in grid))
    w = np.einsum("i,j,k->ijk", weight, weight, np.full(10, 2 * np.pi / 10)).ravel()
    matrix = np.einsum("ni,nj,n->ij", f, f, w) * 9 / (32 * np.pi)
    mean = (coefficients / rate[:, None]).mean(axis=0)
    error = functions.std(axis=0) / np.sqrt(len(events))
    pulls = (functions.mean(axis=0) - mean @ matrix) / error
    assert np.all(np.abs(pulls) < 4), pulls
    # a lost term would show by many deviations
    without = mean * np.diag(matrix)
    assert np.all(np.abs(without[4:]) > 8 * error[4:]), without / error
