"""JSON files that the jobs of a scan exchange, which contain their records."""

from typing import Any

from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.records.record import Record
from wilsonvox.voxels.specification import ImageSpecification

Value = bool | int | float | str


class Suggestion(StrictModel):
    """Suggested settings of one trial."""

    trial: int = Field(description="number of the trial, counted from 0 over all rounds")
    parameters: dict[str, Value] = Field(description="scanned settings, as suggested by Optuna")
    settings: dict[str, Any] = Field(description="all settings of the trial's estimator")


class Suggestions(StrictModel):
    """Suggested trials of one round."""

    estimator: str = Field(description="name of the scanned estimator")
    round: int = Field(description="number of the round, counted from 0")
    sampler: str = Field(description="sampler of Optuna")
    sampler_seed: int = Field(description="seed of the sampler in this round")
    space: dict[str, dict[str, Any]] = Field(description="Optuna's distributions by setting")
    trials: list[Suggestion] = Field(description="suggestions in the order of the trial numbers")
    provenance: Record | None = None

    def one(self, trial: int) -> Suggestion:
        """Return the suggestion of a trial by its number.

        Raises:
            UserError: the trial belongs to another round.
        """
        for suggestion in self.trials:
            if suggestion.trial == trial:
                return suggestion
        numbers = f"{self.trials[0].trial} to {self.trials[-1].trial}"
        raise UserError(
            f"--trial: {trial} is not in round {self.round}, which has the trials {numbers}"
        )


class TrialResult(StrictModel):
    """Result of one trial."""

    estimator: str = Field(description="name of the scanned estimator")
    trial: int = Field(description="number of the trial, counted from 0 over all rounds")
    round: int = Field(description="number of the round, counted from 0")
    parameters: dict[str, Value] = Field(description="scanned settings, as suggested by Optuna")
    objective: float | None = Field(
        description="mean absolute error of predicted shifts over the validation images "
        "(dimensionless); null if the training failed"
    )
    failure: str | None = Field(default=None, description="reason of the failure")
    best_epoch: int | None = Field(
        default=None, description="epoch (counted from 1) of the stored weights"
    )
    n_parameters: int | None = Field(default=None, description="number of weights of the network")
    model_digest: str | None = Field(default=None, description="content digest of the model")
    image: ImageSpecification = Field(description="specification of the images")
    physics_inputs: str | None = Field(description="set of SM inputs of the training events")
    provenance: Record | None = None


class Scan(StrictModel):
    """All trials of a scan."""

    estimator: str = Field(description="name of the scanned estimator")
    sampler: str = Field(description="sampler of Optuna")
    space: dict[str, dict[str, Any]] = Field(description="Optuna's distributions by setting")
    best: int | None = Field(description="number of the trial with the lowest objective")
    importance: dict[str, float] | None = Field(
        description="importance of each setting for the objective (PED-ANOVA), with sum one; null "
        "for too few trials or equal objectives"
    )
    trials: list[TrialResult] = Field(description="results in the order of the trial numbers")
    provenance: Record | None = None
