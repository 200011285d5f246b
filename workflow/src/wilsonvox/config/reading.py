"""Read a configuration and explain its first error in one line."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from wilsonvox.config.global_fit import GlobalFitSettings
from wilsonvox.config.points import PointGroup, SobolPoints
from wilsonvox.config.run import FigureSettings, GenerationSettings, ImageSettings, RunConfiguration
from wilsonvox.core.errors import UserError
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.estimators.settings import ESTIMATOR_MODELS, NetworkSettings, TrainingSettings
from wilsonvox.training.scan.settings import ScanSettings, SearchRange
from wilsonvox.voxels.specification import VoxelScaling

_MODELS: dict[str, type[BaseModel]] = {
    "points": PointGroup,
    "sobol": SobolPoints,
    "images": ImageSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "normalisation": VoxelScaling,
    "figures": FigureSettings,
    "generation": GenerationSettings,
    "scan": ScanSettings,
    "parameters": SearchRange,
}


def _of_other_architectures(key: str, architecture: str) -> str:
    """Name the other architectures that have a key; an empty string if there are none."""
    others = [
        name
        for name, model in ESTIMATOR_MODELS.items()
        if key in model.model_fields and name != architecture
    ]
    if not others:
        return ""
    return f"no key of architecture {architecture}, but of {' and '.join(others)}"


def _section_of_global_fit(names: list[str]) -> type[BaseModel]:
    """Return the model of a section below `global_fit`, ignoring names of networks and GANs."""
    model: type[BaseModel] = GlobalFitSettings
    for name in names:
        field = model.model_fields.get(name)
        for candidate in () if field is None else (field.annotation, *get_args(field.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return model


def _unknown_key(location: list[str], architecture: str | None) -> str:
    """Return the message about an unknown key, with the most similar known key.

    Args:
        location: path of the key in the configuration, its own name last.
        architecture: architecture of the estimator that contains the key; None elsewhere.
    """
    key = location[-1]
    parents = [part for part in location[:-1] if part in _MODELS]
    if location[0] == "global_fit":
        known = list(_section_of_global_fit(location[1:-1]).model_fields)
    elif parents:
        known = list(_MODELS[parents[-1]].model_fields)
    elif architecture is not None:
        known = list(ESTIMATOR_MODELS[architecture].model_fields)
        elsewhere = _of_other_architectures(key, architecture)
        if elsewhere:
            return f"{elsewhere}; known are {', '.join(known)}"
    else:
        known = list(RunConfiguration.model_fields)
    return "unknown key" + did_you_mean(key, known)


def explain(error: ValidationError, source: str) -> str:
    """Describe the first error: its key and, for a misspelt key, the most similar known key."""
    # a misspelt key is also reported as a missing one: unknown keys come first
    errors = sorted(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
    first = errors[0]
    location = [str(part) for part in first["loc"]]
    architecture = None
    if len(location) > 2 and location[0] == "estimators" and location[2] in ESTIMATOR_MODELS:
        architecture = location.pop(2)  # pydantic inserts the tag of the model that it chose
    message = first["msg"].removeprefix("Value error, ")
    if location[-1:] == ["[key]"] and first["type"] == "literal_error":
        location.pop()
        known = [word.strip(" '") for word in re.split(",| or ", first["ctx"]["expected"])]
        message = "unknown key" + did_you_mean(location[-1], known)
    elif first["type"] == "union_tag_invalid":
        location.append("architecture")
        given = first["ctx"]["tag"]
        message = f"{given!r} is unknown{did_you_mean(given, ESTIMATOR_MODELS)}"
    elif first["type"] == "extra_forbidden":
        message = _unknown_key(location, architecture)
    elif first["type"] == "missing":
        message = "is missing"
    elif not isinstance(first["input"], dict | list):
        message = f"{message} (got {first['input']!r})"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (
        f"{source}: {'.'.join(location)}: {message}{more}" if location else f"{source}: {message}"
    )


def parse_configuration(
    values: Mapping[str, Any], source: str = "configuration"
) -> RunConfiguration:
    """Validate a configuration given as a mapping.

    Raises:
        UserError: the configuration is invalid; see `explain`.
    """
    try:
        return RunConfiguration.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(explain(error, source)) from error


def load_configuration(path: str | os.PathLike[str]) -> RunConfiguration:
    """Read and validate a YAML configuration.

    Raises:
        UserError: the file is missing, is not YAML, or is not a valid configuration.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration; expected keys such as 'run' and 'points'")
    return parse_configuration(values, str(path))
