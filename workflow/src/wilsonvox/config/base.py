"""What all parts of the configuration share."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*(_[A-Za-z0-9.+-]+)*$")]
Split = Literal["train", "validation", "test", "interpolation"]
PositiveInt = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Settings that know no other keys than theirs, and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """The end of a message about a wrong word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
