"""Answers of networks to the measured observables, from all starts.

Imports Keras: import this module inside the functions that need it.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.chi_squared import ChiSquared, Version
from wilsonvox.global_fit.learning.inverse_networks import (
    ExactSamples,
    InverseNetwork,
    Samples,
    SmearedSamples,
    Trainer,
)
from wilsonvox.global_fit.learning.mixtures import GaussianMixture
from wilsonvox.global_fit.learning.posteriors import (
    LEVELS,
    GridDensity,
    distance,
    exact_density,
    learned_density,
    mean_density,
    overlap,
)
from wilsonvox.global_fit.learning.results import (
    EnsemblePosterior,
    NetworkAnswer,
    NetworkResult,
    Region,
    Spread,
    TrainingSetSummary,
)
from wilsonvox.global_fit.learning.settings import InverseNetworkSettings, TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import (
    TrainingSet,
    make_chi_squared,
    make_training_set,
    recomputed,
    seed_of,
    smeared,
)
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

N_SIMULATED = 2000
"""Simulated measurements by which the coverage of regions is counted."""

CONSTANT = 1e-3
"""Greatest range of answers to the training samples of a network that has not learned."""


class NetworkStarts:
    """Trainings of one network, one after the other.

    Args:
        table: predictions and measured observables.
        version: of the χ².
        training: the training set.
        settings: of the network.
        seed: the run's.
        name: of the machine.

    Raises:
        UserError: smeared predictions with hadronic polynomials.
    """

    def __init__(
        self,
        table: PredictionTable,
        version: Version,
        training: TrainingSetSettings,
        settings: InverseNetworkSettings,
        seed: int,
        name: str,
    ) -> None:
        if settings.smeared and training.hadronic != "none":
            raise UserError(
                f"--hadronic: {training.hadronic}: a network of smeared predictions answers with "
                "C9 and C10 alone; leave it at none"
            )
        self.table, self.training, self.settings = table, training, settings
        self.seed, self.name = seed, name
        self.chi_squared: ChiSquared = make_chi_squared(table, version, training)
        self.training_set: TrainingSet = make_training_set(
            self.chi_squared, training, seed_of(seed, name, 0)
        )
        self.exact: GridDensity | None = None
        if training.hadronic == "none":
            self.exact = exact_density(self.chi_squared, training)

    def _samples(self, start: int) -> Samples:
        seed = seed_of(self.seed, self.name, 1, start)
        if self.settings.smeared:
            return SmearedSamples(self.chi_squared, self.training, self.settings, seed)
        return ExactSamples(self.training_set, self.table.kinds, self.settings, seed)

    def trained(self) -> list[InverseNetwork]:
        """All starts."""
        n_outputs = 2 if self.settings.smeared else self.training_set.coefficients.shape[1]
        trainer = Trainer(self.table.n_observables, n_outputs, self.settings)
        found = []
        for start in range(self.settings.starts):
            weights = int(seed_of(self.seed, self.name, 2, start).generate_state(1)[0])
            found.append(trainer.train(self._samples(start), weights))
            logger.info(
                "start %d of %d: validation loss %.4g after %d epochs",
                start + 1, self.settings.starts, min(found[-1].validation_loss),
                len(found[-1].loss),
            )  # fmt: skip
        return found

    def answer(
        self, trained: InverseNetwork, start: int
    ) -> tuple[NetworkAnswer, GridDensity | None]:
        """What one start answers to the measured observables, and its density, if any."""
        measured = self.chi_squared.values[np.newaxis]
        density = None
        if self.settings.output == "mixture":
            density = learned_density(trained.mixture(measured), self.training)
            row = density.mode
        else:
            row = trained.point(measured)[0]
        spread = np.ptp(trained.outputs(self.training_set.observables), axis=0).max()
        away = shared = None
        if self.exact is not None:
            point_of_posterior = self.settings.smeared and density is None
            reference = self.exact.mean if point_of_posterior else self.exact.mode
            away = distance(row, reference, self.exact.covariance)
            shared = None if density is None else overlap(density, self.exact)
        answer = NetworkAnswer(
            c9=row[0],
            c10=row[1],
            hadronic=row[2:].tolist(),
            chi_squared=recomputed(self.chi_squared, row[np.newaxis])[0],
            start=start,
            loss=trained.loss,
            validation_loss=trained.validation_loss,
            best_epoch=trained.best_epoch,
            is_constant=bool(spread < CONSTANT),
            distance_in_errors=away,
            overlap=shared,
        )
        return answer, density

    def posterior(
        self, trained: list[InverseNetwork], densities: list[GridDensity]
    ) -> EnsemblePosterior:
        """The mean density of all starts, and the coverage of its regions."""
        assert self.exact is not None
        density, exact = mean_density(densities), self.exact
        generator = np.random.default_rng(seed_of(self.seed, self.name, 3))
        ranges = np.array([self.training.c9_range, self.training.c10_range])
        truth = generator.uniform(ranges[:, 0], ranges[:, 1], (N_SIMULATED, 2))
        predictions = self.chi_squared.predictions(truth[:, 0], truth[:, 1])
        simulated = smeared(self.chi_squared, predictions, generator)
        together = GaussianMixture.mean_of([each.mixture(simulated) for each in trained])
        levels = together.credible_levels(truth, generator)
        regions = [
            Region(
                level=level,
                area=density.area(level),
                area_ratio=density.area(level) / exact.area(level),
                lines=[[(x, y) for x, y in line.tolist()] for line in density.contours(level)],
                simulated_coverage=float((levels <= level).mean()),
            )
            for level in LEVELS
        ]

        def pair(values: Array) -> tuple[float, float]:
            return float(values[0]), float(values[1])

        return EnsemblePosterior(
            mode=pair(density.mode),
            mean=pair(density.mean),
            deviations=pair(np.sqrt(np.diag(density.covariance))),
            exact_mode=pair(exact.mode),
            exact_mean=pair(exact.mean),
            exact_deviations=pair(np.sqrt(np.diag(exact.covariance))),
            distance_in_errors=distance(density.mode, exact.mode, exact.covariance),
            overlap=overlap(density, exact),
            n_simulated=N_SIMULATED,
            regions=regions,
        )


def answers_of_network(
    table: PredictionTable,
    version: Version,
    training: TrainingSetSettings,
    settings: InverseNetworkSettings,
    seed: int,
    name: str,
) -> NetworkResult:
    """Train a network from several random weights, and let each answer to the measurement.

    Args:
        table: predictions and measured observables.
        version: of the χ².
        training: the training set; of smeared predictions its ranges alone count.
        settings: of the network.
        seed: the run's.
        name: of the machine; machines of other names draw other numbers.

    Raises:
        UserError: smeared predictions with hadronic polynomials.
    """
    starts = NetworkStarts(table, version, training, settings, seed, name)
    trained = starts.trained()
    found = [starts.answer(each, number) for number, each in enumerate(trained)]
    answers = [answer for answer, _ in found]
    densities = [density for _, density in found if density is not None]
    return NetworkResult(
        name=name,
        observables=table.observables.name,
        version=version,
        hadronic=training.hadronic,
        hadronic_names=list(starts.chi_squared.polynomials.names),
        training_set=TrainingSetSummary.of(starts.training_set, training),
        spread=Spread.of(answers),
        settings=settings,
        n_parameters=trained[0].model.count_params(),
        answers=answers,
        posterior=starts.posterior(trained, densities) if densities else None,
    )
