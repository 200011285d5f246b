"""The tables of docs/results/papers.md name keys, values, functions and files that there are."""

import importlib
import re
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from wilsonvox.config.reading import load_configuration
from wilsonvox.config.run import RunConfiguration
from wilsonvox.core.errors import UserError

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs/results/papers.md"
VALUE = re.compile(r"(?P<file>config/[\w.-]+\.yaml): (?P<key>\S+)(?: = (?P<value>.+))?")
WILDCARDS = ("N", "NAME")
"""What stands for any number or name in the key of a model."""


def rows(text: str) -> list[tuple[str, str]]:
    """First and last cell of every row of the tables with a column "here"."""
    found: list[tuple[str, str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1] == "here":
            inside = True
        elif inside and set(line) - set("|-"):
            found.append((cells[0], cells[-1]))
    return found


@cache
def configuration(file: str) -> RunConfiguration:
    return load_configuration(ROOT / file)


def _plain(value: Any) -> Any:
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def check_value(file: str, key: str, value: str | None) -> None:
    """Raise ValueError unless the configuration has that key, with that value if one is given."""
    try:
        found: Any = configuration(file)
        for part in key.split("."):
            if isinstance(found, BaseModel):
                if part not in type(found).model_fields:
                    raise KeyError(part)
                found = getattr(found, part)
            else:
                found = found[int(part)] if isinstance(found, list | tuple) else found[part]
    except (UserError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{file} has no {key}: {error}") from None
    if value is not None and _plain(found) != (wanted := yaml.safe_load(value)):
        raise ValueError(f"{file}: {key} is {_plain(found)!r}, not {wanted!r}")


def in_models(annotation: Any, parts: list[str]) -> bool:
    """Whether a dotted key exists in a pydantic model, or in any of those of a union."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return in_models(arguments[0], parts)
    if origin in (typing.Union, types.UnionType):
        return any(in_models(each, parts) for each in arguments)
    if not parts:
        return True
    first, rest = parts[0], parts[1:]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(first)
        return field is not None and in_models(field.annotation, rest)
    if origin is dict:
        literal = typing.get_origin(arguments[0]) is typing.Literal
        known = not literal or first in (*WILDCARDS, *typing.get_args(arguments[0]))
        return known and in_models(arguments[1], rest)
    numbered = origin in (list, tuple) and (first in WILDCARDS or first.isdigit())
    return numbered and in_models(arguments[0], rest)


def check_import(name: str) -> None:
    """Raise ValueError unless a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                raise ValueError(f"{'.'.join(parts[:end])} has no {part}")
            found = getattr(found, part)
        return
    raise ValueError(f"there is no module {name}")


def check(here: str) -> None:
    """Raise ValueError where the last cell of a row names what does not exist, or nothing."""
    if here == "–":
        return
    names = re.findall(r"`([^`]+)`", here)
    if not names:
        raise ValueError("names no key, function or file")
    for name in names:
        value = VALUE.fullmatch(name)
        if value:
            check_value(value["file"], value["key"], value["value"])
        elif name.startswith("wilsonvox."):
            check_import(name)
        elif "/" in name:
            if not (ROOT / name).exists():
                raise ValueError(f"there is no file {name}")
        elif not in_models(RunConfiguration, name.split(".")):
            raise ValueError(f"{name} is no key of a configuration")


ROWS = rows(DOCUMENT.read_text())


def test_every_paper_has_its_rows():
    text = DOCUMENT.read_text()
    assert len(ROWS) > 70
    for paper in ("The main paper", "The preprint", "The proceedings", "The fit of observables"):
        part = text.split(f"## {paper}")[1].split("\n## ")[0]
        assert len(rows(part)) > 10, paper


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda number: ROWS[number][0][:40])
def test_what_a_row_names_is_there(number):
    check(ROWS[number][1])


@pytest.mark.parametrize(
    ("here", "message"),
    [
        ("", "names no key, function or file"),
        ("our choice", "names no key, function or file"),
        ("`config/paper.yaml: estimators.resnet34.network.dense_unit`", "no .*dense_unit"),
        ("`config/paper.yaml: estimators.resnet35.network.dense_units`", "no .*resnet35"),
        ("`config/paper.yaml: points.9.n_images.train`", r"no points\.9"),
        ("`config/papers.yaml: seed`", r"papers\.yaml has no seed"),
        (
            "`config/proceedings2023.yaml: estimators.resnet34.network.dense_units = 1000`",
            "dense_units is 5000, not 1000",
        ),
        ("`config/paper.yaml: points.1.shifts.c9 = [-0.9]`", r"is \[-0.9, -0.4\], not \[-0.9\]"),
        ("`wilsonvox.ensembles.summary.summarise`", "wilsonvox.ensembles.summary has no summarise"),
        ("`wilsonvox.globalfits`", "wilsonvox has no globalfits"),
        ("`training.batch_size`", "no key of a configuration"),
        ("`estimators.NAME.training.batch`", "no key of a configuration"),
        ("`points.N.shifts.c8`", "no key of a configuration"),
        ("`scan.NAME.parameters`, `images.NAME.bin`", "images.NAME.bin is no key"),
        ("`profiles/slurm/configuration.yaml`", "no file profiles/slurm/configuration.yaml"),
    ],
)
def test_a_row_that_is_wrong_is_found(here, message):
    with pytest.raises(ValueError, match=message):
        check(here)


@pytest.mark.parametrize(
    "key",
    [
        "estimators.NAME.training.learning_rate_schedule",
        "estimators.NAME.q2_bins_gev2",
        "images.NAME.multiple_entries",
        "images.NAME.fraction_of_events",
        "points.N.sobol.box",
        "points.0.n_images.train",
        "generation.flavour",
    ],
)
def test_keys_that_there_are_are_found(key):
    assert in_models(RunConfiguration, key.split("."))
