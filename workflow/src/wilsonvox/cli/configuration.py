"""`wilsonvox configuration`: a checked configuration, written as YAML."""

from pathlib import Path

import click


@click.command("configuration")
@click.option(
    "--configuration",
    required=True,
    help="Configuration of a run: a YAML file, or its values as JSON.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File to write (.yaml)."
)
def command(configuration: str, out: Path) -> None:
    """Check a configuration and write the values that it names as YAML, for --configfile."""
    import yaml

    from wilsonvox.cli.options import given_configuration
    from wilsonvox.core.files import atomic_path

    values = given_configuration(configuration).model_dump(mode="json", exclude_unset=True)
    with atomic_path(out) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    click.echo(f"wrote {out}")
