"""Train ensembles of GANs and evaluate their samples on the measured observables.

This module imports Keras: import it only inside the functions that need it.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.global_fit.chi_squared import Version
from wilsonvox.global_fit.learning.gans import (
    GanTrainer,
    Numbers,
    TrainedGan,
    check_images,
    generate,
    images,
)
from wilsonvox.global_fit.learning.mode_collapse import coverage
from wilsonvox.global_fit.learning.restarts import Restarts
from wilsonvox.global_fit.learning.results import GanRestartResult, GanResult, Images
from wilsonvox.global_fit.learning.settings import GanSettings, TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import input_scale, recomputed, seed_of
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

KEPT_SAMPLES = 300
"""Samples per restart that are stored for figures."""
KEPT_IMAGES = 8
"""Images of each kind that are stored for figures."""


class GanRestarts(Restarts):
    """Trainings of one GAN from several random initial weights.

    Args:
        table: predictions and measured observables.
        version: version of the χ².
        training: settings of the training set.
        settings: settings of the GAN.
        seed: seed of the run.
        name: name of the model.

    Raises:
        UserError: the samples of a convolutional GAN do not fit into an image.
    """

    def __init__(
        self,
        table: PredictionTable,
        version: Version,
        training: TrainingSetSettings,
        settings: GanSettings,
        seed: int,
        name: str,
    ) -> None:
        super().__init__(table, version, training, seed, name)
        self.settings = settings
        self.numbers = Numbers.of(self.training_set, settings.chi_squared)
        rows = self.numbers.scaled(self.training_set)
        # C9 and C10 are conditions of a conditional GAN, not part of its samples
        first = table.n_observables
        self._conditions = slice(first, first + 2)
        self.rows = np.delete(rows, self._conditions, axis=1) if settings.conditional else rows
        if settings.architecture == "convolutional":
            check_images(self.rows.shape[1])
        conditions = rows[:, self._conditions] if settings.conditional else None
        self.trainer = GanTrainer(self.rows, conditions, settings)

    def samples(self, generator: Any, restart: int) -> Array:
        """Generate complete samples, conditions included, scaled, float64, shape (n, n_numbers).

        Conditions are drawn uniformly from the training range.
        """
        n, settings = self.settings.samples, self.settings
        latent_seed, condition_seed = seed_of(self.seed, self.name, 2, restart).spawn(2)
        if not settings.conditional:
            return generate(generator, n, settings.latent_size, latent_seed)
        conditions = np.random.default_rng(condition_seed).random((n, 2), np.float32)
        generated = generate(generator, n, settings.latent_size, latent_seed, conditions)
        return np.insert(generated, [self._conditions.start] * 2, conditions, axis=1)

    def result(self, trained: TrainedGan, scaled: Array, restart: int) -> GanRestartResult:
        """Select the sample with the smallest χ² and compute the coverage of the samples.

        For a GAN, χ² is recomputed from the generated coefficients. For a conditional GAN, the
        sample with the smallest χ² of the generated observables is selected.
        """
        chi_squared, numbers, box = self.chi_squared, self.numbers, self.training
        values = numbers.values(scaled)
        observables = values[:, : numbers.n_observables]
        coefficients = numbers.coefficients(values)
        recomputed_values = recomputed(chi_squared, coefficients)
        generated = (
            values[:, -1] if numbers.has_chi_squared else chi_squared.of_predictions(observables)
        )
        predictions = chi_squared.predictions(
            coefficients[:, 0], coefficients[:, 1], coefficients[:, 2:]
        )
        residuals = (observables - predictions) / input_scale(chi_squared)
        shifts = coefficients[:, :2]
        if self.settings.conditional:
            # the conditions are inputs: use the shifts that the generated observables imply
            shifts = self._inferred_shifts(observables)
        best, best_generated = int(np.argmin(recomputed_values)), int(np.argmin(generated))
        if self.settings.conditional:
            # χ² recomputed from the conditions would be a scan, independent of the training
            best = best_generated
        thinned = np.linspace(0, len(values) - 1, min(KEPT_SAMPLES, len(values))).astype(int)
        return GanRestartResult(
            c9=coefficients[best, 0],
            c10=coefficients[best, 1],
            hadronic=coefficients[best, 2:].tolist(),
            chi_squared=recomputed_values[best],
            start=restart,
            generator_loss=trained.generator_loss,
            discriminator_loss=trained.discriminator_loss,
            discriminator_accuracy=trained.accuracy,
            median_chi_squared=float(np.median(recomputed_values)),
            said_chi_squared=generated[best_generated],
            said_chi_squared_recomputed=recomputed_values[best_generated],
            inconsistency=float(np.sqrt((residuals**2).mean())),
            coverage=coverage(shifts, self._trained_shifts(), box),
            samples=[
                (float(c9), float(c10), float(value))
                for (c9, c10), value in zip(
                    shifts[thinned], recomputed_values[thinned], strict=True
                )
            ],
        )

    def _trained_shifts(self) -> Array:
        shifts = self.training_set.coefficients[:, :2]
        if self.settings.conditional:
            return self._inferred_shifts(self.training_set.observables)
        return shifts

    def _inferred_shifts(self, observables: Array) -> Array:
        """Infer shifts from observables by a linear regression on the training set."""
        x = self.training_set.observables / input_scale(self.chi_squared)
        centre = x.mean(axis=0)
        y = self.training_set.coefficients[:, :2]
        weights, *_ = np.linalg.lstsq(x - centre, y - y.mean(axis=0), rcond=1e-6)
        scaled = observables / input_scale(self.chi_squared)
        return np.asarray(y.mean(axis=0) + (scaled - centre) @ weights)


def train_gan_ensemble(
    table: PredictionTable,
    version: Version,
    training: TrainingSetSettings,
    settings: GanSettings,
    seed: int,
    name: str,
) -> GanResult:
    """Train a GAN from several random initial weights and select the best sample of each.

    χ² is recomputed from the generated coefficients; the value that the GAN itself generates is
    stored for comparison.

    Args:
        table: predictions and measured observables.
        version: version of the χ².
        training: settings of the training set.
        settings: settings of the GAN.
        seed: seed of the run.
        name: name of the model; random numbers depend on it.

    Raises:
        UserError: the samples do not fit into an image, or a loss is not finite.
    """
    restarts = GanRestarts(table, version, training, settings, seed, name)
    results = []
    stored_images = None
    for restart in range(settings.starts):
        trained = restarts.trainer.train(seed_of(seed, name, 1, restart))
        scaled = restarts.samples(trained.generator, restart)
        result = restarts.result(trained, scaled, restart)
        results.append(result)
        logger.info(
            "training %d of %d: smallest χ² %.2f; %s",
            restart + 1, settings.starts, result.chi_squared, result.coverage.words,
        )  # fmt: skip
        if stored_images is None and settings.architecture == "convolutional":
            order = np.random.default_rng(seed_of(seed, name, 3)).permutation(len(restarts.rows))
            generated = scaled[:KEPT_IMAGES]
            if settings.conditional:
                generated = np.delete(generated, restarts._conditions, axis=1)
            stored_images = Images(
                training=images(restarts.rows[order[:KEPT_IMAGES]].astype(np.float64)).tolist(),
                generated=images(generated).tolist(),
            )
    return GanResult(
        **restarts.common_fields(results),
        settings=settings,
        n_parameters=restarts.trainer.n_parameters,
        images=stored_images,
    )
