"""Command-line arguments for the settings of a pydantic model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    pass


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(
            ":".join(map(str, v)) if isinstance(v, (tuple, list)) else str(v) for v in value
        )
    return str(value)


def option_name(model: type[BaseModel], field: str) -> str:
    """Return the option of a field without its dashes, as an identifier: ``batch_size``.

    It is the name of the field unless the model's `OPTION_NAMES` gives another one.
    """
    names: Mapping[str, str] = getattr(model, "OPTION_NAMES", {})
    return names.get(field, field)


def _flag(model: type[BaseModel], field: str) -> str:
    return "--" + option_name(model, field).replace("_", "-")


def option_words(model: BaseModel) -> list[str]:
    """Return the command-line arguments from which `options_from` restores `model`."""
    words: list[str] = []
    written = model.model_dump()
    for name in type(model).model_fields:
        if name not in written:  # omitted because it has its default (`OptionalFields`)
            continue
        setting = getattr(model, name)
        value = "" if setting is None else _text(setting)
        if value:
            words += [_flag(type(model), name), value]
    return words
