"""Answers of learning machines to the measured observables, as figures compare them with fits."""

import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from wilsonvox.global_fit.hadronic import Hadronic
from wilsonvox.records.json_files import load_recorded


class Answer(BaseModel):
    """The answer of one training."""

    # a machine's own results say more
    model_config = ConfigDict(extra="ignore", frozen=True)

    c9: float
    c10: float
    chi_squared: float = Field(
        description="recomputed from the answer's coefficients, never what a machine says of it"
    )
    samples: list[tuple[float, float, float]] = Field(
        default=[], description="of a GAN: δC9, δC10 and χ² of some that it generated"
    )


class Answers(BaseModel):
    """The answers of one machine, one for each training from random weights."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(description="the machine's name in the configuration")
    kind: Literal["network", "gan"]
    observables: str = Field(description="name of the set")
    hadronic: Hadronic
    answers: list[Answer]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read them from the JSON that a machine's command wrote.

        Raises:
            UserError: no such file, or another kind of file.
        """
        return load_recorded(cls, path, "the answers of a learning machine (.json)")
