"""Maximum-likelihood shifts of several coefficients, from sums over images."""

import numpy as np
import pytest

from wilsonvox.core.polynomials import polynomial_gradient, polynomial_terms
from wilsonvox.estimators.voxel_sum.head import Head, fit_head
from wilsonvox.estimators.voxel_sum.network import build
from wilsonvox.estimators.voxel_sum.scoring import Scoring, fit_scoring
from wilsonvox.estimators.voxel_sum.voxel_density import VoxelDensity, fit_density
from wilsonvox.theory.sobol import sobol_points

BOX = {"c7": (-0.1, 0.1), "c9": (-2.0, 1.0)}


@pytest.fixture
def generator():
    return np.random.default_rng(12)


def sums_of(shifts, noise):
    """Sums that determine one combination of the shifts thirty times better than the other."""
    narrow = 30 * (10 * shifts[:, 0] + shifts[:, 1] + 0.2 * shifts[:, 1] ** 2)
    wide = 10 * shifts[:, 0] - shifts[:, 1]
    mean = np.stack([narrow, wide, narrow + wide**2 / 5, 0 * wide, narrow - wide], axis=1)
    return mean + 0.3 * noise


def images(generator, first, number, n):
    points = [list(point.values()) for point in sobol_points(BOX, number, first)]
    shifts = np.repeat(np.array(points), n, axis=0)
    return sums_of(shifts, generator.normal(size=(len(shifts), 5))), shifts


def test_polynomial_gradient_matches_finite_differences():
    value, step = np.array([0.3, -0.7, 1.1]), 1e-6
    for row, variable in zip(polynomial_gradient(value, 3).T, np.eye(3), strict=True):
        ends = [polynomial_terms((value + side * step * variable)[None], 3)[0] for side in (1, -1)]
        np.testing.assert_allclose(row, (ends[0] - ends[1]) / (2 * step), atol=1e-8)


def test_scoring_is_more_precise_in_every_direction_than_polynomials(generator):
    known = [*images(generator, 0, 40, 20), *images(generator, 40, 10, 20)]
    start = fit_head(*known, 2, 10.0)
    scoring = fit_scoring(*known, start, 3)
    assert scoring is not None
    sums, shifts = images(generator, 50, 14, 40)
    inside = np.all(np.abs((shifts - scoring.centre) / scoring.scale) < 0.7, axis=1)
    begin = start(sums)
    off = scoring(sums, begin)[inside] - shifts[inside]
    information = scoring.information(shifts[inside]) / np.outer(scoring.scale, scoring.scale)
    # χ² of two degrees of freedom each, if the covariance is the inverse of the information
    squared = np.einsum("nk,nkl,nl->n", off, information, off).mean()
    assert squared == pytest.approx(2, rel=0.4)
    before = (begin - shifts)[inside]
    assert np.einsum("nk,nkl,nl->n", before, information, before).mean() > 1.3 * squared


def test_too_few_points_give_no_scoring(generator):
    known = [*images(generator, 0, 2, 20), *images(generator, 2, 2, 20)]
    assert fit_scoring(*known, fit_head(*known, 1, 10.0), 3) is None


def test_network_takes_the_same_scoring_steps(generator, tmp_path):
    from keras.saving import load_model

    bins, k, r = 4, 2, 3
    tables = generator.normal(size=(3, 11, 6)) * 0.05
    tables[:, :, 0] += 1
    q2_moments = generator.normal(size=(3, 11, 6)) * 0.05
    q2_moments[:, :, 0] += np.array([1.0, 5.0, 45.0])[:, None]
    of_pairs = generator.normal(size=(3, 66, 15)) * 0.005
    of_pairs[:, [0, 1, 11], 0] += 1
    knots = np.array([-1.0, 0.5, 2.5])
    pairs = VoxelDensity(knots, of_pairs, np.zeros(k), np.ones(k), 4)
    density = VoxelDensity(
        knots, tables, np.zeros(k), np.ones(k), 2, q2_moments=q2_moments, pairs=pairs
    )
    anchors = generator.uniform(-1, 1, (5, k))
    voxels = {
        "voxel": generator.integers(0, bins**3, (6, 30)).astype(np.int32),
        "mean_q2": generator.uniform(0.5, 15, (6, 30)).astype(np.float32),
        "count": generator.integers(0, 2, (6, 30)).astype(np.float32),
        "pair_voxel": generator.integers(0, bins**3, (6, 7)).astype(np.int32),
        "pair_mean_q2": generator.uniform(0.5, 15, (6, 7)).astype(np.float32),
        "pair_count": generator.choice([0, 2], (6, 7)).astype(np.float32),
        "several_voxel": generator.integers(0, bins**3, (6, 9)).astype(np.int32),
        "several_mean_q2": generator.uniform(0.5, 15, (6, 9)).astype(np.float32),
        "several_count": generator.choice([0, 3, 4], (6, 9)).astype(np.float32),
    }
    sums = build(bins, density, anchors, True).predict_on_batch(voxels).astype(float)
    projection = generator.normal(size=(5, r)) / np.abs(sums).mean()
    head = Head(projection[:, :2], np.zeros(2), generator.normal(size=(3, k)) * 0.3, 1)
    scoring = Scoring(
        projection, generator.normal(size=r) * 0.1, generator.normal(size=(10, r)),
        np.array([1.0, 0.2, -0.1, *(0.05,) * 7]), np.eye(r) + 0.1,
        np.array([0.1, -0.5]), np.array([0.2, 1.5]), 3,
    )  # fmt: skip
    expected = scoring(sums, head(sums))
    model = build(bins, density, anchors, True, head, scoring)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", safe_mode=True)
    for value in (model, loaded):
        actual = value.predict_on_batch(voxels)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, atol=2e-4)
    assert np.ptp(expected, axis=0).min() > 1e-3


def test_rate_is_recovered_from_divided_coefficients(generator):
    """Includes moments with errors, which plain least squares mistakes for curvature."""
    shifts = generator.uniform(-1, 1, (40, 2))
    terms = polynomial_terms(shifts, 2)
    rate = np.array([1.0, 0.3, -0.4, 0.1, 0.0, 0.25])
    knots, flat = np.arange(4.0), np.full(11, 1 / 11)
    truth = generator.normal(size=(4, 11, 6)) * [1, 0.3, 0.3, 0.1, 0.1, 0.1]
    truth[:, :, 0] = 3 + np.abs(truth[:, :, 0])
    exact = np.einsum("kit,pt->pki", truth, terms) / (terms @ rate)[:, None, None]
    error = 0.05
    for noise in (0.0, error):
        moments = exact + noise * generator.normal(size=exact.shape)
        variances = np.full(exact.shape, noise**2 or 1e-12)
        actual = fit_density(knots, moments, shifts, np.ones(40), 2, flat, variances)
        # centre and scale are those of the points, so compare values
        ratio = 1 / (actual.terms(shifts)[:, 0] * (terms @ rate))
        assert np.ptp(ratio) / ratio.mean() < (0.15 if noise else 1e-4)
    plain = fit_density(knots, moments, shifts, np.ones(40), 2, flat)
    assert plain.rate is None
