"""Command-line options made from pydantic models: one source for names, defaults and help."""

import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import BaseModel, ValidationError

from wilsonvox.config.option_words import _flag, _text, option_name
from wilsonvox.core.errors import UserError

if TYPE_CHECKING:
    from wilsonvox.config.run import RunConfiguration

Function = TypeVar("Function", bound=Callable[..., Any])
Model = TypeVar("Model", bound=BaseModel)

_DECAY_OPTIONS = (
    click.option(
        "--physics-inputs",
        default="evtgen-btosllnpr",
        show_default=True,
        help="Set of Standard-Model inputs: evtgen-btosllnpr or flavio.",
    ),
    click.option(
        "--lepton",
        type=click.Choice(["muon", "electron"]),
        default="muon",
        show_default=True,
        help="Leptons in the final state.",
    ),
    click.option(
        "--antiparticle-shifts",
        type=click.Choice(["equal", "conjugate"]),
        default="equal",
        show_default=True,
        help="Shifts of the anti-B0: equal to those of the B0 (as in EvtGen), or their complex "
        "conjugates.",
    ),
)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _choices(annotation: Any) -> list[str] | None:
    if typing.get_origin(annotation) is typing.Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    return None


def options_from(
    model: type[BaseModel], skip: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Return a decorator that adds one option per field of `model` (``--batch-size 128``).

    Lists are written with commas (``--filters 64,128``), ranges with colons
    (``--vetoes-gev2 8:11,12.7:14``).
    """

    def decorate(function: Function) -> Function:
        for name, field in reversed(model.model_fields.items()):
            if name in skip:
                continue
            choices = _choices(field.annotation)
            function = click.option(
                _flag(model, name),
                option_name(model, name),
                type=click.Choice(choices) if choices else str,
                default=None if field.default is None else _text(field.default),
                show_default=True,
                metavar=None if choices else "VALUE",
                help=_sentence(field.description or name),
            )(function)
        return function

    return decorate


def _is_sequence(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (types.UnionType, typing.Union):
        return any(_is_sequence(option) for option in typing.get_args(annotation))
    return origin in (tuple, list)


def model_from(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Make a `model` from parsed options.

    Raises:
        UserError: an option has an invalid value.
    """
    given: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        option = option_name(model, name)
        if option not in values:
            continue
        value = values[option]
        if value is None:  # an option without a default, which was not given
            continue
        if _is_sequence(field.annotation):
            text = re.sub(r"[][() ]", "", re.sub(r"\]\s*,\s*\[", ";", str(value)))
            if ";" in text or str(value).startswith("[["):  # as in YAML: [[8, 11], [12.7, 14]]
                text = ",".join(part.replace(",", ":") for part in text.split(";"))
            parts = [part for part in text.split(",") if part]
            given[name] = [part.split(":") if ":" in part else part for part in parts]
        else:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # an error of several fields together
            raise UserError(f"options: {message}") from error
        flag = _flag(model, str(first["loc"][0]))
        raise UserError(f"{flag}: {message} (got {first['input']!r})") from error


def decay_options(function: Function) -> Function:
    """Decorate a command with the options of the decay: inputs, leptons, antiparticle shifts."""
    for option in reversed(_DECAY_OPTIONS):
        function = option(function)
    return function


def estimator_options(function: Function) -> Function:
    """Decorate a command with the options that select an estimator of a run."""
    for option in (
        click.option(
            "--image",
            default=None,
            help="Name of the image specification.  [default: the only one]",
        ),
        click.option(
            "--estimator",
            default=None,
            help="Name of the estimator.  [default: the only one]",
        ),
        click.option(
            "--run",
            "run_folder",
            required=True,
            type=click.Path(path_type=Path),
            help="Folder of a finished run, such as results/demo, or of an exported estimator.",
        ),
    ):
        function = option(function)
    return function


def given_configuration(word: str) -> "RunConfiguration":
    """Return the configuration given by an option: a YAML file, or its content as JSON.

    Raises:
        UserError: the file is missing, is not YAML, or is not a valid configuration.
        click.BadParameter: the text is not JSON.
    """
    import json

    from wilsonvox.config.reading import load_configuration, parse_configuration

    if not word.lstrip().startswith("{"):
        return load_configuration(word)
    try:
        values = json.loads(word)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--configuration") from error
    return parse_configuration(values)
