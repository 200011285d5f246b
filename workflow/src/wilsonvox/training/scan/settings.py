"""Settings of a hyperparameter scan in the configuration; imports no heavy packages."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wilsonvox.core.models import StrictModel

Choice = bool | int | float | str | list[int | float]
"""Value of a setting that is chosen from a list; a list has one size per layer."""


class SearchRange(StrictModel):
    """Search range of one setting: from `low` to `high`, or one of `choices`."""

    low: int | float | None = Field(default=None, description="lowest value")
    high: int | float | None = Field(default=None, description="highest value (inclusive)")
    log: bool = Field(default=False, description="sample uniformly in the logarithm")
    step: int | float | None = Field(
        default=None, gt=0, description="step between values, starting at low"
    )
    choices: tuple[Choice, ...] | None = Field(
        default=None, min_length=2, description="values to choose from, instead of low and high"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "SearchRange":
        ends = (self.low, self.high)
        if self.choices is not None:
            if ends != (None, None) or self.log or self.step is not None:
                raise ValueError("choices cannot be combined with low, high, log or step")
            if any(self.choices.count(choice) > 1 for choice in self.choices):
                raise ValueError("choices: a value is duplicated")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low (got {self.low:g})")
        return self


class ScanSettings(StrictModel):
    """Hyperparameter scan of one estimator."""

    parameters: dict[str, SearchRange] = Field(
        min_length=1,
        description="scanned settings, such as training.learning_rate, with their search ranges",
    )
    fixed: dict[str, Choice] = Field(
        default={},
        description="settings of all trials that differ from those of the estimator, such as "
        "training.max_epochs",
    )
    rounds: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3,
        description="number of rounds; each is suggested from the results of earlier ones",
    )
    trials_per_round: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=4, description="trials per round, which are trained in parallel"
    )
    sampler: Literal["tpe", "random"] = Field(
        default="tpe",
        description="sampler of Optuna: tpe (tree-structured Parzen estimator) uses the results of "
        "earlier rounds, random does not",
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="seed of the suggestions; null for the seed of the run"
    )

    def trials(self, round_number: int) -> range:
        """Return the numbers of a round's trials; both are counted from 0."""
        return range(
            round_number * self.trials_per_round, (round_number + 1) * self.trials_per_round
        )

    @property
    def n_trials(self) -> int:
        """Number of trials in all rounds."""
        return self.rounds * self.trials_per_round

    def round_of(self, trial: int) -> int:
        """Return the round, counted from 0, of a trial."""
        return trial // self.trials_per_round
