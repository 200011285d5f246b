"""The unbinned likelihood against independent densities and integrals."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.interpolate import CubicSpline

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.fits import angular as angular_likelihood
from wilsonvox.estimators.fits.event_density import event_polynomials
from wilsonvox.estimators.fits.minimisation import intervals, minimise
from wilsonvox.estimators.fits.prepared import PreparedMetadata
from wilsonvox.estimators.fits.unbinned import (
    LikelihoodEstimator,
    NormalisationIntegrals,
    estimator,
    fit_events,
    negative_log_likelihood,
    normalisation,
    prepare,
)
from wilsonvox.estimators.settings import AngularLikelihoodSettings, LikelihoodSettings
from wilsonvox.events.event_file import Events
from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory import fisher as bound
from wilsonvox.theory.angular import RATE_WEIGHTS, angular_functions
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.line_shape import line_shape
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import PARAMETERS, parameter_values, shift_vector
from wilsonvox.voxels.binning import selection
from wilsonvox.voxels.specification import ImageSpecification

VETOED = ImageSpecification(
    q2_min_gev2=1.1, q2_max_gev2=19.0, vetoes_gev2=((8.0, 11.0), (12.5, 15.0))
)
COLUMNS = ("q2", "m_kpi", "cos_theta_mu", "cos_theta_k", "chi")


def flat_events(model, n_events, flavour=1, seed=3):
    """Return events in all of phase space, many of them at low q2."""
    rng = np.random.default_rng(seed)
    inputs, low = model.inputs, model.q2_min_gev2
    m_kpi = rng.uniform(inputs.m_kpi_min_gev, inputs.m_kpi_max_gev, n_events)
    return Events.from_columns(
        {
            "q2": low + (model.q2_end(m_kpi) - low) * rng.random(n_events) ** 3 * (1 - 1e-6) + 1e-6,
            "m_kpi": m_kpi,
            "cos_theta_mu": rng.uniform(-1, 1, n_events),
            "cos_theta_k": rng.uniform(-1, 1, n_events),
            "chi": rng.uniform(0, 2 * np.pi, n_events),
            "flavour": np.full(n_events, flavour),
        }
    )


def draw(table, shifts, n_events, image=None, seed=5, flavour=1):
    """Generate `n_events` events and return the selected ones."""
    image = image or ImageSpecification(flavour="B0" if flavour > 0 else "B0bar")
    stream = Stream(seed, "likelihood", "test", 0)
    events = Events.concatenate(generate(table, shift_vector(shifts), n_events, stream, flavour))
    return events[selection(events, image)["selected"]]


def density(model, events, shifts, flavour=1):
    """Return Σ J_i f_i of each event from the amplitudes at `shifts`."""
    q2, m_kpi, *angles = (getattr(events, name).astype(float) for name in COLUMNS)
    j = model.angular_coefficients(q2, m_kpi, shift_vector(shifts), flavour)
    return (j * angular_functions(*angles)).sum(axis=-1)


def integrated_rates(model, masses, low, high, shifts, flavour=1):
    """Integrate dΓ/dq2 from `low` to `high` at each mass, below and above the charm cusp."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    u = (nodes + 1) / 2
    end, total = model.q2_end(masses), np.zeros(len(masses))
    cusp, vector = model.charm_threshold_gev2, shift_vector(shifts)
    for start, stop in ((max(low, model.q2_min_gev2), min(high, cusp)), (max(low, cusp), high)):
        first, last = np.minimum(start, end)[:, None], np.minimum(stop, end)[:, None]
        span = np.maximum(last - first, 0)
        # q2 = first + span (3u² − 2u³) has zero slope at both ends
        q2 = first + span * u * u * (3 - 2 * u)
        rate = model.angular_coefficients(q2, masses[:, None], vector, flavour) @ RATE_WEIGHTS
        total += (rate * span * 6 * u * (1 - u)) @ weights / 2
    return total


def selected_fraction(model, image, shifts, masses):
    """Compute P(δ) by Simpson's rule over equidistant masses."""
    everything = integrated_rates(model, masses, 0, np.inf, shifts)
    selected = integrated_rates(model, masses, image.q2_min_gev2, image.q2_max_gev2, shifts)
    for low, high in image.vetoes_gev2:
        selected = selected - integrated_rates(model, masses, low, high, shifts)
    weights = line_shape(masses, model.inputs)
    return simpson(weights * selected / everything, x=masses) / simpson(weights, x=masses)


@pytest.fixture(scope="module")
def sample(table):
    return draw(table, {"c9": -0.9}, 24_000)


@pytest.mark.parametrize("lepton", ["muon", "electron"])
@pytest.mark.parametrize(("antiparticle_shifts", "flavour"), [("equal", -1), ("conjugate", 1)])
@pytest.mark.parametrize("names", [("c9",), ("c10p_imaginary", "c7"), PARAMETERS])
def test_event_polynomials_agree_with_the_model(lepton, antiparticle_shifts, flavour, names):
    model = DecayModel(load_inputs("evtgen-btosllnpr"), lepton, antiparticle_shifts)
    events = flat_events(model, 500, flavour)
    result = event_polynomials(model, events, names)
    q2, m_kpi, *angles = (getattr(events, name).astype(float) for name in COLUMNS)
    direct = model.polynomials(q2, m_kpi, names, flavour=flavour)
    direct = np.einsum("npj,nj->np", direct, angular_functions(*angles))
    k = len(names)
    rows, columns = np.triu_indices(k)
    squares = [0, *(1 + k + np.flatnonzero(rows == columns))]
    scale = direct[:, squares].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result, direct / scale, atol=1e-10)
    np.testing.assert_allclose(result[:, squares].sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("image", [ImageSpecification(), VETOED])
@pytest.mark.parametrize("shift", [-2.0, 1.0])
def test_likelihood_agrees_with_direct_integration(model, sample, image, shift):
    """Compare ln L(δ) − ln L(0) with amplitudes at δ and other quadratures."""
    events = sample[selection(sample, image)["selected"]][:2000]
    masses = np.linspace(model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev, 801)
    m_kpi = events.m_kpi.astype(float)
    expected = []
    for at in ({"c9": shift}, {"c9": 0.0}):
        rates = CubicSpline(masses, np.log(integrated_rates(model, masses, 0, np.inf, at)))
        fraction = selected_fraction(model, image, at, masses)
        expected.append(
            np.log(density(model, events, at)).sum()
            - rates(m_kpi).sum()
            - len(events) * np.log(fraction)
        )
    likelihood = negative_log_likelihood(model, events, image, ("c9",))
    result = likelihood.value([0.0]) - likelihood.value([shift])
    # 1e-6 per event: Simpson's rule at the kink where phase space ends at the cut
    assert result == pytest.approx(expected[0] - expected[1], abs=1e-6 * len(events))
    fraction = selected_fraction(model, image, {"c9": shift}, masses)
    powers = np.array([1, shift, shift**2])
    assert likelihood.normalisation.selected_fraction(powers) == pytest.approx(fraction, rel=1e-6)


def test_density_is_normalised_at_every_shift(model, table):
    """The mean of p(x|δ)/p(x|0) over events generated at 0 is 1, also within a cut."""
    events = draw(table, {"c9": 0.0}, 150_000, VETOED)
    likelihood = negative_log_likelihood(model, events, VETOED, ("c9",))
    rates = likelihood.normalisation.chebyshev_rates
    x = np.cos(np.pi * (np.arange(len(rates)) + 0.5) / len(rates))
    low, high = model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev
    at = 2 * (events.m_kpi.astype(float) - low) / (high - low) - 1
    for shift in (-1.0, 0.7):
        log_ratio = np.log(density(model, events, {"c9": shift}))
        log_ratio -= np.log(density(model, events, {"c9": 0.0}))
        for sign, powers in ((-1, [1, shift, shift**2]), (1, [1, 0, 0])):
            series = np.polynomial.chebyshev.chebfit(x, np.log(rates @ powers), len(rates) - 1)
            log_ratio += sign * np.polynomial.chebyshev.chebval(at, series)
            fraction = likelihood.normalisation.selected_fraction(np.array(powers, float))
            log_ratio += sign * np.log(fraction)
        ratio = np.exp(log_ratio)
        error = ratio.std() / np.sqrt(len(ratio))
        assert abs(ratio.mean() - 1) < 4 * error
        assert error < 0.003
        # the sum of these logarithms is the difference of the likelihood
        total = likelihood.value([0.0]) - likelihood.value([shift])
        assert log_ratio.sum() == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize("names", [("c9",), ("c9", "c10_imaginary"), PARAMETERS])
@pytest.mark.parametrize("image", [ImageSpecification(), VETOED])
def test_gradient(model, sample, names, image):
    events = sample[selection(sample, image)["selected"]][:3001]
    likelihood = negative_log_likelihood(model, events, image, names)
    point = np.random.default_rng(2).uniform(-0.5, 0.5, len(names))
    step = 1e-4
    numerical = [
        (likelihood.value(point + h) - likelihood.value(point - h)) / (2 * step)
        for h in step * np.eye(len(names))
    ]
    scale = np.abs(likelihood.gradient(point)).max()
    np.testing.assert_allclose(likelihood.gradient(point), numerical, atol=1e-5 * scale)


def test_values_at_many_points_and_of_some_events(model, sample):
    likelihood = negative_log_likelihood(model, sample, ImageSpecification(), ("c9", "c10"))
    points = np.random.default_rng(1).uniform(-2, 2, (20, 2))
    exact = np.array([likelihood.value(point) for point in points])
    np.testing.assert_allclose(likelihood.values(points), exact, rtol=1e-10)
    rough = likelihood.rough()
    assert rough.polynomials.shape[1] < 2500
    assert rough.n_events == pytest.approx(likelihood.n_events)
    rises = [values - values.min() for values in (exact, rough.values(points))]
    assert np.corrcoef(*rises)[0, 1] > 0.9


def test_fit_of_one_shift(model, sample):
    result = minimise(
        negative_log_likelihood(model, sample, ImageSpecification(), ("c9",)), (-5.0, 5.0)
    )
    expected = bound.cramer_rao_bound(model, {"c9": -0.9}, ("c9",), len(sample))["c9"]
    assert result.converged
    assert abs(result.values[0] + 0.9) < 4 * result.errors[0]
    assert result.errors[0] == pytest.approx(expected, rel=0.05)
    assert fit_events(model, sample, ImageSpecification()).values == pytest.approx(result.values)
    # Minos: −ln L rises by half a unit of a χ² with one degree of freedom
    likelihood = negative_log_likelihood(model, sample, ImageSpecification(), ("c9",))
    for level, rise in ((0.6827, 0.5), (0.95, 1.9207)):
        for end in intervals(result, level)[0]:
            # MIGRAD's tolerance
            assert likelihood.value([end]) - result.minimum == pytest.approx(rise, abs=0.01)


@pytest.mark.parametrize(
    ("names", "shifts"),
    [
        (("c9", "c9_imaginary"), {"c9": -0.9 + 0.8j}),
        (("c9", "c10"), {"c9": -1.2, "c10": 0.4}),
        (("c9p", "c7_imaginary"), {"c9p": 0.5, "c7": 0.05j}),
        (("c7", "c9", "c10", "c9p"), {"c7": 0.02, "c9": -0.6, "c10": 0.3, "c9p": -0.4}),
    ],
)
def test_fits_of_several_shifts(model, table, names, shifts):
    image = ImageSpecification()
    events = draw(table, shifts, 24_000)
    result = minimise(negative_log_likelihood(model, events, image, names), (-5.0, 5.0))
    truth = parameter_values(shift_vector(shifts), names)
    difference = result.values - truth
    # χ² of as many degrees of freedom, p > 1e-4
    assert (
        difference @ np.linalg.solve(result.covariance, difference) < {2: 18.4, 4: 23.5}[len(names)]
    )
    expected = bound.cramer_rao_bound(model, shifts, names, len(events))
    np.testing.assert_allclose(result.errors, [expected[name] for name in names], rtol=0.25)
    assert result.errors[0] == pytest.approx(np.sqrt(result.covariance[0, 0]))


@pytest.mark.parametrize("flavour", ["B0", "B0bar"])
def test_weak_phases_of_both_flavours(model, table, flavour):
    """With conjugate shifts, fits of both flavours use the same convention."""
    sign = {"B0": 1, "B0bar": -1}[flavour]
    conjugating = dataclasses.replace(model, antiparticle_shifts="conjugate")
    # the table is a function of the shifts that enter the amplitudes
    table = dataclasses.replace(table, model=conjugating)
    events = draw(table, {"c9": -0.9 + 0.8j}, 24_000, flavour=sign)
    image = ImageSpecification(flavour=flavour)
    names = ("c9", "c9_imaginary")
    result = fit_events(conjugating, events, image, names)
    assert np.all(np.abs(result.values - [-0.9, 0.8]) < 4 * result.errors)
    # with equal complex shifts for both flavours, the shift of the B0 is the conjugate
    other = fit_events(model, events, image, names)
    np.testing.assert_allclose(other.values, result.values * [1, -sign], atol=2e-3)


def test_likelihood_accounts_for_the_selection(model, table):
    """A fit of selected events is unbiased only if its normalisation includes the cut."""
    shifts = {"c9": -1.0}
    events = draw(table, shifts, 120_000, VETOED)
    right = fit_events(model, events, VETOED)
    assert abs(right.values[0] + 1) < 4 * right.errors[0]
    for wrong in (
        ImageSpecification(),
        VETOED.model_copy(update={"q2_min_gev2": 0.0}),
        VETOED.model_copy(update={"vetoes_gev2": ((8.0, 11.0),)}),
    ):
        result = fit_events(model, events, wrong)
        assert not abs(result.values[0] + 1) < 6 * right.errors[0]


def test_generic_unbinned_likelihood_agrees(model, sample):
    """Compare with UnbinnedNLL of iminuit and a numerically normalised density."""
    from iminuit import Minuit
    from iminuit.cost import UnbinnedNLL

    events = sample[:1500]
    masses = np.linspace(model.inputs.m_kpi_min_gev, model.inputs.m_kpi_max_gev, 41)
    nodes = np.linspace(0, 1, 801)
    low, span = model.q2_min_gev2, model.q2_end(masses)[:, None] - model.q2_min_gev2
    q2 = low + span * nodes**4  # crowds at the photon pole
    rates = model.polynomials(q2, masses[:, None], ["c9"]) @ RATE_WEIGHTS
    rates = simpson(rates * (4 * nodes**3 * span)[..., None], x=nodes, axis=1)
    columns = np.array([getattr(events, name) for name in COLUMNS], float)

    def log_density(x, c9):
        j = model.angular_coefficients(x[0], x[1], shift_vector({"c9": c9}))
        intensity = (j * angular_functions(*x[2:])).sum(axis=-1)
        norm = CubicSpline(masses, rates @ [1, c9, c9**2])(x[1])
        return np.log(intensity / norm)

    generic = Minuit(UnbinnedNLL(columns, log_density, log=True), c9=0.0)
    generic.migrad()
    generic.hesse()
    everything = ImageSpecification(q2_max_gev2=30.0)
    result = fit_events(model, events, everything)
    assert result.values[0] == pytest.approx(generic.values[0], abs=0.01 * generic.errors[0])
    assert result.errors[0] == pytest.approx(generic.errors[0], rel=0.01)


def test_prepared_arrays_give_the_same_fit(model, sample):
    settings = LikelihoodSettings(parameter_range=(-3.0, 2.0))
    arrays = prepare(model, ImageSpecification(), ("c9", "c10"), settings)
    assert all(array.dtype == np.float64 for array in arrays.values())
    metadata = PreparedMetadata(
        estimator="likelihood",
        architecture="likelihood",
        image=ImageSpecification(),
        coefficients=("c9", "c10"),
        physics_inputs=model.inputs.name,
        settings=settings,
    )
    prepared = estimator(arrays, metadata, model)
    assert isinstance(prepared, LikelihoodEstimator)
    assert prepared.limits == (-3.0, 2.0)
    direct = fit_events(model, sample, ImageSpecification(), ("c9", "c10"), (-3.0, 2.0))
    result = prepared.estimate(sample)
    np.testing.assert_array_equal(result.values, direct.values)
    np.testing.assert_array_equal(result.errors, direct.errors)


def at_the_ends(model):
    """Return events at the ends of phase space and beyond them by rounding of float32."""
    inputs = model.inputs
    masses = np.array([inputs.m_kpi_min_gev, 0.9, inputs.m_kpi_max_gev], np.float32)
    low = np.float32(model.q2_min_gev2)
    ends = model.q2_end(masses.astype(float)).astype(np.float32)
    rows = []
    for mass, end in zip(masses, ends, strict=True):
        for m_kpi in (np.nextafter(mass, np.float32(0)), mass, np.nextafter(mass, np.float32(9))):
            for q2 in (low, np.nextafter(low, np.float32(-1)), end, np.nextafter(end, 99)):
                rows += [
                    (q2, m_kpi, cos_mu, cos_k, chi)
                    for cos_mu in (-1.0, 0.0, 1.0)
                    for cos_k in (-1.0, 0.0, 1.0)
                    for chi in (0.0, np.float32(2 * np.pi))
                ]
    columns = dict(zip(COLUMNS, np.array(rows).T, strict=True))
    return Events.from_columns(columns | {"flavour": np.ones(len(rows))})


@pytest.mark.parametrize("lepton", ["muon", "electron"])
def test_events_at_the_ends_of_phase_space(model, table, lepton):
    model = dataclasses.replace(model, lepton=lepton)
    table = table if lepton == "muon" else AngularCoefficients.tabulate(model)
    ordinary = draw(table, {"c9": -0.9}, 10_000)
    events = Events.concatenate([at_the_ends(model), ordinary])
    image = ImageSpecification(q2_max_gev2=30.0)
    likelihood = negative_log_likelihood(model, events, image, ("c9", "c10"))
    for point in ([0.0, 0.0], [-4.9, 4.9], [5.0, 5.0]):
        assert np.isfinite(likelihood.value(point))
        assert np.all(np.isfinite(likelihood.gradient(point)))
    few = Events.concatenate([at_the_ends(model)[::40], ordinary])
    assert np.all(np.isfinite(fit_events(model, few, image).values))


def test_densities_of_zero(model, sample):
    """−ln L is finite, with the right gradient, for an event whose density vanishes somewhere."""
    likelihood = negative_log_likelihood(model, sample[:100], ImageSpecification(), ("c9",))
    polynomials = likelihood.polynomials.copy()
    polynomials[:, 0] = np.array([0.25, -0.5, 0.25])  # (1 − x)²/4, zero at 1
    vanishing = dataclasses.replace(likelihood, polynomials=polynomials)
    assert np.isfinite(vanishing.value([1.0]))
    assert np.isfinite(vanishing.gradient([1.0])).all()
    assert np.isfinite(vanishing.values(np.array([[1.0]]))).all()
    others = dataclasses.replace(likelihood, polynomials=polynomials[:, 1:])
    # the event adds −ln of the floor, with zero slope
    extra = vanishing.value([1.0]) - others.value([1.0]) - _normalisation_change(vanishing, others)
    assert extra == pytest.approx(-np.log(1e-12), rel=1e-9)


def _normalisation_change(one, other):
    fraction = one.normalisation.selected_fraction(np.ones(3))
    return (one.n_events - other.n_events) * np.log(fraction)


def test_bad_input_is_rejected(model, sample):
    image = ImageSpecification()
    antiparticles = dataclasses.replace(sample[:10], flavour=-sample[:10].flavour)
    mixed = Events.concatenate([sample[:10], antiparticles])
    with pytest.raises(UserError, match="10 of 20 are not B0"):
        negative_log_likelihood(model, mixed, image, ("c9",))
    for name in ("q2", "m_kpi", "chi"):
        column = getattr(sample, name)[:10].copy()
        column[3] = np.nan
        with pytest.raises(UserError, match="1 of 10 have a variable that is not a finite"):
            fit_events(model, dataclasses.replace(sample[:10], **{name: column}), image)
    with pytest.raises(UserError, match="c8"):
        fit_events(model, sample[:10], image, ("c8",))
    with pytest.raises(UserError, match=r"no phase space .* from 0\.0447 to 21\.3 GeV²"):
        normalisation(model, ImageSpecification(q2_min_gev2=22, q2_max_gev2=25), ("c9",))


def test_events_far_beyond_phase_space_give_a_warning(model, sample, caplog):
    image = ImageSpecification()
    fit_events(model, sample, image)
    assert not caplog.records
    q2 = sample.q2.copy()
    q2[: len(q2) // 50] = 19.99
    fit_events(model, dataclasses.replace(sample, q2=q2), image)
    assert "outside phase space" in caplog.text


def test_no_estimate_without_events_or_minimum(model, sample):
    integrals = normalisation(model, ImageSpecification(), ("c9",))
    empty = LikelihoodEstimator(model, ImageSpecification(), ("c9",), (-5.0, 5.0), integrals)
    assert isinstance(integrals, NormalisationIntegrals)
    assert np.isnan(empty.estimate(sample[:0]).values).all()
    # the minimum at −0.9 is outside
    result = fit_events(model, sample, ImageSpecification(), limits=(0.5, 3.0))
    assert np.isnan(result.values).all()
    assert np.isnan(result.errors).all()


def test_images_of_both_flavours_or_other_angles_are_rejected(model):
    """Events of such images do not follow the fitted density."""
    settings = AngularLikelihoodSettings(q2_bins_gev2=((1.0, 6.0),))
    for image in (
        ImageSpecification(flavour="both"),
        ImageSpecification(flavour="B0bar", antiparticle_angles="positive-lepton"),
    ):
        with pytest.raises(UserError, match="reads events of one flavour with the angles of its"):
            normalisation(model, image, ["c9"])
        with pytest.raises(UserError, match="reads events of one flavour with the angles of its"):
            angular_likelihood.prepare(model, image, ("c9",), settings)
