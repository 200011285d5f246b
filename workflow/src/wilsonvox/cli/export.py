"""`wilsonvox export`: copy an estimator, with all that a measurement needs, into a folder."""

import os
import shutil
from pathlib import Path

import click

from wilsonvox.cli.options import estimator_options
from wilsonvox.core.errors import UserError


@click.command("export")
@estimator_options
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to create; must not exist.",
)
def command(run_folder: Path, estimator: str | None, image: str | None, out: Path) -> None:
    """Copy an estimator, its predictions of test images and its summary into a folder.

    `wilsonvox measure --run FOLDER` then measures without the original run. The files keep their
    provenance records.
    """
    from wilsonvox.measurement.run_folder import current_predictions, find_estimator

    files = find_estimator(run_folder, estimator, image)
    tables, warnings = current_predictions(files)
    if not files.summaries:
        raise UserError(f"{run_folder}: {files.estimator} has no summary; finish the run")
    if os.path.lexists(out):
        raise UserError(f"--out {out}: already exists; choose another folder, or remove it")
    # optional: the CSV copies are not needed for measurements
    text = [path.with_suffix(".csv") for path in files.summaries]
    wanted = [files.model, *tables, *files.summaries, *filter(Path.is_file, text)]
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        for path in wanted:
            target = partial / path.relative_to(run_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        partial.rename(out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for line in warnings:
        click.echo(f"warning: {line}")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    click.echo(f"wrote {out}: {files.estimator} for {files.image}, {size / 1000:,.0f} kB")
