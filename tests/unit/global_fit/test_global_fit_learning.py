"""ML models of a global fit on toy predictions: training sets, networks, GANs."""

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
from wilsonvox.global_fit.learning.mixtures import GaussianMixture
from wilsonvox.global_fit.learning.mode_collapse import coverage
from wilsonvox.global_fit.learning.model_summary import ModelSummary
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
    """Toy table, twice as sensitive to the shifts, that agrees with the data at (−0.8, 0.2)."""
    toy = toy_table()
    coefficients = toy.coefficients.copy()
    coefficients[:, 1:, 1:] = 0.0
    coefficients[:, 0, 1:3] *= 2.0
    scaled = PredictionTable(toy.observables, coefficients, toy.theory_covariance, toy.n_draws)
    coefficients[:, 0, 0] += toy(-0.8, 0.2)[0] - scaled(-0.8, 0.2)[0]
    return scaled


@pytest.fixture(scope="module")
def chi_squared(table) -> ChiSquared:
    return make_chi_squared(table, "experimental", BOX)


def train_network_ensemble(*arguments):
    prepare_backend(1)
    from wilsonvox.global_fit.learning import network_runs

    return network_runs.train_network_ensemble(*arguments)


def train_gan_ensemble(*arguments):
    prepare_backend(1)
    from wilsonvox.global_fit.learning import gan_runs

    return gan_runs.train_gan_ensemble(*arguments)


@pytest.fixture(scope="module")
def smeared_network(table) -> NetworkResult:
    return train_network_ensemble(table, "experimental", SMALL, SMEARED, 1, "smeared")


@pytest.fixture(scope="module")
def mixture(table) -> NetworkResult:
    return train_network_ensemble(table, "experimental", SMALL, MIXTURE, 1, "mixture")


@pytest.fixture(scope="module")
def gan(table) -> GanResult:
    settings = TINY_GAN.model_copy(update={"chi_squared": True})
    return train_gan_ensemble(table, "experimental", SMALL, settings, 1, "gan")


# ------------------------------------------------------------------ training sets
@pytest.mark.parametrize("hadronic", ["none", "independent", "shared"])
def test_samples_are_the_predictions_for_their_coefficients(table, hadronic):
    settings = TrainingSetSettings(
        values_per_coefficient=4, hadronic=hadronic, hadronic_draws=3, half_widths=(1, 0.1, 0.01)
    )
    chi_squared = make_chi_squared(table, "experimental", settings)
    samples = make_training_set(chi_squared, settings, np.random.SeedSequence(3))
    n = 16 if hadronic == "none" else 48
    n_hadronic = {"none": 0, "independent": 24, "shared": 3}[hadronic]
    assert samples.coefficients.shape == (n, 2 + n_hadronic)
    expected = table(samples.coefficients[:, 0], samples.coefficients[:, 1])
    if n_hadronic:
        expected = expected + samples.coefficients[:, 2:] @ chi_squared.polynomials.design_matrix.T
        limits = np.tile([1, 0.1, 0.01], n_hadronic // 3)
        largest = np.abs(samples.coefficients[:, 2:]).max(axis=0) / limits
        assert (largest <= 1).all()
        assert (largest > 0.8).all()
        # the draws are independent at each grid point
        assert len(np.unique(samples.coefficients[:, 2])) == n
    np.testing.assert_allclose(samples.observables, expected, rtol=1e-12)
    np.testing.assert_allclose(samples.chi_squared, recomputed(chi_squared, samples.coefficients))
    assert samples.chi_squared[samples.best] == samples.chi_squared.min()


def test_points_are_uniform_in_the_training_range():
    points = points_in_box(BOX, 256, np.random.SeedSequence(2))
    counts, _, _ = np.histogram2d(*points.T, bins=4, range=[BOX.c9_range, BOX.c10_range])
    assert (counts == 16).all()


@pytest.mark.parametrize("version", VERSIONS)
def test_smeared_predictions_have_the_likelihood_of_chi_squared(table, version):
    """The χ² of the true prediction has one degree of freedom per observable."""
    chi_squared = make_chi_squared(table, version, BOX)
    exact = table(-0.7, 0.1)
    drawn = smeared(chi_squared, np.repeat(exact, 40_000, axis=0), np.random.default_rng(5))
    values = ((exact - drawn) / np.where(
        exact > drawn, chi_squared.errors_up, chi_squared.errors_down
    )) ** 2 if version == "experimental" else chi_squared.whitened(exact - drawn) ** 2  # fmt: skip
    np.testing.assert_allclose(values.mean(axis=0), 1.0, atol=0.05)
    np.testing.assert_allclose(np.median(values, axis=0), 0.4549, atol=0.03)
    if version == "experimental":
        # σ₊ applies to measurements below the prediction
        up, down = chi_squared.errors_up, chi_squared.errors_down
        np.testing.assert_allclose((drawn < exact).mean(axis=0), up / (up + down), atol=0.015)


# ------------------------------------------------------------------ densities
def test_density_mean_and_credible_levels_of_mixtures():
    random = np.random.default_rng(8)
    weights = random.dirichlet([2, 2, 2], 3)
    means = random.normal(size=(3, 3, 2))
    factors = np.zeros((3, 3, 2, 2))
    factors[..., 0, 0], factors[..., 1, 1] = random.uniform(0.3, 1, (2, 3, 3))
    factors[..., 1, 0] = random.normal(size=(3, 3))
    mixture = GaussianMixture(weights, means, factors)
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
        np.testing.assert_allclose(mixture.density(points)[row], np.sum(parts, axis=0))
    draws = mixture.draws(40_000, random)
    np.testing.assert_allclose(draws.mean(axis=1), mixture.mean(), atol=0.03)
    # the levels are uniform for draws from the mixture, but not for shifted draws
    first = GaussianMixture(*(np.repeat(x[:1], 2000, axis=0) for x in (weights, means, factors)))
    levels = first.credible_levels(draws[0, :2000], random, 300)
    assert np.mean(levels < 0.68) == pytest.approx(0.68, abs=0.035)
    assert np.mean(first.credible_levels(draws[0, :2000] + 2.0, random, 300) < 0.68) < 0.5
    rescaled = mixture.rescaled(np.array([1.0, -1.0]), np.array([2.0, 0.5]))
    np.testing.assert_allclose(rescaled.mean(), [1, -1] + mixture.mean() * [2, 0.5])
    np.testing.assert_allclose(
        rescaled.density([1, -1] + points * [2, 0.5]), mixture.density(points), rtol=1e-9
    )


def test_regions_of_a_normal_density_have_the_analytic_area():
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
def test_smeared_networks_are_closer_to_the_fit_than_the_papers(table, smeared_network):
    paper = train_network_ensemble(
        table, "experimental", BOX, InverseNetworkSettings(starts=3, max_epochs=60), 1, "paper"
    )
    far = [result.distance_in_errors for result in paper.answers]
    near = [result.distance_in_errors for result in smeared_network.answers]
    assert max(near) < 0.5 < np.median(far)
    assert smeared_network.spread.c9_deviation < 0.3 * paper.spread.c9_deviation
    assert paper.n_parameters == 37 * 2 + 2 + 2 * 2 + 2


def test_mixture_networks_learn_the_exact_density(chi_squared, mixture):
    posterior = mixture.posterior
    exact = exact_density(chi_squared, SMALL)
    np.testing.assert_allclose(posterior.exact_mode, exact.mode)
    assert posterior.distance_in_errors < 0.5
    assert posterior.overlap > 0.8
    for region in posterior.regions:
        assert region.area_ratio == pytest.approx(1, abs=0.25)
        assert region.simulated_coverage == pytest.approx(region.level, abs=0.06)
    assert all(result.overlap > 0.7 for result in mixture.answers)


def test_chi_squared_is_recomputed_from_the_coefficients(chi_squared, smeared_network, gan):
    for result in [*smeared_network.answers, *gan.answers]:
        row = np.array([[result.c9, result.c10]])
        assert result.chi_squared == pytest.approx(recomputed(chi_squared, row)[0], rel=1e-9)
    for result in gan.answers:
        # the generated χ² differs from that of the generated coefficients
        assert result.said_chi_squared != pytest.approx(
            result.said_chi_squared_recomputed, rel=0.01
        )
        assert result.chi_squared <= result.said_chi_squared_recomputed
        assert result.inconsistency > 0


def test_hadronic_coefficients_are_predicted_with_their_chi_squared(table):
    settings = InverseNetworkSettings(starts=1, max_epochs=3)
    ensemble = train_network_ensemble(table, "experimental", SHARED, settings, 1, "shared")
    (result,) = ensemble.answers
    assert ensemble.hadronic_names == ["a0", "a1", "a2"]
    assert len(result.hadronic) == 3
    chi_squared = make_chi_squared(table, "experimental", SHARED)
    expected = chi_squared(result.c9, result.c10, result.hadronic)[0]
    assert result.chi_squared == pytest.approx(expected, rel=1e-9)
    assert abs(expected - chi_squared(result.c9, result.c10)[0]) > 1e-6


def test_dead_networks_are_flagged(table):
    """Inputs of several thousand and a large learning rate kill the two neurons, but not 64."""
    settings = InverseNetworkSettings(
        starts=6, max_epochs=10, learning_rate=0.05, branching_ratio_unit=1e-10
    )
    dead = train_network_ensemble(table, "experimental", SMALL, settings, 3, "dead")
    assert any(result.is_constant for result in dead.answers)
    quiet = InverseNetworkSettings(starts=2, max_epochs=1, learning_rate=1e-9, hidden_units=(64,))
    alive = train_network_ensemble(table, "experimental", SMALL, quiet, 3, "quiet")
    assert not any(result.is_constant for result in alive.answers)
    # the restarts differ in their initial weights
    assert abs(alive.answers[0].c9 - alive.answers[1].c9) > 1e-3


def test_training_stops_early_after_its_patience(table):
    settings = InverseNetworkSettings(
        starts=1, max_epochs=50, early_stopping_patience=2, learning_rate=1.0
    )
    (result,) = train_network_ensemble(table, "experimental", SMALL, settings, 1, "stops").answers
    assert len(result.loss) == result.best_epoch + 2 < 50
    assert result.validation_loss[result.best_epoch - 1] == min(result.validation_loss)


def shipped(kind: str, name: str):
    """Settings of a model in the shipped configuration."""
    values = yaml.safe_load((ROOT / "config/global-fit.yaml").read_text())
    return getattr(parse_configuration(values).global_fit, kind)[name]


def layers(model) -> list[tuple]:
    """Type, units or filters or dropout rate, and activation of the layers with weights."""
    described = []
    for layer in model.layers:
        values = layer.get_config()
        size = values.get("units", values.get("filters", values.get("rate")))
        if size is not None:
            described.append((type(layer).__name__, size, values.get("activation")))
        elif type(layer).__name__ == "LeakyReLU":
            described.append(("LeakyReLU", None, None))
    return described


@pytest.mark.parametrize(
    ("name", "n_outputs", "n_parameters"),
    [
        ("network-1", 2, 37 * 2 + 2 + 2 * 2 + 2),
        ("network-2", 26, 37 * 2 + 2 + 2 * 26 + 26),
        ("network-2-shared", 5, 37 * 2 + 2 + 2 * 5 + 5),
    ],
)
def test_networks_have_the_papers_layers(table, name, n_outputs, n_parameters):
    """37 inputs, 2 units with ReLU, and one output per coefficient."""
    prepare_backend(1)
    from wilsonvox.global_fit.learning.inverse_networks import build_network

    shipped_model = shipped("networks", name)
    chi_squared = make_chi_squared(table, shipped_model.version, shipped_model.training_set)
    assert 2 + len(chi_squared.polynomials.names) == n_outputs
    model = build_network(table.n_observables, n_outputs, shipped_model.network, 1)
    assert layers(model) == [("Dense", 2, "relu"), ("Dense", n_outputs, "linear")]
    assert model.count_params() == n_parameters


def test_networks_are_reproducible_and_restarts_differ(table, smeared_network):
    again = train_network_ensemble(table, "experimental", SMALL, SMEARED, 1, "smeared")
    assert again == smeared_network
    first, second = smeared_network.answers
    assert (first.c9, first.loss) != (second.c9, second.loss)
    other = SMEARED.model_copy(update={"starts": 1, "max_epochs": 2})
    one = train_network_ensemble(table, "experimental", SMALL, other, 1, "smeared")
    two = train_network_ensemble(table, "experimental", SMALL, other, 2, "smeared")
    assert one.answers[0].loss != two.answers[0].loss


# ------------------------------------------------------------------ GANs
def uniform_samples(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform([-2, -1], [0, 1], (n, 2))


def test_uniform_samples_cover_the_training_range():
    covered = coverage(uniform_samples(5000, 1), uniform_samples(2500, 2), BOX)
    assert covered.verdict == "covers the training set"
    assert covered.effective_modes > 0.95
    assert covered.least_variance_ratio == pytest.approx(1, abs=0.1)
    assert covered.outside == 0


@pytest.mark.parametrize(
    ("collapsed", "verdict"),
    [
        # narrow peak, two narrow peaks, a line, most samples outside
        (lambda x: 0.02 * x - np.array([1, 0]), "mode collapse"),
        (lambda x: 0.02 * x + np.where(x[:, :1] > -1, [-0.3, 0.5], [-1.7, -0.5]), "mode collapse"),
        (lambda x: np.stack([x[:, 0], 0.5 * x[:, 0] + 0.3], axis=1), "mode collapse"),
        (lambda x: x + np.array([1.9, 0]), "mode collapse"),
        # a strip of about two rows of cells; one in seven samples inside
        (lambda x: x * np.array([1.0, 0.21]), "mode collapse"),
        (lambda x: np.where(np.arange(len(x))[:, None] % 7, x + 10.0, x), "mode collapse"),
        (lambda x: 0.5 * x - np.array([0.5, 0]), "partial mode collapse"),
    ],
)
def test_mode_collapse_is_diagnosed(collapsed, verdict):
    diagnosed = coverage(collapsed(uniform_samples(5000, 1)), uniform_samples(2500, 2), BOX)
    assert diagnosed.verdict == verdict
    assert diagnosed.words.startswith(verdict)


def test_gan_samples_are_scaled_to_the_range_of_a_relu(chi_squared):
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
    padded = images(rows)
    assert padded.shape == (256, 8, 8)
    np.testing.assert_array_equal(padded.reshape(256, 64)[:, :40], rows)
    assert not padded.reshape(256, 64)[:, 40:].any()


def built(name: str, n_numbers: int):
    """Generator and discriminator of a GAN in the shipped configuration."""
    prepare_backend(1)
    from wilsonvox.global_fit.learning.gans import build_discriminator, build_generator

    settings = shipped("gans", name).gan
    return [build(n_numbers, 0, settings, 1) for build in (build_generator, build_discriminator)]


def test_gans_have_the_papers_layers(gan):
    """Layers of 60, 500, 500, 784 and 40, and of 40, 500, 500 and 1 units."""
    generator, discriminator = built("gan-1", 40)
    widths = (500, 500, 784, 40)
    # the output layer has ReLU, too
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
    # a stride of 2 halves the side of an image
    assert images == [(8, 8, 128), (8, 8, 64), (8, 8, 1), (4, 4, 8), (2, 2, 64)]
    assert (generator.input_shape, generator.output_shape) == ((None, 60), (None, 63))
    # filters of 3 × 3 pixels
    assert generator.count_params() == (
        60 * 64 + 64 + 9 * 128 + 128 + 9 * 128 * 64 + 64 + 9 * 64 + 1
    )
    assert discriminator.count_params() == 9 * 8 + 8 + 9 * 8 * 64 + 64 + 2 * 2 * 64 + 1


def test_gans_are_reproducible_and_restarts_differ(table, gan):
    settings = TINY_GAN.model_copy(update={"chi_squared": True})
    assert train_gan_ensemble(table, "experimental", SMALL, settings, 1, "gan") == gan
    first, second = gan.answers
    assert first.samples != second.samples
    assert first.generator_loss != second.generator_loss


def test_latent_variables_differ_between_epochs_and_steps():
    prepare_backend(1)
    import tensorflow as tf

    from wilsonvox.global_fit.learning.gans import GanTrainer

    rows = np.random.default_rng(1).random((64, 6), np.float32)
    trainer = GanTrainer(rows, None, TINY_GAN.model_copy(update={"batch_size": 32}))

    def losses(order: list[int], epoch: int) -> list[float]:
        trainer._restart(np.random.SeedSequence(1))
        means = trainer._epoch(tf.constant(order, tf.int32), tf.constant(epoch, tf.int32))
        return means.numpy().tolist()

    batch = list(range(32))
    assert losses(batch, 1) == losses(batch, 1) != losses(batch, 2)
    # the latent variables of the second step differ, too
    twice = losses(batch * 2, 1)
    trainer._restart(np.random.SeedSequence(1))
    step = [
        trainer._step(tf.gather(rows, batch), tf.zeros((32, 0)), tf.constant([1, 0])).numpy()
        for _ in range(2)
    ]
    assert abs(twice[0] - np.mean(step, axis=0)[0]) > 1e-6


def test_convolutional_gans_store_images(table):
    settings = TINY_GAN.model_copy(update={"architecture": "convolutional", "starts": 1})
    training = SHARED.model_copy(update={"hadronic": "independent"})
    ensemble = train_gan_ensemble(table, "experimental", training, settings, 1, "images")
    stored = ensemble.images
    assert np.shape(stored.training) == np.shape(stored.generated) == (8, 8, 8)
    # 37 + 2 + 24 numbers and one zero
    for images in (stored.training, stored.generated):
        last = np.reshape(images, (8, 64))[:, 62:]
        assert last[:, 0].any()
        assert not last[:, 1].any()
    with pytest.raises(UserError, match="65 numbers do not fit"):
        train_gan_ensemble(
            with_another_observable(table), "experimental", training,
            settings.model_copy(update={"chi_squared": True}), 1, "images",
        )  # fmt: skip


def with_another_observable(table: PredictionTable) -> PredictionTable:
    """The same table with the first measurement repeated in another bin."""
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


def test_conditional_gans_take_the_shifts_as_inputs(table):
    prepare_backend(1)
    from wilsonvox.global_fit.learning.gan_runs import GanRestarts
    from wilsonvox.global_fit.learning.gans import generate

    settings = TINY_GAN.model_copy(update={"conditional": True, "epochs": 1})
    restarts = GanRestarts(table, "experimental", SMALL, settings, 1, "given")
    # C9 and C10 are not generated
    assert restarts.rows.shape == (256, 37)
    trained = restarts.trainer.train(np.random.SeedSequence(2))
    one, other = (
        generate(
            trained.generator, 5, 60, np.random.SeedSequence(3), np.full((5, 2), x, np.float32)
        )
        for x in (0.1, 0.9)
    )
    assert one.shape == (5, 37)
    assert np.abs(one - other).max() > 1e-3
    # the complete samples contain the conditions as C9 and C10
    scaled = restarts.samples(trained.generator, 0)
    shifts = restarts.numbers.coefficients(restarts.numbers.values(scaled))
    assert shifts.shape == (200, 2)
    assert coverage(shifts, restarts.training_set.coefficients, SMALL).verdict.startswith("covers")
    # the regression recovers the shifts of exact predictions
    inferred = restarts._inferred_shifts(restarts.training_set.observables)
    np.testing.assert_allclose(inferred, restarts.training_set.coefficients, atol=0.15)
    result = restarts.result(trained, scaled, 0)
    assert result.said_chi_squared_recomputed == result.chi_squared
    # the observables of an untrained generator do not cover the range, although its conditions do
    assert result.coverage.verdict != "covers the training set"


# ------------------------------------------------------------------ commands
def test_the_commands_write_results_with_their_record(table, tmp_path):
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
        # reproducibility of GANs is tested above
        out = [tmp_path / f"{word}-{i}.json" for i in range(2 if word == "train-network" else 1)]
        for file in out:
            assert run(["global-fit", word, *common, *more, "--name", "m", "--out", str(file)]) == 0
        result = model.load(out[0])
        assert result.provenance.settings["machine"]["starts"] == len(result.answers)
        assert result.provenance.seed == 5
        assert (
            read_record(out[0]).content_digest == content_digest(out[0]) == content_digest(out[-1])
        )
        summary = ModelSummary.load(out[0])
        assert [(a.c9, a.chi_squared) for a in summary.answers] == [
            (a.c9, a.chi_squared) for a in result.answers
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
def test_invalid_options_give_a_one_line_error(table, tmp_path, capsys, words, message):
    path = tmp_path / "table.npz"
    table.save(path, make_record("tabulate_observables", path, {}))
    out = tmp_path / "answers.json"
    words = [*words, "--table", str(path), "--seed", "1", "--name", "m", "--out", str(out)]
    assert run(["global-fit", *words, "--values-per-coefficient", "8"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("wilsonvox: error:")
    assert message in error
    assert not out.exists()


def test_other_files_are_rejected(tmp_path, gan):
    path = tmp_path / "gan.json"
    path.write_text(gan.model_dump_json())
    with pytest.raises(UserError, match=r"gan\.json: not the result of an ML model of this kind"):
        NetworkResult.load(path)
    path.write_text(json.dumps({"kind": "gan"}))
    with pytest.raises(UserError, match="make it again"):
        GanResult.load(path)
