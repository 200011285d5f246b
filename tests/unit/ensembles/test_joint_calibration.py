"""Joint calibration of several coefficients: response, covariance, values and their errors."""

import numpy as np
import pytest

from wilsonvox.ensembles.joint_calibration import JointCalibration, enough_points, joint_calibration
from wilsonvox.theory.sobol import sobol_points

BOX = {"c7": (-0.1, 0.1), "c9": (-2.0, 1.0), "c10": (-1.0, 1.0)}
JACOBIAN = np.array([[0.9, 0.01, 0.0], [0.5, 0.8, -0.1], [0.0, 0.2, 1.1]])


def covariance(shift):
    """Covariance that grows with δC9, with strong correlations, similar to that of the decay."""
    sigma = np.array([0.02, 0.3 * np.exp(0.2 * shift[1]), 0.25])
    correlation = np.array([[1, -0.9, 0.8], [-0.9, 1, -0.85], [0.8, -0.85, 1]])
    return correlation * np.outer(sigma, sigma)


def response(shift):
    return JACOBIAN @ shift + np.array([0.01, -0.1 + 0.02 * shift[1] ** 2, 0.05])


def draw(generator, shift, n):
    return generator.multivariate_normal(response(shift), covariance(shift), n)


def calibration(generator, n_points=32, n=200):
    true = np.array([list(point.values()) for point in sobol_points(BOX, n_points)])
    return JointCalibration(true, tuple(draw(generator, shift, n) for shift in true))


@pytest.fixture
def generator():
    return np.random.default_rng(5)


@pytest.fixture
def calibrated(generator):
    return calibration(generator)


def test_response_covariance_and_jacobian_match_the_ensembles(calibrated):
    for shift in np.array([[0.0, 0.0, 0.0], [0.03, -0.9, 0.4]]):
        expected = covariance(shift)
        root = np.sqrt(np.diag(expected))
        actual = calibrated.covariance(shift) / np.outer(root, root)
        np.testing.assert_allclose(actual, expected / np.outer(root, root), atol=0.06)
        np.testing.assert_allclose(
            (calibrated.response(shift) - response(shift)) / root, 0, atol=0.12
        )
        slope = JACOBIAN + np.diag([0, 0.04 * shift[1], 0])
        scale = np.array([0.2, 3.0, 2.0])
        np.testing.assert_allclose(
            (calibrated.jacobian(shift) - slope) * scale / root[:, None], 0, atol=0.5
        )


def test_the_response_is_inverted_inside_the_box_only(calibrated):
    for shift in np.array([[0.0, 0.0, 0.0], [0.09, -1.9, 0.9]]):
        np.testing.assert_allclose(calibrated.invert(calibrated.response(shift)), shift, atol=1e-8)
    outside = calibrated.response(np.array([0.0, 1.2, 0.0]))
    assert np.isnan(calibrated.invert(outside)).all()


def test_reordering_permutes_all_columns(calibrated):
    order = [2, 0, 1]
    other = calibrated.ordered(order)
    shift = np.array([0.02, -0.5, 0.3])
    # another order of regressions is another model of the covariance, but almost the same
    np.testing.assert_allclose(
        other.response(shift[order]), calibrated.response(shift)[order], atol=1e-3
    )
    np.testing.assert_allclose(
        other.covariance(shift[order]), calibrated.covariance(shift)[np.ix_(order, order)], rtol=0.1
    )


@pytest.mark.parametrize("n_images", [1, 4])
def test_estimates_scatter_by_their_covariance(generator, n_images):
    """One measurement each from many calibrations, so that their errors are included."""
    squared = []
    while len(squared) < 60:
        calibrated = calibration(generator, 16, 40)
        shift = np.array([0.01, -0.7, 0.1])
        result = calibrated.estimate(draw(generator, shift, n_images))
        if np.isfinite(result.value).all():
            off = result.value - shift
            squared.append(off @ np.linalg.solve(result.covariance, off))
    # χ² of three degrees of freedom: mean 3, and 68 % below 3.51
    assert np.mean(squared) == pytest.approx(3, abs=1.0)
    assert np.mean(np.array(squared) < 3.51) == pytest.approx(0.68, abs=0.18)


def test_spread_of_images_is_compared_with_the_ensembles(calibrated, generator):
    shift = np.array([0.0, -0.5, 0.0])
    usual = draw(generator, shift, 8)
    assert min(calibrated.spread_p_values(usual, shift)) > 0.005
    wide = usual.mean(axis=0) + 3 * (usual - usual.mean(axis=0))
    assert calibrated.spread_p_values(wide, shift)[0] < 1e-4
    assert calibrated.spread_p_values(usual * 0 + usual[0], shift)[1] < 1e-4


def test_too_few_or_collinear_points_have_no_joint_calibration(generator):
    line = np.outer(np.linspace(-1, 1, 20), [0.1, 1.0])
    assert not enough_points(line)
    assert not enough_points(generator.normal(size=(5, 2)))
    true = generator.normal(size=(12, 2))
    assert enough_points(true)
    assert joint_calibration(true, [generator.normal(size=(5, 2))] * 12) is None
    assert joint_calibration(true, [generator.normal(size=(6, 2))] * 12) is not None
    assert joint_calibration(true[:, :1], [generator.normal(size=(9, 1))] * 12) is None
