"""Parquet tables of predictions and summaries, which contain their record and metadata."""

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
"""Columns of a prediction table, one row per image and coefficient; `error` is NaN if unknown."""

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
"""Columns of a summary, one row per point and coefficient; shifts and σ are dimensionless."""


class PointCovariance(StrictModel):
    """Joint covariance of the estimates at one point, and its Cramér–Rao bound."""

    point: str
    covariance: tuple[tuple[float, ...], ...] = Field(
        description="covariance of one image's calibrated shifts (dimensionless)"
    )
    bound: tuple[tuple[float, ...], ...] = Field(
        description="Cramér–Rao bound on this covariance (dimensionless)"
    )
    volume_over_bound: float = Field(
        description="square root of the ratio of the determinants of covariance and bound, "
        "corrected for the number of images"
    )


class JointCovariances(StrictModel):
    """Joint covariances of several coefficients in a summary."""

    coefficients: tuple[str, ...] = Field(
        description="coefficients in the order of rows and columns"
    )
    points: tuple[PointCovariance, ...]


class TableMetadata(StrictModel):
    """Metadata of a table: the estimator that made its predictions."""

    estimator: str = Field(description="name of the estimator in the configuration")
    image: ImageSpecification
    physics_inputs: str | None = Field(description="set of SM inputs of the estimator")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="lepton of the decays that the estimator is for"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="rule for antiparticles: B0 with equal or with conjugate shifts"
    )
    trained: bool = Field(
        default=True, description="true if it was trained, with the points of the split test"
    )
    joint: JointCovariances | None = Field(
        default=None, description="covariances, in a summary of several coefficients"
    )


def write_table(
    path: str | os.PathLike[str],
    frame: pd.DataFrame,
    columns: dict[str, str],
    metadata: TableMetadata,
    record: Record,
) -> None:
    """Write `frame`, cast to `columns`, as Parquet; atomically, with reproducible bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    typed = frame[list(columns)].astype(columns).reset_index(drop=True)
    arrays: list[tuple[str, Any]] = []
    for name, kind in columns.items():
        values = typed[name].to_numpy()
        arrays.append((name, np.asarray(values, dtype=str) if kind == "str" else values))
    serialized = metadata.model_dump_json(exclude={"joint"} if metadata.joint is None else None)
    full = record.model_copy(update={"content_digest": digest_table(dict(arrays), serialized)})
    table = pa.table({name: pa.array(values) for name, values in arrays}).replace_schema_metadata(
        {"provenance": full.to_json(), "metadata": serialized}
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_table(
    path: str | os.PathLike[str], columns: dict[str, str]
) -> tuple[pd.DataFrame, TableMetadata]:
    """Read a table and check that it has `columns`.

    Raises:
        UserError: the file is missing, is not Parquet, or is another kind of table.
    """
    import pyarrow.parquet as pq

    file = require_file(path, "a table (.parquet)")
    try:
        table = pq.read_table(file)
        metadata = TableMetadata.model_validate_json((table.schema.metadata or {})[b"metadata"])
        frame = table.select(list(columns)).to_pandas().astype(columns)
    except Exception as error:
        raise UserError(
            f"{file}: not a table of this pipeline ({type(error).__name__}: {error}); "
            "delete it and run again"
        ) from error
    return frame, metadata
