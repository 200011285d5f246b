"""Tables of every key of a pydantic model and of the models in it, in Markdown."""

import json
import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_UNITS = {"_gev2": "GeV²", "_gev": "GeV"}
_NAMES: dict[Any, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Any: "any",
}
_LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Find the models in the type of a key, such as those of a union or of a table by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        if not isinstance(argument, str):
            yield from models_in(argument)


def all_models(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """List a model and all models in it, each once, with the dotted key where it stands first.

    A key that is a table by name, or a list, has `NAME` or `[]` in it.
    """
    listed: dict[type[BaseModel], str] = {}

    def visit(key: str, current: type[BaseModel]) -> None:
        if current in listed:
            return
        listed[current] = key
        for name, field in current.model_fields.items():
            for inner in models_in(field.annotation):
                visit(f"{key}.{name}{_index(field.annotation)}".lstrip("."), inner)

    visit("", model)
    return [(key, current) for current, key in listed.items()]


def _index(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is dict:
        return ".NAME"
    if origin is list:
        return "[]"
    if origin in (typing.Union, types.UnionType):
        return next(filter(None, map(_index, typing.get_args(annotation))), "")
    return ""


def type_text(annotation: Any) -> str:
    """Describe the type of a key in a few words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_text(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        words = [type_text(each) for each in arguments if each is not type(None)]
        return " or ".join(dict.fromkeys([*words, *["`null`"] * (type(None) in arguments)]))
    if origin in (list, tuple, dict):
        return _container_text(origin, arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    return _NAMES.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _container_text(origin: type, arguments: tuple[Any, ...]) -> str:
    if origin is dict:
        literal = typing.get_origin(arguments[0]) is typing.Literal
        return f"{type_text(arguments[1])} by {type_text(arguments[0]) if literal else 'name'}"
    inner = ", ".join(dict.fromkeys(type_text(each) for each in arguments if each is not Ellipsis))
    number = f"{len(arguments)} × " if origin is tuple and Ellipsis not in arguments else ""
    return f"list of {number}{inner}"


def limits_text(field: FieldInfo) -> str:
    """Describe the limits of a number, such as `≥ 1`."""
    limits = [
        (sign, getattr(limit, name, None))
        for limit in field.metadata
        for name, sign in _LIMITS.items()
    ]
    return ", ".join(
        f"{sign}\N{NO-BREAK SPACE}{value:{',' if isinstance(value, int) else 'g'}}"
        for sign, value in limits
        if value is not None
    )


def unit_text(name: str, field: FieldInfo) -> str:
    """Give the unit of a key, from its name or from the brackets in its description."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return unit
    units = re.findall(r"\[([^\]\[]*[eE]V[^\]\[]*)\]", field.description or "")
    return ", ".join(units)


def default_text(field: FieldInfo) -> str:
    """Write the default of a key as YAML, or `required`."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "those below"
    if value is PydanticUndefined:
        return ""
    if isinstance(value, str):
        return f"`{value}`"
    return f"`{json.dumps(value, ensure_ascii=False, default=str)}`"


def key_lines(model: type[BaseModel]) -> list[str]:
    """Write the keys of one model as the lines of a table in Markdown."""
    lines = ["| key | type | unit | default | description |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        type_words = type_text(field.annotation)
        if limits := limits_text(field):
            type_words += f", {limits}"
        description = field.description or next(
            (" ".join((each.__doc__ or "").split()) for each in models_in(field.annotation)), ""
        )
        cells = [f"`{field.alias or name}`", type_words, unit_text(name, field),
                 default_text(field), description]  # fmt: skip
        row = " | ".join(cell.replace("|", r"\|") for cell in cells)
        lines.append(f"| {row} |")
    return lines


def key_reference(model: type[BaseModel]) -> str:
    """Write the keys of a model and of all models in it, one section per model."""
    lines: list[str] = []
    for key, current in all_models(model):
        title = f"`{key}`" if key else "Top level"
        choice = _choice(current)
        lines += [f"## {title}{f', {choice}' if choice else ''}", ""]
        lines += [" ".join((current.__doc__ or "").split()), "", *key_lines(current), ""]
    return "\n".join(lines)


def _choice(model: type[BaseModel]) -> str:
    """Say which of several models at one key it is, by its key `architecture`."""
    field = model.model_fields.get("architecture")
    if field is None or typing.get_origin(field.annotation) is not typing.Literal:
        return ""
    values = typing.get_args(field.annotation)
    return f"architecture `{values[0]}`" if len(values) == 1 else ""
