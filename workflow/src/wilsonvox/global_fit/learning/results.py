"""What the learning machines of a global fit write: an answer for each start, and what they did."""

import json
import os
from typing import Literal, Self

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
from wilsonvox.records.json_files import load_recorded
from wilsonvox.records.record import Record

Array = NDArray[np.float64]


class Coefficients(StrictModel):
    """Shifts and hadronic coefficients with their χ²."""

    c9: float
    c10: float
    hadronic: list[float] = Field(default=[], description="coefficients, by the result's names")
    chi_squared: float = Field(description="recomputed from these coefficients")

    @classmethod
    def of(cls, row: Array, chi_squared: float) -> Self:
        """Of one row of (C9, C10, hadronic …)."""
        values = [float(each) for each in row]
        return cls(c9=values[0], c10=values[1], hadronic=values[2:], chi_squared=float(chi_squared))


class NetworkAnswer(Coefficients):
    """What one training of a network answers to the measured observables."""

    start: int = Field(description="number of the training, from 0")
    loss: list[float] = Field(description="training loss of each epoch")
    validation_loss: list[float]
    best_epoch: int = Field(description="epoch, from 1, of the weights")
    is_constant: bool = Field(
        description="whether it predicts the same for all samples: its hidden neurons are dead"
    )
    distance_in_errors: float | None = Field(
        default=None,
        description="distance of the answer from that of the χ², in standard deviations of the "
        "exact posterior density: a mixture's mode from its mode, else from its mean",
    )
    overlap: float | None = Field(
        default=None, description="∫ min(p, q) of a mixture's density and the exact one"
    )


Verdict = Literal["covers the training set", "partial mode collapse", "mode collapse"]


class Coverage(StrictModel):
    """How samples lie in the box of (C9, C10), beside the training set."""

    outside: float = Field(description="share of the samples outside the box")
    covered_cells: float = Field(
        description="share of the training set's cells that have a tenth of their even share"
    )
    effective_modes: float = Field(
        description="exp of the entropy over cells, relative to the training set's"
    )
    least_variance_ratio: float = Field(
        description="variance relative to the training set's in the direction where it is least"
    )
    verdict: Verdict
    words: str = Field(description="the same in one sentence")


class GanAnswer(Coefficients):
    """The sample of least χ² of one training of a GAN."""

    start: int = Field(description="number of the training, from 0")
    generator_loss: list[float] = Field(description="mean of each epoch")
    discriminator_loss: list[float] = Field(description="mean of each epoch")
    discriminator_accuracy: list[float] = Field(
        description="share of real and generated samples told apart, mean of each epoch"
    )
    median_chi_squared: float = Field(description="recomputed, of all samples")
    said_chi_squared: float = Field(
        description="the least χ² that the machine says: the generated number, or that of its "
        "generated observables"
    )
    said_chi_squared_recomputed: float = Field(
        description="χ² of the coefficients of that same sample"
    )
    inconsistency: float = Field(
        description="root mean square of generated observables minus the predictions of the "
        "generated coefficients, in units of the errors"
    )
    coverage: Coverage
    samples: list[tuple[float, float, float]] = Field(
        description="some samples: C9, C10, recomputed χ²"
    )


class Spread(StrictModel):
    """Answers of all starts together."""

    c9_mean: float
    c9_deviation: float = Field(description="standard deviation over the starts")
    c10_mean: float
    c10_deviation: float = Field(description="standard deviation over the starts")
    chi_squared_least: float
    chi_squared_median: float
    chi_squared_greatest: float

    @classmethod
    def of(cls, answers: list[NetworkAnswer] | list[GanAnswer]) -> Self:
        """Of the answers of a machine."""
        c9, c10, chi = np.array([[a.c9, a.c10, a.chi_squared] for a in answers]).T
        ddof = 1 if len(answers) > 1 else 0
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
    """The samples that a machine learned from, or, if it smears, their grid."""

    settings: TrainingSetSettings
    n_samples: int
    best: Coefficients = Field(description="the sample of least χ²")
    chi_squared_edges: list[float] = Field(description="bins of a histogram of χ²")
    chi_squared_counts: list[int] = Field(description="samples in each of them")

    @classmethod
    def of(cls, training_set: TrainingSet, settings: TrainingSetSettings) -> Self:
        """Of a training set."""
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
    """The smallest region of the ensemble's density that holds a probability."""

    level: float
    area: float
    area_ratio: float = Field(description="to that of the exact density")
    lines: list[list[tuple[float, float]]] = Field(description="(C9, C10) along its edge")
    simulated_coverage: float = Field(
        description="share of simulated measurements whose true shifts lie in their region"
    )


class EnsemblePosterior(StrictModel):
    """The mean density of (C9, C10) of all starts, beside exp(−χ²/2) on the box of training."""

    mode: tuple[float, float]
    mean: tuple[float, float]
    deviations: tuple[float, float] = Field(description="standard deviations of C9 and C10")
    exact_mode: tuple[float, float]
    exact_mean: tuple[float, float]
    exact_deviations: tuple[float, float]
    distance_in_errors: float = Field(description="of both modes")
    overlap: float = Field(description="∫ min(p, q) of both densities")
    n_simulated: int = Field(description="simulated measurements, their shifts even on the box")
    regions: list[Region]


class Images(StrictModel):
    """Samples as square images, scaled as the machine sees them."""

    training: list[list[list[float]]]
    generated: list[list[list[float]]]


class _MachineResult(StrictModel):
    name: str = Field(description="the machine's name in the configuration")
    observables: str = Field(description="name of the set")
    version: Version = Field(description="of the χ²")
    hadronic: Hadronic
    hadronic_names: list[str] = Field(description="names of the hadronic coefficients")
    training_set: TrainingSetSummary
    spread: Spread
    provenance: Record | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result.

        Raises:
            UserError: no such file, or another one.
        """
        return load_recorded(cls, path, "the answers of this kind of learning machine (.json)")


class NetworkResult(_MachineResult):
    """What `wilsonvox global-fit train-network` writes."""

    kind: Literal["network"] = "network"
    settings: InverseNetworkSettings
    n_parameters: int = Field(description="weights of the network")
    answers: list[NetworkAnswer]
    posterior: EnsemblePosterior | None = None


class GanResult(_MachineResult):
    """What `wilsonvox global-fit train-gan` writes."""

    kind: Literal["gan"] = "gan"
    settings: GanSettings
    n_parameters: tuple[int, int] = Field(description="weights of generator and discriminator")
    answers: list[GanAnswer]
    images: Images | None = None


MachineResult = GanResult | NetworkResult


def load_machine(path: str | os.PathLike[str]) -> MachineResult:
    """Read the answers of a learning machine of either kind.

    Raises:
        UserError: no such file, or another one.
    """
    found = require_file(path, "the answers of a learning machine (.json)")
    try:
        kind = json.loads(found.read_text(encoding="utf-8"))["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{found}: not the answers of a learning machine; make it again") from error
    return GanResult.load(path) if kind == "gan" else NetworkResult.load(path)
