"""Types shared by all parts of the configuration."""

from typing import Annotated, Literal

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*(_[A-Za-z0-9.+-]+)*$")]
Split = Literal["train", "validation", "test", "interpolation"]
PositiveInt = Annotated[int, Field(ge=1)]
