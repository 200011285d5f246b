"""Points in the configuration: shifts, grids of shifts, and Sobol points in a box."""

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, field_validator, model_validator

from wilsonvox.config.base import PositiveInt, Split
from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import RisingRange
from wilsonvox.theory.points import is_sampled, parse_point, parse_shift, point_label
from wilsonvox.theory.sobol import MOST_POINTS, sampled_label, sobol_points


def _shifts(value: Any) -> float | str | list[float | str]:
    """Validate one shift or a list of shifts."""
    if isinstance(value, list):
        return [_shift(shift) for shift in value]
    return _shift(value)


def _shift(value: Any) -> float | str:
    if isinstance(value, str):
        try:
            parse_shift(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"shift {value!r}: not a number such as -0.9, or text such as -0.9+0.3i")
    return float(value)


_SHIFT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "description": "with an imaginary part, such as -0.9+0.3i"},
    ]
}
# one validator for all forms: pydantic's message for a union lists an error for each of them
Shifts = Annotated[
    float | str | list[float | str],
    PlainValidator(_shifts),
    WithJsonSchema({"anyOf": [*_SHIFT_SCHEMA["anyOf"], {"type": "array", "items": _SHIFT_SCHEMA}]}),
]


def _shown_point(value: Any) -> float | str | dict[str, float | str]:
    """Validate a shown point: a shift δC9, a label, or shifts by coefficient."""
    if isinstance(value, dict):
        shifts = {str(name): _shift(each) for name, each in value.items()}
        _label({name: _parsed(each) for name, each in shifts.items()})
        return shifts
    if isinstance(value, str):
        try:
            if not is_sampled(value):
                parse_point(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value
    return _shift(value)


def _label(shifts: Mapping[str, complex]) -> str:
    try:
        return point_label(shifts)
    except UserError as error:
        raise ValueError(str(error)) from error


def _parsed(shift: float | str) -> float | complex:
    return parse_shift(shift) if isinstance(shift, str) else shift


ShownPoint = Annotated[
    float | str | dict[str, float | str],
    PlainValidator(_shown_point),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "description": "a shift δC9"},
                {"type": "string", "description": "the label of a point, such as c10_-1.00"},
                {
                    "type": "object",
                    "additionalProperties": {"anyOf": _SHIFT_SCHEMA["anyOf"]},
                    "description": "shifts by coefficient, such as {c10: -1.0}",
                },
            ]
        }
    ),
]


Coefficient = Literal["c7", "c9", "c10", "c7p", "c9p", "c10p"]


class SobolPoints(StrictModel):
    """Points of a Sobol sequence in a box of shifts, labelled sobol_0000, sobol_0001, ….

    The shifts of a label depend only on the box, not on the seed of the run.
    """

    box: dict[Coefficient, RisingRange] = Field(
        min_length=1, description="lower and upper end of each shift δC_i (dimensionless)"
    )
    number: int = Field(ge=1, le=MOST_POINTS, description="number of points")
    first: int = Field(
        default=0, ge=0, lt=MOST_POINTS, description="index of the first point in the sequence"
    )

    @field_validator("box")
    @classmethod
    def _ends_are_finite(cls, value: dict[str, tuple[float, float]]) -> Any:
        for name, ends in value.items():
            if not all(map(math.isfinite, ends)):
                raise ValueError(f"{name}: range {ends[0]:g} … {ends[1]:g} is not finite")
        return value

    def table(self) -> dict[str, dict[str, float | complex]]:
        """Return the shifts (dimensionless) of the points by label."""
        box = {str(name): ends for name, ends in self.box.items()}
        rows = sobol_points(box, self.number, self.first)
        return {sampled_label(self.first + n): dict(row) for n, row in enumerate(rows)}


class PointGroup(StrictModel):
    """Points with the same numbers of images: a grid of lists of shifts, or Sobol points."""

    shifts: dict[Coefficient, Shifts] | None = Field(
        default=None, min_length=1, description="shifts δC_i (dimensionless) by coefficient"
    )
    sobol: SobolPoints | None = Field(
        default=None, description="points of a Sobol sequence in a box, instead of shifts"
    )
    n_images: dict[Split, PositiveInt] = Field(
        min_length=1, description="number of images per point, by split"
    )

    @model_validator(mode="after")
    def _interpolation_is_never_trained(self) -> "PointGroup":
        if "interpolation" in self.n_images and len(self.n_images) > 1:
            raise ValueError("interpolation points have no images in any other split")
        return self

    @model_validator(mode="after")
    def _has_one_kind_of_points(self) -> "PointGroup":
        if (self.shifts is None) == (self.sobol is None):
            raise ValueError("a group of points has either shifts or sobol")
        return self

    def points(self) -> list[dict[str, float | complex]]:
        """Return the shifts (dimensionless) of each point of the group; real ones as floats."""
        if self.sobol is not None:
            return list(self.sobol.table().values())
        assert self.shifts is not None
        values = [
            [parse_shift(each) if isinstance(each, str) else each for each in given]
            for given in (v if isinstance(v, list) else [v] for v in self.shifts.values())
        ]
        return [dict(zip(self.shifts, row, strict=True)) for row in itertools.product(*values)]

    def labels(self) -> list[str]:
        """Return the labels of the points, in the order of `points`."""
        if self.sobol is not None:
            return list(self.sobol.table())
        return [point_label(shifts) for shifts in self.points()]


def shown_label(point: float | str | dict[str, float | str]) -> str:
    """Return the label of a shown point."""
    if isinstance(point, str):
        return point
    shifts = point if isinstance(point, dict) else {"c9": point}
    return point_label({name: _parsed(shift) for name, shift in shifts.items()})
