"""Trainings of one model on one training set from several random initial weights."""

from typing import Any

from wilsonvox.global_fit.chi_squared import ChiSquared, Version
from wilsonvox.global_fit.learning.results import (
    GanRestartResult,
    NetworkRestartResult,
    Spread,
    TrainingSetSummary,
)
from wilsonvox.global_fit.learning.settings import TrainingSetSettings
from wilsonvox.global_fit.learning.training_sets import (
    TrainingSet,
    make_chi_squared,
    make_training_set,
    seed_of,
)
from wilsonvox.global_fit.predictions import PredictionTable


class Restarts:
    """Training set and χ² shared by all restarts of a model.

    Args:
        table: predictions and measured observables.
        version: version of the χ².
        training: settings of the training set.
        seed: seed of the run.
        name: name of the model; random numbers depend on it.
    """

    def __init__(
        self,
        table: PredictionTable,
        version: Version,
        training: TrainingSetSettings,
        seed: int,
        name: str,
    ) -> None:
        self.table, self.version, self.training = table, version, training
        self.seed, self.name = seed, name
        self.chi_squared: ChiSquared = make_chi_squared(table, version, training)
        self.training_set: TrainingSet = make_training_set(
            self.chi_squared, training, seed_of(seed, name, 0)
        )

    def common_fields(
        self, results: list[NetworkRestartResult] | list[GanRestartResult]
    ) -> dict[str, Any]:
        """Fields of the model's result that networks and GANs have in common."""
        return {
            "name": self.name,
            "observables": self.table.observables.name,
            "version": self.version,
            "hadronic": self.training.hadronic,
            "hadronic_names": list(self.chi_squared.polynomials.names),
            "training_set": TrainingSetSummary.of(self.training_set, self.training),
            "spread": Spread.of(results),
            "answers": results,
        }
