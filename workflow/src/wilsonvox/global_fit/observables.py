"""Sets of measured observables: which, in which bins, with which errors and correlations."""

import os
import re
from collections.abc import Mapping, Sequence
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

Array = NDArray[np.float64]

Kind = Literal["P1", "P2", "P4p", "P5p", "BR_K0", "BR_Kstar0", "R_K", "R_Kstar"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of observables, in the order of the coefficients of the hadronic polynomials."""

BRANCHING_RATIO_UNIT = 1e-8
"""Of differential branching ratios, per GeV², in sets, predictions and figures."""

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
"""flavio's names of the observables of each kind, as patterns."""


class Source(StrictModel):
    """Where a measurement was published."""

    experiment: str
    year: int = Field(ge=1990, le=2100)
    arxiv: str = Field(pattern=r"\d{4}\.\d{4,5}", description="number of the publication at arXiv")
    flavio: str | None = Field(
        default=None, description="key of the measurement in flavio, where flavio has it"
    )


class MeasuredObservable(StrictModel):
    """One observable in one bin of q², as it was measured."""

    name: str = Field(description="the observable's name in flavio")
    kind: Kind
    q2_gev2: tuple[float, float] = Field(description="the bin [GeV²]")
    value: float = Field(
        allow_inf_nan=False,
        description="dimensionless; of a branching ratio in 1e-8 per GeV²",
    )
    errors: dict[str, tuple[float, float]] = Field(
        min_length=1,
        description="up and down, both positive, by what they are from (statistical, …); they add "
        "in quadrature",
    )
    source: str = Field(description="key of the set's sources")

    @model_validator(mode="after")
    def _is_sensible(self) -> Self:
        low, high = self.q2_gev2
        if not 0 < low < high < 20:
            raise ValueError("q2_gev2: the bin must be [low, high] with 0 < low < high < 20")
        if not re.fullmatch(_FLAVIO_NAMES[self.kind], self.name):
            raise ValueError(
                f"name: {self.name} is no observable of kind {self.kind}; its name in flavio is "
                + re.sub(r"\((0\|\\\+)\)", "0", _FLAVIO_NAMES[self.kind]).replace("\\", "")
            )
        if not all(0 < each < np.inf for pair in self.errors.values() for each in pair):
            raise ValueError("errors: each is [up, down], both positive")
        return self

    @property
    def label(self) -> str:
        """What correlations call it: kind and bin, such as ``P5p[4,6]``."""
        low, high = self.q2_gev2
        return f"{self.kind}[{low:g},{high:g}]"

    @property
    def error_up(self) -> float:
        """Total error upwards, in the unit of `value`."""
        return float(np.sqrt(sum(up**2 for up, _ in self.errors.values())))

    @property
    def error_down(self) -> float:
        """Total error downwards, in the unit of `value`; positive."""
        return float(np.sqrt(sum(down**2 for _, down in self.errors.values())))


class Correlation(StrictModel):
    """Correlations of the total errors of some measurements."""

    measurements: list[str] = Field(min_length=2, description="labels, such as P5p[4,6]")
    matrix: list[list[float]] = Field(description="symmetric, with ones on the diagonal")

    @model_validator(mode="after")
    def _is_a_correlation(self) -> Self:
        n = len(self.measurements)
        if [len(row) for row in self.matrix] != [n] * n:
            raise ValueError(f"matrix: must be {n} × {n}, as there are {n} measurements")
        matrix = np.array(self.matrix)
        if not (np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)):
            raise ValueError("matrix: must be symmetric with ones on the diagonal")
        if np.linalg.eigvalsh(matrix).min() <= 0:
            raise ValueError("matrix: is not positive definite")
        return self


class ObservableSet(StrictModel):
    """Measured observables that are fitted together."""

    name: str = Field(pattern=r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
    description: str
    sources: dict[str, Source]
    measurements: list[MeasuredObservable] = Field(min_length=3)
    correlations: list[Correlation] = Field(default=[])

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        labels = [each.label for each in self.measurements]
        for index, each in enumerate(self.measurements):
            if labels.index(each.label) != index:
                raise ValueError(f"measurements: {each.label} stands there twice")
            if each.source not in self.sources:
                raise ValueError(
                    f"measurements.{index}.source: {each.source!r} is not under sources"
                    + _did_you_mean(each.source, self.sources)
                )
        seen: set[str] = set()
        for index, block in enumerate(self.correlations):
            for label in block.measurements:
                if label not in labels:
                    raise ValueError(
                        f"correlations.{index}.measurements: {label} is not under measurements"
                        + _did_you_mean(label, labels)
                    )
                if label in seen:
                    raise ValueError(f"correlations: {label} stands in two of them")
                seen.add(label)
        return self

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Kind of each observable."""
        return tuple(each.kind for each in self.measurements)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Label of each observable, such as ``P5p[4,6]``."""
        return tuple(each.label for each in self.measurements)

    @cached_property
    def q2_centres_gev2(self) -> Array:
        """Middle of each bin [GeV²], float64, shape (n_observables,)."""
        return np.array([sum(each.q2_gev2) / 2 for each in self.measurements])

    @cached_property
    def values(self) -> Array:
        """Measured values, float64, shape (n_observables,)."""
        return np.array([each.value for each in self.measurements])

    @cached_property
    def errors_up(self) -> Array:
        """Total errors upwards, float64, shape (n_observables,)."""
        return np.array([each.error_up for each in self.measurements])

    @cached_property
    def errors_down(self) -> Array:
        """Total errors downwards, positive, float64, shape (n_observables,)."""
        return np.array([each.error_down for each in self.measurements])

    @cached_property
    def correlation(self) -> Array:
        """Correlations of the experimental errors, float64, (n_observables, n_observables)."""
        matrix = np.eye(len(self.measurements))
        for block in self.correlations:
            places = [self.labels.index(label) for label in block.measurements]
            matrix[np.ix_(places, places)] = block.matrix
        return matrix


def _did_you_mean(word: str, known: Sequence[str] | Mapping[str, object]) -> str:
    # inside: the configuration imports what imports this module
    from wilsonvox.core.suggestions import did_you_mean

    return did_you_mean(word, known)


def packaged_sets() -> list[str]:
    """Names of the sets that come with the package."""
    return sorted(path.stem for path in (Path(__file__).parent / "data").glob("*.yaml"))


def load_observables(name: str | os.PathLike[str]) -> ObservableSet:
    """Read a set by its name (`packaged_sets`) or from a user's file (``.yaml``).

    Raises:
        UserError: no such set or file, or a file that is no set; it names file, field and fix.
    """
    text = os.fspath(name)
    if Path(text).suffix in (".yaml", ".yml"):
        path = require_file(text, "a set of measurements (.yaml)")
    else:
        if text not in packaged_sets():
            raise UserError(
                f"{text}: there is no such set of observables; there are "
                f"{', '.join(packaged_sets())}, or name a file (.yaml)"
            )
        path = Path(__file__).parent / "data" / f"{text}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise UserError(f"{path}: is no YAML: {first}") from error
    try:
        return ObservableSet.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error, content)}") from error


def _first_problem(error: ValidationError, content: object) -> str:
    """The first problem of a file: which field, of which measurement, and what to do."""
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
        hint = _did_you_mean(str(place[-1]), model.model_fields)
    return f"{where}: {message}{hint}" if where else message + hint
