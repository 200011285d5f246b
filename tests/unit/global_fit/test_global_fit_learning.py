"""Learning machines of a global fit, on made-up predictions: training sets, networks, GANs."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.helpers.toy_global_fit import toy_table

from wilsonvox.cli import run
from wilsonvox.config.reading import parse_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.global_fit.chi_squared import VERSIONS, ChiSquared
from wilsonvox.global_fit.learning.answers import Answers
from wilsonvox.global_fit.learning.mixtures import GaussianMixture
from wilsonvox.global_fit.learning.mode_collapse import coverage
from wilsonvox.global_fit.learning.posteriors import (
    distance,
    exact_density,
    learned_density,
    overlap,
)
from wilsonvox.global_fit.learning.results import GanResult, NetworkResult
from wilsonvox.global_fit.learning.settings import (
    GanSettings,
    InverseNetworkSettings,
    TrainingSetSettings,
)
from wilsonvox.global_fit.learning.training_sets import (
    make_chi_squared,
    make_training_set,
    points_in_box,
    recomputed,
    smeared,
)
from wilsonvox.global_fit.predictions import PredictionTable
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record

ROOT = Path(__file__).parents[3]
BOX = TrainingSetSettings()
SMALL = TrainingSetSettings(values_per_coefficient=16)
SHARED = TrainingSetSettings(values_per_coefficient=5, hadronic="shared", hadronic_draws=20)
SMEARED = InverseNetworkSettings(
    smeared=True, hidden_units=(32,), activation="silu", smeared_points=16384, batch_size=64,
    max_epochs=10, learning_rate=1e-2, decay="cosine", starts=2,
)  # fmt: skip
MIXTURE = SMEARED.model_copy(update={"output": "mixture", "components": 2})
TINY_GAN = GanSettings(batch_size=32, epochs=2, samples=200, starts=2)


@pytest.fixture(scope="module")
def table() -> PredictionTable:
    """The toy's, twice as sensitive to the shifts, and met by the values at (−0.8, 0.2)."""
    toy = toy_table()
    coefficients = toy.coefficients.copy()
    coefficients[:, 1:, 1:] = 0.0
    coefficients[:, 0, 1:3] *= 2.0
    found = PredictionTable(toy.observables, coefficients, toy.theory_covariance, toy.n_draws)
    coefficients[:, 0, 0] += toy(-0.8, 0.2)[0] - found(-0.8, 0.2)[0]
    return found


@pytest.fixture(scope="module")
def chi_squared(table) -> ChiSquared:
    return make_chi_squared(table, "experimental", BOX)


def answers_of_network(*arguments):
    prepare_backend(1)
    from wilsonvox.global_fit.learning import network_runs as network_answers

    return network_answers.answers_of_network(*arguments)


def answers_of_gan(*arguments):
    prepare_backend(1)
    from wilsonvox.global_fit.learning import gan_runs as gan_answers

    return gan_answers.answers_of_gan(*arguments)


@pytest.fixture(scope="module")
def smeared_network(table) -> NetworkResult:
    return answers_of_network(table, "experimental", SMALL, SMEARED, 1, "smeared")


@pytest.fixture(scope="module")
def mixture(table) -> NetworkResult:
    return answers_of_network(table, "experimental", SMALL, MIXTURE, 1, "mixture")


@pytest.fixture(scope="module")
def gan(table) -> GanResult:
    settings = TINY_GAN.model_copy(update={"chi_squared": True})
    return answers_of_gan(table, "experimental", SMALL, settings, 1, "gan")


# ------------------------------------------------------------------ training sets
@pytest.mark.parametrize("hadronic", ["none", "independent", "shared"])
def test_samples_are_predictions_of_their_coefficients(table, hadronic):
    settings = TrainingSetSettings(
        values_per_coefficient=4, hadronic=hadronic, hadronic_draws=3, half_widths=(1, 0.1, 0.01)
    )
    chi_squared = make_chi_squared(table, "experimental", settings)
    found = make_training_set(chi_squared, settings, np.random.SeedSequence(3))
    n = 16 if hadronic == "none" else 48
    n_hadronic = {"none": 0, "independent": 24, "shared": 3}[hadronic]
    assert found.coefficients.shape == (n, 2 + n_hadronic)
    expected = table(found.coefficients[:, 0], found.coefficients[:, 1])
    if n_hadronic:
        expected = expected + found.coefficients[:, 2:] @ chi_squared.polynomials.design_matrix.T
        limits = np.tile([1, 0.1, 0.01], n_hadronic // 3)
        largest = np.abs(found.coefficients[:, 2:]).max(axis=0) / limits
        assert (largest <= 1).all()
        assert (largest > 0.8).all()
        # each point of the grid has draws of its own
        assert len(np.unique(found.coefficients[:, 2])) == n
    np.testing.assert_allclose(found.observables, expected, rtol=1e-12)
    np.testing.assert_allclose(found.chi_squared, recomputed(chi_squared, found.coefficients))
    assert found.chi_squared[found.best] == found.chi_squared.min()


def test_points_fill_the_box_evenly():
    points = points_in_box(BOX, 256, np.random.SeedSequence(2))
    counts, _, _ = np.histogram2d(*points.T, bins=4, range=[BOX.c9_range, BOX.c10_range])
    assert (counts == 16).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_smeared_predictions_have_the_likelihood_of_chi_squared(table, version):
    """Importance weights exp(−χ²/2) of prediction and measurement change places."""
    chi_squared = make_chi_squared(table, version, BOX)
    exact = table(-0.7, 0.1)
    drawn = smeared(chi_squared, np.repeat(exact, 40_000, axis=0), np.random.default_rng(5))
    # the χ² of the true prediction is then one of as many degrees of freedom
    values = ((exact - drawn) / np.where(
        exact > drawn, chi_squared.errors_up, chi_squared.errors_down
    )) ** 2 if version == "experimental" else chi_squared.whitened(exact - drawn) ** 2  # fmt: skip
    np.testing.assert_allclose(values.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(np.median(values, axis=0), 0.4549, atol=0.03)
    if version == "experimental":
        # below the prediction with σ₊'s share, as σ₊ counts where the prediction lies above
        up, down = chi_squared.errors_up, chi_squared.errors_down
        np.testing.assert_allclose((drawn < exact).mean(axis=0), up / (up + down), atol=0.015)


# ------------------------------------------------------------------ densities
def test_mixtures_have_their_density_mean_and_levels():
    random = np.random.default_rng(8)
    weights = random.dirichlet([2, 2, 2], 3)
    means = random.normal(size=(3, 3, 2))
    factors = np.zeros((3, 3, 2, 2))
    factors[..., 0, 0], factors[..., 1, 1] = random.uniform(0.3, 1, (2, 3, 3))
    factors[..., 1, 0] = random.normal(size=(3, 3))
    found = GaussianMixture(weights, means, factors)
    from scipy.stats import multivariate_normal

    points = random.normal(size=(3, 5, 2))
    for row in range(3):
        parts = [
            weights[row, k]
            * multivariate_normal(means[row, k], factors[row, k] @ factors[row, k].T).pdf(
                points[row]
            )
            for k in range(3)
        ]
        np.testing.assert_allclose(found.density(points)[row], np.sum(parts, axis=0))
    draws = found.draws(40_000, random)
    np.testing.assert_allclose(draws.mean(axis=1), found.mean(), atol=0.03)
    # draws of the mixture itself have even levels; of a shifted one they do not
    levels = GaussianMixture(*(np.repeat(x[:1], 2000, axis=0) for x in (weights, means, factors)))
    own = levels.credible_levels(draws[0, :2000], random, 300)
    assert np.mean(own < 0.68) == pytest.approx(0.68, abs=0.035)
    assert np.mean(levels.credible_levels(draws[0, :2000] + 2.0, random, 300) < 0.68) < 0.5
    moved = found.moved(np.array([1.0, -1.0]), np.array([2.0, 0.5]))
    np.testing.assert_allclose(moved.mean(), [1, -1] + found.mean() * [2, 0.5])
    np.testing.assert_allclose(
        moved.density([1, -1] + points * [2, 0.5]), found.density(points), rtol=1e-9
    )


def test_regions_of_a_normal_density_have_its_areas():
    """The area of the region of probability p is −2 π σ₉ σ₁₀ √(1 − ρ²) ln(1 − p)."""
    factor = np.array([[[[0.2, 0.0], [0.05, 0.1]]]])
    density = learned_density(
        GaussianMixture(np.ones((1, 1)), np.array([[[-1.0, 0.1]]]), factor), BOX
    )
    for level in (0.68, 0.95):
        area = -2 * np.pi * 0.2 * 0.1 * np.log(1 - level)
        assert density.area(level) == pytest.approx(area, rel=0.02)
        (line,) = density.contours(level)
        np.testing.assert_allclose(line.mean(axis=0), [-1.0, 0.1], atol=0.02)
    np.testing.assert_allclose(density.mode, [-1.0, 0.1], atol=1e-3)
    np.testing.assert_allclose(density.mean, [-1.0, 0.1], atol=1e-3)
    covariance = factor[0, 0] @ factor[0, 0].T
    np.testing.assert_allclose(density.covariance, covariance, rtol=0.02, atol=1e-4)
    assert overlap(density, density) == pytest.approx(1)
    assert distance(np.array([-0.8, 0.15]), density.mean, covariance) == pytest.approx(1, abs=0.02)


# ------------------------------------------------------------------ networks
def test_smeared_networks_beat_the_papers(table, smeared_network):
    paper = answers_of_network(
        table, "experimental", BOX, InverseNetworkSettings(starts=3, max_epochs=60), 1, "paper"
    )
    far = [answer.distance_in_errors for answer in paper.answers]
    near = [answer.distance_in_errors for answer in smeared_network.answers]
    assert max(near) < 0.5 < np.median(far)
    assert smeared_network.spread.c9_deviation < 0.3 * paper.spread.c9_deviation
    assert paper.n_parameters == 37 * 2 + 2 + 2 * 2 + 2


def test_the_mixtures_density_is_that_of_chi_squared(chi_squared, mixture):
    posterior = mixture.posterior
    exact = exact_density(chi_squared, SMALL)
    np.testing.assert_allclose(posterior.exact_mode, exact.mode)
    assert posterior.distance_in_errors < 0.5
    assert posterior.overlap > 0.8
    for region in posterior.regions:
        assert region.area_ratio == pytest.approx(1, abs=0.25)
        assert region.simulated_coverage == pytest.approx(region.level, abs=0.06)
    assert all(answer.overlap > 0.7 for answer in mixture.answers)


def test_chi_squared_of_answers_is_recomputed(chi_squared, smeared_network, gan):
    for answer in [*smeared_network.answers, *gan.answers]:
        row = np.array([[answer.c9, answer.c10]])
        assert answer.chi_squared == pytest.approx(recomputed(chi_squared, row)[0], rel=1e-9)
    for answer in gan.answers:
        # what the GAN says of its samples is not what they have
        assert answer.said_chi_squared != pytest.approx(
            answer.said_chi_squared_recomputed, rel=0.01
        )
        assert answer.chi_squared <= answer.said_chi_squared_recomputed
        assert answer.inconsistency > 0


def test_hadronic_coefficients_are_answered_with_their_chi_squared(table):
    settings = InverseNetworkSettings(starts=1, max_epochs=3)
    found = answers_of_network(table, "experimental", SHARED, settings, 1, "shared")
    (answer,) = found.answers
    assert found.hadronic_names == ["a0", "a1", "a2"]
    assert len(answer.hadronic) == 3
    chi_squared = make_chi_squared(table, "experimental", SHARED)
    expected = chi_squared(answer.c9, answer.c10, answer.hadronic)[0]
    assert answer.chi_squared == pytest.approx(expected, rel=1e-9)
    assert abs(expected - chi_squared(answer.c9, answer.c10)[0]) > 1e-6


def test_dead_networks_are_told(table):
    """Branching ratios of thousands and large steps kill neurons; small steps kill none of 64."""
    settings = InverseNetworkSettings(
        starts=6, max_epochs=10, learning_rate=0.05, branching_ratio_unit=1e-10
    )
    found = answers_of_network(table, "experimental", SMALL, settings, 3, "dead")
    assert any(answer.is_constant for answer in found.answers)
    quiet = InverseNetworkSettings(starts=2, max_epochs=1, learning_rate=1e-9, hidden_units=(64,))
    found = answers_of_network(table, "experimental", SMALL, quiet, 3, "quiet")
    assert not any(answer.is_constant for answer in found.answers)
    # with weights as they were drawn, starts differ by these alone
    assert abs(found.answers[0].c9 - found.answers[1].c9) > 1e-3


def test_a_training_stops_after_its_patience(table):
    settings = InverseNetworkSettings(
        starts=1, max_epochs=50, early_stopping_patience=2, learning_rate=1.0
    )
    (answer,) = answers_of_network(table, "experimental", SMALL, settings, 1, "stops").answers
    assert len(answer.loss) == answer.best_epoch + 2 < 50
    assert answer.validation_loss[answer.best_epoch - 1] == min(answer.validation_loss)


def shipped(kind: str, name: str):
    """A machine of the shipped configuration."""
    values = yaml.safe_load((ROOT / "config/global-fit.yaml").read_text())
    return getattr(parse_configuration(values).global_fit, kind)[name]


def layers(model) -> list[tuple]:
    """Type, neurons or filters, and activation of each layer that has any, dropout's rate."""
    found = []
    for layer in model.layers:
        values = layer.get_config()
        size = values.get("units", values.get("filters", values.get("rate")))
        if size is not None:
            found.append((type(layer).__name__, size, values.get("activation")))
        elif type(layer).__name__ == "LeakyReLU":
            found.append(("LeakyReLU", None, None))
    return found


@pytest.mark.parametrize(
    ("name", "n_outputs", "n_parameters"),
    [
        ("network-1", 2, 37 * 2 + 2 + 2 * 2 + 2),
        ("network-2", 26, 37 * 2 + 2 + 2 * 26 + 26),
        ("network-2-shared", 5, 37 * 2 + 2 + 2 * 5 + 5),
    ],
)
def test_networks_have_the_papers_layers(table, name, n_outputs, n_parameters):
    """Of 37 inputs, 2 neurons with ReLU, and as many outputs as there are coefficients."""
    prepare_backend(1)
    from wilsonvox.global_fit.learning.inverse_networks import build_network

    machine = shipped("networks", name)
    chi_squared = make_chi_squared(table, machine.version, machine.training_set)
    assert 2 + len(chi_squared.polynomials.names) == n_outputs
    model = build_network(table.n_observables, n_outputs, machine.network, 1)
    assert layers(model) == [("Dense", 2, "relu"), ("Dense", n_outputs, "linear")]
    assert model.count_params() == n_parameters


def test_starts_differ_and_runs_are_equal(table, smeared_network):
    again = answers_of_network(table, "experimental", SMALL, SMEARED, 1, "smeared")
    assert again == smeared_network
    first, second = smeared_network.answers
    assert (first.c9, first.loss) != (second.c9, second.loss)
    other = SMEARED.model_copy(update={"starts": 1, "max_epochs": 2})
    one = answers_of_network(table, "experimental", SMALL, other, 1, "smeared")
    two = answers_of_network(table, "experimental", SMALL, other, 2, "smeared")
    assert one.answers[0].loss != two.answers[0].loss


# ------------------------------------------------------------------ GANs
def even_samples(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform([-2, -1], [0, 1], (n, 2))


def test_even_samples_cover_the_box():
    found = coverage(even_samples(5000, 1), even_samples(2500, 2), BOX)
    assert found.verdict == "covers the training set"
    assert found.effective_modes > 0.95
    assert found.least_variance_ratio == pytest.approx(1, abs=0.1)
    assert found.outside == 0


@pytest.mark.parametrize(
    ("collapsed", "verdict"),
    [
        # one point with little scatter, two points, a line, most of it gone outside
        (lambda x: 0.02 * x - np.array([1, 0]), "mode collapse"),
        (lambda x: 0.02 * x + np.where(x[:, :1] > -1, [-0.3, 0.5], [-1.7, -0.5]), "mode collapse"),
        (lambda x: np.stack([x[:, 0], 0.5 * x[:, 0] + 0.3], axis=1), "mode collapse"),
        (lambda x: x + np.array([1.9, 0]), "mode collapse"),
        # a strip of two rows of cells and a little; an even seventh, the rest far away
        (lambda x: x * np.array([1.0, 0.21]), "mode collapse"),
        (lambda x: np.where(np.arange(len(x))[:, None] % 7, x + 10.0, x), "mode collapse"),
        (lambda x: 0.5 * x - np.array([0.5, 0]), "partial mode collapse"),
    ],
)
def test_a_collapse_is_told(collapsed, verdict):
    found = coverage(collapsed(even_samples(5000, 1)), even_samples(2500, 2), BOX)
    assert found.verdict == verdict
    assert found.words.startswith(verdict)


def test_gans_scale_to_what_a_relu_can_reach(chi_squared):
    prepare_backend(1)
    from wilsonvox.global_fit.learning.gans import Numbers, images

    training = make_training_set(chi_squared, SMALL, np.random.SeedSequence(1))
    numbers = Numbers.of(training, chi_squared=True)
    rows = numbers.scaled(training)
    assert rows.shape == (256, 40)
    assert rows.min() == 0
    assert rows.max() == 1
    values = numbers.values(rows.astype(float))
    np.testing.assert_allclose(values[:, :37], training.observables, atol=1e-5)
    np.testing.assert_allclose(numbers.coefficients(values), training.coefficients, atol=1e-6)
    np.testing.assert_allclose(values[:, -1], training.chi_squared, rtol=1e-4)
    shown = images(rows)
    assert shown.shape == (256, 8, 8)
    np.testing.assert_array_equal(shown.reshape(256, 64)[:, :40], rows)
    assert not shown.reshape(256, 64)[:, 40:].any()


def built(name: str, n_numbers: int):
    """Generator and discriminator of a machine of the shipped configuration."""
    prepare_backend(1)
    from wilsonvox.global_fit.learning.gans import build_discriminator, build_generator

    settings = shipped("gans", name).gan
    return [build(n_numbers, 0, settings, 1) for build in (build_generator, build_discriminator)]


def test_gans_have_the_papers_layers(gan):
    """Of 60, 500, 500, 784 and 40, and of 40, 500, 500 and 1 neurons."""
    generator, discriminator = built("gan-1", 40)
    widths = (500, 500, 784, 40)
    # its output, too, is a ReLU's
    assert layers(generator) == [("Dense", width, "relu") for width in widths]
    assert layers(discriminator) == [
        ("Dense", 500, "relu"), ("Dense", 500, "relu"), ("Dropout", 0.5, None),
        ("Dense", 1, "linear"),
    ]  # fmt: skip
    assert generator.input_shape == (None, 60)
    assert discriminator.input_shape == (None, 40)
    n_parameters = (
        60 * 500 + 500 + 500 * 500 + 500 + 500 * 784 + 784 + 784 * 40 + 40,
        40 * 500 + 500 + 500 * 500 + 500 + 500 + 1,
    )
    assert (generator.count_params(), discriminator.count_params()) == n_parameters
    assert gan.n_parameters == n_parameters


def test_the_convolutional_gan_has_the_papers_layers():
    """Dense 64, filters of 128, 64 and 1; filters of 8 and 64, LeakyReLU and dropout of 0.5."""
    generator, discriminator = built("gan-4", 63)
    assert layers(generator) == [
        ("Dense", 64, "relu"), ("Conv2D", 128, "relu"), ("Conv2D", 64, "relu"),
        ("Conv2D", 1, "linear"),
    ]  # fmt: skip
    assert layers(discriminator) == [
        ("Conv2D", 8, "linear"), ("LeakyReLU", None, None), ("Dropout", 0.5, None),
        ("Conv2D", 64, "linear"), ("LeakyReLU", None, None), ("Dropout", 0.5, None),
        ("Dense", 1, "linear"),
    ]  # fmt: skip
    images = [
        layer.output.shape[1:] for layer in (*generator.layers, *discriminator.layers)
        if hasattr(layer, "filters")
    ]  # fmt: skip
    # a stride of 2 halves an image's edge
    assert images == [(8, 8, 128), (8, 8, 64), (8, 8, 1), (4, 4, 8), (2, 2, 64)]
    assert (generator.input_shape, generator.output_shape) == ((None, 60), (None, 63))
    # 3 × 3 pixels a filter
    assert generator.count_params() == (
        60 * 64 + 64 + 9 * 128 + 128 + 9 * 128 * 64 + 64 + 9 * 64 + 1
    )
    assert discriminator.count_params() == 9 * 8 + 8 + 9 * 8 * 64 + 64 + 2 * 2 * 64 + 1


def test_gans_are_equal_in_two_runs_and_their_starts_differ(table, gan):
    settings = TINY_GAN.model_copy(update={"chi_squared": True})
    assert answers_of_gan(table, "experimental", SMALL, settings, 1, "gan") == gan
    first, second = gan.answers
    assert first.samples != second.samples
    assert first.generator_loss != second.generator_loss


def test_each_epoch_of_a_gan_draws_latent_numbers_of_its_own():
    prepare_backend(1)
    import tensorflow as tf

    from wilsonvox.global_fit.learning.gans import GanTrainer

    rows = np.random.default_rng(1).random((64, 6), np.float32)
    trainer = GanTrainer(rows, None, TINY_GAN.model_copy(update={"batch_size": 32}))

    def losses(order: list[int], epoch: int) -> list[float]:
        trainer._restart(np.random.SeedSequence(1))
        found = trainer._epoch(tf.constant(order, tf.int32), tf.constant(epoch, tf.int32))
        return found.numpy().tolist()

    batch = list(range(32))
    assert losses(batch, 1) == losses(batch, 1) != losses(batch, 2)
    # the same batch twice, whose second step has other latent numbers, too
    twice = losses(batch * 2, 1)
    trainer._restart(np.random.SeedSequence(1))
    step = [
        trainer._step(tf.gather(rows, batch), tf.zeros((32, 0)), tf.constant([1, 0])).numpy()
        for _ in range(2)
    ]
    assert abs(twice[0] - np.mean(step, axis=0)[0]) > 1e-6


def test_a_convolutional_gan_makes_images(table):
    settings = TINY_GAN.model_copy(update={"architecture": "convolutional", "starts": 1})
    training = SHARED.model_copy(update={"hadronic": "independent"})
    found = answers_of_gan(table, "experimental", training, settings, 1, "images")
    assert np.shape(found.images.training) == np.shape(found.images.generated) == (8, 8, 8)
    # 37 + 2 + 24 numbers and one zero
    for each in (found.images.training, found.images.generated):
        last = np.reshape(each, (8, 64))[:, 62:]
        assert last[:, 0].any()
        assert not last[:, 1].any()
    with pytest.raises(UserError, match="65 numbers do not fit"):
        answers_of_gan(
            toy_of_more(table), "experimental", training,
            settings.model_copy(update={"chi_squared": True}), 1, "images",
        )  # fmt: skip


def toy_of_more(table: PredictionTable) -> PredictionTable:
    """The same with one measurement twice, in another bin."""
    observables = table.observables
    first = observables.measurements[0].model_copy(update={"q2_gev2": (0.2, 0.3)})
    more = observables.model_copy(update={"measurements": [first, *observables.measurements]})
    more = type(observables).model_validate(more.model_dump())
    take = [0, *range(table.n_observables)]
    return PredictionTable(
        more,
        table.coefficients[take],
        table.theory_covariance[np.ix_(take, take)] + 1e-6 * np.eye(len(take)),
        100,
    )


def test_a_conditional_gan_is_given_its_shifts(table):
    prepare_backend(1)
    from wilsonvox.global_fit.learning.gan_runs import GanStarts
    from wilsonvox.global_fit.learning.gans import generate

    settings = TINY_GAN.model_copy(update={"conditional": True, "epochs": 1})
    starts = GanStarts(table, "experimental", SMALL, settings, 1, "given")
    # C9 and C10 are no part of what is generated
    assert starts.rows.shape == (256, 37)
    trained = starts.trainer.train(np.random.SeedSequence(2))
    one, other = (
        generate(
            trained.generator, 5, 60, np.random.SeedSequence(3), np.full((5, 2), x, np.float32)
        )
        for x in (0.1, 0.9)
    )
    assert one.shape == (5, 37)
    assert np.abs(one - other).max() > 1e-3
    # all numbers together: the conditions fill the box, at the places of C9 and C10
    scaled = starts.samples(trained.generator, 0)
    shifts = starts.numbers.coefficients(starts.numbers.values(scaled))
    assert shifts.shape == (200, 2)
    assert coverage(shifts, starts.training_set.coefficients, SMALL).verdict.startswith("covers")
    # what observables speak of: of exact predictions the shifts that they are of
    read_out = starts._read_out(starts.training_set.observables)
    np.testing.assert_allclose(read_out, starts.training_set.coefficients, atol=0.15)
    answer = starts.answer(trained, scaled, 0)
    assert answer.said_chi_squared_recomputed == answer.chi_squared
    # an untrained generator's observables do not fill the box, though its conditions do
    assert answer.coverage.verdict != "covers the training set"


# ------------------------------------------------------------------ commands
def test_the_commands_write_answers_with_their_record(table, tmp_path):
    path = tmp_path / "table.npz"
    table.save(path, make_record("tabulate_observables", path, {}))
    common = ["--table", str(path), "--seed", "5", "--values-per-coefficient", "8"]
    for word, model, more in (
        ("train-network", NetworkResult, ["--max-epochs", "2", "--starts", "2"]),
        (
            "train-gan", GanResult,
            ["--epochs", "1", "--starts", "1", "--batch-size", "32", "--samples", "100"],
        ),
    ):  # fmt: skip
        # that runs of GANs are equal is tested above
        out = [tmp_path / f"{word}-{i}.json" for i in range(2 if word == "train-network" else 1)]
        for each in out:
            assert run(["global-fit", word, *common, *more, "--name", "m", "--out", str(each)]) == 0
        found = model.load(out[0])
        assert found.provenance.settings["machine"]["starts"] == len(found.answers)
        assert found.provenance.seed == 5
        assert (
            read_record(out[0]).content_digest == content_digest(out[0]) == content_digest(out[-1])
        )
        shown = Answers.load(out[0])
        assert [(a.c9, a.chi_squared) for a in shown.answers] == [
            (a.c9, a.chi_squared) for a in found.answers
        ]
        kind = "plot", f"global-fit-{word.removeprefix('train-')}"
        figure = [str(tmp_path / "f.pdf"), str(tmp_path / "f.png")]
        words = [*kind, "--answers", str(out[0]), "--pdf", figure[0], "--png", figure[1]]
        assert run(words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train-network", "--output", "mixture"], "a mixture needs smeared predictions"),
        (["train-network", "--smeared", "true", "--hadronic", "shared"], "--hadronic: shared"),
        (["train-gan", "--batch-size", "1000"], "--batch-size: 1000: the training set has 64"),
        (["train-network", "--c9-range", "0:-1"], "--c9-range"),
    ],
)
def test_what_does_not_work_is_told_in_one_line(table, tmp_path, capsys, words, message):
    path = tmp_path / "table.npz"
    table.save(path, make_record("tabulate_observables", path, {}))
    out = tmp_path / "answers.json"
    words = [*words, "--table", str(path), "--seed", "1", "--name", "m", "--out", str(out)]
    assert run(["global-fit", *words, "--values-per-coefficient", "8"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("wilsonvox: error:")
    assert message in told
    assert not out.exists()


def test_other_files_are_no_answers(tmp_path, gan):
    path = tmp_path / "gan.json"
    path.write_text(gan.model_dump_json())
    with pytest.raises(UserError, match=r"gan\.json: not the answers of this kind"):
        NetworkResult.load(path)
    path.write_text(json.dumps({"kind": "gan"}))
    with pytest.raises(UserError, match="make it again"):
        GanResult.load(path)
