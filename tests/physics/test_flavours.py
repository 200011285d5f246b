"""Images of both flavours: the angles of an anti-B0, events of both, and what they tell."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from tests.helpers.evtgen_angles import evtgen_angle_chi, evtgen_decay_angle, momenta_of

from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.events.event_file import Events
from wilsonvox.events.generation import sampler as generation
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory.angular import NAMES, RATE_WEIGHTS, angular_functions
from wilsonvox.theory.fisher import fisher_information
from wilsonvox.theory.integrals import ALL_Q2, rate_integrals
from wilsonvox.theory.kinematics import DecayMomenta, decay_variables
from wilsonvox.theory.points import shift_vector
from wilsonvox.voxels.flavours import with_image_angles
from wilsonvox.voxels.image_distribution import POSITIVE_LEPTON_SIGNS, image_distribution
from wilsonvox.voxels.information import image_information
from wilsonvox.voxels.specification import ImageSpecification

MIXED = ImageSpecification(flavour="both", antiparticle_angles="positive-lepton")
APART = ImageSpecification(flavour="both")


def test_angles_of_the_positive_lepton_are_those_of_the_papers_code():
    """EvtGen's own angles of K and μ+, of real anti-B0 decays of EvtGen."""
    momenta = momenta_of("evtgen_btosllnpr_antib0_dc9_0.00.root")
    b, k, pi, mup, mum = momenta
    flavour = -np.ones(momenta.shape[2], np.int8)
    found = decay_variables(DecayMomenta.from_array(momenta), flavour)
    events = Events.from_columns(vars(found) | {"flavour": flavour})
    turned = with_image_angles(events, MIXED)
    difference = turned.chi - evtgen_angle_chi(k[1:], pi[1:], mup[1:])
    difference = np.abs(np.mod(difference + np.pi, 2 * np.pi) - np.pi)
    assert np.median(difference) < 1e-6
    assert difference.max() < 1e-3
    slow = found.q2 < 0.1
    np.testing.assert_allclose(
        turned.cos_theta_mu[~slow], evtgen_decay_angle(b, mup + mum, mup)[~slow], atol=1e-5
    )
    np.testing.assert_array_equal(turned.cos_theta_k, events.cos_theta_k)
    np.testing.assert_array_equal(turned.q2, events.q2)
    # of a B0 they are what they were, and so are both in images of conjugate angles
    b0 = Events.from_columns(events.columns() | {"flavour": -flavour})
    np.testing.assert_array_equal(with_image_angles(b0, MIXED).chi, b0.chi)
    np.testing.assert_array_equal(with_image_angles(b0, MIXED).cos_theta_mu, b0.cos_theta_mu)
    np.testing.assert_array_equal(with_image_angles(events, APART).chi, events.chi)


def test_signs_are_those_of_the_angular_functions():
    angles = np.random.default_rng(1).uniform([-1, -1, 0], [1, 1, 2 * np.pi], (500, 3)).T
    other = angular_functions(-angles[0], angles[1], np.pi - angles[2])
    np.testing.assert_allclose(
        other, angular_functions(*angles) * POSITIVE_LEPTON_SIGNS, atol=1e-12
    )
    # arXiv:0811.1214, section 3: J_1, 2, 3, 4, 7 keep theirs in the CP-conjugate mode
    kept = [name for name, sign in zip(NAMES, POSITIVE_LEPTON_SIGNS, strict=True) if sign > 0]
    assert kept == ["1s", "1c", "2s", "2c", "3", "4", "7"]


def draw(table, n_events, c9=-2.0, flavour=0, **options):
    stream = Stream(11, "p", "test", 0)
    return Events.concatenate(
        generate(table, shift_vector({"c9": c9}), n_events, stream, flavour, **options)
    )


def asymmetry(values):
    """Forward-backward asymmetry, and its error."""
    return float(np.sign(values).mean()), len(values) ** -0.5


def test_events_of_both_flavours_are_half_of_each_and_independent_of_others(table, monkeypatch):
    monkeypatch.setattr(generation, "CHUNK", 8192)
    n_events = 30_000
    both = draw(table, n_events)
    n_b0 = np.count_nonzero(both.flavour == 1)
    assert set(np.unique(both.flavour)) == {-1, 1}
    assert abs(n_b0 - n_events / 2) < 4 * np.sqrt(n_events / 4)
    # in random order
    assert abs(np.corrcoef(both.flavour[1:], both.flavour[:-1])[0, 1]) < 4 / np.sqrt(n_events)
    for flavour in (1, -1):
        alone = draw(table, 1000, flavour=flavour)
        of_mixture = both[both.flavour == flavour][:1000]
        assert np.isin(alone.cos_theta_k, of_mixture.cos_theta_k).mean() < 0.01
    several = draw(table, n_events, threads=2)
    few = draw(table, 1000)
    for name, column in both.columns().items():
        np.testing.assert_array_equal(several.columns()[name], column)
        np.testing.assert_array_equal(few.columns()[name], column[:1000])


def test_the_asymmetry_cancels_in_images_of_both_flavours(table):
    events = draw(table, 300_000)
    own, error = asymmetry(events.cos_theta_mu[(events.q2 > 1) & (events.q2 < 6)])
    assert own < -0.05 - 3 * error  # A_FB at δC9 = −2 of tests/physics/test_reference_numbers.py
    turned = with_image_angles(events, MIXED)
    mixed, error = asymmetry(turned.cos_theta_mu[(turned.q2 > 1) & (turned.q2 < 6)])
    assert abs(mixed) < 4 * error


def scores(model, events, c9, factors):
    """d ln p/dδC9 of events of all q2, p normalised at each m_Kπ as events are drawn."""
    values = np.array([c9])
    powers = polynomial_terms(values, 2)
    slopes = polynomial_gradient(values, 2)[:, 0]
    q2, m_kpi = events.q2.astype(float), events.m_kpi.astype(float)
    functions = angular_functions(*(
        getattr(events, name).astype(float) for name in ("cos_theta_mu", "cos_theta_k", "chi")
    ))  # fmt: skip
    form = np.einsum("nmi,ni->nm", model.polynomials(q2, m_kpi, ["c9"]) * factors, functions)
    inputs = model.inputs
    nodes = np.linspace(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, 60)
    rates = rate_integrals(model, nodes, ALL_Q2, ["c9"], 1, RATE_WEIGHTS[:, None])[..., 0]
    log_slope = CubicSpline(nodes, (rates @ slopes) / (rates @ powers))
    return form @ slopes / (form @ powers) - log_slope(m_kpi)


@pytest.mark.parametrize("c9", [-2.0, 0.0])
def test_information_of_both_flavours_is_the_variance_of_the_score(model, table, c9):
    """Of events that the sampler drew and the voxels would turn; a wrong sign is off by far."""
    n_events = 150_000
    turned = with_image_angles(draw(table, n_events, c9), MIXED)
    flavour, factors = image_distribution(MIXED)
    score = scores(model, turned, c9, factors)
    found = fisher_information(
        model, shift_vector({"c9": c9}), ["c9"], 0, 30, (), flavour, factors
    )[0, 0]
    assert abs(score.mean()) < 4 * np.sqrt(found / n_events)
    assert found == pytest.approx(np.mean(score**2), rel=0.03)


@pytest.mark.parametrize(("c9", "gain"), [(-2.0, 2.46), (-1.0, 1.86), (0.0, 1.37)])
def test_one_image_of_both_flavours_costs_what_the_documentation_says(model, c9, gain):
    shifts = shift_vector({"c9": c9})
    mixed, apart = (
        fisher_information(model, shifts, ["c9"], 0, 20, (), *image_distribution(image))[0, 0]
        for image in (MIXED, APART)
    )
    assert np.sqrt(apart / mixed) == pytest.approx(gain, abs=0.01)


def test_flavours_apart_tell_the_same(model):
    """An image of B0, or of anti-B0 with whichever angles, tells what one event tells."""
    shifts = shift_vector({"c9": -1.0})
    expected = fisher_information(model, shifts, ["c9"])[0, 0]
    assert image_distribution(APART) == (1, pytest.approx(1.0))
    assert image_distribution(ImageSpecification(flavour="B0bar")) == (-1, pytest.approx(1.0))
    turned = ImageSpecification(flavour="B0bar", antiparticle_angles="positive-lepton")
    found = fisher_information(model, shifts, ["c9"], 0, 20, (), *image_distribution(turned))[0, 0]
    assert found == pytest.approx(expected, rel=2e-3)


def test_images_know_of_their_flavours(model):
    shifts = shift_vector({"c9": -1.0})
    apart, mixed = (image_information(model, shifts, image) for image in (APART, MIXED))
    assert np.sqrt(apart.left[0] / mixed.left[0]) == pytest.approx(1.86, abs=0.01)
    for kept in range(1, 5):
        assert np.sqrt(apart.left[kept] / mixed.left[kept]) == pytest.approx(1.86, abs=0.06)
