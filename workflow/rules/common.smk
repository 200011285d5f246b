# The validated configuration, and the table of stages in the form that rules use.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from wilsonvox.core.errors import UserError
from wilsonvox.stages import targets
from wilsonvox.stages.table import STAGES
from wilsonvox.workflow.job_digest import JobDigests
from wilsonvox.workflow.rules import (
    Rules,
    load_run,
    one_of,
    resources,
    result,
    results,
    side_file,
    threads,
)

# the `wilsonvox` of this Snakemake, also where .venv/bin is not in PATH
BIN = str(Path(sys.executable).parent)
shell.prefix("set -euo pipefail; export PATH={BIN:q}:$PATH; ")

try:
    RUN = load_run(
        config, ", ".join(map(str, workflow.configfiles)), workflow.is_main_process
    )
except UserError as error:
    raise WorkflowError(str(error)) from None

CONFIG, SAMPLES = RUN.configuration, RUN.samples

# captions and the report's first page show values that were left to their defaults, too
config.update(CONFIG.model_dump(mode="json"))

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


def run_folder(wildcards):
    """Folder of the run."""
    return RUN.folder


def report_folder(wildcards, output):
    """Folder of the pages of the report."""
    return str(Path(output.configuration).parent)


def report_pages():
    """HTML pages of the report, with their captions."""
    return {
        name: report(
            ensure(result(f"report/{name}.html"), non_empty=True),
            caption=f"../report/{name}.rst",
            category=category,
            labels={"table": table},
        )
        for name, category, table in targets.report_pages(RUN)
    }
