"""Settings of an estimator by dotted names, and the search space over them."""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from wilsonvox.training.scan.settings import Choice, ScanSettings, SearchRange

Estimator = TypeVar("Estimator", bound=BaseModel)
Label = bool | int | float | str
"""Value as stored by Optuna, which does not support lists: they are encoded as JSON."""

NOT_SCANNED = ("architecture", "images")
"""Keys that define another estimator rather than a setting of it."""


def setting_names(estimator: BaseModel) -> list[str]:
    """List the dotted names of all settings, such as ``training.learning_rate``."""
    names = []
    for name in type(estimator).model_fields:
        value = getattr(estimator, name)
        if isinstance(value, BaseModel):
            names += [f"{name}.{inner}" for inner in setting_names(value)]
        elif name not in NOT_SCANNED:
            names.append(name)
    return names


def setting(estimator: BaseModel, name: str) -> Any:
    """Return the value of a setting by its dotted name."""
    value: Any = estimator
    for part in name.split("."):
        value = getattr(value, part)
    return value


def with_settings(estimator: Estimator, values: Mapping[str, Any]) -> Estimator:
    """Return the estimator with other values of some settings.

    Args:
        estimator: estimator from the configuration.
        values: new values by dotted name.

    Raises:
        ValueError: a value is not valid for its setting.
    """
    content = estimator.model_dump(mode="json")
    for name, value in values.items():
        *folders, last = name.split(".")
        inner = content
        for folder in folders:
            inner = inner[folder]
        inner[last] = value
    try:
        return type(estimator).model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(first["msg"].removeprefix("Value error, ")) from error


def kind(estimator: BaseModel, name: str) -> Literal["integer", "float", "other"]:
    """Return the kind of a setting; those of kind ``other`` can only be chosen from a list."""
    value = setting(estimator, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "other"
    return "integer" if isinstance(value, int) else "float"


def label(choice: Choice) -> Label:
    """Encode a choice for Optuna."""
    return json.dumps(choice) if isinstance(choice, list | tuple) else choice


def decode(where: SearchRange, value: Label) -> Choice:
    """Decode a value from Optuna."""
    for choice in where.choices or ():
        if label(choice) == value and type(label(choice)) is type(value):
            return choice
    return value


def contains(where: SearchRange, value: Any) -> bool:
    """Test if a value is in the search range."""
    if where.choices is not None:
        return label(value) in [label(choice) for choice in where.choices]
    assert where.low is not None
    assert where.high is not None
    if not where.low <= value <= where.high:
        return False
    steps = (value - where.low) / where.step if where.step else 0.0
    return bool(abs(steps - round(steps)) < 1e-8)


def _check_range(estimator: BaseModel, name: str, where: SearchRange) -> None:
    if where.choices is not None:
        values: list[Any] = list(where.choices)
    else:
        if kind(estimator, name) == "other":
            raise ValueError("is not a number: give choices instead of low and high")
        numbers = [where.low, where.high, *([where.step] if where.step is not None else [])]
        if kind(estimator, name) == "integer" and not all(isinstance(n, int) for n in numbers):
            raise ValueError("is an integer, so low, high and step must be integers")
        values = [where.low, where.high]
    for value in values:
        try:
            with_settings(estimator, {name: value})
        except ValueError as error:
            raise ValueError(f"{error} (got {value!r})") from error


def check_scan(estimator: BaseModel, scan: ScanSettings, did_you_mean: Any) -> None:
    """Check that the estimator has all settings of a scan and can have their values.

    Args:
        estimator: estimator whose settings are scanned.
        scan: settings of the scan.
        did_you_mean: function that returns the end of a message from a wrong name and known names.

    Raises:
        ValueError: the message names the setting.
    """
    known = setting_names(estimator)
    for section in ("fixed", "parameters"):
        for name in getattr(scan, section):
            if name not in known:
                raise ValueError(
                    f"{section}.{name}: is not a setting of this estimator"
                    f"{did_you_mean(name, known)}"
                )
            if section == "parameters" and name in scan.fixed:
                raise ValueError(
                    f"fixed.{name}: is scanned, too; remove it from fixed or from parameters"
                )
    for name, value in scan.fixed.items():
        try:
            with_settings(estimator, {name: value})
        except ValueError as error:
            raise ValueError(f"fixed.{name}: {error} (got {value!r})") from error
    try:
        base = with_settings(estimator, scan.fixed)
    except ValueError as error:
        raise ValueError(f"fixed: {error}") from error
    for name, where in scan.parameters.items():
        try:
            _check_range(base, name, where)
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from error
