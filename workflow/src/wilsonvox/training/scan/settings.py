"""What a configuration says of a hyperparameter scan. No heavy imports here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wilsonvox.core.models import StrictModel

Choice = bool | int | float | str | list[int | float]
"""One value of a setting that is chosen from a list; lists are sizes of several layers."""


class SearchRange(StrictModel):
    """Where a scan looks for one setting: from `low` to `high`, or among `choices`."""

    low: int | float | None = Field(default=None, description="smallest value")
    high: int | float | None = Field(default=None, description="largest value, included")
    log: bool = Field(default=False, description="whether its logarithm is drawn evenly")
    step: int | float | None = Field(default=None, gt=0, description="distance of the values")
    choices: tuple[Choice, ...] | None = Field(
        default=None, min_length=2, description="values to choose from, instead of low and high"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "SearchRange":
        ends = (self.low, self.high)
        if self.choices is not None:
            if ends != (None, None) or self.log or self.step is not None:
                raise ValueError("choices stand alone, without low, high, log and step")
            if any(self.choices.count(each) > 1 for each in self.choices):
                raise ValueError("choices: a value stands there twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step do not go together")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low (got {self.low:g})")
        return self


class ScanSettings(StrictModel):
    """A scan of one estimator's settings."""

    parameters: dict[str, SearchRange] = Field(
        min_length=1,
        description="settings that are scanned, such as training.learning_rate, and where",
    )
    fixed: dict[str, Choice] = Field(
        default={},
        description="settings of all trials that differ from the estimator's, such as "
        "training.max_epochs",
    )
    rounds: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="rounds, one after the other; each is suggested from those before"
    )
    trials_per_round: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=4, description="trials of a round, trained in parallel"
    )
    sampler: Literal["tpe", "random"] = Field(
        default="tpe",
        description="Optuna's: tpe (tree-structured Parzen estimator) learns from earlier rounds, "
        "random does not",
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="of the suggestions; null: the run's"
    )

    def trials(self, round_number: int) -> range:
        """Numbers of a round's trials, both counted from 0."""
        return range(
            round_number * self.trials_per_round, (round_number + 1) * self.trials_per_round
        )

    @property
    def n_trials(self) -> int:
        """Trials of all rounds."""
        return self.rounds * self.trials_per_round

    def round_of(self, trial: int) -> int:
        """The round, from 0, that a trial belongs to."""
        return trial // self.trials_per_round
