"""`wilsonvox schema`: write the JSON schemas of `workflow/schemas/` from the pydantic models."""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from wilsonvox.core.files import atomic_path

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return all JSON schemas by file name."""
    from wilsonvox.config.run import RunConfiguration
    from wilsonvox.config.samples import SampleRow
    from wilsonvox.records.record import Record

    models: dict[str, type[BaseModel]] = {
        "config.schema.json": RunConfiguration,
        "samples.schema.json": SampleRow,
        "provenance.schema.json": Record,
    }
    return {
        name: {"$schema": SCHEMA_DIALECT} | model.model_json_schema()
        for name, model in models.items()
    }


@click.command(help="Write the JSON schemas of configuration, samples and provenance records.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to.",
)
def command(out: Path) -> None:
    """Write one JSON file per schema."""
    for name, schema in schemas().items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
        click.echo(f"wrote {out / name}")
