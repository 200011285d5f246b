"""Results of the ML models of a global fit: the result of each restart and training diagnostics."""

import json
import os
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.global_fit.chi_squared import Version
from wilsonvox.global_fit.hadronic import Hadronic
from wilsonvox.global_fit.learning.settings import (
    GanSettings,
    InverseNetworkSettings,
    TrainingSetSettings,
)
from wilsonvox.global_fit.learning.training_sets import TrainingSet
from wilsonvox.records.json_files import RecordedResult
from wilsonvox.records.record import Record

Array = NDArray[np.float64]


class Coefficients(StrictModel):
    """Shifts and hadronic coefficients with their χ²."""

    c9: float
    c10: float
    hadronic: list[float] = Field(
        default=[], description="hadronic coefficients, in the order of the result's hadronic_names"
    )
    chi_squared: float = Field(description="χ² recomputed from these coefficients")

    @classmethod
    def of(cls, row: Array, chi_squared: float) -> Self:
        """Build from a row (C9, C10, hadronic …), float64, shape (2 + n_hadronic,)."""
        values = [float(value) for value in row]
        return cls(c9=values[0], c10=values[1], hadronic=values[2:], chi_squared=float(chi_squared))


class NetworkRestartResult(Coefficients):
    """Prediction of one network for the measured observables."""

    start: int = Field(description="number of the training, from 0")
    loss: list[float] = Field(description="training loss of each epoch")
    validation_loss: list[float] = Field(description="validation loss of each epoch")
    best_epoch: int = Field(description="epoch whose weights are used, from 1")
    is_constant: bool = Field(
        description="whether the prediction is the same for all samples (dead hidden neurons)"
    )
    distance_in_errors: float | None = Field(
        default=None,
        description="distance from the exact posterior density in its standard deviations: from "
        "its mean for points learned from smeared predictions, else from its mode",
    )
    overlap: float | None = Field(
        default=None, description="∫ min(p, q) for the density of a mixture and the exact one"
    )


Verdict = Literal["covers the training set", "partial mode collapse", "mode collapse"]


class Coverage(StrictModel):
    """Coverage of the (C9, C10) training range by samples, compared with the training set."""

    outside: float = Field(description="fraction of the samples outside the training range")
    covered_cells: float = Field(
        description="fraction of the training set's cells with at least a tenth of the samples "
        "expected for its distribution"
    )
    effective_modes: float = Field(
        description="exponential of the entropy over cells, relative to the training set"
    )
    least_variance_ratio: float = Field(
        description="smallest ratio of the variance to that of the training set over all directions"
    )
    verdict: Verdict
    words: str = Field(description="one-sentence summary")


class GanRestartResult(Coefficients):
    """Best sample and diagnostics of one training of a GAN."""

    start: int = Field(description="number of the training, from 0")
    generator_loss: list[float] = Field(description="mean of each epoch")
    discriminator_loss: list[float] = Field(description="mean of each epoch")
    discriminator_accuracy: list[float] = Field(
        description="fraction of correctly classified samples, mean of each epoch"
    )
    median_chi_squared: float = Field(description="median of the recomputed χ² of all samples")
    said_chi_squared: float = Field(
        description="smallest generated χ²: the generated number, or χ² of the generated "
        "observables"
    )
    said_chi_squared_recomputed: float = Field(
        description="χ² recomputed from the coefficients of that sample"
    )
    inconsistency: float = Field(
        description="root mean square difference between generated observables and the "
        "predictions for the generated coefficients, in units of the errors"
    )
    coverage: Coverage
    samples: list[tuple[float, float, float]] = Field(
        description="C9, C10 and recomputed χ² of some samples"
    )


class Spread(StrictModel):
    """Mean and spread of the results of all restarts."""

    c9_mean: float
    c9_deviation: float = Field(description="standard deviation over the restarts")
    c10_mean: float
    c10_deviation: float = Field(description="standard deviation over the restarts")
    chi_squared_least: float
    chi_squared_median: float
    chi_squared_greatest: float

    @classmethod
    def of(cls, results: list[NetworkRestartResult] | list[GanRestartResult]) -> Self:
        """Compute mean and spread of the results of a model."""
        c9, c10, chi = np.array([[r.c9, r.c10, r.chi_squared] for r in results]).T
        ddof = 1 if len(results) > 1 else 0
        return cls(
            c9_mean=float(c9.mean()),
            c9_deviation=float(c9.std(ddof=ddof)),
            c10_mean=float(c10.mean()),
            c10_deviation=float(c10.std(ddof=ddof)),
            chi_squared_least=float(chi.min()),
            chi_squared_median=float(np.median(chi)),
            chi_squared_greatest=float(chi.max()),
        )


class TrainingSetSummary(StrictModel):
    """Summary of a training set; with smeared predictions, of the corresponding grid."""

    settings: TrainingSetSettings
    n_samples: int
    best: Coefficients = Field(description="sample with the smallest χ²")
    chi_squared_edges: list[float] = Field(description="bin edges of a histogram of χ²")
    chi_squared_counts: list[int] = Field(description="samples in each bin")

    @classmethod
    def of(cls, training_set: TrainingSet, settings: TrainingSetSettings) -> Self:
        """Summarise a training set."""
        counts, edges = np.histogram(training_set.chi_squared, bins=60)
        best = training_set.best
        return cls(
            settings=settings,
            n_samples=len(training_set),
            best=Coefficients.of(training_set.coefficients[best], training_set.chi_squared[best]),
            chi_squared_edges=edges.tolist(),
            chi_squared_counts=counts.tolist(),
        )


class Region(StrictModel):
    """Highest-density region of the ensemble density with a given probability."""

    level: float = Field(description="probability in the region")
    area: float = Field(description="area in the (C9, C10) plane")
    area_ratio: float = Field(description="ratio of the area to that of the exact density")
    lines: list[list[tuple[float, float]]] = Field(description="(C9, C10) along its boundary")
    simulated_coverage: float = Field(
        description="fraction of simulated measurements with the true shifts in the region"
    )


class EnsemblePosterior(StrictModel):
    """Mean posterior density of all restarts, and exp(−χ²/2) on the training range."""

    mode: tuple[float, float]
    mean: tuple[float, float]
    deviations: tuple[float, float] = Field(description="standard deviations of C9 and C10")
    exact_mode: tuple[float, float]
    exact_mean: tuple[float, float]
    exact_deviations: tuple[float, float]
    distance_in_errors: float = Field(description="distance between the two modes")
    overlap: float = Field(description="∫ min(p, q) of the two densities")
    n_simulated: int = Field(
        description="simulated measurements with shifts uniform on the training range"
    )
    regions: list[Region]


class Images(StrictModel):
    """Samples as square images, scaled like the inputs of the GAN."""

    training: list[list[list[float]]]
    generated: list[list[list[float]]]


class _ModelResult(RecordedResult):
    file_description: ClassVar[str] = "the result of an ML model of this kind (.json)"

    name: str = Field(description="name of the model in the configuration")
    observables: str = Field(description="name of the set of observables")
    version: Version = Field(description="version of the χ²")
    hadronic: Hadronic
    hadronic_names: list[str] = Field(description="names of the hadronic coefficients")
    training_set: TrainingSetSummary
    spread: Spread
    provenance: Record | None = None


class NetworkResult(_ModelResult):
    """Result of `wilsonvox global-fit train-network`."""

    kind: Literal["network"] = "network"
    settings: InverseNetworkSettings
    n_parameters: int = Field(description="number of weights")
    answers: list[NetworkRestartResult] = Field(description="one result per training")
    posterior: EnsemblePosterior | None = None


class GanResult(_ModelResult):
    """Result of `wilsonvox global-fit train-gan`."""

    kind: Literal["gan"] = "gan"
    settings: GanSettings
    n_parameters: tuple[int, int] = Field(
        description="number of weights of generator and discriminator"
    )
    answers: list[GanRestartResult] = Field(description="one result per training")
    images: Images | None = None


ModelResult = GanResult | NetworkResult


def load_model_result(path: str | os.PathLike[str]) -> ModelResult:
    """Read the result of an ML model of either kind.

    Raises:
        UserError: the file does not exist or is not a result of an ML model.
    """
    file = require_file(path, "the result of an ML model (.json)")
    try:
        kind = json.loads(file.read_text(encoding="utf-8"))["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: not the result of an ML model; delete it and run again"
        ) from error
    return GanResult.load(path) if kind == "gan" else NetworkResult.load(path)
