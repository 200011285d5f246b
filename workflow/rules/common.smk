# The validated configuration, and the table of stages in the form that rules use.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from wilsonvox.config.global_fit import check_global_fit
from wilsonvox.config.reading import parse_configuration
from wilsonvox.config.samples import measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.provenance.code import all_imports
from wilsonvox.provenance.environment import checkout, environment_problem
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES
from wilsonvox.workflow.crates.contents import sources_digest
from wilsonvox.workflow.job_digest import JobDigests
from wilsonvox.workflow.rules import (
    Rules,
    one_of,
    resources,
    result,
    results,
    side_file,
    threads,
)
from wilsonvox.workflow.started import note_or_compare

# the `wilsonvox` of this Snakemake, also where .venv/bin is not in PATH
BIN = str(Path(sys.executable).parent)
shell.prefix("set -euo pipefail; export PATH={BIN:q}:$PATH; ")

try:
    CONFIG = parse_configuration(config, ", ".join(map(str, workflow.configfiles)))
    SAMPLES = measured_samples(CONFIG)
    check_global_fit(CONFIG.global_fit)
except UserError as error:
    raise WorkflowError(str(error)) from None

# a job on another node reads code and configuration again: they must be what the user started
changed = note_or_compare(CONFIG, SAMPLES, workflow.is_main_process)
if changed:
    raise WorkflowError(f"wilsonvox: {changed}")

# captions and the report's first page show values that were left to their defaults, too
config.update(CONFIG.model_dump(mode="json"))

RUN = Run(CONFIG, SAMPLES)
RULES = Rules(RUN, JobDigests(RUN))


def outputs(stage):
    """Outputs of a stage, which must not be empty, by name."""
    entry = STAGES[stage]
    is_temporary = entry.temporary is not None and entry.temporary(RUN)
    files = {
        name: ensure(result(path), non_empty=True)
        for name, path in entry.outputs.items()
    }
    return {name: temp(file) if is_temporary else file for name, file in files.items()}


def figure_outputs(stage):
    """PDF and PNG of a figure, the PNG with its place in the report."""
    files, place = outputs(stage), STAGES[stage].report
    caption, columns = f"../report/{place.caption}.rst", dict(place.labels)
    where = {"category": place.category, "subcategory": place.subcategory or None}
    return files | {
        "png": report(files["png"], caption=caption, labels=columns, **where)
    }


def target(name):
    """Function that gives the files of one of the workflow's targets."""

    def files(wildcards):
        try:
            return results(getattr(targets, name)(RUN))
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return files


def reported_files(wildcards):
    """Results that report and crate include."""
    return results(targets.reported_files(RUN, Path(RUN.folder)))
