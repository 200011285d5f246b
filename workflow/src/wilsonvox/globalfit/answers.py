"""Answers of learning machines to the measured observables, as figures compare them with fits."""

import os
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from wilsonvox.errors import UserError
from wilsonvox.files import require_file
from wilsonvox.globalfit.hadronic import Hadronic


class Answer(BaseModel):
    """The answer of one training."""

    # a machine's own results say more
    model_config = ConfigDict(extra="ignore", frozen=True)

    c9: float
    c10: float
    chi_squared: float = Field(
        description="recomputed from the answer's coefficients, never what a machine says of it"
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
        found = require_file(path, "the answers of a learning machine (.json)")
        try:
            return cls.model_validate_json(found.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{found}: not what `wilsonvox global-fit` writes of a learning machine; make it "
                "again"
            ) from error
