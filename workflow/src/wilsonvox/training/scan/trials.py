"""What the jobs of a scan hand to each other: JSON files with their records inside."""

from typing import Any

from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.records.record import Record
from wilsonvox.voxels.specification import ImageSpecification

Value = bool | int | float | str


class Suggestion(StrictModel):
    """The settings of one trial."""

    trial: int = Field(description="its number, from 0, over all rounds")
    parameters: dict[str, Value] = Field(description="what is scanned, as Optuna suggested it")
    settings: dict[str, Any] = Field(description="all settings of the trial's estimator")


class Suggestions(StrictModel):
    """The trials of one round."""

    estimator: str = Field(description="whose settings are scanned")
    round: int = Field(description="its number, from 0")
    sampler: str = Field(description="Optuna's sampler")
    sampler_seed: int = Field(description="its seed in this round")
    space: dict[str, dict[str, Any]] = Field(description="Optuna's distributions by setting")
    trials: list[Suggestion] = Field(description="in the order of their numbers")
    provenance: Record | None = None

    def one(self, trial: int) -> Suggestion:
        """The suggestion of a trial by its number.

        Raises:
            UserError: it is of another round.
        """
        for each in self.trials:
            if each.trial == trial:
                return each
        numbers = f"{self.trials[0].trial} to {self.trials[-1].trial}"
        raise UserError(f"--trial: {trial} is not of round {self.round}, which has {numbers}")


class TrialResult(StrictModel):
    """What became of one trial."""

    estimator: str = Field(description="whose settings are scanned")
    trial: int = Field(description="its number, from 0, over all rounds")
    round: int = Field(description="its round, from 0")
    parameters: dict[str, Value] = Field(description="what is scanned, as Optuna suggested it")
    objective: float | None = Field(
        description="mean absolute error of predicted shifts over the validation images; null: "
        "the training failed"
    )
    failure: str | None = Field(default=None, description="why it failed")
    best_epoch: int | None = Field(default=None, description="epoch, from 1, of the weights")
    n_parameters: int | None = Field(default=None, description="weights of the network")
    model_digest: str | None = Field(default=None, description="content digest of the model")
    image: ImageSpecification = Field(description="of the images")
    physics_inputs: str | None = Field(description="of the training events")
    provenance: Record | None = None


class Scan(StrictModel):
    """All trials of a scan."""

    estimator: str = Field(description="whose settings are scanned")
    sampler: str = Field(description="Optuna's sampler")
    space: dict[str, dict[str, Any]] = Field(description="Optuna's distributions by setting")
    best: int | None = Field(description="number of the trial with the least objective")
    importance: dict[str, float] | None = Field(
        description="share of each setting in the scatter of the objective (PED-ANOVA), summing to "
        "one; null: too few trials, or all alike"
    )
    trials: list[TrialResult] = Field(description="in the order of their numbers")
    provenance: Record | None = None
