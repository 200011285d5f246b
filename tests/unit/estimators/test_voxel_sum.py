"""The voxel-sum estimator: density, head, network, and command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from tests.helpers.toy_shards import save, toy_shard

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.core.polynomials import polynomial_terms
from wilsonvox.estimators.model_file import load_estimator, read_estimator_metadata
from wilsonvox.estimators.settings import VoxelSumSettings
from wilsonvox.estimators.voxel_sum.fitting import (
    fit_voxel_sum,
    image_sums,
    point_moments,
    select_anchors,
)
from wilsonvox.estimators.voxel_sum.head import Head, fit_head
from wilsonvox.estimators.voxel_sum.voxel_density import (
    DualMoments,
    Q2Histogram,
    Q2Moments,
    VoxelDensity,
    angular_factors,
    dual_functions,
    fit_density,
    function_pairs,
    pair_density,
    voxel_functions,
)
from wilsonvox.theory.angular import angular_functions
from wilsonvox.voxels.specification import ImageSpecification

SETTINGS = VoxelSumSettings(q2_knots=6, density_degree=2, head_degree=2)
POINTS = (-2.0, -1.0, 0.0, 1.0)


@pytest.fixture
def generator():
    return np.random.default_rng(6)


# ---------------------------------------------------------------- density
def test_angular_functions_are_averaged_over_each_voxel():
    bins, nodes = 5, 40
    inside = (np.arange(nodes) + 0.5) / nodes
    table = voxel_functions(bins)
    for voxel in (0, 7, 62, 124):
        i, j, k = np.unravel_index(voxel, (bins, bins, bins))
        mu, cos_k, chi = np.meshgrid(
            2 * (i + inside) / bins - 1,
            2 * (j + inside) / bins - 1,
            2 * np.pi * (k + inside) / bins,
            indexing="ij",
        )
        expected = angular_functions(mu, cos_k, chi).reshape(-1, 11).mean(axis=0)
        # the midpoint rule is inaccurate for the square root at the ends of the range
        np.testing.assert_allclose(table[voxel], expected, atol=2e-3)


def test_dual_functions_are_orthonormal_to_the_functions():
    functions = voxel_functions(12)
    result = dual_functions(functions).T @ functions / len(functions)
    np.testing.assert_allclose(result, np.eye(11), atol=1e-10)


def test_knots_divide_the_voxels_into_equal_parts(generator):
    q2 = generator.gamma(1.0, 3.0, 100_000).astype(np.float32)
    histogram = Q2Histogram()
    for part in np.array_split(q2, 7):
        histogram.add(part)
    knots = histogram.knots(9)
    shares = np.histogram(np.log(q2), knots)[0] / len(q2)
    assert len(knots) == 9
    np.testing.assert_allclose(shares[1:-1], 1 / 8, atol=3e-3)
    assert shares.sum() == pytest.approx(1, abs=1e-3)


def test_moments_are_sums_over_single_voxels(generator):
    bins, n = 4, 500
    knots = np.array([-1.0, 0.5, 1.0, 2.5])
    dual = dual_functions(voxel_functions(bins))
    voxel = generator.integers(0, bins**3, n)
    q2 = np.exp(generator.uniform(-1.5, 3.0, n)).astype(np.float32)
    weight = generator.integers(1, 4, n)
    moments = DualMoments(knots, dual)
    for part in (slice(0, 200), slice(200, n)):
        moments.add(voxel[part], q2[part], weight[part], chunk=64)
    expected = np.zeros((4, 11))
    for v, q, w in zip(voxel, q2, weight, strict=True):
        for number in range(4):
            hat = np.interp(np.log(q), knots, np.eye(4)[number])
            expected[number] += w * hat * dual[v]
    np.testing.assert_allclose(moments.sums, expected, rtol=1e-5, atol=1e-6)
    assert moments.weight == weight.sum()


def test_moments_of_q2_are_those_of_the_events_not_of_voxels(generator):
    """Events with q² that depends on the angles, about five per voxel, of which means are known."""
    bins, n_images, events_per_image = 4, 400, 320
    functions = voxel_functions(bins)
    dual = dual_functions(functions)
    truth = np.zeros((3, 11))
    rate = np.array([1.0, 0.4, 0.1, 0.0, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    density = functions @ rate / (functions @ rate).sum()
    mean_of = 3 + 4 * functions[:, 1]
    actual = Q2Moments(functions, dual)
    all_q2, all_voxel = [], []
    for _ in range(n_images):
        voxel = generator.choice(bins**3, events_per_image, p=density)
        q2 = generator.gamma(4.0, mean_of[voxel] / 4)
        occupied, inverse, count = np.unique(voxel, return_inverse=True, return_counts=True)
        mean_q2 = np.bincount(inverse, q2) / count
        actual.add(occupied, mean_q2.astype(np.float32), count.astype(np.uint16), 1)
        all_q2.append(q2)
        all_voxel.append(voxel)
    voxel, q2 = np.concatenate(all_voxel), np.concatenate(all_q2)
    for order in range(3):
        truth[order] = (dual[voxel] * q2[:, None] ** order).mean(axis=0)
    # the first two are sums over events, independent of the voxels
    np.testing.assert_allclose(actual.normalised()[:2], truth[:2], atol=1e-4)
    error = (dual[voxel] * q2[:, None] ** 2).std(axis=0) / np.sqrt(len(q2))
    # squares of sums scatter three times as much as sums of squares, with five events per voxel
    assert np.all(np.abs(actual.normalised()[2] - truth[2]) < 15 * error)
    assert np.abs(actual.normalised()[2] - truth[2])[:2].max() < 0.1 * truth[2, :2].min()
    expected = np.bincount(voxel, minlength=bins**3) / n_images
    np.testing.assert_allclose(actual.expected_counts(), expected, rtol=0.1)


def test_single_events_represent_events_that_share_a_voxel(generator):
    """The density at q² of all events is learned, though only single events show their q²."""
    bins, n_images, events_per_image = 3, 300, 30
    functions = voxel_functions(bins)
    rate = np.array([1.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    density = functions @ rate / (functions @ rate).sum()
    image = ImageSpecification(bins=bins, events_per_image=events_per_image)
    shards, high = {}, 0.0
    for c9 in (-1.0, 1.0):
        columns = {"voxel": [], "mean_q2": [], "count": []}
        offsets = [0]
        for _ in range(n_images):
            voxel = generator.choice(bins**3, events_per_image, p=density)
            # few events are at high q²
            q2 = np.where(generator.random(events_per_image) < 1 / (1 + 40 * density[voxel]), 9, 1)
            high += (q2 == 9).mean() / (2 * n_images)
            occupied, inverse, count = np.unique(voxel, return_inverse=True, return_counts=True)
            columns["voxel"].append(occupied)
            columns["mean_q2"].append(np.bincount(inverse, q2) / count)
            columns["count"].append(count)
            offsets.append(offsets[-1] + len(occupied))
        shard = toy_shard(c9, n_images, "train")
        shards[f"{c9}"] = replace(
            shard,
            metadata=shard.metadata.model_copy(update={"image": image}),
            voxel=np.concatenate(columns["voxel"]).astype(np.int32),
            mean_q2=np.concatenate(columns["mean_q2"]).astype(np.float32),
            count=np.concatenate(columns["count"]).astype(np.uint16),
            offsets=np.array(offsets),
        )
    knots = np.log([1.0, 9.0])
    truths = {path: np.full((n_images, 1), float(path)) for path in shards}
    points = np.array([[-1.0], [1.0]])
    result = point_moments(list(shards), shards.get, knots, points, truths, True, bins)
    shares = result.near_knots @ functions.mean(axis=0)
    assert shares.sum(axis=1) == pytest.approx([1, 1], abs=0.01)
    assert shares[:, 1].mean() == pytest.approx(high, abs=0.02)
    # with mean values taken as q², the events that share a voxel are at neither end
    result = point_moments(list(shards), shards.get, knots, points, truths, False, bins)
    assert (result.near_knots @ functions.mean(axis=0))[:, 1].mean() > high + 0.05


def test_pairs_have_the_density_of_two_independent_events(generator):
    """Means of two values of q² drawn from a spectrum that depends on voxel and shift."""
    functions = voxel_functions(4)
    knots = np.linspace(np.log(0.2), np.log(18), 40)
    tables = np.zeros((40, 11, 2))
    # one density falls with q² and increases with the shift, another rises with q²
    tables[:, 0, 0] = 1 / functions[:, 0].mean()
    tables[:, 1, 1] = np.linspace(-0.5, 0.5, 40) / functions[:, 1].mean()
    density = VoxelDensity(knots, tables, np.zeros(1), np.ones(1), 1)
    histogram = Q2Histogram()
    q2 = generator.uniform(0.25, 17, 2_000_000)
    histogram.add(q2.astype(np.float32))
    products = functions.T @ functions / len(functions)
    pairs = pair_density(density, np.ones(40), histogram.counts, products)
    voxel, shift = 13, 0.6
    f = functions[voxel]
    weight = np.array([1.0, shift]) @ np.array([at(density, x).T @ f for x in knots]).T
    weights = np.interp(np.log(q2), knots, weight)
    n = len(q2) // 2
    means, of_pairs = (q2[:n] + q2[n:]) / 2, weights[:n] * weights[n:]
    first, second = function_pairs()
    mean_of_all = products[first, second] @ at(pairs, 0.0)[:, 0]
    assert mean_of_all == pytest.approx(1, rel=1e-3)
    for low, high in ((1.0, 1.5), (5.0, 5.5), (10.0, 10.5), (15.0, 15.5)):
        inside = (means > low) & (means < high)
        # density of pairs for this shift and voxel, over that at the centre averaged over voxels
        centre = products[0, 0] / functions[:, 0].mean() ** 2
        expected = of_pairs[inside].mean() / centre
        table = at(pairs, np.log((low + high) / 2))
        actual = (f[first] * f[second]) @ table @ pairs.terms(np.array([[shift]]))[0]
        assert actual == pytest.approx(expected, rel=0.02)
        assert abs(actual - 1) > 0.05


def test_density_recovers_polynomial_moments(generator):
    shifts = np.linspace(-2, 1, 7)[:, None]
    truth = generator.normal(size=(3, 11, 3))
    truth[:, :, 0] = 4 + np.abs(truth[:, :, 0])
    scaled = polynomial_terms((shifts + 0.5) / 1.5, 2)
    moments = np.einsum("kit,pt->pki", truth, scaled)
    flat = voxel_functions(6).mean(axis=0)
    density = fit_density(np.arange(3.0), moments, shifts, np.ones(7), 2, flat)
    expected = truth / np.einsum("ki,i->k", truth[:, :, 0], flat)[:, None, None]
    np.testing.assert_allclose(density.tables, expected, atol=1e-10)
    np.testing.assert_allclose(density.terms(shifts), scaled, atol=1e-12)


def test_too_few_points_reduce_the_degree(generator):
    moments = 4 + generator.normal(size=(2, 3, 11))
    flat = voxel_functions(6).mean(axis=0)
    shifts = np.array([[-1.0], [0.0]])
    assert fit_density(np.arange(3.0), moments, shifts, np.ones(2), 3, flat).degree == 1


def test_anchors_are_far_from_each_other(generator):
    points = np.vstack([generator.uniform(-0.1, 0.1, (50, 2)), [[1, 1], [-1, 1], [1, -1]]])
    anchors = select_anchors(points, 4)
    assert len(anchors) == 4
    for corner in ([1, 1], [-1, 1], [1, -1]):
        assert corner in anchors.tolist()
    np.testing.assert_array_equal(select_anchors(points[:3], 4), np.unique(points[:3], axis=0))


# ---------------------------------------------------------------- head
def test_head_is_as_precise_as_the_best_linear_one_and_unbiased_at_the_ends(generator):
    truth = np.repeat(np.linspace(-2, 1, 13), 200)[:, None]
    signal, noise = np.array([1.0, 0.5, -0.3]), np.array([0.5, 0.2, 0.4])

    def images(shifts):
        return shifts * signal + generator.normal(size=(len(shifts), 3)) * noise

    head = fit_head(images(truth), truth, images(truth[::5]), truth[::5], 3, 10.0)
    best = 1 / np.sqrt((signal**2 / noise**2).sum())
    for value in (-2.0, -0.5, 1.0):
        predicted = head(images(np.full((4000, 1), value)))[:, 0]
        assert predicted.mean() == pytest.approx(value, abs=0.3 * best)
        assert predicted.std() == pytest.approx(best, rel=0.15)
    # plain least squares is biased towards the centre
    plain = fit_head(images(truth), truth, images(truth[::5]), truth[::5], 1, 1.0)
    heavy = fit_head(images(truth), truth, images(truth[::5]), truth[::5], 1, 100.0)
    at_end = images(np.full((20_000, 1), -2.0))
    assert plain(at_end).mean() > heavy(at_end).mean()


# ---------------------------------------------------------------- network
def made_up(generator, degree=2):
    knots = np.array([-2.0, 0.0, 1.0, 3.0])
    tables = generator.normal(0, 0.05, size=(4, 11, 3))
    tables[:, :2, 0] += 1
    q2_moments = generator.normal(0, 0.02, size=(3, 11, 3))
    q2_moments[:, :2, 0] += np.array([1.0, 5.0, 45.0])[:, None]
    centre, scale = np.array([-0.5]), np.array([1.5])
    of_pairs = generator.normal(0, 0.005, size=(3, 66, 5))
    of_pairs[:, [0, 1, 11], 0] += 1
    pairs = VoxelDensity(np.array([-2.0, 1.0, 3.1]), of_pairs, centre, scale, 2 * degree)
    return VoxelDensity(knots, tables, centre, scale, degree, q2_moments=q2_moments, pairs=pairs)


def at(density, log_q2):
    """Interpolate the tables between the knots, shape (n_functions, n_terms)."""
    last = len(density.knots) - 2
    place = np.interp(log_q2, density.knots, np.arange(last + 2))
    low = min(int(place), last)
    return density.tables[low] * (low + 1 - place) + density.tables[low + 1] * (place - low)


@pytest.mark.parametrize("use_counts", [True, False])
def test_network_computes_the_sum_of_log_densities(generator, use_counts):
    from wilsonvox.estimators.voxel_sum.network import build

    density, bins = made_up(generator), 8
    anchors = np.array([[-2.0], [-1.0], [0.5]])
    shard = toy_shard(0.0)
    shard = replace(shard, count=generator.integers(1, 4, len(shard.voxel)).astype(np.uint16))
    actual = image_sums(build(bins, density, anchors, use_counts), shard, use_counts)
    factors = angular_factors(bins)
    for image in range(len(shard)):
        expected = np.zeros(3)
        for entry in range(shard.offsets[image], shard.offsets[image + 1]):
            places = np.unravel_index(shard.voxel[entry], (bins, bins, bins))
            functions = np.prod([f[p] for f, p in zip(factors, places, strict=True)], axis=0)
            log_q2, n = np.log(shard.mean_q2[entry]), int(shard.count[entry])
            log = np.log(density.terms(anchors) @ (functions @ at(density, log_q2)))
            if use_counts and n == 2:
                first, second = function_pairs()
                products = functions[first] * functions[second]
                terms = density.pairs.terms(anchors)
                log = np.log(terms @ (products @ at(density.pairs, log_q2)))
            if use_counts and n > 2:
                moments = np.einsum("i,kit,at->ka", functions, density.q2_moments,
                                    density.terms(anchors))  # fmt: skip
                mean = moments[1] / moments[0]
                variance = moments[2] / moments[0] - mean**2
                log = n * np.log(moments[0]) + norm.logpdf(
                    shard.mean_q2[entry], mean, np.sqrt(variance / n)
                )
            expected += log - log.mean()
        np.testing.assert_allclose(actual[image], expected, atol=2e-4)


def test_head_in_the_network_equals_the_fitted_head(generator):
    from wilsonvox.estimators.voxel_sum.network import build

    density, shard = made_up(generator), toy_shard(0.0)
    anchors = np.array([[-2.0], [-1.0], [0.5]])
    head = Head(
        generator.normal(size=(3, 2)), generator.normal(size=2),
        generator.normal(size=(10, 1)), 3,
    )  # fmt: skip
    sums = image_sums(build(8, density, anchors, True), shard, True)
    result = image_sums(build(8, density, anchors, True, head), shard, True)
    np.testing.assert_allclose(result, head(sums), rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------- fit and command
@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("shards")
    paths: dict[str, list[str]] = {"train": [], "validation": []}
    for split, n_images in (("train", 12), ("validation", 4)):
        for c9 in POINTS:
            path = folder / f"{split}_{c9}.npz"
            save(toy_shard(c9, n_images, split), path)
            paths[split].append(str(path))
    return paths


def words(files, out, *more):
    return [
        "train-voxel-sum",
        *(word for path in files["train"] for word in ("--train", path)),
        *(word for path in files["validation"] for word in ("--validation", path)),
        "--estimator", "sum", "--q2-knots", "6", "--density-degree", "2", "--head-degree", "2",
        "--out", str(out), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    assert run(words(files, path)) == 0
    return path


def test_command_writes_an_estimator_that_loads_in_safe_mode_and_predicts(trained):
    estimator = load_estimator(trained)
    metadata = estimator.metadata
    assert metadata.architecture == "voxel-sum"
    assert metadata.coefficients == ("c9",)
    assert metadata.network == SETTINGS
    assert metadata.training is None
    assert metadata.training_points == {f"c9_{c9:+.2f}": 12 for c9 in POINTS}
    assert len(metadata.validation_events) == len(POINTS)
    assert trained.stat().st_size < 400_000
    for c9 in (-2.0, 0.0, 1.0):
        shard = toy_shard(c9, 40, "test", campaign="003")
        predicted = estimator.predict(shard)
        assert predicted.shape == (40, 1)
        # mean q2 of 80 voxels, 4 GeV² per unit of δC9, with a scatter of 1 GeV²
        assert predicted.mean() == pytest.approx(c9, abs=0.15)
        assert predicted.std() < 0.15
    assert estimator.predict(toy_shard(0.0, 0, "test")).shape == (0, 1)


def test_predictions_do_not_depend_on_other_images_in_the_batch(trained):
    estimator, shard = load_estimator(trained), toy_shard(0.0, 20, "test")
    alone = [estimator.predict(toy_part(shard, index))[0, 0] for index in (0, 7, 19)]
    np.testing.assert_allclose(estimator.predict(shard)[[0, 7, 19], 0], alone, atol=1e-5)


def toy_part(shard, index):
    """Return one image of a shard as a shard of its own."""
    entries = slice(shard.offsets[index], shard.offsets[index + 1])
    return replace(
        shard,
        voxel=shard.voxel[entries],
        mean_q2=shard.mean_q2[entries],
        count=shard.count[entries],
        offsets=np.array([0, entries.stop - entries.start]),
        shifts=shard.shifts[index : index + 1],
        n_events=shard.n_events[index : index + 1],
        source_range=shard.source_range[index : index + 1],
    )


def test_equal_fits_give_equal_files(files, trained, tmp_path):
    again = tmp_path / "model.keras"
    assert run(words(files, again)) == 0
    first, second = load_estimator(trained).model, load_estimator(again).model
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert read_estimator_metadata(again) == read_estimator_metadata(trained)


def test_fit_to_images_without_single_events(files):
    """With so many events that each voxel has several, only means of q² are known."""
    from wilsonvox.voxels.shards import Shard

    def load(path):
        shard = Shard.load(path)
        return replace(shard, count=np.full_like(shard.count, 4))

    fitted = fit_voxel_sum(files["train"], files["validation"], SETTINGS, load)
    for c9 in (-2.0, 0.0, 1.0):
        shard = toy_shard(c9, 40, "test", campaign="003")
        shard = replace(shard, count=np.full_like(shard.count, 4))
        predicted = image_sums(fitted.model, shard, True)[:, 0]
        assert predicted.mean() == pytest.approx(c9, abs=0.3)


def test_one_shard_is_in_memory_at_a_time(files):
    alive = 0
    most = 0

    class Counted:
        def __init__(self):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self):
            nonlocal alive
            alive -= 1

    from wilsonvox.voxels.shards import Shard

    def load(path):
        shard = Shard.load(path)
        object.__setattr__(shard, "counted", Counted())
        return shard

    fit_voxel_sum(files["train"], files["validation"], SETTINGS, load)
    # the next shard is read before the previous one is released
    assert most <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_q2": np.nan}, "mean q2 is not a finite number"),
        ({"split": "test"}, "are of split 'test'; --train takes those of 'train' only"),
        ({"image": ImageSpecification(bins=9, events_per_image=100)}, "bins 9 instead of 8"),
    ],
)
def test_shards_that_do_not_match_are_named(files, change, message):
    from wilsonvox.voxels.shards import Shard

    def load(path):
        shard = Shard.load(path)
        if path != files["train"][1]:
            return shard
        if "mean_q2" in change:
            return replace(shard, mean_q2=np.full_like(shard.mean_q2, change["mean_q2"]))
        return replace(shard, metadata=shard.metadata.model_copy(update=change))

    with pytest.raises(UserError, match=message) as caught:
        fit_voxel_sum(files["train"], files["validation"], SETTINGS, load)
    assert files["train"][1] in str(caught.value)


def test_command_refuses_a_shard_that_is_given_twice(files, tmp_path, capfd):
    out = tmp_path / "model.keras"
    assert run(words(files, out, "--train", files["train"][0])) == 1
    assert f"--train: {files['train'][0]} is given twice" in capfd.readouterr().err
    assert not out.exists()
