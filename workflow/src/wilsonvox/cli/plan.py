"""`wilsonvox plan`: what a configuration will cost, before anything runs."""

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
    help="Write the plan as JSON as well; - prints it instead of the tables.",
)
def command(configuration: str, json_file: str | None) -> None:
    """Tell what a run would cost, before anything runs.

    Prints jobs, processor time and memory by rule, files and storage by stage, the trainings on a
    CPU and on a GPU, and what EvtGen itself would take for the events, each with how sure it is.
    The run is one from an empty folder. Starts nothing and changes nothing.
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
            f"{configuration}: has a global fit alone, which no plan counts (the target "
            "global_fit; docs/user_guide/global_fit.md says what it takes)"
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
