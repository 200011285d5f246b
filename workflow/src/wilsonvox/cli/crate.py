"""`wilsonvox crate`: pack a finished run into an RO-Crate."""

from pathlib import Path

import click


@click.command("crate")
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of a finished run, such as results/demo.",
)
@click.option(
    "--configuration",
    required=True,
    help="Configuration of the run: a YAML file, or its content as JSON.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    default=None,
    help="Report of the run (.html).  [default: none]",
)
@click.option(
    "--largest-mb",
    type=click.FloatRange(min=0),
    default=50.0,
    show_default=True,
    help="Size in MB above which a result is described by its digest instead of packed.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Crate to write (.zip)."
)
def command(
    run: Path, configuration: str, report: Path | None, largest_mb: float, out: Path
) -> None:
    """Pack a finished run into an RO-Crate of the profile Provenance Run Crate.

    The crate contains the figures, tables, measurements and models of the run, its configuration,
    report and code, and the record of every job. Events and images are described by the digests of
    their content.
    """
    from wilsonvox.cli import COMMANDS
    from wilsonvox.cli.options import given_configuration
    from wilsonvox.workflow.crates.packing import pack_run

    if out.suffix != ".zip":
        raise click.BadParameter(f"{out} does not end in .zip", param_hint="--out")
    history = pack_run(run, given_configuration(configuration), out, report, largest_mb, COMMANDS)
    size = out.stat().st_size / 1e6
    click.echo(f"wrote {out}: {len(history.jobs)} jobs, {size:.1f} MB")
