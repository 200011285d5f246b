"""What goes into the crate of a run: its results, its configuration, and the code behind it."""

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
"""Patterns of the files that run the workflow again, relative to the checkout."""

_BULKY = (".root", ".npz")
"""Events, images and arrays: described by digest, not packed, but for `_SMALL`."""

_SMALL = (PREPARED_FILE, "predictions.npz")
"""Names of arrays that are packed: prepared estimators, tables of predicted observables."""


def result_files(
    run: Path, configuration: RunConfiguration, samples: Mapping[str, SampleRow]
) -> dict[str, list[str]]:
    """Paths of a run's results, relative to its folder, by kind: those of its configuration only.

    Raises:
        UserError: there is no such run, or it is not finished.
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
    """Whether a file of the run goes into the crate, or is described by its digest only."""
    if file.source is None:
        return False
    if file.source.suffix in _BULKY and file.source.name not in _SMALL:
        return False
    return file.source.stat().st_size <= largest_bytes


def check_content(file: RunFile) -> None:
    """Compare a file with the digest in its record.

    Raises:
        UserError: it is damaged, or was changed after it was made.
    """
    if file.source is None:
        return
    try:
        digest = content_digest(file.source)
    # every format has errors of its own for damaged files
    except Exception as error:
        raise UserError(f"{file.source}: damaged: {error}; delete it and run again") from error
    if digest != file.digest:
        raise UserError(
            f"{file.source}: its content is not that of its record; delete it and run again"
        )


def check_code(history: RunHistory) -> None:
    """Make sure that the code to be packed is the code that made the results.

    Comments and docstrings may differ, and so may the code of commands that made nothing here.

    Raises:
        UserError: a stage has other code now.
    """
    for job in history.jobs:
        record = job.record
        known = record.rule in STAGES
        if not known or record.code_digest != own_digest(record.rule, architectures_of(record)):
            commit = f"check out commit {record.git_commit} or " if record.git_commit else ""
            raise UserError(
                f"{record.output}: was made by other code of {record.rule} than is here now; "
                f"{commit}run the workflow again"
            )


def source_files() -> dict[str, Path]:
    """Files of the checkout that run the workflow again, by their path in it.

    Raises:
        UserError: the package is not installed from a checkout.
    """
    root = checkout()
    if not (root / MAIN_WORKFLOW).is_file():
        raise UserError(f"no {MAIN_WORKFLOW} beside the package: install it from a checkout")
    found = {
        path.relative_to(root).as_posix(): path
        for pattern in _SOURCES
        for path in root.glob(pattern)
        # hidden ones are unfinished (wilsonvox.core.files) or an editor's
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    return dict(sorted(found.items()))


def sources_digest() -> str:
    """SHA-256 (hexadecimal) over the files of the checkout that go into a crate.

    Raises:
        UserError: the package is not installed from a checkout.
    """
    total = hashlib.sha256()
    for path, source in source_files().items():
        total.update(f"{path} {content_digest(source)}\n".encode())
    return total.hexdigest()


def configuration_text(configuration: RunConfiguration) -> str:
    """The validated configuration as YAML, every default spelt out, for `--configfile`.

    The table of samples, where one is read, is the one in the crate.
    """
    import yaml

    values = configuration.model_dump(mode="json")
    if configuration.reads_samples:
        values["samples_table"] = SAMPLES
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def samples_text(samples: Mapping[str, SampleRow]) -> str:
    """The table of measured samples; absolute paths, which would tell a host, cut to names."""
    table = io.StringIO()
    writer = csv.DictWriter(
        table, list(SampleRow.model_fields), delimiter="\t", lineterminator="\n"
    )
    writer.writeheader()
    for row in samples.values():
        writer.writerow(row.model_dump() | {"path": row.portable_path()})
    return table.getvalue()


def subject(configuration: RunConfiguration) -> str:
    """What the run is about, in a few words."""
    if configuration.has_images:
        return "From B0 → K*0 μ+ μ− decays to a measured Wilson-coefficient shift"
    return "The shifts δC9 and δC10 of Wilson coefficients, fitted to binned observables"


def readme_text(configuration: RunConfiguration, external: Iterable[RunFile], report: bool) -> str:
    """What is in the crate and how to run it again.

    Args:
        configuration: of the run.
        external: files that the run read and did not make.
        report: whether the run's report is in the crate.
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
        f"- {values}: every value that the run was made with",
        f"- `{RECORDS}`: of every file of the run, packed or not, how it was made",
        "- `workflow/`, `envs/` and the rest: the code and its locked environment",
        "- `ro-crate-metadata.json`: files, jobs, parameters and packages for machines; events and",
        "  images, too large to pack, stand there with the digests of their content",
        "",
        "## To run it again",
        "",
    ]
    needed = []
    for each in external:
        path = posixpath.normpath(f"results/{run}/{each.path}") if "/" in each.path else each.path
        kind = "SHA-256" if each.of_bytes else "SHA-256 of its content"
        needed.append(f"- `{path}`, {kind} `{each.digest}`")
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
