"""The table of samples: external files with decays, some of which a run measures."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from wilsonvox.config.base import Name
from wilsonvox.config.reading import explain
from wilsonvox.config.run import RunConfiguration
from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.theory.points import parse_point


class SampleRow(StrictModel):
    """One row of ``samples.tsv``: one external file or several."""

    sample: Name = Field(description="name of the sample")
    path: str = Field(
        min_length=1,
        description="ROOT file, glob, or several separated by commas; relative to the working "
        "folder of the workflow",
    )
    tree: str = Field(default="", description="tree or ntuple in the file; empty: the only one")
    layout: Literal["auto", "variables", "four-momenta", "belle2", "particle-list"] = "auto"
    flavour: Literal["auto", "B0", "B0bar"] = Field(
        default="auto", description="flavour, if the file does not contain it"
    )
    true_point: str = Field(default="", description="true shifts as a point label, if known")

    @field_validator("true_point")
    @classmethod
    def _is_a_label(cls, value: str) -> str:
        if value:
            try:
                parse_point(value)
            except UserError as error:
                raise ValueError(str(error)) from error
        return value

    def files(self) -> list[str]:
        """Return the paths of the sample's files, with globs expanded and sorted.

        Raises:
            UserError: a glob that no file matches.
        """
        import glob

        paths: list[str] = []
        for pattern in (part.strip() for part in self.path.split(",")):
            # a path without wildcards is kept: the workflow reports missing files
            matches = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
            if not matches:
                raise UserError(f"sample {self.sample!r}: no file matches {pattern}")
            paths += matches
        return paths

    def portable_path(self) -> str:
        """Return `path` with absolute paths cut to names, because they identify the host."""
        from wilsonvox.records.record import portable_path

        parts = [part.strip() for part in self.path.split(",")]
        return ",".join(portable_path(part) if Path(part).is_absolute() else part for part in parts)


def load_samples(path: str | os.PathLike[str]) -> dict[str, SampleRow]:
    """Read and validate a table of samples (tab-separated, with a header).

    Raises:
        UserError: the file is missing, or a column, a value or a name is wrong or duplicated.
    """
    import csv

    columns = list(SampleRow.model_fields)
    rows: dict[str, SampleRow] = {}
    try:
        with Path(path).open(newline="") as handle:
            lines = [line for line in handle if line.strip() and not line.startswith("#")]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    reader = csv.DictReader(lines, delimiter="\t")
    for column in reader.fieldnames or ():
        if column not in columns:
            raise UserError(f"{path}: unknown column {column!r}{did_you_mean(column, columns)}")
    for number, values in enumerate(reader, start=1):
        given = {key: (value or "").strip() for key, value in values.items() if key is not None}
        given = {key: value for key, value in given.items() if value}
        try:
            row = SampleRow.model_validate(given)
        except ValidationError as error:
            raise UserError(explain(error, f"{path}: row {number}")) from error
        if row.sample in rows:
            raise UserError(f"{path}: row {number}: sample {row.sample!r} is duplicated")
        rows[row.sample] = row
    return rows


def measured_samples(configuration: RunConfiguration) -> dict[str, SampleRow]:
    """Return the samples that a run measures, by name; none if it is only a global fit.

    Raises:
        UserError: the table is invalid, lacks a sample named in `measure`, or names a file that
            does not exist.
    """
    if not configuration.has_images:
        return {}
    table = configuration.samples_table
    samples = {} if table is None else load_samples(table)
    names = list(samples) if configuration.measure is None else configuration.measure
    for name in names:
        if name not in samples:
            where = table or "samples_table (which is null)"
            raise UserError(
                f"measure: {name!r} is not a sample of {where}"
                + (did_you_mean(name, samples) if samples else "")
            )
    for name in names:
        try:
            missing = [path for path in samples[name].files() if not Path(path).is_file()]
        except UserError as error:
            raise UserError(f"{table}: {error}") from error
        if missing:
            raise UserError(f"{table}: sample {name!r}: path: there is no file {missing[0]}")
    return {name: samples[name] for name in names}
