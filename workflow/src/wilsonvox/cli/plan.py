"""`wilsonvox plan`: estimate the cost of a run before it starts."""

from pathlib import Path

import click


@click.command("plan")
@click.option(
    "--config",
    "--configfile",
    "configuration",
    required=True,
    metavar="FILE.yaml",
    help="Configuration of the run.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE.json",
    help="Also write the plan as JSON; - prints it instead of the tables.",
)
def command(configuration: str, json_file: str | None) -> None:
    """Estimate the cost of a run that starts from an empty folder.

    Prints the jobs, processor time and memory per rule, files and storage per stage, the trainings
    on a CPU and on a GPU, and the time that EvtGen would need for the events, each with its
    uncertainty. Starts no job and changes no file.
    """
    from wilsonvox.config.reading import load_configuration
    from wilsonvox.config.samples import measured_samples
    from wilsonvox.core.errors import UserError
    from wilsonvox.core.files import atomic_path
    from wilsonvox.workflow.planning.costs import plan
    from wilsonvox.workflow.planning.report import lines

    values = load_configuration(configuration)
    if not values.has_images:
        raise UserError(
            f"{configuration}: is only a global fit, which a plan does not cover (see "
            "docs/user_guide/global_fit.md for its run time)"
        )
    result = plan(values, measured_samples(values))
    as_json = result.model_dump_json(indent=2)
    if json_file == "-":
        click.echo(as_json)
        return
    if json_file is not None:
        with atomic_path(Path(json_file)) as temporary:
            temporary.write_text(as_json + "\n", encoding="utf-8")
    for line in lines(result):
        click.echo(line)
