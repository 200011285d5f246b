"""`wilsonvox status`: show which jobs would run, and why."""

import json
import shutil
import sys
from pathlib import Path

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _given(entries: tuple[str, ...]) -> dict[str, object]:
    """Parse the values of --config as Snakemake does.

    Raises:
        UserError: an entry is not KEY=VALUE.
    """
    from snakemake.cli import parse_config

    from wilsonvox.core.errors import UserError

    try:
        return dict(parse_config(entries))
    except Exception as error:
        raise UserError(f"--config {' '.join(entries)}: expected KEY=VALUE ({error})") from error


def _snakemake() -> str:
    """Return the command that starts Snakemake from the working folder."""
    executable = Path(sys.executable).with_name("snakemake")
    if shutil.which("snakemake") or not executable.is_relative_to(Path.cwd()):
        return "snakemake"
    return str(executable.relative_to(Path.cwd()))


@click.command("status")
@click.option(
    "--configfile",
    "configfiles",
    multiple=True,
    type=FILE,
    help="Configuration of the run.  [default: config/demo.yaml]",
)
@click.option(
    "--config",
    "values",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value of the configuration; repeatable.",
)
@click.option(
    "--profile",
    type=FOLDER,
    default=Path("profiles/local"),
    show_default=True,
    help="Snakemake profile.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME",
    help="Rule or file to make, such as scan; repeatable.  [default: all]",
)
@click.option("--full", is_flag=True, help="Read every file again, ignoring the cache.")
@click.option("--json", "as_json", is_flag=True, help="Print the state of every job as JSON.")
def command(
    configfiles: tuple[Path, ...],
    values: tuple[str, ...],
    profile: Path,
    targets: tuple[str, ...],
    full: bool,
    as_json: bool,
) -> None:
    """Show which jobs the workflow would run, and why.

    Compares the plan of Snakemake with the outputs: their content, and the settings, code and
    inputs in their records. Prints the commands that correct the plan where Snakemake would miss a
    job or run one needlessly. Changes no file.
    """
    from wilsonvox.core.errors import UserError
    from wilsonvox.provenance.code import all_imports
    from wilsonvox.provenance.digest_cache import DigestCache, default_cache_file
    from wilsonvox.provenance.environment import environment_problem
    from wilsonvox.records.record import run_folder
    from wilsonvox.workflow.status.engine import checksum_size, planned_jobs
    from wilsonvox.workflow.status.report import Status, lines
    from wilsonvox.workflow.status.staleness import classify_jobs

    snakefile = Path("Snakefile")
    if not snakefile.is_file():
        raise UserError(
            "no Snakefile in this folder; run the command in the folder of the checkout"
        )
    given = _given(values)
    jobs = planned_jobs(snakefile, configfiles, given, checksum_size(profile), targets)
    cache = DigestCache(default_cache_file(), full)
    states = classify_jobs(jobs, cache)
    cache.save()
    words = ["--profile", str(profile)]
    words += ["--configfile", *map(str, configfiles)] if configfiles else []
    words += ["--config", *values] if values else []
    run = run_folder(jobs[0].outputs[0])
    status = Status(states, run, (_snakemake(), *words), targets)
    if as_json:
        click.echo(json.dumps(status.as_json(), indent=2, ensure_ascii=False))
        return
    problem = environment_problem(all_imports())
    if problem:
        click.echo(problem)
        return
    for line in lines(status):
        click.echo(line)
