"""Directive `configuration-keys`: every key of a pydantic model, and of the models in it."""

import importlib
import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_UNITS = {"_gev2": "GeV²", "_gev": "GeV"}
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
        words += ["`null`"] if type(None) in arguments else []
        return " or ".join(dict.fromkeys(words))
    if origin in (list, tuple):
        inner = dict.fromkeys(type_text(each) for each in arguments if each is not Ellipsis)
        fixed = origin is tuple and Ellipsis not in arguments
        return f"list of {f'{len(arguments)} × ' if fixed else ''}{', '.join(inner)}"
    if origin is dict:
        literal = typing.get_origin(arguments[0]) is typing.Literal
        return f"{type_text(arguments[1])} by {type_text(arguments[0]) if literal else 'name'}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    names = {
        bool: "`true` or `false`", int: "whole number", float: "number", str: "text", Any: "any"
    }  # fmt: skip
    return names.get(annotation, str(getattr(annotation, "__name__", annotation)))


def limits_text(field: FieldInfo) -> str:
    """Describe the limits of a number, such as `≥ 1`."""
    found = [
        f"{sign}\N{NO-BREAK SPACE}{getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in _LIMITS.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


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


def reference_lines(model: type[BaseModel]) -> list[str]:
    """Write the keys of a model and of all models in it, one section per model."""
    lines: list[str] = []
    for key, current in all_models(model):
        title = f"`{key}`" if key else "Top level"
        choice = _choice(current)
        lines += [f"## {title}{f', {choice}' if choice else ''}", ""]
        lines += [" ".join((current.__doc__ or "").split()), "", *key_lines(current), ""]
    return lines


def _choice(model: type[BaseModel]) -> str:
    """Say which of several models at one key it is, by its key `architecture`."""
    field = model.model_fields.get("architecture")
    if field is None or typing.get_origin(field.annotation) is not typing.Literal:
        return ""
    values = typing.get_args(field.annotation)
    return f"architecture `{values[0]}`" if len(values) == 1 else ""


class ConfigurationKeys(SphinxDirective):
    """List the keys of the model that the argument names, such as `package.module.Model`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Import the model and make the sections."""
        module_name, _, name = self.arguments[0].rpartition(".")
        module = importlib.import_module(module_name)
        model = getattr(module, name)
        for _, each in all_models(model):
            file = importlib.import_module(each.__module__).__file__
            if file:
                self.env.note_dependency(str(Path(file)))
        return self.parse_text_to_nodes(
            "\n".join(reference_lines(model)), allow_section_headings=True
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("configuration-keys", ConfigurationKeys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
