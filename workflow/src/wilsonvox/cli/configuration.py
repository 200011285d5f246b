"""`wilsonvox configuration`: validate a configuration and write it as YAML."""

from pathlib import Path

import click


@click.command("configuration")
@click.option(
    "--configuration",
    required=True,
    help="Configuration of a run: a YAML file, or its content as JSON.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File to write (.yaml)."
)
def command(configuration: str, out: Path) -> None:
    """Validate a configuration and write its values, without defaults, as YAML for --configfile."""
    import yaml

    from wilsonvox.cli.options import given_configuration
    from wilsonvox.core.files import atomic_path

    values = given_configuration(configuration).model_dump(mode="json", exclude_unset=True)
    with atomic_path(out) as temporary:
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    click.echo(f"wrote {out}")
