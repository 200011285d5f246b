"""Pull distributions: their values, and the figure."""

import numpy as np
import pytest
from tests.helpers.toy_figures import toy_metadata

from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.summary import Ensemble
from wilsonvox.figures.pulls import PullDistribution, draw, pull_distributions
from wilsonvox.theory.points import point_label

SHIFTS = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0]


def ensemble(true, predicted):
    return Ensemble(point_label({"c9": true}), "test", "c9", true, np.asarray(predicted))


def ensembles(width=lambda _: 0.1, bias=lambda _: 0.0, n_images=4000):
    rng = np.random.default_rng(11)
    return [
        ensemble(true, rng.normal(0.8 * true + bias(true), width(true), n_images))
        for true in SHIFTS
    ]


def test_pulls_of_a_gaussian_estimator_are_standard_normal():
    # a response that shrinks, and a width that varies smoothly, are calibrated away
    found = pull_distributions(ensembles(width=lambda true: 0.1 * np.exp(0.2 * true)))
    assert [each.true for each in found] == SHIFTS[1:-1]
    for each in found:
        assert abs(each.mean) < 4 * each.mean_error
        assert abs(each.width - 1) < 4 * each.width_error
        # errors of 4,000 Gaussian pulls: 1/sqrt(n) and 1/sqrt(2n)
        assert each.mean_error == pytest.approx(1 / np.sqrt(4000), rel=0.05)
        assert each.width_error == pytest.approx(1 / np.sqrt(8000), rel=0.10)


def test_a_bias_and_a_width_of_one_ensemble_show_in_its_pulls():
    moved = pull_distributions(ensembles(bias=lambda true: 0.05 if true == 0.0 else 0.0))
    means = {each.true: each.mean for each in moved}
    assert means[0.0] == pytest.approx(0.5, abs=0.1)
    wide = pull_distributions(ensembles(width=lambda true: 0.2 if true == 0.0 else 0.1))
    widths = {each.true: each.width for each in wide}
    assert widths[0.0] == pytest.approx(2.0, abs=0.1)


def test_too_few_values_are_refused():
    with pytest.raises(UserError, match="pulls need predictions at 5 true shifts or more"):
        pull_distributions(ensembles()[:4])


def test_the_figure_shows_all_pulls_and_each_mean_and_width():
    found = [PullDistribution(true, np.array([-1.0, 0.0, 1.0, 6.0])) for true in (-1.0, 0.0)]
    figure = draw(found, "c9", toy_metadata("net"))
    above, middle, below = figure.axes
    values, _, _ = above.patches[0].get_data()
    # pulls beyond the axis are counted in its last bin
    assert values.sum() * 0.25 == pytest.approx(1.0)
    assert values[-1] * 0.25 * 8 == pytest.approx(2.0)
    assert middle.get_ylabel() == "Mean"
    points = below.containers[0].lines[0]
    assert points.get_xdata() == pytest.approx([-1.0, 0.0])
    assert points.get_ydata() == pytest.approx(np.std([-1.0, 0.0, 1.0, 6.0], ddof=1))
