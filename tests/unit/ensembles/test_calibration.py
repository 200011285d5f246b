"""Coverage of the intervals, in toys with a known response."""

import numpy as np
import pytest

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.calibration import (
    LEVELS,
    Calibration,
    fit_response,
    fit_smooth,
    quantiles_of_mean,
)
from wilsonvox.ensembles.calibration import coverage as coverage_of

POINTS = np.linspace(-2.0, 1.0, 13)
ALLOWANCE = {0.68: 0.02, 0.95: 0.01}
"""Allowed overcoverage of an interval: see docs/physics/statistics.md."""


def true_response(shift):
    """Response that shrinks towards the centre at both edges, as networks do."""
    return 1.3 * np.tanh((shift + 0.45) / 1.7) - 0.4


def true_width(shift):
    return 0.08 + 0.05 * (shift + 2) / 3 + 0.03 * shift**2 / 4


def draw(shift, rng, shape):
    """Draw predictions with a gamma tail upwards: skewness 0.6 at −2, 1.1 at +1."""
    k = 6 - 2.5 * np.broadcast_to(shift, shape)
    return true_response(shift) + true_width(shift) * (rng.gamma(k) - k) / np.sqrt(k)


def toy_calibration(rng, n_images=100):
    return Calibration.of(POINTS, [draw(point, rng, n_images) for point in POINTS])


def mean_and_error(fractions):
    return np.mean(fractions), np.std(fractions, ddof=1) / np.sqrt(len(fractions))


@pytest.fixture(scope="module")
def coverage():
    """Coverage, biases and failures: one number per calibration, 8,000 toys each."""
    rng = np.random.default_rng(20)
    result = {}
    for _ in range(40):
        calibration = toy_calibration(rng)
        for n in (1, 2, 8):
            true = rng.uniform(-2, 1, 200)
            observed = draw(true[:, None], rng, (200, n)).mean(axis=1)
            for level in LEVELS:
                covered = calibration.intervals(observed, n, level).contains(true)
                result.setdefault((n, level), []).append(covered.mean())
                # ignoring the response: the prediction taken as the value
                low, high = (
                    calibration.deviation_quantile(true, n, (1 + sign * level) / 2)
                    for sign in (-1, 1)
                )
                naive = (observed - high <= true) & (true <= observed - low)
                result.setdefault(("naive", n, level), []).append(naive.mean())
            middle = np.abs(true + 0.5) < 1.0
            values, _ = calibration.values(observed)
            slope = calibration.response.derivative(true)
            pull = (values - true) * slope / true_width(true) * np.sqrt(n)
            result.setdefault(("pull", n), []).append(np.nanmean(pull[middle]))
    return result


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [1, 2, 8])
def test_intervals_have_nominal_coverage(coverage, n, level):
    fraction, error = mean_and_error(coverage[n, level])
    assert fraction > level - 4 * error
    assert fraction < level + 4 * error + ALLOWANCE[level]


@pytest.mark.parametrize("n", [1, 2, 8])
def test_values_are_unbiased(coverage, n):
    pull, error = mean_and_error(coverage["pull", n])
    assert abs(pull) < 4 * error + 0.03


@pytest.mark.parametrize("n", [1, 2, 8])
def test_intervals_without_the_response_undercover(coverage, n):
    for level in LEVELS:
        fraction, error = mean_and_error(coverage["naive", n, level])
        assert fraction < level - 10 * error


def test_polynomial_is_recovered():
    shift = np.linspace(-1, 1, 12)
    y = 0.3 + shift - 0.4 * shift**2
    fit = fit_smooth(shift, y, np.full(12, 0.01), 5)
    assert fit.degree == 2
    assert fit.scatter == 0
    np.testing.assert_allclose(fit(shift), y, atol=1e-12)
    np.testing.assert_allclose(fit.derivative(shift), 1 - 0.8 * shift, atol=1e-12)
    assert fit.variance(0.0).shape == ()


def test_scatter_in_excess_of_the_errors_is_estimated():
    rng = np.random.default_rng(4)
    shift = np.linspace(-2, 1, 60)
    fit = fit_smooth(shift, shift + rng.normal(0, 0.05, 60), np.full(60, 0.01), 3, 1)
    assert fit.scatter == pytest.approx(0.05, rel=0.3)
    assert np.all(fit.variance(shift) > fit.scatter**2)


def test_response_needs_four_true_values():
    with pytest.raises(UserError, match="at 3 true values"):
        fit_response([0.0, 1.0, 2.0], [np.arange(5.0)] * 3)
    with pytest.raises(UserError, match="1 image; at least 2"):
        fit_response([0.0, 1.0, 2.0, 3.0], [np.arange(5.0)] * 3 + [np.zeros(1)])


def test_constant_predictions_are_not_calibrated():
    with pytest.raises(UserError, match="all 50 predictions of the ensemble at -2 are equal"):
        Calibration.of(POINTS, [np.zeros(50)] * len(POINTS))
    assert fit_response(POINTS, [np.zeros(50)] * len(POINTS)).derivative(0.0) == 0


@pytest.mark.parametrize("n", [2, 5, 40])
def test_quantiles_of_the_mean_are_those_of_a_bootstrap(n):
    rng = np.random.default_rng(8)
    sample = rng.gamma(2.0, size=80)
    sample = (sample - sample.mean()) / sample.std()
    probabilities = [0.025, 0.16, 0.84, 0.975]
    drawn = np.sort(rng.choice(sample, (200_000, n)).mean(axis=1)) * np.sqrt(n)
    result = quantiles_of_mean(sample, n, probabilities)
    np.testing.assert_allclose(result, np.quantile(drawn, probabilities), atol=0.02)


def linear(slope=1.0, width=0.1, n_images=100, points=POINTS):
    """Ensembles that are exact normal quantiles about a linear response."""
    from scipy.stats import norm

    normal = norm.ppf((np.arange(n_images) + 0.5) / n_images)
    return Calibration.of(points, [slope * point + width * normal for point in points])


def test_exact_ensembles_give_the_textbook_interval():
    calibration = linear(slope=0.5, width=0.1)
    values, count = calibration.values([-0.25])
    assert values[0] == pytest.approx(-0.5, abs=1e-6)
    assert count[0] == 1
    for n in (1, 4):
        result = calibration.intervals([-0.25], n, 0.68)
        half = 0.9945 * 0.1 / 0.5 / np.sqrt(n)
        assert result.low[0] == pytest.approx(-0.5 - half, rel=0.03)
        assert result.high[0] == pytest.approx(-0.5 + half, rel=0.03)
        assert not result.disjoint[0]


def test_interval_end_beyond_the_calibrated_range_is_open():
    result = linear().intervals([-1.97, 0.95], 1, 0.68)
    assert np.isnan(result.low[0])
    assert np.isfinite(result.high[0])
    assert np.isfinite(result.low[1])
    assert np.isnan(result.high[1])
    np.testing.assert_array_equal(result.contains([-5.0, 5.0]), [True, True])


def test_prediction_far_outside_has_no_value_and_no_interval():
    calibration = linear()
    values, count = calibration.values([3.0])
    assert np.isnan(values[0])
    assert count[0] == 0
    result = calibration.intervals([3.0], 1, 0.95)
    assert result.empty[0]
    assert not result.contains(0.0)[0]


def test_non_monotonic_response_is_reported():
    rng = np.random.default_rng(3)
    calibration = Calibration.of(
        POINTS, [-((p + 1) ** 2) + rng.normal(0, 0.05, 80) for p in POINTS]
    )
    (stretch,) = calibration.falling_ranges
    assert stretch[0] == pytest.approx(-1, abs=0.05)
    assert stretch[1] == 1.0
    values, count = calibration.values([-0.5])
    assert np.isnan(values[0])
    assert count[0] == 2
    assert calibration.intervals([-0.5], 1, 0.95).disjoint[0]


def test_small_ensembles_have_gaussian_shape():
    rng = np.random.default_rng(3)
    small = toy_calibration(rng, 12)
    assert small.shape_is_gaussian
    assert not toy_calibration(rng, 40).shape_is_gaussian
    deviation = [small.deviation_quantile(0.0, 1, p) for p in (0.16, 0.84)]
    assert deviation[0] == pytest.approx(-deviation[1])


def test_fewer_points_still_calibrate():
    for n_points in (4, 6):
        calibration = linear(points=np.linspace(-2, 1, n_points))
        assert calibration.intervals([-0.5], 2, 0.95).contains(-0.5)[0]


def test_order_of_points_does_not_matter():
    rng = np.random.default_rng(5)
    ensembles = [draw(point, rng, 60) for point in POINTS]
    forward = Calibration.of(POINTS, ensembles)
    backward = Calibration.of(POINTS[::-1], ensembles[::-1])
    assert forward.intervals([0.1], 2, 0.95).low == backward.intervals([0.1], 2, 0.95).low


def test_spread_p_values_are_uniform_and_detect_excess_spread():
    rng = np.random.default_rng(6)
    calibration = linear(n_images=400)
    p_values = [calibration.spread_p_values(rng.normal(0, 0.1, 5), 0.0)[0] for _ in range(500)]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)
    assert calibration.spread_p_values([-0.4, -0.2, 0.0, 0.2, 0.4], 0.0)[0] < 1e-3
    assert calibration.spread_p_values(np.full(5, 0.1), 0.0)[1] < 1e-3


def test_leave_one_out_coverage_is_nominal():
    generator = np.random.default_rng(3)
    true = np.linspace(-2, 1, 13)
    predictions = [0.9 * shift + generator.normal(0.1, 0.05, 900) for shift in true]
    result = coverage_of(true, predictions)
    assert np.isnan(result[[0, -1]]).all()
    for column, level in enumerate(LEVELS):
        error = np.sqrt(level * (1 - level) / (11 * 900))
        assert abs(result[1:-1, column].mean() - level) < 4 * error
    # an ensemble that is off by three widths is not covered, even if all others are
    predictions[6] = predictions[6] + 0.15
    assert coverage_of(true, predictions)[6, 1] < 0.5


def test_acceptance_of_a_shift_agrees_with_the_interval():
    generator = np.random.default_rng(4)
    true = np.linspace(-2, 1, 9)
    made = Calibration.of(
        true, [shift - 0.1 * shift**2 + generator.normal(0, 0.1, 200) for shift in true]
    )
    observed = np.linspace(-1.2, 0.2, 57)
    for level in LEVELS:
        inside = made.intervals(observed, 3, level).contains(-0.4)
        assert 0 < inside.sum() < len(inside)
        assert (made.accepts(observed, -0.4, 3, level) == inside).all()


def test_pulls_of_single_images_are_standard():
    generator = np.random.default_rng(5)
    true = np.linspace(-2, 1, 9)
    width = 0.05 * (1.5 + true / 4)
    made = Calibration.of(
        true, [0.8 * at + generator.normal(0, s, 900) for at, s in zip(true, width, strict=True)]
    )
    pulls = made.pulls(0.8 * -0.5 + generator.normal(0, 0.05 * 1.375, 5000), -0.5)
    assert pulls.mean() == pytest.approx(0, abs=0.08)
    assert pulls.std() == pytest.approx(1, abs=0.05)
