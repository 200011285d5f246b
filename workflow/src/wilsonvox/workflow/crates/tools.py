"""Tools of a run: the subcommands of its jobs, their parameters, and imported packages."""

import hashlib
import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from wilsonvox.records.record import Record

Entity = dict[str, Any]
"""A node of a JSON-LD graph."""

_FORMAL_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_TYPES = {bool: "Boolean", int: "Integer", float: "Float", str: "Text"}


def tool_name(record: Record) -> str:
    """Return the command of a job without options, such as ``wilsonvox plot linearity``."""
    words = [word for word in record.command[:3] if not word.startswith("-")]
    return " ".join(words if words[1:2] in (["plot"], ["global-fit"]) else words[:2])


def tool_id(record: Record) -> str:
    """Return the identifier of a job's tool."""
    return "#" + tool_name(record).replace(" ", "-")


@dataclass(frozen=True)
class Value:
    """A setting of a tool."""

    tool: str
    name: str
    value: Any

    @property
    def text(self) -> str:
        """The value as JSON, for lists and mappings."""
        return json.dumps(self.value, sort_keys=True, ensure_ascii=False)

    @property
    def parameter(self) -> str:
        """Identifier of the parameter with this value."""
        return f"{self.tool}/{self.name}"

    @property
    def identifier(self) -> str:
        """Identifier of the value, the same for equal values."""
        return f"{self.parameter}/{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"

    @property
    def entity(self) -> Entity:
        """The value as a JSON-LD entity."""
        plain = isinstance(self.value, str | int | float)
        return {
            "@id": self.identifier,
            "@type": "PropertyValue",
            "name": self.name,
            "value": self.value if plain else self.text,
            "exampleOfWork": {"@id": self.parameter},
        }


def values_of(record: Record) -> list[Value]:
    """Return the settings of a job that are not null."""
    settings = record.settings | ({} if record.seed is None else {"seed": record.seed})
    tool = tool_id(record)
    return [Value(tool, name, value) for name, value in settings.items() if value is not None]


def file_options(record: Record) -> dict[str, str]:
    """Return the parameters of the tool for files, by the recorded paths of the files."""
    options: dict[str, str] = {}
    for option, word in pairwise(record.command):
        if option.startswith("--") and not word.startswith("--"):
            parameter = f"{tool_id(record)}/{option}"
            options[posixpath.relpath(word, record.run)] = parameter
            options[word] = parameter
    return options


def parameter_entity(identifier: str, kind: str) -> Entity:
    """Return the entity of a parameter of type `kind`: File, or the type of its values."""
    return {
        "@id": identifier,
        "@type": "FormalParameter",
        "additionalType": kind,
        "name": identifier.rpartition("/")[2],
        "conformsTo": {"@id": _FORMAL_PARAMETER},
    }


def kind_of(values: Iterable[Value]) -> str:
    """Return the common type of the values of a parameter."""
    kinds = {_TYPES.get(type(value.value), "Text") for value in values}
    return kinds.pop() if len(kinds) == 1 else "Number" if kinds <= {"Integer", "Float"} else "Text"


def packages_of(record: Record) -> dict[str, Entity]:
    """Return the entities of the packages of a job by identifier, without this package."""
    entities = {}
    for name, version in record.packages.items():
        if name == "wilsonvox":
            continue
        url = f"https://pypi.org/project/{name}/{version}/"
        if name == "python":
            url = f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/"
        entities[url] = package_entity(url, name, version)
    return entities


def package_entity(url: str, name: str, version: str) -> Entity:
    """Return the entity of a package or program with its download page."""
    return {
        "@id": url,
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": version,
        "url": {"@id": url},
    }
