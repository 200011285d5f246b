"""`wilsonvox show`: print the result table of a run."""

from pathlib import Path

import click


@click.command(
    help="Print the precision of a run's estimators, their measurements, and where all files are."
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run, such as results/demo.",
)
def command(run: Path) -> None:
    """Print the table."""
    from wilsonvox.report.summary_table import run_table

    click.echo(run_table(run))
