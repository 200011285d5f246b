"""Networks from observables to shifts, trained on exact or on smeared predictions.

This module imports Keras: import it only inside the functions that need it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wilsonvox.global_fit.chi_squared import ChiSquared
from wilsonvox.global_fit.learning.mixtures import GaussianMixture
from wilsonvox.global_fit.learning.settings import InverseNetworkSettings, TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import (
    TrainingSet,
    input_scale,
    points_in_box,
    smeared,
)
from wilsonvox.global_fit.observables import BRANCHING_RATIO_UNIT, Kind

Array = NDArray[np.float64]
Batches = tuple[NDArray[np.float32], NDArray[np.float32]]

MIN_WIDTH = 1e-3
"""Minimum width of a Gaussian of a mixture, in units of half the training range."""


def build_network(
    n_inputs: int, n_outputs: int, settings: InverseNetworkSettings, seed: int
) -> Any:
    """Build a dense network with a linear output layer.

    Args:
        n_inputs: number of observables.
        n_outputs: number of outputs of a point estimate; ignored for a mixture.
        settings: settings of the network.
        seed: seed of the weights (Glorot uniform initializer, the default of Keras).

    Returns:
        keras.Model.
    """
    if settings.output == "mixture":
        n_outputs = 6 * settings.components
    seeds = np.random.SeedSequence(seed).generate_state(len(settings.hidden_units) + 1)
    widths = [*settings.hidden_units, n_outputs]
    inputs = outputs = keras.Input((n_inputs,), name="observables")
    for number, (width, layer_seed) in enumerate(zip(widths, seeds, strict=True)):
        last = number == len(widths) - 1
        outputs = keras.layers.Dense(
            width,
            activation=None if last else settings.activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=int(layer_seed)),
            name="output" if last else f"hidden_{number}",
        )(outputs)
    return keras.Model(inputs, outputs)


def mixture_loss(targets: Any, outputs: Any) -> Any:
    """Compute the mean of −log p(C9, C10) for mixtures of Gaussians.

    Args:
        targets: shifts in units of the box, tensor of shape (n, 2).
        outputs: parameters of the mixtures in the order of `unpack`, tensor of shape
            (n, 6 · components).
    """
    logits, mean_9, mean_10, width_9, width_10, slope = tf.split(outputs, 6, axis=1)
    s9, s10 = tf.nn.softplus(width_9) + MIN_WIDTH, tf.nn.softplus(width_10) + MIN_WIDTH
    d9 = (targets[:, :1] - mean_9) / s9
    d10 = (targets[:, 1:] - mean_10) / s10 - slope * d9
    log_density = -0.5 * (d9**2 + d10**2) - tf.math.log(s9 * s10) - math.log(2 * math.pi)
    weighted = tf.nn.log_softmax(logits) + log_density
    return -tf.reduce_mean(tf.reduce_logsumexp(weighted, axis=1))


def unpack(outputs: Array) -> GaussianMixture:
    """Convert the outputs of a network to mixtures of Gaussians in units of the box.

    The outputs are, for `components` Gaussians each: logits of the weights, means of C9, means of
    C10, softplus⁻¹ of the width of C9 and of the conditional width of C10, and slopes of C10 in C9.

    Args:
        outputs: float64 of shape (n, 6 · components).
    """
    logits, mean_9, mean_10, width_9, width_10, slope = np.split(outputs, 6, axis=1)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    s9 = np.logaddexp(0.0, width_9) + MIN_WIDTH
    s10 = np.logaddexp(0.0, width_10) + MIN_WIDTH
    zero = np.zeros_like(s9)
    # rows of the triangular factor L of the covariance L Lᵀ
    factor = np.stack([np.stack([s9, zero], -1), np.stack([slope * s10, s10], -1)], -2)
    return GaussianMixture(
        weights / weights.sum(axis=1, keepdims=True), np.stack([mean_9, mean_10], -1), factor
    )


def mean_squared_error(targets: Any, outputs: Any) -> Any:
    """Compute the mean squared error over samples and outputs."""
    return tf.reduce_mean(tf.square(targets - outputs))


@dataclass
class Box:
    """Training range of the shifts, which is mapped to [−1, 1]².

    Attributes:
        centre: centre of the range of C9 and C10, float64 of shape (2,).
        half: half-widths of the range, float64 of shape (2,).
    """

    centre: Array
    half: Array

    @classmethod
    def of(cls, settings: TrainingSetSettings) -> "Box":
        """Take the ranges of a training set."""
        ranges = np.array([settings.c9_range, settings.c10_range], dtype=np.float64)
        return cls(ranges.mean(axis=1), (ranges[:, 1] - ranges[:, 0]) / 2)

    def to_unit_box(self, shifts: Array) -> Array:
        """Scale shifts of shape (n, 2) to units of the box."""
        return (shifts - self.centre) / self.half

    def from_unit_box(self, units: Array) -> Array:
        """Inverse of `to_unit_box`."""
        return self.centre + self.half * units


class ExactSamples:
    """Training samples of the paper: exact predictions, with all coefficients as targets.

    Inputs are not scaled, except branching ratios, which are in units of `branching_ratio_unit`.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        kinds: tuple[Kind, ...],
        settings: InverseNetworkSettings,
        seed: np.random.SeedSequence,
    ) -> None:
        ratio = BRANCHING_RATIO_UNIT / settings.branching_ratio_unit
        self._units = np.array([ratio if kind.startswith("BR") else 1.0 for kind in kinds])
        order_seed, self._seed = seed.spawn(2)
        order = np.random.default_rng(order_seed).permutation(len(training_set))
        x = self.inputs(training_set.observables)[order]
        y = training_set.coefficients.astype(np.float32)[order]
        n = max(1, round(settings.validation_fraction * len(x)))
        self.validation: Batches = x[:n], y[:n]
        self._training: Batches = x[n:], y[n:]

    def epochs(self) -> Iterator[Batches]:
        """Iterate over epochs of the training samples, shuffled in each epoch."""
        generator = np.random.default_rng(self._seed)
        x, y = self._training
        while True:
            order = generator.permutation(len(x))
            yield x[order], y[order]

    def inputs(self, measured: Array) -> NDArray[np.float32]:
        """Scale measurements of shape (n, n_observables) to inputs of the network."""
        return np.asarray(measured * self._units, dtype=np.float32)

    def coefficients(self, outputs: Array) -> Array:
        """Convert outputs to coefficients (the identity)."""
        return outputs


class SmearedSamples:
    """Training samples smeared by the errors: predictions at points that fill the box.

    Inputs are differences from the prediction at the centre of the box in units of the errors,
    targets are in units of the box.
    """

    def __init__(
        self,
        chi_squared: ChiSquared,
        training: TrainingSetSettings,
        settings: InverseNetworkSettings,
        seed: np.random.SeedSequence,
    ) -> None:
        self._chi_squared, self.box = chi_squared, Box.of(training)
        self._centre = chi_squared.predictions(*self.box.centre)[0]
        self._scale = input_scale(chi_squared)
        point_seed, self._seed, validation_seed, draw_seed = seed.spawn(4)
        shifts = points_in_box(training, settings.smeared_points, point_seed)
        self._exact = chi_squared.predictions(shifts[:, 0], shifts[:, 1])
        self._targets = self.box.to_unit_box(shifts).astype(np.float32)
        n = max(16, round(settings.validation_fraction * settings.smeared_points))
        shifts = points_in_box(training, n, validation_seed)
        exact = chi_squared.predictions(shifts[:, 0], shifts[:, 1])
        drawn = smeared(chi_squared, exact, np.random.default_rng(draw_seed))
        self.validation: Batches = (
            self.inputs(drawn),
            self.box.to_unit_box(shifts).astype(np.float32),
        )

    def epochs(self) -> Iterator[Batches]:
        """Iterate over epochs of all points, shuffled and smeared anew in each epoch."""
        generator = np.random.default_rng(self._seed)
        while True:
            order = generator.permutation(len(self._exact))
            drawn = smeared(self._chi_squared, self._exact[order], generator)
            yield self.inputs(drawn), self._targets[order]

    def inputs(self, measured: Array) -> NDArray[np.float32]:
        """Scale measurements of shape (n, n_observables) to inputs of the network."""
        return np.asarray((measured - self._centre) / self._scale, dtype=np.float32)

    def coefficients(self, outputs: Array) -> Array:
        """Convert outputs to shifts, float64 of shape (n, 2)."""
        return self.box.from_unit_box(outputs)


Samples = ExactSamples | SmearedSamples


@dataclass
class InverseNetwork:
    """Trained network from observables to shifts.

    Attributes:
        model: keras.Model with the weights of the best epoch.
        samples: training samples, which define the scaling of inputs and outputs.
        loss: training loss of each epoch.
        validation_loss: validation loss of each epoch.
        best_epoch: epoch with the lowest validation loss, from 1.
    """

    model: Any
    samples: Samples
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    best_epoch: int = 0

    def outputs(self, measured: Array) -> Array:
        """Evaluate the network on measurements, float64 of shape (n, n_outputs)."""
        return np.asarray(self.model(self.samples.inputs(measured)), dtype=np.float64)

    def point(self, measured: Array) -> Array:
        """Predict coefficients from measurements; for the output `point`."""
        return self.samples.coefficients(self.outputs(measured))

    def mixture(self, measured: Array) -> GaussianMixture:
        """Predict densities of (C9, C10) from measurements; for the output `mixture`."""
        assert isinstance(self.samples, SmearedSamples)
        box = self.samples.box
        return unpack(self.outputs(measured)).rescaled(box.centre, box.half)


def _compiled(model: Any, optimizer: Any, loss: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """Compile the functions for one training epoch and for the validation loss."""

    def epoch(x: Any, y: Any, batch_size: Any) -> Any:
        n = tf.shape(x)[0]
        total = tf.constant(0.0)
        for begin in tf.range(0, n, batch_size):
            inputs, targets = x[begin : begin + batch_size], y[begin : begin + batch_size]
            with tf.GradientTape() as tape:
                value = loss(targets, model(inputs, training=True))
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            total += value * tf.cast(tf.shape(inputs)[0], tf.float32)
        return total / tf.cast(n, tf.float32)

    def validate(x: Any, y: Any) -> Any:
        return loss(y, model(x, training=False))

    return tf.function(epoch, reduce_retracing=True), tf.function(validate, reduce_retracing=True)


class Trainer:
    """Train networks of one architecture repeatedly with a single compilation."""

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        settings: InverseNetworkSettings,
    ) -> None:
        self._sizes = n_inputs, n_outputs
        self._settings = settings
        self._model = build_network(n_inputs, n_outputs, settings, 0)
        self._optimizer = keras.optimizers.Adam(settings.learning_rate)
        self._optimizer.build(self._model.trainable_variables)
        loss = mixture_loss if settings.output == "mixture" else mean_squared_error
        self._epoch, self._validate = _compiled(self._model, self._optimizer, loss)

    def train(self, samples: Samples, seed: int) -> InverseNetwork:
        """Train from random initial weights with early stopping; keep the best epoch's weights."""
        settings = self._settings
        model = build_network(*self._sizes, settings, seed)
        self._model.set_weights(model.get_weights())
        for variable in self._optimizer.variables:
            if variable is not self._optimizer._learning_rate:
                variable.assign(tf.zeros_like(variable))
        network = InverseNetwork(model, samples)
        best = math.inf
        validation = [tf.constant(array) for array in samples.validation]
        for number, (x, y) in enumerate(samples.epochs(), start=1):
            if settings.decay == "cosine":
                progress = (number - 1) / settings.max_epochs
                rate = 0.5 * (1 + math.cos(math.pi * progress)) * settings.learning_rate
                self._optimizer.learning_rate = rate
            loss = self._epoch(tf.constant(x), tf.constant(y), tf.constant(settings.batch_size))
            network.loss.append(float(loss))
            network.validation_loss.append(float(self._validate(*validation)))
            if network.validation_loss[-1] < best:
                best, network.best_epoch = network.validation_loss[-1], number
                model.set_weights(self._model.get_weights())
            waited = number - network.best_epoch
            if number == settings.max_epochs or waited >= settings.early_stopping_patience:
                return network
        raise AssertionError("unreachable: `samples.epochs` is infinite")
