"""`wilsonvox report`: write the tables of a run's report as HTML pages."""

from pathlib import Path

import click


@click.command(
    help="Write configuration, summaries, measurements, fits and runtimes of a run as HTML pages. "
    "`make report` combines them, with all figures, on one page."
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run, such as results/demo.",
)
@click.option(
    "--configuration",
    required=True,
    help="Configuration of the run: a YAML file, or its content as JSON.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the pages.")
def command(run: Path, configuration: str, out: Path) -> None:
    """Write the pages."""
    from wilsonvox.cli.options import given_configuration
    from wilsonvox.report.pages import write_pages

    parsed = given_configuration(configuration)
    for path in write_pages(run, parsed, out):
        click.echo(f"wrote {path}")
