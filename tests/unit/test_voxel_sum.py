"""The network that sums over voxels: its density, its head, the network itself, and the command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_shards import save, toy_shard

from wilsonvox.cli import run
from wilsonvox.errors import UserError
from wilsonvox.estimators.settings import VoxelSumSettings
from wilsonvox.estimators.storage import load_estimator, read_estimator_metadata
from wilsonvox.polynomials import polynomial_terms
from wilsonvox.shards import ImageSpecification
from wilsonvox.theory.angular import angular_functions
from wilsonvox.voxel_sum.density import (
    Moments,
    Q2Histogram,
    VoxelDensity,
    angular_factors,
    dual_functions,
    fit_density,
    voxel_functions,
)
from wilsonvox.voxel_sum.fitting import chosen_anchors, fit_voxel_sum, image_sums
from wilsonvox.voxel_sum.head import Head, fit_head

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
        # the midpoints err by the root at the ends of the range
        np.testing.assert_allclose(table[voxel], expected, atol=2e-3)


def test_dual_functions_pick_one_function_each():
    functions = voxel_functions(12)
    found = dual_functions(functions).T @ functions / len(functions)
    np.testing.assert_allclose(found, np.eye(11), atol=1e-10)


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


def test_moments_are_those_of_each_voxel_alone(generator):
    bins, n = 4, 500
    knots = np.array([-1.0, 0.5, 1.0, 2.5])
    dual = dual_functions(voxel_functions(bins))
    voxel = generator.integers(0, bins**3, n)
    q2 = np.exp(generator.uniform(-1.5, 3.0, n)).astype(np.float32)
    weight = generator.integers(1, 4, n)
    moments = Moments(knots, dual)
    for part in (slice(0, 200), slice(200, n)):
        moments.add(voxel[part], q2[part], weight[part], chunk=64)
    expected = np.zeros((4, 11))
    for v, q, w in zip(voxel, q2, weight, strict=True):
        for number in range(4):
            hat = np.interp(np.log(q), knots, np.eye(4)[number])
            expected[number] += w * hat * dual[v]
    np.testing.assert_allclose(moments.sums, expected, rtol=1e-5, atol=1e-6)
    assert moments.weight == weight.sum()


def test_density_is_the_polynomial_that_the_moments_follow(generator):
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


def test_too_few_points_for_a_degree_lower_it(generator):
    moments = 4 + generator.normal(size=(2, 3, 11))
    flat = voxel_functions(6).mean(axis=0)
    shifts = np.array([[-1.0], [0.0]])
    assert fit_density(np.arange(3.0), moments, shifts, np.ones(2), 3, flat).degree == 1


def test_anchors_lie_far_apart(generator):
    points = np.vstack([generator.uniform(-0.1, 0.1, (50, 2)), [[1, 1], [-1, 1], [1, -1]]])
    anchors = chosen_anchors(points, 4)
    assert len(anchors) == 4
    for corner in ([1, 1], [-1, 1], [1, -1]):
        assert corner in anchors.tolist()
    np.testing.assert_array_equal(chosen_anchors(points[:3], 4), np.unique(points[:3], axis=0))


# ---------------------------------------------------------------- head
def test_head_is_as_good_as_the_best_linear_one_and_unbiased_at_the_ends(generator):
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
    # least squares alone is drawn to the middle
    plain = fit_head(images(truth), truth, images(truth[::5]), truth[::5], 1, 1.0)
    heavy = fit_head(images(truth), truth, images(truth[::5]), truth[::5], 1, 100.0)
    at_end = images(np.full((20_000, 1), -2.0))
    assert plain(at_end).mean() > heavy(at_end).mean()


# ---------------------------------------------------------------- network
def made_up(generator, degree=2):
    knots = np.array([-2.0, 0.0, 1.0, 3.0])
    tables = generator.normal(0, 0.05, size=(4, 11, 3))
    tables[:, :2, 0] += 1
    return VoxelDensity(knots, tables, np.array([-0.5]), np.array([1.5]), degree)


@pytest.mark.parametrize("use_counts", [True, False])
def test_network_computes_the_sum_of_logarithms(generator, use_counts):
    from wilsonvox.estimators.voxel_sum import build

    density, bins = made_up(generator), 8
    anchors = np.array([[-2.0], [-1.0], [0.5]])
    shard = toy_shard(0.0)
    shard = replace(shard, count=generator.integers(1, 4, len(shard.voxel)).astype(np.uint16))
    found = image_sums(build(bins, density, anchors, use_counts), shard)
    factors = angular_factors(bins)
    for image in range(len(shard)):
        expected = np.zeros(3)
        for entry in range(shard.offsets[image], shard.offsets[image + 1]):
            places = np.unravel_index(shard.voxel[entry], (bins, bins, bins))
            functions = np.prod([f[p] for f, p in zip(factors, places, strict=True)], axis=0)
            flat = density.tables.reshape(4, -1)
            place = np.interp(np.log(shard.mean_q2[entry]), density.knots, np.arange(4))
            low = min(int(place), 2)
            j = (flat[low] * (low + 1 - place) + flat[low + 1] * (place - low)).reshape(11, 3)
            log = np.log(density.terms(anchors) @ (functions @ j))
            expected += (shard.count[entry] if use_counts else 1) * (log - log.mean())
        np.testing.assert_allclose(found[image], expected, atol=2e-4)


def test_head_in_the_network_is_the_head_of_the_fit(generator):
    from wilsonvox.estimators.voxel_sum import build

    density, shard = made_up(generator), toy_shard(0.0)
    anchors = np.array([[-2.0], [-1.0], [0.5]])
    head = Head(
        generator.normal(size=(3, 2)), generator.normal(size=2),
        generator.normal(size=(10, 1)), 3,
    )  # fmt: skip
    sums = image_sums(build(8, density, anchors, True), shard)
    found = image_sums(build(8, density, anchors, True, head), shard)
    np.testing.assert_allclose(found, head(sums), rtol=1e-4, atol=1e-3)


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
    assert trained.stat().st_size < 300_000
    for c9 in (-2.0, 0.0, 1.0):
        shard = toy_shard(c9, 40, "test", campaign="003")
        predicted = estimator.predict(shard)
        assert predicted.shape == (40, 1)
        # mean q2 of 80 voxels, 4 GeV² a unit of δC9 apart and with a scatter of 1 GeV²
        assert predicted.mean() == pytest.approx(c9, abs=0.15)
        assert predicted.std() < 0.15
    assert estimator.predict(toy_shard(0.0, 0, "test")).shape == (0, 1)


def test_predictions_do_not_depend_on_the_images_beside(trained):
    estimator, shard = load_estimator(trained), toy_shard(0.0, 20, "test")
    alone = [estimator.predict(toy_part(shard, index))[0, 0] for index in (0, 7, 19)]
    np.testing.assert_allclose(estimator.predict(shard)[[0, 7, 19], 0], alone, atol=1e-5)


def toy_part(shard, index):
    """One image of a shard as a shard of its own."""
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

    from wilsonvox.shards import Shard

    def load(path):
        shard = Shard.load(path)
        object.__setattr__(shard, "counted", Counted())
        return shard

    fit_voxel_sum(files["train"], files["validation"], SETTINGS, load)
    # the next is read before the name of the last is free
    assert most <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_q2": np.nan}, "mean q2 is not a finite number"),
        ({"split": "test"}, "are of split 'test'; --train takes those of 'train' only"),
        ({"image": ImageSpecification(bins=9, events_per_image=100)}, "bins 9 instead of 8"),
    ],
)
def test_shards_that_do_not_fit_are_named(files, change, message):
    from wilsonvox.shards import Shard

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
