"""Parquet tables of predictions and summaries, with their record and metadata inside."""

import os
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.records.digests import digest_table
from wilsonvox.records.record import Record
from wilsonvox.voxels.specification import ImageSpecification

PREDICTION_COLUMNS: dict[str, str] = {
    "point": "str",
    "split": "str",
    "campaign": "str",
    "image_index": "int64",
    "coefficient": "str",
    "true": "float64",
    "predicted": "float64",
    "error": "float64",
}
"""Columns of a prediction table, one row an image and coefficient; `error` NaN where none."""

SUMMARY_COLUMNS: dict[str, str] = {
    "point": "str",
    "coefficient": "str",
    "true": "float64",
    "seen_in_training": "bool",
    "n_images": "int64",
    "mean": "float64",
    "bias": "float64",
    "sigma_left": "float64",
    "sigma_right": "float64",
    "sigma": "float64",
    "response_slope": "float64",
    "bound": "float64",
    "sigma_over_bound": "float64",
    "gauss_mean": "float64",
    "gauss_sigma": "float64",
    "coverage_68": "float64",
    "coverage_95": "float64",
}
"""Columns of a summary, one row a point and coefficient; shifts and sigmas are dimensionless."""


class PointCovariance(StrictModel):
    """Joint covariance of one point's estimates, beside the least that is possible."""

    point: str
    covariance: tuple[tuple[float, ...], ...] = Field(
        description="covariance of one image's calibrated shifts (dimensionless)"
    )
    bound: tuple[tuple[float, ...], ...] = Field(description="Cramér–Rao bound on it")
    volume_over_bound: float = Field(
        description="root of the ratio of their determinants, corrected for the number of images"
    )


class JointCovariances(StrictModel):
    """What a summary says of several coefficients together."""

    coefficients: tuple[str, ...] = Field(description="order of rows and columns")
    points: tuple[PointCovariance, ...]


class TableMetadata(StrictModel):
    """What a table says about the estimator that made its predictions."""

    estimator: str = Field(description="name of the estimator in the configuration")
    image: ImageSpecification
    physics_inputs: str | None = Field(description="set of SM inputs that it is for")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="leptons of the decays that it is for"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="whether it takes a B0 to have the shifts or their conjugates"
    )
    trained: bool = Field(
        default=True, description="whether it was trained, at the points of the split test"
    )
    joint: JointCovariances | None = Field(
        default=None, description="of a summary of several coefficients: their covariances"
    )


def write_table(
    path: str | os.PathLike[str],
    frame: pd.DataFrame,
    columns: dict[str, str],
    metadata: TableMetadata,
    record: Record,
) -> None:
    """Write `frame`, cast to `columns`, as Parquet; atomically, equal bytes in equal runs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    typed = frame[list(columns)].astype(columns).reset_index(drop=True)
    arrays: list[tuple[str, Any]] = []
    for name, kind in columns.items():
        values = typed[name].to_numpy()
        arrays.append((name, np.asarray(values, dtype=str) if kind == "str" else values))
    about = metadata.model_dump_json(exclude={"joint"} if metadata.joint is None else None)
    full = record.model_copy(update={"content_digest": digest_table(dict(arrays), about)})
    table = pa.table({name: pa.array(values) for name, values in arrays}).replace_schema_metadata(
        {"provenance": full.to_json(), "metadata": about}
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(
    path: str | os.PathLike[str], columns: dict[str, str]
) -> tuple[pd.DataFrame, TableMetadata]:
    """Read a table and check that it has `columns`.

    Raises:
        UserError: no such file, not Parquet, or another kind of table.
    """
    import pyarrow.parquet as pq

    found = require_file(path, "a table (.parquet)")
    try:
        table = pq.read_table(found)
        metadata = TableMetadata.model_validate_json((table.schema.metadata or {})[b"metadata"])
        frame = table.select(list(columns)).to_pandas().astype(columns)
    except Exception as error:
        raise UserError(
            f"{found}: not a table of this pipeline ({type(error).__name__}: {error}); "
            "delete it and run again"
        ) from error
    return frame, metadata
