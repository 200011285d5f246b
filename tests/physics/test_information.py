"""Information retained in images, against cases with known results."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, poisson

from wilsonvox.core.errors import UserError
from wilsonvox.theory import fisher as bound
from wilsonvox.theory.points import shift_vector
from wilsonvox.voxels import information
from wilsonvox.voxels.information import INFORMATION_LEVELS, compare_images, image_information
from wilsonvox.voxels.specification import ImageSpecification

EDGES = np.linspace(0, 20, information.N_Q2_BINS + 1)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2


def rate_and_slope(rate, shape, value, step=1e-4):
    """Return rate(δ) · shape(q2; δ) in q2 bins, normalised, and its derivative, each (1, n)."""

    def density(at):
        result = shape(CENTRES, at)
        return rate(at) * result / result.sum()

    slope = (density(value + step) - density(value - step)) / (2 * step)
    return density(value)[None], slope[None]


@pytest.mark.parametrize("mean_count", [0.1, 1.0, 6.0])
def test_mean_is_sufficient_for_an_exponential(mean_count):
    """For exp(−θ q2), mean and count are sufficient statistics: no information is lost."""
    density, slope = rate_and_slope(
        lambda theta: 1 + 0.3 * theta, lambda q2, theta: np.exp(-theta * q2), 0.2
    )
    density, slope = density * 1e-3, slope * 1e-3
    n_events = round(mean_count / density.sum())
    with_count, without = information._mean_q2_information(density, slope, n_events)
    everything = n_events * (slope**2 / density).sum()
    assert with_count[0] == pytest.approx(everything, rel=2e-3)
    assert without[0] < with_count[0]


@pytest.mark.parametrize("mean_count", [0.05, 0.5, 3.0])
def test_the_mean_of_gaussian_events(mean_count):
    """The information of a mean on the width is 2/σ² for any count; the mixture by quad."""
    mu, sigma = 9.0, 1.2
    density, slope = rate_and_slope(lambda _: 1.0, lambda q2, s: norm.pdf(q2, mu, s), sigma)
    n_events = 1000
    scale = mean_count / n_events
    with_count, without = information._mean_q2_information(density * scale, slope * scale, n_events)
    occupied = 1 - np.exp(-mean_count)
    assert with_count[0] == pytest.approx(occupied * 2 / sigma**2, rel=5e-3)
    counts = np.arange(1, 40)
    weights = poisson.pmf(counts, mean_count)

    def mixture(q2, s):
        return float((weights * norm.pdf(q2, mu, s / np.sqrt(counts))).sum())

    def integrand(q2, step=1e-5):
        slope = (mixture(q2, sigma + step) - mixture(q2, sigma - step)) / (2 * step)
        return slope**2 / mixture(q2, sigma)

    expected = quad(integrand, mu - 7, mu + 7, points=[mu], limit=200)[0]
    assert without[0] == pytest.approx(expected, rel=5e-3)


def test_information_of_the_counts_is_that_of_the_rate():
    density, slope = rate_and_slope(lambda x: x, lambda q2, _: np.ones_like(q2), 2.0)
    with_count, _ = information._mean_q2_information(density * 1e-3, slope * 1e-3, 1000)
    assert with_count[0] == pytest.approx(1 / 2.0, rel=1e-9)  # Poisson mean x: information 1/x


@pytest.mark.parametrize("shift", [-2.0, 0.0])
def test_information_decreases_with_each_step_and_less_in_finer_voxels(model, shift):
    result = {
        row.bins: row.sigma_over_bound
        for row in compare_images(model, [{"c9": shift}], ImageSpecification(), [50, 100, 25]).rows
    }
    assert list(result) == [25, 50, 100]
    for ratios in result.values():
        values = [ratios[kept] for kept in INFORMATION_LEVELS]
        assert values[0] == 1
        assert np.all(np.diff(values[:5]) > 0)
    for kept in INFORMATION_LEVELS[2:]:
        assert result[25][kept] > result[50][kept] > result[100][kept]
    # without the mean q2, only the information of the angles remains
    assert result[100][INFORMATION_LEVELS[5]] > result[100][INFORMATION_LEVELS[3]] + 0.1


def test_mean_loses_nothing_with_few_events_per_image(model):
    """With at most one event per voxel, the mean q2 is the q2 of that event."""
    image = ImageSpecification(events_per_image=10)
    left = image_information(model, shift_vector({"c9": -1.0}), image).retained
    np.testing.assert_allclose(left[3:5], left[2], rtol=1e-3)


def test_cuts_agree_with_those_of_the_bound(model):
    image = ImageSpecification(q2_min_gev2=1, q2_max_gev2=19, vetoes_gev2=((8, 11), (12.7, 14)))
    shifts = shift_vector({"c9": -0.5})
    left = image_information(model, shifts, image).retained
    cuts = (image.q2_min_gev2, image.q2_max_gev2, image.vetoes_gev2)
    assert left[0] == bound.fisher_information(model, shifts, ["c9"], *cuts)[0, 0]
    # without m_kpi, a little information is lost and none gained
    assert 0.95 * left[0] < left[1] < left[0]


def test_result_does_not_depend_on_the_sampled_voxels(model, monkeypatch):
    """Other voxels, and twice as many, give the same result to 0.3 %."""
    shifts = shift_vector({"c9": 0.0})
    few = image_information(model, shifts, ImageSpecification()).sigma_over_bound
    monkeypatch.setattr(information, "N_VOXELS", 2048)
    many = image_information(model, shifts, ImageSpecification()).sigma_over_bound
    np.testing.assert_allclose(few, many, rtol=3e-3)


def test_image_without_phase_space_is_rejected(model):
    image = ImageSpecification(q2_min_gev2=25, q2_max_gev2=30)
    with pytest.raises(UserError, match="no phase space"):
        image_information(model, shift_vector({"c9": 0.0}), image)


def test_range_beyond_phase_space_is_cut(model):
    """Ranges up to 20 and 30 GeV² differ only by the few events above 20."""
    wide, usual = (
        image_information(
            model, shift_vector({"c9": 0.0}), ImageSpecification(q2_max_gev2=high)
        ).sigma_over_bound
        for high in (30, 20)
    )
    np.testing.assert_allclose(wide, usual, rtol=5e-3)


@pytest.mark.parametrize("mean_count", [0.02, 0.6, 3.0])
def test_voxels_with_exactly_one_event(mean_count):
    """With equal q2, a voxel has one event with P = λ exp(−λ): information P′²/(P(1 − P))."""
    density, slope = rate_and_slope(lambda x: x, lambda q2, _: np.ones_like(q2), mean_count)
    result = information._single_entry_information(density * 1e-3, slope * 1e-3, 1000)
    p = mean_count * np.exp(-mean_count)
    derivative = (1 - mean_count) * np.exp(-mean_count)
    assert result[0] == pytest.approx(derivative**2 / (p * (1 - p)), rel=1e-6)


def test_single_entries_lose_information_in_coarse_voxels_only(model):
    shifts = shift_vector({"c9": -1.0})

    def ratio(n_events, kind):
        image = ImageSpecification(events_per_image=n_events, multiple_entries=kind)
        return image_information(model, shifts, image).sigma_over_bound[3:5]

    removed = ratio(24_000, "removed")
    assert removed[0] == removed[1]
    assert removed[0] > ratio(24_000, "averaged")[0] + 0.02
    np.testing.assert_allclose(ratio(100, "removed"), ratio(100, "averaged"), rtol=2e-3)
