"""Train ensembles of networks and evaluate them on the measured observables.

This module imports Keras: import it only inside the functions that need it.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.global_fit.chi_squared import Version
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
from wilsonvox.global_fit.learning.restarts import Restarts
from wilsonvox.global_fit.learning.results import (
    EnsemblePosterior,
    NetworkRestartResult,
    NetworkResult,
    Region,
)
from wilsonvox.global_fit.learning.settings import InverseNetworkSettings, TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import recomputed, seed_of, smeared
from wilsonvox.global_fit.predictions import PredictionTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

N_SIMULATED = 2000
"""Simulated measurements from which the coverage of the regions is determined."""

CONSTANT = 1e-3
"""Networks whose outputs vary less than this over the training samples are constant."""


class NetworkRestarts(Restarts):
    """Trainings of one network from several random initial weights.

    Args:
        table: predictions and measured observables.
        version: version of the χ².
        training: settings of the training set.
        settings: settings of the network.
        seed: seed of the run.
        name: name of the model.

    Attributes:
        exact: exact posterior density; None with hadronic polynomials.

    Raises:
        UserError: smeared predictions are combined with hadronic polynomials.
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
                f"--hadronic: {training.hadronic}: a network trained on smeared predictions "
                "predicts C9 and C10 only; use none"
            )
        super().__init__(table, version, training, seed, name)
        self.settings = settings
        self.exact: GridDensity | None = None
        if training.hadronic == "none":
            self.exact = exact_density(self.chi_squared, training)

    def _samples(self, restart: int) -> Samples:
        seed = seed_of(self.seed, self.name, 1, restart)
        if self.settings.smeared:
            return SmearedSamples(self.chi_squared, self.training, self.settings, seed)
        return ExactSamples(self.training_set, self.table.kinds, self.settings, seed)

    def train(self) -> list[InverseNetwork]:
        """Train all restarts."""
        n_outputs = 2 if self.settings.smeared else self.training_set.coefficients.shape[1]
        trainer = Trainer(self.table.n_observables, n_outputs, self.settings)
        networks = []
        for restart in range(self.settings.starts):
            weights_seed = int(seed_of(self.seed, self.name, 2, restart).generate_state(1)[0])
            network = trainer.train(self._samples(restart), weights_seed)
            networks.append(network)
            logger.info(
                "training %d of %d: validation loss %.4g after %d epochs",
                restart + 1, self.settings.starts, min(network.validation_loss),
                len(network.loss),
            )  # fmt: skip
        return networks

    def result(
        self, trained: InverseNetwork, restart: int
    ) -> tuple[NetworkRestartResult, GridDensity | None]:
        """Evaluate one network on the measured observables.

        Returns:
            The result, and the predicted density of a mixture network, else None.
        """
        measured = self.chi_squared.values[np.newaxis]
        density = None
        if self.settings.output == "mixture":
            density = learned_density(trained.mixture(measured), self.training)
            row = density.mode
        else:
            row = trained.point(measured)[0]
        spread = np.ptp(trained.outputs(self.training_set.observables), axis=0).max()
        distance_in_errors = density_overlap = None
        if self.exact is not None:
            predicts_mean = self.settings.smeared and density is None
            reference = self.exact.mean if predicts_mean else self.exact.mode
            distance_in_errors = distance(row, reference, self.exact.covariance)
            density_overlap = None if density is None else overlap(density, self.exact)
        result = NetworkRestartResult(
            c9=row[0],
            c10=row[1],
            hadronic=row[2:].tolist(),
            chi_squared=recomputed(self.chi_squared, row[np.newaxis])[0],
            start=restart,
            loss=trained.loss,
            validation_loss=trained.validation_loss,
            best_epoch=trained.best_epoch,
            is_constant=bool(spread < CONSTANT),
            distance_in_errors=distance_in_errors,
            overlap=density_overlap,
        )
        return result, density

    def posterior(
        self, trained: list[InverseNetwork], densities: list[GridDensity]
    ) -> EnsemblePosterior:
        """Average the densities of all restarts and determine the coverage of the regions."""
        assert self.exact is not None
        density, exact = mean_density(densities), self.exact
        generator = np.random.default_rng(seed_of(self.seed, self.name, 3))
        ranges = np.array([self.training.c9_range, self.training.c10_range])
        truth = generator.uniform(ranges[:, 0], ranges[:, 1], (N_SIMULATED, 2))
        predictions = self.chi_squared.predictions(truth[:, 0], truth[:, 1])
        simulated = smeared(self.chi_squared, predictions, generator)
        ensemble = GaussianMixture.mean_of([network.mixture(simulated) for network in trained])
        levels = ensemble.credible_levels(truth, generator)
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


def train_network_ensemble(
    table: PredictionTable,
    version: Version,
    training: TrainingSetSettings,
    settings: InverseNetworkSettings,
    seed: int,
    name: str,
) -> NetworkResult:
    """Train a network from several random initial weights and evaluate it on the measurements.

    Args:
        table: predictions and measured observables.
        version: version of the χ².
        training: settings of the training set; with smeared predictions only its ranges are used.
        settings: settings of the network.
        seed: seed of the run.
        name: name of the model; random numbers depend on it.

    Raises:
        UserError: smeared predictions are combined with hadronic polynomials.
    """
    restarts = NetworkRestarts(table, version, training, settings, seed, name)
    networks = restarts.train()
    evaluated = [restarts.result(network, number) for number, network in enumerate(networks)]
    densities = [density for _, density in evaluated if density is not None]
    return NetworkResult(
        **restarts.common_fields([result for result, _ in evaluated]),
        settings=settings,
        n_parameters=networks[0].model.count_params(),
        posterior=restarts.posterior(networks, densities) if densities else None,
    )
