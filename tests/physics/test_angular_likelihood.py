"""The angular analysis: moments, predictions and fits against independent integrals."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.stats import chi2

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.fits.angular import (
    OBSERVABLES,
    AngularLikelihoodEstimator,
    chi_squared,
    estimator,
    event_moments,
    fit,
    measure_moments,
    predictions,
    prepare,
)
from wilsonvox.estimators.fits.minimisation import intervals, minimise
from wilsonvox.estimators.fits.prepared import PreparedMetadata
from wilsonvox.estimators.fits.unbinned import fit_events
from wilsonvox.estimators.settings import AngularLikelihoodSettings
from wilsonvox.events.event_file import Events
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions, observables
from wilsonvox.theory.line_shape import line_shape
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import parameter_values, shift_vector
from wilsonvox.voxels.specification import ImageSpecification

SETTINGS = AngularLikelihoodSettings()
BINS = SETTINGS.q2_bins_gev2
IMAGE = ImageSpecification()
ANGLES = ("cos_theta_mu", "cos_theta_k", "chi")


def draw(table, shifts, n_events, flavour=1):
    stream = Stream(8, "angular", "test", 0)
    return Events.concatenate(generate(table, shift_vector(shifts), n_events, stream, flavour))


def as_array(named):
    return np.stack([named[name] for name in OBSERVABLES], axis=-1)


@pytest.fixture(scope="module")
def predicted(model):
    return predictions(model, IMAGE, ("c9",), BINS)


@pytest.fixture(scope="module")
def sample(table):
    return draw(table, {"c9": -0.9}, 400_000)


@pytest.mark.parametrize("lepton", ["muon", "electron"])
def test_moments_are_exact_at_any_lepton_mass(lepton):
    """Means of the functions over the whole angular distribution, also near the threshold."""
    model = DecayModel(load_inputs("evtgen-btosllnpr"), lepton)
    cosines, weights = np.polynomial.legendre.leggauss(20)
    chi = np.arange(40) * np.pi / 20
    axes = [axis.ravel() for axis in np.meshgrid(cosines, cosines, chi, indexing="ij")]
    volume = np.einsum("i,j,k->ijk", weights, weights, np.full(40, np.pi / 20)).ravel()
    functions = angular_functions(*axes)
    shifts = shift_vector({"c9": -1.5 + 0.7j, "c9p": 0.4, "c10p": 0.3j})
    for q2 in (0.06, 1.0, 16.0):
        j = model.angular_coefficients(np.array(q2), np.array(0.9), shifts)
        density = 9 / (32 * np.pi) * functions @ j / (j @ RATE_WEIGHTS)
        assert (density * volume).sum() == pytest.approx(1, rel=1e-12)
        means = (density * volume) @ event_moments(*axes)
        np.testing.assert_allclose(means, as_array(observables(j)), atol=1e-12)


def test_moments_of_a_sample(table):
    """Moments against EvtGen, and the covariance against the scatter of subsamples."""
    events = draw(table, {"c9": -0.9}, 200_000)
    inside = events[(events.q2 > 1) & (events.q2 < 6)]
    values, covariance = measure_moments(inside)
    # reference numbers of EvtGen at δC9 = −0.90 (1 < q2 < 6 GeV²), errors of both samples
    for name, reference, error in (
        ("A_FB", -0.007, 0.005),
        ("F_L", 0.775, 0.004),
        ("S5", -0.154, 0.006),
    ):
        place = OBSERVABLES.index(name)
        assert abs(values[place] - reference) < 4 * np.hypot(error, covariance[place, place] ** 0.5)
    moments = event_moments(*(getattr(inside, name).astype(float) for name in ANGLES))
    pieces = moments[: len(moments) // 200 * 200].reshape(200, -1, 8).mean(axis=1)
    scatter = np.cov(pieces, rowvar=False) / 200
    np.testing.assert_allclose(np.diag(scatter), np.diag(covariance), rtol=0.5)


def test_predictions_agree_with_direct_integration(model):
    """J_i of a bin by Simpson's rule in q2 and m_Kπ, with a veto and the end of phase space."""
    image = ImageSpecification(q2_max_gev2=19.0, vetoes_gev2=((5.0, 5.5),))
    bins = ((4.0, 6.0), (6.0, 8.0), (17.0, 20.0))
    names, shifts = ("c9", "c10_imaginary"), {"c9": -1.3, "c10": 0.8j}
    predicted = predictions(model, image, names, bins)
    at = parameter_values(shift_vector(shifts), names)
    masses = np.linspace(model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev, 1201)
    weights = line_shape(masses, model.inputs)

    def integrated(low, high):
        low, high = max(low, model.q2_min_gev2), np.minimum(high, model.q2_end(masses))[:, None]
        u = np.linspace(0, 1, 161)
        span = np.maximum(high - low, 0)
        q2 = low + span * u**2 * (3 - 2 * u)
        j = model.angular_coefficients(q2, masses[:, None], shift_vector(shifts))
        return simpson(j * (span * 6 * u * (1 - u))[..., None], x=u, axis=1)

    cusp = model.charm_threshold_gev2
    rates = sum(integrated(*pair) for pair in ((0, 0.3), (0.3, cusp), (cusp, 99))) @ RATE_WEIGHTS
    parts = [
        integrated(4.0, 5.0) + integrated(5.5, 6.0),
        integrated(6.0, cusp) + integrated(cusp, 8.0),
        integrated(17.0, 19.0),
    ]
    coefficients = [simpson(j * (weights / rates)[:, None], x=masses, axis=0) for j in parts]
    expected = as_array(observables(np.array(coefficients)))
    np.testing.assert_allclose(predicted.observables(at)[0], expected, atol=3e-6)


def test_slopes_of_the_predictions(predicted):
    for shift in (-2.0, 0.0, 1.5):
        step = 1e-5
        up, down = (predicted.observables([shift + h])[0] for h in (step, -step))
        _, slopes = predicted.observables([shift])
        np.testing.assert_allclose(slopes[:, 0], (up - down) / (2 * step), atol=1e-8)


def test_expected_covariance_agrees_with_samples(predicted, sample):
    for index, (low, high) in enumerate(BINS):
        inside = sample[(sample.q2 >= low) & (sample.q2 < high)]
        _, covariance = measure_moments(inside)
        expected = predicted.covariance([-0.9])[index]
        difference = covariance * len(inside) - expected
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert np.abs(difference / scale).max() < 5 * np.sqrt(2 / len(inside))


def test_chi_squared_at_the_truth(predicted, sample):
    objective = chi_squared(sample, IMAGE, predicted, BINS, 1)
    for at in (objective, objective.with_expected_covariance([-0.9])):
        assert 1e-4 < chi2.sf(at.value([-0.9]), 64) < 1 - 1e-4
        assert at.value([-0.7]) > at.value([-0.9]) + 25
        step = 1e-5
        slope = (at.value([-0.5 + step]) - at.value([-0.5 - step])) / (2 * step)
        assert at.gradient([-0.5])[0] == pytest.approx(slope, rel=1e-6)
    assert at.values(np.array([[0.0], [1.0]])) == pytest.approx([at.value([0.0]), at.value([1.0])])


def test_fit(model, predicted, sample):
    objective = chi_squared(sample, IMAGE, predicted, BINS, 1)
    result = fit(objective, (-5, 5))
    assert abs(result.values[0] + 0.9) < 4 * result.errors[0]
    # the minimum with the expected covariance agrees with the minimum with that of the sample
    expected = objective.with_expected_covariance(minimise(objective, (-5, 5)).values)
    assert result.minimum == pytest.approx(expected.value(result.values), rel=1e-9)
    assert result.minimum != pytest.approx(objective.value(result.values), rel=1e-3)
    low, high = intervals(result, 0.6827)[0]
    assert high - low == pytest.approx(2 * result.errors[0], rel=0.05)
    # the q2 distribution of the rate is not used, so that the full likelihood is more precise
    full = fit_events(model, sample[sample.q2 <= 20][:50_000], IMAGE)
    few = fit(chi_squared(sample[:50_000], IMAGE, predicted, BINS, 1), (-5, 5))
    assert 1.3 < few.errors[0] / full.errors[0] < 1.8


@pytest.mark.parametrize("flavour", ["B0", "B0bar"])
def test_several_shifts_of_either_flavour(model, table, flavour):
    names, shifts = ("c9", "c9p"), {"c9": -1.0, "c9p": 0.6}
    image = ImageSpecification(flavour=flavour)
    events = draw(table, shifts, 100_000, {"B0": 1, "B0bar": -1}[flavour])
    estimator_ = AngularLikelihoodEstimator(
        image, names, SETTINGS, predictions(model, image, names, BINS)
    )
    result = estimator_.fit(events)
    difference = result.values - [-1.0, 0.6]
    assert difference @ np.linalg.solve(result.covariance, difference) < 18.4


def test_fit_requires_matching_bins(model, sample):
    """The fit is biased with predictions for other bins than those of the events."""
    right = predictions(model, IMAGE, ("c9",), ((1.1, 2.5), (4.0, 6.0)))
    wrong = predictions(model, IMAGE, ("c9",), ((1.1, 3.5), (5.0, 6.0)))
    events = ((1.1, 2.5), (4.0, 6.0))
    fits = [
        fit(chi_squared(sample, IMAGE, prediction, events, 1), (-5, 5))
        for prediction in (right, wrong)
    ]
    pulls = [abs(result.values[0] + 0.9) / result.errors[0] for result in fits]
    assert pulls[0] < 4
    assert pulls[1] > 6


def test_prepared_arrays_give_the_same_fit(model, predicted, sample):
    arrays = prepare(model, IMAGE, ("c9",), SETTINGS)
    assert all(array.dtype == np.float64 for array in arrays.values())
    metadata = PreparedMetadata(
        estimator="angular",
        architecture="angular-likelihood",
        image=IMAGE,
        coefficients=("c9",),
        physics_inputs=model.inputs.name,
        settings=SETTINGS,
    )
    result = estimator(arrays, metadata, model).estimate(sample[:24_000])
    direct = fit(chi_squared(sample[:24_000], IMAGE, predicted, BINS, 1), (-5, 5))
    np.testing.assert_array_equal(result.values, direct.values)
    np.testing.assert_array_equal(result.errors, direct.errors)


def test_too_few_events_give_no_estimate(predicted, sample):
    angular = AngularLikelihoodEstimator(IMAGE, ("c9",), SETTINGS, predicted)
    for events in (sample[:0], sample[:300]):
        assert np.isnan(angular.estimate(events).values).all()
    # bins with few events are left out
    part = sample[(sample.q2 < 6) | (np.arange(len(sample)) < 200)][:20_000]
    used = chi_squared(part, IMAGE, predicted, BINS, 1)
    assert used.measured.shape == (4, 8)
    assert used.predictions.bins.shape[0] == 4


def test_bad_input_is_rejected(model, predicted, sample):
    vetoed = ImageSpecification(vetoes_gev2=((8.0, 14.0),))
    with pytest.raises(UserError, match=r"selects nothing in the bin 11 … 12\.5 GeV²"):
        predictions(model, vetoed, ("c9",), BINS)
    with pytest.raises(UserError, match=r"bin 22 … 23 GeV²"):
        predictions(model, ImageSpecification(q2_max_gev2=30), ("c9",), ((1.0, 2.0), (22.0, 23.0)))
    other = dataclasses.replace(sample[:10], flavour=-sample[:10].flavour)
    with pytest.raises(UserError, match="10 of 10 are not B0"):
        chi_squared(other, IMAGE, predicted, BINS, 1)
