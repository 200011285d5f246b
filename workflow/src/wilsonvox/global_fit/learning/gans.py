"""Generative adversarial networks (GANs) for observables and Wilson coefficients.

This module imports Keras: import it only inside the functions that need it.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.learning.settings import GanSettings
from wilsonvox.global_fit.learning.training_sets import TrainingSet

Array = NDArray[np.float64]

IMAGE_SIZE = 8
"""Pixels per side of the images of convolutional networks."""

GENERATION_BATCH = 500
"""Samples that are generated in one batch."""


@dataclass(frozen=True)
class Numbers:
    """Layout of the samples and their min-max scaling to [0, 1], the range of a ReLU output.

    Attributes:
        n_observables: number of observables, the first entries of a sample.
        n_coefficients: number of coefficients (C9, C10, hadronic), which follow the observables.
        has_chi_squared: whether χ² is the last entry.
        low: minimum of each entry in the training set, float64 of shape (n_numbers,).
        span: maximum minus minimum, float64 of shape (n_numbers,); 1 for constant entries.
    """

    n_observables: int
    n_coefficients: int
    has_chi_squared: bool
    low: Array
    span: Array

    @classmethod
    def of(cls, training_set: TrainingSet, chi_squared: bool) -> "Numbers":
        """Determine the scaling from a training set."""
        rows = _rows(training_set, chi_squared)
        low, span = rows.min(axis=0), np.ptp(rows, axis=0)
        return cls(
            training_set.observables.shape[1], training_set.coefficients.shape[1], chi_squared,
            low, np.where(span > 0, span, 1.0),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.low)

    def scaled(self, training_set: TrainingSet) -> NDArray[np.float32]:
        """Scale a training set to [0, 1], float32 of shape (n, n_numbers)."""
        rows = _rows(training_set, self.has_chi_squared)
        return np.asarray((rows - self.low) / self.span, dtype=np.float32)

    def values(self, scaled: Array) -> Array:
        """Inverse of the scaling in `scaled`."""
        return self.low + self.span * scaled

    def coefficients(self, values: Array) -> Array:
        """Extract (C9, C10, hadronic …) from samples, float64 of shape (n, n_coefficients)."""
        return values[:, self.n_observables : self.n_observables + self.n_coefficients]


def _rows(training_set: TrainingSet, chi_squared: bool) -> Array:
    parts = [training_set.observables, training_set.coefficients]
    if chi_squared:
        parts.append(training_set.chi_squared[:, np.newaxis])
    return np.concatenate(parts, axis=1)


def images(rows: NDArray[Any]) -> NDArray[Any]:
    """Reshape samples to square images, padded with zeros.

    Args:
        rows: samples of shape (n, n_numbers), with at most 64 numbers.

    Returns:
        Images of shape (n, 8, 8).
    """
    pixels = IMAGE_SIZE**2
    return np.pad(rows, ((0, 0), (0, pixels - rows.shape[1]))).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


def check_images(n_numbers: int) -> None:
    """Check that a sample of `n_numbers` entries fits into an image.

    Raises:
        UserError: the sample is too large.
    """
    if n_numbers > IMAGE_SIZE**2:
        raise UserError(
            f"--architecture convolutional: {n_numbers} numbers do not fit into an image of "
            f"{IMAGE_SIZE} × {IMAGE_SIZE}; drop χ² or hadronic coefficients"
        )


class _Seeds:
    """Sequence of seeds for the layers of a network."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def weights(self) -> Any:
        """Make a Glorot uniform initializer, the default of Keras."""
        return keras.initializers.GlorotUniform(seed=self.number())

    def number(self) -> int:
        """Draw the next seed."""
        return int(self._generator.integers(2**31))


def build_generator(n_numbers: int, n_conditions: int, settings: GanSettings, seed: int) -> Any:
    """Build the generator, from latent variables and any conditions to scaled samples.

    Dense: layers of 500, 500, 784 and n_numbers units, all with ReLU. Convolutional: a dense layer
    of 64 units as an image of 8 × 8, then 3 × 3 convolutions with 128, 64 and 1 filters and ReLU
    after all but the last.

    Returns:
        keras.Model: (n, latent_size), (n, n_conditions) → (n, n_numbers).
    """
    seeds = _Seeds(seed)
    latent = keras.Input((settings.latent_size,), name="latent")
    inputs = [latent]
    x: Any = latent
    if n_conditions:
        inputs.append(keras.Input((n_conditions,), name="conditions"))
        x = keras.layers.Concatenate()(inputs)
    if settings.architecture == "dense":
        for width in (500, 500, 784, n_numbers):
            x = keras.layers.Dense(width, "relu", kernel_initializer=seeds.weights())(x)
        return keras.Model(inputs, x, name="generator")
    pixels = IMAGE_SIZE**2
    x = keras.layers.Dense(pixels, "relu", kernel_initializer=seeds.weights())(x)
    x = keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1))(x)
    for filters in (128, 64, 1):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu" if filters > 1 else None,
            kernel_initializer=seeds.weights(),
        )(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, x[:, :n_numbers], name="generator")


def build_discriminator(n_numbers: int, n_conditions: int, settings: GanSettings, seed: int) -> Any:
    """Build the discriminator, from samples and any conditions to the logit for real samples.

    Dense: two layers of 500 units and dropout of 0.5. Convolutional: 3 × 3 convolutions with 8 and
    64 filters and stride 2, each with LeakyReLU and dropout of 0.5. The sigmoid of the paper is
    part of the loss.

    Returns:
        keras.Model: (n, n_numbers), (n, n_conditions) → (n, 1).
    """
    seeds = _Seeds(seed)
    sample = keras.Input((n_numbers,), name="sample")
    inputs = [sample]
    x: Any = sample
    if settings.architecture == "convolutional":
        x = keras.layers.Reshape((n_numbers, 1))(x)
        x = keras.layers.ZeroPadding1D((0, IMAGE_SIZE**2 - n_numbers))(x)
        x = keras.layers.Reshape((IMAGE_SIZE, IMAGE_SIZE, 1))(x)
        for filters in (8, 64):
            x = keras.layers.Conv2D(
                filters, 3, strides=2, padding="same", kernel_initializer=seeds.weights()
            )(x)
            x = keras.layers.LeakyReLU(0.2)(x)
            x = keras.layers.Dropout(0.5, seed=seeds.number())(x)
        x = keras.layers.Flatten()(x)
    if n_conditions:
        inputs.append(keras.Input((n_conditions,), name="conditions"))
        x = keras.layers.Concatenate()([x, inputs[1]])
    if settings.architecture == "dense":
        for _ in range(2):
            x = keras.layers.Dense(500, "relu", kernel_initializer=seeds.weights())(x)
        x = keras.layers.Dropout(0.5, seed=seeds.number())(x)
    x = keras.layers.Dense(1, kernel_initializer=seeds.weights())(x)
    return keras.Model(inputs, x, name="discriminator")


@dataclass
class TrainedGan:
    """Generator of one training, and the training history.

    Attributes:
        generator: keras.Model.
        generator_loss: mean loss of each epoch.
        discriminator_loss: mean loss of each epoch over real and generated samples.
        accuracy: fraction of real and generated samples that the discriminator classified
            correctly in each epoch.
    """

    generator: Any
    generator_loss: list[float] = field(default_factory=list)
    discriminator_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def _cross_entropy(label: float, logits: Any) -> Any:
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), label), logits)
    )


class GanTrainer:
    """Train GANs of one architecture repeatedly with a single compilation.

    Args:
        rows: scaled training samples, float32 of shape (n, n_numbers).
        conditions: scaled conditions, float32 of shape (n, n_conditions), or None.
        settings: settings of the networks and the training.
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        conditions: NDArray[np.float32] | None,
        settings: GanSettings,
    ) -> None:
        self._settings = settings
        self._n_conditions = 0 if conditions is None else conditions.shape[1]
        self._rows = tf.constant(rows)
        self._conditions = tf.constant(
            np.zeros((len(rows), 0), np.float32) if conditions is None else conditions
        )
        n_numbers = rows.shape[1]
        self._sizes = n_numbers, self._n_conditions, settings
        self._generator = build_generator(*self._sizes, 0)
        self._discriminator = build_discriminator(*self._sizes, 0)
        self._optimizers = []
        for network in (self._generator, self._discriminator):
            optimizer = keras.optimizers.Adam(settings.learning_rate, beta_1=settings.beta_1)
            optimizer.build(network.trainable_variables)
            self._optimizers.append(optimizer)
        self._epoch = tf.function(self._one_epoch, reduce_retracing=True)

    @property
    def n_parameters(self) -> tuple[int, int]:
        """Number of weights of generator and discriminator."""
        return self._generator.count_params(), self._discriminator.count_params()

    def _one_epoch(self, order: Any, seed: Any) -> Any:
        """Train on the samples in `order`; return the mean losses and the mean accuracy."""
        batch = self._settings.batch_size
        n_batches = tf.shape(order)[0] // batch
        total = tf.zeros(3)
        for number in tf.range(n_batches):
            chosen = order[number * batch : (number + 1) * batch]
            total += self._step(
                tf.gather(self._rows, chosen),
                tf.gather(self._conditions, chosen),
                tf.stack([seed, number]),
            )
        return total / tf.cast(n_batches, tf.float32)

    def _step(self, real: Any, conditions: Any, seed: Any) -> Any:
        """Train the discriminator, then the generator, on one batch."""
        generator, discriminator = self._generator, self._discriminator
        shape = (self._settings.batch_size, self._settings.latent_size)
        latent = tf.random.stateless_normal(shape, seed * 2)
        generated = generator(self._inputs(latent, conditions), training=True)
        with tf.GradientTape() as tape:
            on_real = discriminator(self._inputs(real, conditions), training=True)
            on_generated = discriminator(self._inputs(generated, conditions), training=True)
            loss = 0.5 * (_cross_entropy(1.0, on_real) + _cross_entropy(0.0, on_generated))
        variables = discriminator.trainable_variables
        self._optimizers[1].apply(tape.gradient(loss, variables), variables)
        correct = tf.concat([on_real > 0, on_generated < 0], axis=0)
        latent = tf.random.stateless_normal(shape, seed * 2 + 1)
        with tf.GradientTape() as tape:
            generated = generator(self._inputs(latent, conditions), training=True)
            logits = discriminator(self._inputs(generated, conditions), training=True)
            # the non-saturating loss (arXiv:1406.2661, section 3)
            generator_loss = _cross_entropy(1.0, logits)
        variables = generator.trainable_variables
        self._optimizers[0].apply(tape.gradient(generator_loss, variables), variables)
        return tf.stack([generator_loss, loss, tf.reduce_mean(tf.cast(correct, tf.float32))])

    def _inputs(self, first: Any, conditions: Any) -> Any:
        return [first, conditions] if self._n_conditions else [first]

    def _restart(self, seed: np.random.SeedSequence) -> None:
        seeds = seed.generate_state(3)
        for network, build, network_seed in (
            (self._generator, build_generator, seeds[0]),
            (self._discriminator, build_discriminator, seeds[1]),
        ):
            fresh = build(*self._sizes, int(network_seed))
            # weights, and the states of the random generators of dropout layers
            for variable, value in zip(network.variables, fresh.variables, strict=True):
                variable.assign(value)
        for optimizer in self._optimizers:
            for variable in optimizer.variables:
                if variable is not optimizer._learning_rate:
                    variable.assign(tf.zeros_like(variable))

    def train(self, seed: np.random.SeedSequence) -> TrainedGan:
        """Train from random initial weights.

        Raises:
            UserError: there are fewer samples than one batch, or the loss is not finite.
        """
        settings, n = self._settings, int(self._rows.shape[0])
        if n < settings.batch_size:
            raise UserError(
                f"--batch-size: {settings.batch_size}: the training set has {n} samples"
            )
        weights_seed, order_seed, latent_seed = seed.spawn(3)
        self._restart(weights_seed)
        generator = np.random.default_rng(order_seed)
        first_seed = int(latent_seed.generate_state(1)[0] >> 2)
        histories = []
        for epoch in range(settings.epochs):
            order = generator.permutation(n).astype(np.int32)
            means = self._epoch(tf.constant(order), tf.constant(first_seed // 2 + epoch, tf.int32))
            histories.append(means.numpy().tolist())
            if not all(map(math.isfinite, histories[-1])):
                raise UserError(
                    f"--learning-rate: {settings.learning_rate:g}: the GAN's loss is not finite "
                    f"in epoch {epoch + 1}; reduce the learning rate"
                )
        trained = TrainedGan(self._generator)
        for history in histories:
            trained.generator_loss.append(history[0])
            trained.discriminator_loss.append(history[1])
            trained.accuracy.append(history[2])
        return trained


def generate(
    generator: Any,
    n: int,
    latent_size: int,
    seed: np.random.SeedSequence,
    conditions: NDArray[np.float32] | None = None,
) -> Array:
    """Generate scaled samples, float64 of shape (n, n_numbers).

    Args:
        generator: keras.Model made by `build_generator`.
        n: number of samples.
        latent_size: number of latent variables.
        seed: seed of the latent variables.
        conditions: conditions of a conditional GAN, float32 of shape (n, n_conditions).
    """
    latent = np.random.default_rng(seed).standard_normal((n, latent_size), np.float32)
    parts = []
    for begin in range(0, n, GENERATION_BATCH):
        part = slice(begin, begin + GENERATION_BATCH)
        inputs = [latent[part]] if conditions is None else [latent[part], conditions[part]]
        parts.append(np.asarray(generator(inputs), dtype=np.float64))
    return np.concatenate(parts)
