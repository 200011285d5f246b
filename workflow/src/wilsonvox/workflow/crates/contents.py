"""Contents of the crate of a run: results, configuration, and code."""

import csv
import hashlib
import io
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.core.errors import UserError
from wilsonvox.estimators import PREPARED_FILE
from wilsonvox.provenance.code import own_digest
from wilsonvox.provenance.environment import checkout
from wilsonvox.provenance.recording import architectures_of
from wilsonvox.records.digests import content_digest
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES
from wilsonvox.workflow.crates.history import RunFile, RunHistory

MAIN_WORKFLOW = "workflow/Snakefile"
CONFIGURATION = "configuration.yaml"
SAMPLES = "samples.tsv"
RECORDS = "records.json"
README = "README.md"
REPORT = "report.html"

_SOURCES = (
    "Snakefile",
    "Makefile",
    "pyproject.toml",
    "LICENSE",
    "CITATION.cff",
    "envs/*",
    "plugins/*/LICENSE",
    "plugins/*/README.md",
    "plugins/*/pyproject.toml",
    "plugins/*/src/**/*",
    "profiles/local/*",
    "workflow/Snakefile",
    "workflow/rules/*",
    "workflow/report/*",
    "workflow/schemas/*",
    "workflow/src/wilsonvox/**/*",
)
"""Patterns of the files needed to run the workflow, relative to the checkout."""

_BULKY = (".root", ".npz")
"""Suffixes of events, images and arrays, which are not packed, except `_SMALL`."""

_SMALL = (PREPARED_FILE, "predictions.npz")
"""Names of packed array files: prepared estimators and tables of predicted observables."""


def result_files(
    run: Path, configuration: RunConfiguration, samples: Mapping[str, SampleRow]
) -> dict[str, list[str]]:
    """Return the paths of the results of a configuration by kind, relative to the run folder.

    Raises:
        UserError: the run does not exist or is not finished.
    """
    if not run.is_dir():
        raise UserError(f"{run}: no such run; expected a folder such as results/demo")
    made = Run(configuration, samples)
    models = targets.model_files(made) if configuration.has_images else []
    found = {"models": models, **targets.results_by_kind(made, run)}
    for path in (path for paths in found.values() for path in paths):
        if not (run / path).is_file():
            raise UserError(f"{run} is not finished: there is no {path}; run the workflow first")
    return found


def is_packed(file: RunFile, largest_bytes: int) -> bool:
    """Return True if a file is packed, False if it is only described by its digest."""
    if file.source is None:
        return False
    if file.source.suffix in _BULKY and file.source.name not in _SMALL:
        return False
    return file.source.stat().st_size <= largest_bytes


def check_content(file: RunFile) -> None:
    """Check that the content of a file agrees with its record.

    Raises:
        UserError: the file is damaged or was changed after it was made.
    """
    if file.source is None:
        return
    try:
        digest = content_digest(file.source)
    # each format raises its own errors for damaged files
    except Exception as error:
        raise UserError(f"{file.source}: damaged: {error}; delete it and run again") from error
    if digest != file.digest:
        raise UserError(
            f"{file.source}: its content differs from its record; delete it and run again"
        )


def check_code(history: RunHistory) -> None:
    """Check that the code to be packed is the code that made the results.

    Comments and docstrings may differ, as may the code of stages without jobs in this run.

    Raises:
        UserError: the code of a stage has changed.
    """
    for job in history.jobs:
        record = job.record
        known = record.rule in STAGES
        if not known or record.code_digest != own_digest(record.rule, architectures_of(record)):
            commit = f"check out commit {record.git_commit} or " if record.git_commit else ""
            raise UserError(
                f"{record.output}: the code of {record.rule} has changed since it was made; "
                f"{commit}run the workflow again"
            )


def source_files() -> dict[str, Path]:
    """Return the files of the checkout needed to run the workflow, by their path in it.

    Raises:
        UserError: the package is not installed from a checkout.
    """
    root = checkout()
    if not (root / MAIN_WORKFLOW).is_file():
        raise UserError(f"no {MAIN_WORKFLOW} found: install the package from a checkout")
    found = {
        path.relative_to(root).as_posix(): path
        for pattern in _SOURCES
        for path in root.glob(pattern)
        # hidden files are unfinished (wilsonvox.core.files) or belong to an editor
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    return dict(sorted(found.items()))


def sources_digest() -> str:
    """Return the SHA-256 (hexadecimal) over the files of the checkout that go into a crate.

    Raises:
        UserError: the package is not installed from a checkout.
    """
    total = hashlib.sha256()
    for path, source in source_files().items():
        total.update(f"{path} {content_digest(source)}\n".encode())
    return total.hexdigest()


def configuration_text(configuration: RunConfiguration) -> str:
    """Return the validated configuration with all defaults, as YAML for `--configfile`.

    If the run reads a table of samples, the path is that of the table in the crate.
    """
    import yaml

    values = configuration.model_dump(mode="json")
    if configuration.reads_samples:
        values["samples_table"] = SAMPLES
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def samples_text(samples: Mapping[str, SampleRow]) -> str:
    """Return the table of measured samples, with absolute paths cut to names."""
    table = io.StringIO()
    writer = csv.DictWriter(
        table, list(SampleRow.model_fields), delimiter="\t", lineterminator="\n"
    )
    writer.writeheader()
    for row in samples.values():
        writer.writerow(row.model_dump() | {"path": row.portable_path()})
    return table.getvalue()


def subject(configuration: RunConfiguration) -> str:
    """Return the subject of the run in one phrase."""
    if configuration.has_images:
        return "From B0 → K*0 μ+ μ− decays to a measured Wilson-coefficient shift"
    return "The shifts δC9 and δC10 of Wilson coefficients, fitted to binned observables"


def readme_text(configuration: RunConfiguration, external: Iterable[RunFile], report: bool) -> str:
    """Return the README of the crate: its contents, and how to run the workflow again.

    Args:
        configuration: configuration of the run.
        external: files that the run read but did not make.
        report: True if the report of the run is in the crate.
    """
    run = configuration.run
    values = (
        f"`{CONFIGURATION}`, `{SAMPLES}`" if configuration.reads_samples else f"`{CONFIGURATION}`"
    )
    lines = [
        f"# Run {run} of wilsonvox",
        "",
        f"{subject(configuration)}: an RO-Crate of the",
        "profile Provenance Run Crate 0.5.",
        "",
        f"- `results/{run}/`: figures, tables, measurements and estimators of the run, or its fits",
        *([f"- `{REPORT}`: figures, captions, settings and runtimes on one page"] * report),
        f"- {values}: all settings of the run",
        f"- `{RECORDS}`: the provenance record of every file of the run, packed or not",
        "- `workflow/`, `envs/` and the rest: the code and its locked environment",
        "- `ro-crate-metadata.json`: files, jobs, parameters and packages for machines; events and",
        "  images, too large to pack, are listed there with the digests of their content",
        "",
        "## To run it again",
        "",
    ]
    needed = []
    for file in external:
        path = posixpath.normpath(f"results/{run}/{file.path}") if "/" in file.path else file.path
        kind = "SHA-256" if file.of_bytes else "SHA-256 of its content"
        needed.append(f"- `{path}`, {kind} `{file.digest}`")
    if needed:
        expecting = SAMPLES if configuration.reads_samples else CONFIGURATION
        lines += [
            f"Put these files where `{expecting}` expects them:",
            "",
            *needed,
            "",
            "Then:",
            "",
        ]
    return "\n".join(
        [
            *lines,
            "    make setup",
            "    .venv/bin/snakemake --profile profiles/local \\",
            f"        --configfile {CONFIGURATION} --forceall run_crate",
            "",
        ]
    )
