"""Sets of measured observables: q² bins, values, uncertainties and correlations."""

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, model_validator

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.core.suggestions import did_you_mean

Array = NDArray[np.float64]

Kind = Literal["P1", "P2", "P4p", "P5p", "BR_K0", "BR_Kstar0", "R_K", "R_Kstar"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of observables, in the order of the coefficients of the hadronic polynomials."""

BRANCHING_RATIO_UNIT = 1e-8
"""Unit of differential branching ratios [1/GeV²] in sets, predictions and figures."""

_FLAVIO_NAMES: dict[Kind, str] = {
    "P1": r"<P1>\(B0->K\*mumu\)",
    "P2": r"<P2>\(B0->K\*mumu\)",
    "P4p": r"<P4p>\(B0->K\*mumu\)",
    "P5p": r"<P5p>\(B0->K\*mumu\)",
    "BR_K0": r"<dBR/dq2>\(B0->Kmumu\)",
    "BR_Kstar0": r"<dBR/dq2>\(B0->K\*mumu\)",
    "R_K": r"<Rmue>\(B(0|\+)->Kll\)",
    "R_Kstar": r"<Rmue>\(B(0|\+)->K\*ll\)",
}
"""Regular expressions for the flavio names of the observables of each kind."""


class Source(StrictModel):
    """Publication of a measurement."""

    experiment: str
    year: int = Field(ge=1990, le=2100)
    arxiv: str = Field(pattern=r"\d{4}\.\d{4,5}", description="arXiv number of the publication")
    flavio: str | None = Field(
        default=None, description="key of the measurement in flavio, if it is included there"
    )


class MeasuredObservable(StrictModel):
    """Measurement of one observable in one q² bin."""

    name: str = Field(description="name of the observable in flavio")
    kind: Kind
    q2_gev2: tuple[float, float] = Field(description="bin edges [GeV²]")
    value: float = Field(
        allow_inf_nan=False,
        description="measured value: dimensionless, or in 1e-8 per GeV² for a branching ratio",
    )
    errors: dict[str, tuple[float, float]] = Field(
        min_length=1,
        description="upper and lower error, both positive, by source (statistical, …); they are "
        "added in quadrature",
    )
    source: str = Field(description="key of the publication under `sources`")

    @model_validator(mode="after")
    def _check_bin_name_and_errors(self) -> Self:
        low, high = self.q2_gev2
        if not 0 < low < high < 20:
            raise ValueError("q2_gev2: the bin must be [low, high] with 0 < low < high < 20")
        if not re.fullmatch(_FLAVIO_NAMES[self.kind], self.name):
            raise ValueError(
                f"name: {self.name} is not an observable of kind {self.kind}; its flavio name is "
                + re.sub(r"\((0\|\\\+)\)", "0", _FLAVIO_NAMES[self.kind]).replace("\\", "")
            )
        if not all(0 < error < np.inf for pair in self.errors.values() for error in pair):
            raise ValueError("errors: each must be [up, down], both positive")
        return self

    @property
    def label(self) -> str:
        """Kind and bin, such as ``P5p[4,6]``; used in correlations."""
        low, high = self.q2_gev2
        return f"{self.kind}[{low:g},{high:g}]"

    @property
    def error_up(self) -> float:
        """Total upper error, in the unit of `value`."""
        return float(np.sqrt(sum(up**2 for up, _ in self.errors.values())))

    @property
    def error_down(self) -> float:
        """Total lower error, in the unit of `value`; positive."""
        return float(np.sqrt(sum(down**2 for _, down in self.errors.values())))


class Correlation(StrictModel):
    """Correlation matrix of the total errors of some of the measurements."""

    measurements: list[str] = Field(min_length=2, description="labels, such as P5p[4,6]")
    matrix: list[list[float]] = Field(description="symmetric, with ones on the diagonal")

    @model_validator(mode="after")
    def _check_matrix(self) -> Self:
        n = len(self.measurements)
        if [len(row) for row in self.matrix] != [n] * n:
            raise ValueError(f"matrix: must be {n} × {n} for {n} measurements")
        matrix = np.array(self.matrix)
        if not (np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)):
            raise ValueError("matrix: must be symmetric with ones on the diagonal")
        if np.linalg.eigvalsh(matrix).min() <= 0:
            raise ValueError("matrix: is not positive definite")
        return self


class ObservableSet(StrictModel):
    """Set of measured observables that are fitted together."""

    name: str = Field(pattern=r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
    description: str
    sources: dict[str, Source]
    measurements: list[MeasuredObservable] = Field(min_length=3)
    correlations: list[Correlation] = Field(default=[])

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        labels = [measurement.label for measurement in self.measurements]
        for index, measurement in enumerate(self.measurements):
            if labels.index(measurement.label) != index:
                raise ValueError(f"measurements: {measurement.label} is duplicated")
            if measurement.source not in self.sources:
                raise ValueError(
                    f"measurements.{index}.source: {measurement.source!r} is not under sources"
                    + did_you_mean(measurement.source, self.sources)
                )
        seen: set[str] = set()
        for index, block in enumerate(self.correlations):
            for label in block.measurements:
                if label not in labels:
                    raise ValueError(
                        f"correlations.{index}.measurements: {label} is not under measurements"
                        + did_you_mean(label, labels)
                    )
                if label in seen:
                    raise ValueError(f"correlations: {label} is in two of them")
                seen.add(label)
        return self

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Kind of each observable."""
        return tuple(measurement.kind for measurement in self.measurements)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Label of each observable, such as ``P5p[4,6]``."""
        return tuple(measurement.label for measurement in self.measurements)

    @cached_property
    def q2_centres_gev2(self) -> Array:
        """Centre of each q² bin [GeV²], float64, shape (n_observables,)."""
        return np.array([sum(measurement.q2_gev2) / 2 for measurement in self.measurements])

    @cached_property
    def values(self) -> Array:
        """Measured values, float64, shape (n_observables,)."""
        return np.array([measurement.value for measurement in self.measurements])

    @cached_property
    def errors_up(self) -> Array:
        """Total upper errors, float64, shape (n_observables,)."""
        return np.array([measurement.error_up for measurement in self.measurements])

    @cached_property
    def errors_down(self) -> Array:
        """Total lower errors, positive, float64, shape (n_observables,)."""
        return np.array([measurement.error_down for measurement in self.measurements])

    @cached_property
    def correlation(self) -> Array:
        """Correlations of the experimental errors, float64, (n_observables, n_observables)."""
        matrix = np.eye(len(self.measurements))
        for block in self.correlations:
            rows = [self.labels.index(label) for label in block.measurements]
            matrix[np.ix_(rows, rows)] = block.matrix
        return matrix


def packaged_sets() -> list[str]:
    """List the names of the sets that are shipped with the package."""
    return sorted(path.stem for path in (Path(__file__).parent / "data").glob("*.yaml"))


def load_observables(name: str | os.PathLike[str]) -> ObservableSet:
    """Load a shipped set by its name (`packaged_sets`) or a user's set from a ``.yaml`` file.

    Raises:
        UserError: there is no such set or file, or the file is not a valid set.
    """
    text = os.fspath(name)
    if Path(text).suffix in (".yaml", ".yml"):
        path = require_file(text, "a set of measurements (.yaml)")
    else:
        if text not in packaged_sets():
            raise UserError(
                f"{text}: no such set of observables; choose one of "
                f"{', '.join(packaged_sets())}, or give a file (.yaml)"
            )
        path = Path(__file__).parent / "data" / f"{text}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise UserError(f"{path}: not a YAML file: {first}") from error
    try:
        return ObservableSet.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error, content)}") from error


def _first_problem(error: ValidationError, content: object) -> str:
    """Describe the first error of a file in one line: field, measurement and fix."""
    first = error.errors()[0]
    place: Sequence[int | str] = first["loc"]
    message = first["msg"].removeprefix("Value error, ")
    where = ".".join(map(str, place))
    if len(place) > 1 and place[0] == "measurements" and isinstance(content, dict):
        entry = content["measurements"][place[1]]
        if isinstance(entry, dict) and {"kind", "q2_gev2"} <= set(entry):
            where += f" ({entry['kind']} in {entry['q2_gev2']} GeV²)"
    hint = ""
    if first["type"] == "extra_forbidden":
        fields: dict[str, type[BaseModel]] = {
            "measurements": MeasuredObservable,
            "sources": Source,
            "correlations": Correlation,
        }
        model = fields.get(str(place[0]), ObservableSet) if len(place) > 1 else ObservableSet
        message = "there is no such field"
        hint = did_you_mean(str(place[-1]), model.model_fields)
    return f"{where}: {message}{hint}" if where else message + hint
