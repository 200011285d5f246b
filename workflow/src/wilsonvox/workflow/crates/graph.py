"""Build the RO-Crate of a run with the library `rocrate`."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.provenance.environment import checkout, installed_version, lock_file
from wilsonvox.provenance.recording import git_state
from wilsonvox.workflow.crates import contents
from wilsonvox.workflow.crates.entities import (
    WORKFLOW_RUN,
    RunEntities,
    encoding,
    file_time,
    references,
)
from wilsonvox.workflow.crates.history import RunHistory
from wilsonvox.workflow.crates.tools import Entity, package_entity

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}

_RO_CRATE = "1.1"  # the version that the profiles are made for
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_LICENCE = "https://spdx.org/licenses/BSD-3-Clause"
_WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_REQUIREMENTS_FORMAT = "https://pip.pypa.io/en/stable/reference/requirements-file-format/"


def _add(crate: "ROCrate", entities: Iterable[Entity]) -> None:
    for entity in entities:
        crate.add_jsonld(dict(entity))


def _add_text(crate: "ROCrate", path: str, text: str, **properties: Any) -> None:
    data = text.encode()
    digests = {"contentSize": str(len(data)), "sha256": hashlib.sha256(data).hexdigest()}
    crate.add_file(
        io.BytesIO(data),
        path,
        properties={"name": path, "encodingFormat": encoding(path)} | digests | properties,
    )


def _add_copy(crate: "ROCrate", source: Path, path: str, **properties: Any) -> None:
    digests = {
        "contentSize": str(source.stat().st_size),
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    crate.add_file(
        source,
        path,
        properties={"name": Path(path).name, "encodingFormat": encoding(path)}
        | digests
        | properties,
    )


def _code_version() -> str:
    """Return the version of the packed code, with the commit as PEP 440 local version."""
    commit, dirty = git_state()
    version = installed_version("wilsonvox") or "0"
    return version + (f"+g{commit[:12]}{'.dirty' if dirty else ''}" if commit else "")


def _add_workflow(
    crate: "ROCrate",
    sources: Mapping[str, Path],
    run: RunEntities,
    command_descriptions: Mapping[str, str],
) -> None:
    """Add the workflow as main entity, with its tools and steps, and the rest of the code."""
    steps, tools = run.steps(), run.tools(command_descriptions)
    programs = [each["@id"] for each in tools if each["@type"] == "SoftwareApplication"]
    main = sources[contents.MAIN_WORKFLOW]
    properties = {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "wilsonvox",
        "description": "From B0 → K*0 μ+ μ− decays to a measured Wilson-coefficient shift",
        "encodingFormat": "text/plain",
        "contentSize": str(main.stat().st_size),
        "sha256": hashlib.sha256(main.read_bytes()).hexdigest(),
        "version": _code_version(),
        "url": {"@id": contents.MAIN_WORKFLOW},
        "license": {"@id": _LICENCE},
        "conformsTo": {"@id": _WORKFLOW_PROFILE},
        "hasPart": references(programs),
        "step": references(each["@id"] for each in steps),
    }
    lock = lock_file()
    locked = lock.relative_to(checkout()).as_posix() if lock else ""
    if locked in sources:
        crate.metadata.extra_terms["buildInstructions"] = (
            "https://codemeta.github.io/terms/buildInstructions"
        )
        properties["buildInstructions"] = {"@id": quote(locked)}
        _add(
            crate,
            [
                {
                    "@id": _REQUIREMENTS_FORMAT,
                    "@type": "CreativeWork",
                    "name": "Requirements file of pip, with hashes",
                }
            ],
        )
    crate.add_workflow(
        main,
        contents.MAIN_WORKFLOW,
        main=True,
        lang="snakemake",
        lang_version=installed_version("snakemake"),
        properties=properties,
    )
    _add(crate, [*steps, *tools, *run.packages()])
    for path, source in sources.items():
        if path != contents.MAIN_WORKFLOW:
            extra = {"conformsTo": {"@id": _REQUIREMENTS_FORMAT}} if path == locked else {}
            _add_copy(crate, source, path, **extra)


def _add_run(
    crate: "ROCrate", run: RunEntities, inputs: Iterable[str], results: Iterable[str]
) -> None:
    """Add the actions of the engine, the workflow, its steps and its jobs."""
    actions = run.actions()
    workflow_run: Entity = {
        "@id": WORKFLOW_RUN,
        "@type": "CreateAction",
        "name": f"Run {run.folder}",
        "description": f"All jobs that led to the results in {run.folder}",
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "endTime": file_time(run.history.files.values()),
        "instrument": {"@id": contents.MAIN_WORKFLOW},
        "object": references(inputs),
        "result": references(results),
    }
    version = installed_version("snakemake") or "unknown"
    engine = f"https://pypi.org/project/snakemake/{version}/"
    organize = {
        "@id": "#engine-run",
        "@type": "OrganizeAction",
        "name": f"Run of Snakemake {version}",
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "instrument": {"@id": engine},
        "object": references(each["@id"] for each in actions if each["@type"] == "ControlAction"),
        "result": {"@id": WORKFLOW_RUN},
    }
    _add(crate, [package_entity(engine, "snakemake", version), organize, workflow_run, *actions])
    crate.root_dataset["mentions"] = [
        {"@id": each["@id"]} for each in (organize, workflow_run, *actions)
    ]


def make_crate(
    configuration: RunConfiguration,
    samples: Mapping[str, SampleRow],
    history: RunHistory,
    results: Mapping[str, list[str]],
    report: Path | None,
    largest_bytes: int,
    command_descriptions: Mapping[str, str],
) -> "ROCrate":
    """Build the crate of a run without writing it.

    Raises:
        UserError: the package is not installed from a checkout, or its code has changed.
    """
    from rocrate.rocrate import ROCrate

    contents.check_code(history)
    sources = contents.source_files()
    packed = frozenset(
        key for key, file in history.files.items() if contents.is_packed(file, largest_bytes)
    )
    run = RunEntities(history, f"results/{configuration.run}", packed, frozenset(sources))

    crate = ROCrate(version=_RO_CRATE)
    crate.metadata.extra_contexts.append(_TERMS)
    crate.name = f"Run {configuration.run} of wilsonvox"
    crate.description = (
        f"{contents.subject(configuration)}: figures, tables, measurements, trained models, fits, "
        "code and the record of every job of a run"
    )
    crate.license = {"@id": _LICENCE}
    # the time of the last result, so that packing again gives the same crate
    crate.datePublished = file_time(history.files.values())
    crate.root_dataset["conformsTo"] = [{"@id": each} for each in PROFILES]
    licence = {
        "@id": _LICENCE,
        "@type": "CreativeWork",
        "name": "BSD 3-Clause",
        "description": "Licence of the workflow and, unless stated otherwise, of its results; its "
        "text is in LICENSE",
    }
    profiles = [
        {
            "@id": each,
            "@type": "CreativeWork",
            "name": name,
            "version": each.rpartition("/")[2],
        }
        for each, name in PROFILES.items()
    ]
    _add(crate, [licence, *profiles])

    _add_workflow(crate, sources, run, command_descriptions)
    external = [key for key in history.files if key not in history.made]
    records = {
        path: file.record.model_dump(mode="json")
        for path, file in history.files.items()
        if file.record is not None
    }
    _add_text(
        crate,
        contents.README,
        contents.readme_text(
            configuration, [history.files[key] for key in external], report is not None
        ),
        about={"@id": "./"},
    )
    _add_text(
        crate,
        contents.CONFIGURATION,
        contents.configuration_text(configuration),
        description="The validated configuration of the run, with all defaults",
    )
    _add_text(
        crate,
        contents.RECORDS,
        json.dumps(records, indent=1, sort_keys=True) + "\n",
        description="The provenance record of each file of the run, by its path in the run",
    )
    inputs = [contents.CONFIGURATION]
    if configuration.reads_samples:
        _add_text(
            crate,
            contents.SAMPLES,
            contents.samples_text(samples),
            description="The external files measured by the run",
        )
        inputs.append(contents.SAMPLES)
    if report is not None:
        _add_copy(crate, report, contents.REPORT, description="All figures, settings and runtimes")
    for key in sorted(packed):
        contents.check_content(history.files[key])
        properties = run.file(key)
        crate.add_file(
            history.files[key].source,
            f"{run.folder}/{history.files[key].path}",
            properties={name: each for name, each in properties.items() if name != "@id"},
        )
    _add(crate, run.referenced_files())
    _add_run(
        crate,
        run,
        inputs=[*inputs, *map(run.file_id, external)],
        results=[run.file_id(key) for kind in sorted(results) for key in results[kind]],
    )
    return crate
