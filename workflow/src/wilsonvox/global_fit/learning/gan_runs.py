"""Answers of GANs to the measured observables, from all starts.

Imports Keras: import this module inside the functions that need it.
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
from wilsonvox.global_fit.learning.results import (
    GanAnswer,
    GanResult,
    Images,
    Spread,
    TrainingSetSummary,
)
from wilsonvox.global_fit.learning.settings import GanSettings, TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import (
    input_scale,
    make_chi_squared,
    make_training_set,
    recomputed,
    seed_of,
)
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

KEPT_SAMPLES = 300
"""Samples of each start that are kept for figures."""
KEPT_IMAGES = 8


class GanStarts:
    """Trainings of one GAN, one after the other.

    Args:
        table: predictions and measured observables.
        version: of the χ².
        training: the training set.
        settings: of the GAN.
        seed: the run's.
        name: of the machine.

    Raises:
        UserError: samples that do not fit into an image.
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
        self.training, self.settings = training, settings
        self.seed, self.name = seed, name
        self.chi_squared = make_chi_squared(table, version, training)
        self.training_set = make_training_set(self.chi_squared, training, seed_of(seed, name, 0))
        self.numbers = Numbers.of(self.training_set, settings.chi_squared)
        rows = self.numbers.scaled(self.training_set)
        # of a conditional GAN C9 and C10 are no part of the samples
        first = table.n_observables
        self._conditions = slice(first, first + 2)
        self.rows = np.delete(rows, self._conditions, axis=1) if settings.conditional else rows
        if settings.architecture == "convolutional":
            check_images(self.rows.shape[1])
        conditions = rows[:, self._conditions] if settings.conditional else None
        self.trainer = GanTrainer(self.rows, conditions, settings)

    def samples(self, generator: Any, start: int) -> Array:
        """Samples of a generator with all their numbers, scaled, of shape (n, n_numbers).

        Conditions are drawn evenly from the box of training.
        """
        n, settings = self.settings.samples, self.settings
        latent_seed, condition_seed = seed_of(self.seed, self.name, 2, start).spawn(2)
        if not settings.conditional:
            return generate(generator, n, settings.latent_size, latent_seed)
        conditions = np.random.default_rng(condition_seed).random((n, 2), np.float32)
        found = generate(generator, n, settings.latent_size, latent_seed, conditions)
        return np.insert(found, [self._conditions.start] * 2, conditions, axis=1)

    def answer(self, trained: TrainedGan, scaled: Array, start: int) -> GanAnswer:
        """The sample of least recomputed χ², and how the samples cover the box."""
        chi_squared, numbers, box = self.chi_squared, self.numbers, self.training
        values = numbers.values(scaled)
        observables = values[:, : numbers.n_observables]
        coefficients = numbers.coefficients(values)
        recomputed_values = recomputed(chi_squared, coefficients)
        said = values[:, -1] if numbers.has_chi_squared else chi_squared.of_predictions(observables)
        predictions = chi_squared.predictions(
            coefficients[:, 0], coefficients[:, 1], coefficients[:, 2:]
        )
        off = (observables - predictions) / input_scale(chi_squared)
        shifts = coefficients[:, :2]
        if self.settings.conditional:
            # given, not generated: what counts are the shifts that the observables speak of
            shifts = self._read_out(observables)
        best, by_word = int(np.argmin(recomputed_values)), int(np.argmin(said))
        if self.settings.conditional:
            # the condition whose generated observables fit best: the least χ² of given
            # conditions would be that of a scan, whatever the GAN had learned
            best = by_word
        thinned = np.linspace(0, len(values) - 1, min(KEPT_SAMPLES, len(values))).astype(int)
        return GanAnswer(
            c9=coefficients[best, 0],
            c10=coefficients[best, 1],
            hadronic=coefficients[best, 2:].tolist(),
            chi_squared=recomputed_values[best],
            start=start,
            generator_loss=trained.generator_loss,
            discriminator_loss=trained.discriminator_loss,
            discriminator_accuracy=trained.accuracy,
            median_chi_squared=float(np.median(recomputed_values)),
            said_chi_squared=said[by_word],
            said_chi_squared_recomputed=recomputed_values[by_word],
            inconsistency=float(np.sqrt((off**2).mean())),
            coverage=coverage(shifts, self._trained_shifts(), box),
            samples=[
                (float(c9), float(c10), float(chi))
                for (c9, c10), chi in zip(shifts[thinned], recomputed_values[thinned], strict=True)
            ],
        )

    def _trained_shifts(self) -> Array:
        shifts = self.training_set.coefficients[:, :2]
        return (
            self._read_out(self.training_set.observables) if self.settings.conditional else shifts
        )

    def _read_out(self, observables: Array) -> Array:
        """Shifts by a linear fit of those of the training set to its observables."""
        x = self.training_set.observables / input_scale(self.chi_squared)
        centre = x.mean(axis=0)
        y = self.training_set.coefficients[:, :2]
        weights, *_ = np.linalg.lstsq(x - centre, y - y.mean(axis=0), rcond=1e-6)
        given = observables / input_scale(self.chi_squared)
        return np.asarray(y.mean(axis=0) + (given - centre) @ weights)


def answers_of_gan(
    table: PredictionTable,
    version: Version,
    training: TrainingSetSettings,
    settings: GanSettings,
    seed: int,
    name: str,
) -> GanResult:
    """Train a GAN from several random weights, and take the best of each one's samples.

    χ² is recomputed from the generated coefficients; what the GAN says of it stands beside.

    Args:
        table: predictions and measured observables.
        version: of the χ².
        training: the training set.
        settings: of the GAN.
        seed: the run's.
        name: of the machine; machines of other names draw other numbers.

    Raises:
        UserError: samples that do not fit into an image, or a loss that is not finite.
    """
    starts = GanStarts(table, version, training, settings, seed, name)
    answers = []
    drawn = None
    for start in range(settings.starts):
        trained = starts.trainer.train(seed_of(seed, name, 1, start))
        scaled = starts.samples(trained.generator, start)
        answers.append(starts.answer(trained, scaled, start))
        logger.info(
            "start %d of %d: least χ² %.2f; %s",
            start + 1, settings.starts, answers[-1].chi_squared, answers[-1].coverage.words,
        )  # fmt: skip
        if drawn is None and settings.architecture == "convolutional":
            chosen = np.random.default_rng(seed_of(seed, name, 3)).permutation(len(starts.rows))
            shown = scaled[:KEPT_IMAGES]
            if settings.conditional:
                shown = np.delete(shown, starts._conditions, axis=1)
            drawn = Images(
                training=images(starts.rows[chosen[:KEPT_IMAGES]].astype(np.float64)).tolist(),
                generated=images(shown).tolist(),
            )
    return GanResult(
        name=name,
        observables=table.observables.name,
        version=version,
        hadronic=training.hadronic,
        hadronic_names=list(starts.chi_squared.polynomials.names),
        training_set=TrainingSetSummary.of(starts.training_set, training),
        spread=Spread.of(answers),
        settings=settings,
        n_parameters=starts.trainer.n_parameters,
        answers=answers,
        images=drawn,
    )
