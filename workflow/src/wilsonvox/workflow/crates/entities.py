"""Make the entities of a Provenance Run Crate: files, tools, steps, parameters and jobs.

The entities are JSON-LD. Identifiers consist of names and digests, and times are those of the
files, so that packing a run twice gives the same metadata.
"""

import hashlib
import posixpath
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from wilsonvox.workflow.crates.history import Job, RunFile, RunHistory
from wilsonvox.workflow.crates.tools import (
    Entity,
    Value,
    file_options,
    kind_of,
    packages_of,
    parameter_entity,
    tool_id,
    tool_name,
    values_of,
)

WORKFLOW_RUN = "#workflow-run"
_COMPLETED = "http://schema.org/CompletedActionStatus"
_IDENTIFIER = (
    "The identifier is the SHA-256 of its content (arrays, tables, pixels, weights), not of its "
    "bytes."
)

ENCODINGS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".jinja2": "text/html",
    ".json": "application/json",
    ".keras": "application/zip",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".root": "application/x-root",
    ".rst": "text/x-rst",
    ".sh": "application/x-sh",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
}


def encoding(path: str | Path) -> str:
    """Return the media type of a file by its suffix, or plain text for an unknown suffix.

    >>> encoding("figures/topology.pdf"), encoding("Makefile")
    ('application/pdf', 'text/plain')
    """
    return ENCODINGS.get(PurePosixPath(path).suffix, "text/plain")


def references(identifiers: Iterable[str]) -> Entity | list[Entity]:
    """Return unique references to entities; a single one is not a list, as RO-Crate 1.1 asks."""
    entities = [{"@id": identifier} for identifier in dict.fromkeys(identifiers)]
    return entities[0] if len(entities) == 1 else entities


def _with_references(entity: Entity, **properties: Iterable[str]) -> Entity:
    """Return `entity` with references to others, omitting empty properties."""
    named = {name: list(identifiers) for name, identifiers in properties.items()}
    return entity | {name: references(values) for name, values in named.items() if values}


def step_id(rule: str) -> str:
    """Return the identifier of a rule as a step of the workflow."""
    return f"#step-{rule}"


def file_time(files: Iterable[RunFile]) -> str | None:
    """Return the latest modification time of `files` (UTC, ISO 8601); None if none exists."""
    times = [file.source.stat().st_mtime for file in files if file.source is not None]
    return datetime.fromtimestamp(int(max(times)), UTC).isoformat() if times else None


class RunEntities:
    """Entities of one run.

    Args:
        history: jobs and files of the run.
        folder: folder of the run in the crate, such as results/demo.
        packed: keys of the packed files.
        sources: paths of the code in the crate.
    """

    def __init__(
        self, history: RunHistory, folder: str, packed: frozenset[str], sources: frozenset[str]
    ) -> None:
        self.history = history
        self.folder = folder
        self.packed = packed
        self.sources = sources

    def file_id(self, key: str) -> str:
        """Return the identifier of a file: its path in the crate, or a local name if not packed."""
        file = self.history.files[key]
        if key != file.path and "/" not in file.path:
            return "#" + quote(f"inputs/{file.digest[:12]}/{file.path}")
        path = quote(posixpath.normpath(f"{self.folder}/{file.path}"))
        return path if key in self.packed else f"#{path}"

    @cached_property
    def _examples(self) -> dict[str, list[str]]:
        """Return the command-line parameters by key of the file that was given for them."""
        examples: dict[str, list[str]] = {}
        for job in self.history.jobs:
            options = file_options(job.record)
            for key in (*job.inputs, *job.outputs):
                parameter = options.get(self.history.files[key].path)
                if parameter:
                    examples.setdefault(key, []).append(parameter)
        return examples

    def file(self, key: str) -> Entity:
        """Return the entity of a file, with the digest of its bytes or of its content."""
        file = self.history.files[key]
        entity: Entity = {
            "@id": self.file_id(key),
            "@type": "File",
            "name": PurePosixPath(file.path).name,
            "encodingFormat": encoding(file.path),
        }
        if file.source is not None:
            entity["contentSize"] = str(file.source.stat().st_size)
        if key in self.packed and file.source is not None:
            entity["sha256"] = hashlib.sha256(file.source.read_bytes()).hexdigest()
        remarks = []
        if key not in self.packed:
            entity["alternateName"] = posixpath.normpath(f"{self.folder}/{file.path}")
            gone = key in self.history.made and file.source is None
            remarks.append(f"Not in this crate{', deleted after its use' * gone}.")
        if file.of_bytes:
            entity["sha256"] = file.digest
        else:
            entity["identifier"] = f"content-sha256:{file.digest}"
            remarks.append(_IDENTIFIER)
        if remarks:
            entity["description"] = " ".join(remarks)
        return _with_references(entity, exampleOfWork=self._examples.get(key, []))

    def referenced_files(self) -> list[Entity]:
        """Return the entities of the files that are not packed."""
        return [self.file(key) for key in self.history.files if key not in self.packed]

    @cached_property
    def _by_tool(self) -> dict[str, list[Job]]:
        tools: dict[str, list[Job]] = {}
        for job in self.history.jobs:
            tools.setdefault(tool_id(job.record), []).append(job)
        return dict(sorted(tools.items()))

    def _parameters_of(self, jobs: Iterable[Job], side: str) -> list[str]:
        """Return the parameters of a tool for the files that its jobs read or wrote."""
        return sorted(
            {
                parameter
                for job in jobs
                for key in (job.inputs if side == "input" else job.outputs)
                if (parameter := file_options(job.record).get(self.history.files[key].path))
            }
        )

    def tools(self, descriptions: Mapping[str, str]) -> list[Entity]:
        """Return the entities of all subcommands, of their parameters and of the values.

        Args:
            descriptions: descriptions of the subcommands, by name.
        """
        entities: list[Entity] = []
        for identifier, jobs in self._by_tool.items():
            record = jobs[0].record
            values = {each.identifier: each for job in jobs for each in values_of(job.record)}
            by_parameter: dict[str, list[Value]] = {}
            for each in values.values():
                by_parameter.setdefault(each.parameter, []).append(each)
            reads, writes = (self._parameters_of(jobs, side) for side in ("input", "output"))
            module = record.command[1].replace("-", "_")
            place = f"workflow/src/wilsonvox/cli/{module}"
            sources = [
                path for path in (f"{place}.py", f"{place}/__init__.py") if path in self.sources
            ]
            entity = {
                "@id": identifier,
                "@type": "SoftwareApplication",
                "name": tool_name(record),
                "description": descriptions.get(record.command[1], ""),
                "softwareVersion": record.packages.get("wilsonvox", "unknown"),
            }
            entities.append(
                _with_references(
                    entity,
                    input=[*reads, *sorted(by_parameter)],
                    output=writes,
                    url=sources,
                    softwareRequirements=sorted(
                        {each for job in jobs for each in packages_of(job.record)}
                    ),
                )
            )
            entities += [parameter_entity(each, "File") for each in sorted({*reads, *writes})]
            entities += [
                parameter_entity(each, kind_of(by_parameter[each])) for each in sorted(by_parameter)
            ]
            entities += [values[each].entity for each in sorted(values)]
        return entities

    def packages(self) -> list[Entity]:
        """Return the entities of Python and of the packages imported by the jobs."""
        entities: dict[str, Entity] = {}
        for job in self.history.jobs:
            entities |= packages_of(job.record)
        return [entities[identifier] for identifier in sorted(entities)]

    def steps(self) -> list[Entity]:
        """Return one step per rule, in topological order."""
        sorter: TopologicalSorter[str] = TopologicalSorter()
        rules = {path: job.record.rule for job in self.history.jobs for path in job.outputs}
        tools: dict[str, list[str]] = {}
        for job in self.history.jobs:
            rule = job.record.rule
            tools.setdefault(rule, []).append(tool_id(job.record))
            before = {rules[path] for path in job.inputs if path in rules} - {rule}
            sorter.add(rule, *sorted(before))
        return [
            _with_references(
                {
                    "@id": step_id(rule),
                    "@type": "HowToStep",
                    "name": rule,
                    "position": str(position),
                },
                workExample=tools[rule],
            )
            for position, rule in enumerate(sorter.static_order())
        ]

    def actions(self) -> list[Entity]:
        """Return one action per job, and one per step that lists its jobs."""
        entities: list[Entity] = []
        by_rule: dict[str, list[str]] = {}
        for job in self.history.jobs:
            identifier = f"#job-{job.key}"
            by_rule.setdefault(job.record.rule, []).append(identifier)
            entity: Entity = {
                "@id": identifier,
                "@type": "CreateAction",
                "name": f"{job.record.rule}: {job.record.output}",
                "description": shlex.join(job.record.command),
                "actionStatus": _COMPLETED,
                "instrument": {"@id": tool_id(job.record)},
            }
            time = file_time(self.history.files[key] for key in job.outputs)
            if time is not None:
                entity["endTime"] = time
            inputs = [self.file_id(key) for key in job.inputs]
            values = [each.identifier for each in values_of(job.record)]
            results = [self.file_id(key) for key in job.outputs]
            entities.append(_with_references(entity, object=[*inputs, *values], result=results))
        for rule, jobs in by_rule.items():
            control = {
                "@id": f"#control-{rule}",
                "@type": "ControlAction",
                "name": f"Jobs of {rule}",
                "actionStatus": _COMPLETED,
                "instrument": {"@id": step_id(rule)},
            }
            entities.append(_with_references(control, object=jobs))
        return entities
