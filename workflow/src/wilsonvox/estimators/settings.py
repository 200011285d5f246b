"""Settings of estimators and of their training; imports no TensorFlow or Keras."""

import itertools
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from wilsonvox.core.models import OptionalFields, StrictModel
from wilsonvox.theory.points import PARAMETERS
from wilsonvox.voxels.specification import VoxelScaling

PositiveInt = Annotated[int, Field(ge=1)]
Range = tuple[float, float]


def _check_increasing(value: Range) -> Range:
    if not value[0] < value[1]:
        raise ValueError(f"range {value[0]:g} … {value[1]:g} is empty")
    return value


def _check_disjoint(value: tuple[Range, ...]) -> tuple[Range, ...]:
    for (low, high), (following, _) in itertools.pairwise(value):
        if following < high:
            raise ValueError(
                f"range {low:g} … {high:g} must lie below the next one, "
                f"which begins at {following:g}"
            )
    return value


def _check_unique(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in PARAMETERS:
            raise ValueError(f"{name!r} is unknown; known are {', '.join(PARAMETERS)}")
        if value.count(name) > 1:
            raise ValueError(f"{name} is duplicated")
    return value


RisingRange = Annotated[Range, AfterValidator(_check_increasing)]
Parameters = Annotated[
    tuple[str, ...],
    AfterValidator(_check_unique),
    Field(min_length=1, json_schema_extra={"items": {"type": "string", "enum": list(PARAMETERS)}}),
]


class NetworkSettings(StrictModel):
    """Architecture of a 3D residual network. The defaults are those of the papers' ResNet-34."""

    coordinates: bool = Field(
        default=False,
        description="add cos θ_μ, cos θ_K, cos χ and sin χ of occupied voxels as input channels",
    )
    stem_filters: PositiveInt = Field(default=64, description="filters of the first convolution")
    stem_kernel: PositiveInt = Field(
        default=7, description="kernel size of the first convolution [voxels]"
    )
    stem_stride: PositiveInt = Field(
        default=2, description="stride of the first convolution [voxels]"
    )
    pooling: Literal["max", "average"] = Field(
        default="max", description="pooling after the first convolution: max or average"
    )
    pool_size: PositiveInt = Field(
        default=3, description="window of this pooling [cells]; 1 turns it off"
    )
    pool_stride: PositiveInt = Field(default=2, description="stride of this pooling [cells]")
    filters: tuple[PositiveInt, ...] = Field(
        default=(64, 128, 256, 512), description="filters in each stage of residual blocks"
    )
    blocks: tuple[PositiveInt, ...] = Field(
        default=(3, 4, 6, 3), description="basic blocks (two convolutions) in each stage"
    )
    dense_units: PositiveInt = Field(default=1000, description="units of the dense layer")
    dense_activation: Literal["relu", "linear"] = Field(
        default="relu", description="activation of the dense layer (not given in the papers)"
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="dropout rate, between 0 and 1 (exclusive)"
    )
    batch_normalisation_momentum: float = Field(
        default=0.99, gt=0, lt=1, description="momentum of the moving averages (Keras's default)"
    )

    @model_validator(mode="after")
    def _one_size_a_stack(self) -> "NetworkSettings":
        if len(self.filters) != len(self.blocks):
            raise ValueError("filters and blocks must have the same length, one number per stage")
        return self


class TrainingSettings(StrictModel, OptionalFields):
    """Settings of the training of a network. The defaults are those that the papers give."""

    OPTIONAL: ClassVar[tuple[str, ...]] = ("learning_rate_schedule",)

    batch_size: PositiveInt = Field(default=128, description="images per batch")
    learning_rate: float = Field(default=0.01, gt=0, description="initial learning rate of SGD")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    loss: Literal["mae", "mse"] = Field(
        default="mae", description="loss: mae (mean absolute error) or mse (mean squared error)"
    )
    max_epochs: PositiveInt = Field(default=1000, description="maximum number of epochs")
    learning_rate_schedule: Literal["plateau", "step"] = Field(
        default="plateau",
        description="learning-rate schedule: plateau reduces it when the validation loss stops "
        "improving, step at fixed intervals",
    )
    reduce_factor: float = Field(
        default=0.2, gt=0, lt=1, description="factor of each reduction of the learning rate"
    )
    reduce_patience: PositiveInt = Field(
        default=5,
        description="plateau: epochs without improvement of the validation loss before a "
        "reduction; step: epochs between reductions",
    )
    minimum_learning_rate: float = Field(
        default=1e-6, ge=0, description="lower limit of the learning rate"
    )
    early_stopping_patience: PositiveInt = Field(
        default=20, description="epochs without improvement of the validation loss before stopping"
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="epochs in which the learning rate rises to its initial value; 0 turns it off",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="maximum norm of all gradients together; null for no limit"
    )
    gradient_accumulation_steps: PositiveInt = Field(
        default=1, description="batches whose gradients are averaged for one optimizer step"
    )
    jit_compile: bool = Field(
        default=False, description="compile the network with XLA on a GPU; ignored on a CPU"
    )
    mixed_precision: bool = Field(
        default=False, description="compute in float16 on a GPU; a CPU always uses float32"
    )
    deterministic_on_gpu: bool = Field(
        default=False,
        description="reproduce weights bit by bit on a GPU, but slower; a CPU always does",
    )

    @model_validator(mode="after")
    def _compiled_or_deterministic(self) -> "TrainingSettings":
        if self.jit_compile and self.deterministic_on_gpu:
            raise ValueError(
                "jit_compile and deterministic_on_gpu exclude each other: Keras does not compile "
                "deterministic operations"
            )
        return self


class VoxelSumSettings(StrictModel):
    """Settings of voxel-sum: a sum of log-density ratios over occupied voxels, with a fitted head.

    It is a Deep-Sets network (arXiv:1703.06114) and an optimal-observable estimator.
    """

    q2_knots: Annotated[int, Field(ge=3, le=512)] = Field(
        default=32, description="knots in log q2; angular coefficients are linear between them"
    )
    density_degree: Annotated[int, Field(ge=1, le=6)] = Field(
        default=3, description="degree of the angular coefficients as polynomials in the shifts"
    )
    use_counts: bool = Field(
        default=True,
        description="use the number of events per voxel; if false, each occupied one is one event",
    )
    head_degree: Annotated[int, Field(ge=1, le=6)] = Field(
        default=4, description="maximum degree of the polynomials of the head"
    )
    bias_weight: float = Field(
        default=10.0,
        ge=1,
        description="weight of the squared bias relative to the variance in the fit of the head",
    )


_COEFFICIENTS: Any = Field(
    default=("c9",), description="fitted shifts, such as c9,c10; all others are fixed to 0"
)


class LikelihoodSettings(StrictModel):
    """Settings of the unbinned maximum-likelihood fit."""

    parameter_range: RisingRange = Field(
        default=(-5.0, 5.0),
        description="lower and upper limit of each fitted shift (dimensionless)",
    )


class AngularLikelihoodSettings(StrictModel):
    """Settings of the fit to angular observables in bins of q². The default bins are LHCb's."""

    parameter_range: RisingRange = Field(
        default=(-5.0, 5.0),
        description="lower and upper limit of each fitted shift (dimensionless)",
    )
    q2_bins_gev2: Annotated[tuple[RisingRange, ...], AfterValidator(_check_disjoint)] = Field(
        default=(
            (0.1, 0.98),
            (1.1, 2.5),
            (2.5, 4.0),
            (4.0, 6.0),
            (6.0, 8.0),
            (11.0, 12.5),
            (15.0, 17.0),
            (17.0, 19.0),
        ),
        min_length=1,
        description="bins of q2 [GeV²], in rising order; on the command line 1.1:2.5,2.5:4",
    )


EventSettings = LikelihoodSettings | AngularLikelihoodSettings
"""Settings of an estimator that reads events."""


class NetworkEstimatorConfig(StrictModel):
    """Residual network, trained on the images of the splits train and validation."""

    trains: ClassVar[bool] = True

    architecture: Literal["resnet"] = Field(
        default="resnet", description="architecture of the network"
    )
    images: tuple[str, ...] = Field(
        min_length=1, description="names of the image specifications to train it for"
    )
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    normalisation: VoxelScaling = VoxelScaling()


class FittedShifts(StrictModel):
    """Free parameters of a fit of the decay model."""

    coefficients: Parameters = _COEFFICIENTS


class VoxelSumEstimatorConfig(VoxelSumSettings):
    """Network that sums log-density ratios over occupied voxels (Deep Sets, arXiv:1703.06114).

    It is fitted to the images of the splits train and validation.
    """

    trains: ClassVar[bool] = True

    architecture: Literal["voxel-sum"] = Field(description="architecture of the network")
    images: tuple[str, ...] = Field(
        min_length=1, description="names of the image specifications to fit it for"
    )

    @property
    def settings(self) -> VoxelSumSettings:
        """Settings of the network alone."""
        return VoxelSumSettings(
            **{name: getattr(self, name) for name in VoxelSumSettings.model_fields}
        )


class _EventEstimatorConfig(StrictModel):
    """Fit of the decay model to the events of the images; needs no training."""

    trains: ClassVar[bool] = False

    architecture: str
    images: tuple[str, ...] = Field(
        min_length=1, description="names of the image specifications whose events are fitted"
    )
    coefficients: Parameters = _COEFFICIENTS


class LikelihoodEstimatorConfig(LikelihoodSettings, _EventEstimatorConfig):
    """Unbinned maximum-likelihood fit of the four decay variables."""

    architecture: Literal["likelihood"] = Field(description="type of fit")

    @property
    def settings(self) -> LikelihoodSettings:
        """Settings of the fit alone."""
        return LikelihoodSettings(parameter_range=self.parameter_range)


class AngularLikelihoodEstimatorConfig(AngularLikelihoodSettings, _EventEstimatorConfig):
    """Fit to angular observables in bins of q²."""

    architecture: Literal["angular-likelihood"] = Field(description="type of fit")

    @property
    def settings(self) -> AngularLikelihoodSettings:
        """Settings of the fit alone."""
        return AngularLikelihoodSettings(
            parameter_range=self.parameter_range, q2_bins_gev2=self.q2_bins_gev2
        )


EventEstimatorSettings = LikelihoodEstimatorConfig | AngularLikelihoodEstimatorConfig
ImageEstimatorSettings = NetworkEstimatorConfig | VoxelSumEstimatorConfig
"""Settings of an estimator that reads images."""

ESTIMATOR_MODELS: dict[str, type[ImageEstimatorSettings | EventEstimatorSettings]] = {
    "resnet": NetworkEstimatorConfig,
    "voxel-sum": VoxelSumEstimatorConfig,
    "likelihood": LikelihoodEstimatorConfig,
    "angular-likelihood": AngularLikelihoodEstimatorConfig,
}
"""Model of an estimator in the configuration, by its architecture."""


def _architecture(value: Any) -> str:
    # resnet is the default: configurations may omit the key
    if isinstance(value, dict):
        return str(value.get("architecture", "resnet"))
    return str(getattr(value, "architecture", "resnet"))


EstimatorSettings = Annotated[
    Annotated[NetworkEstimatorConfig, Tag("resnet")]
    | Annotated[VoxelSumEstimatorConfig, Tag("voxel-sum")]
    | Annotated[LikelihoodEstimatorConfig, Tag("likelihood")]
    | Annotated[AngularLikelihoodEstimatorConfig, Tag("angular-likelihood")],
    Discriminator(_architecture),
]
"""Estimator of a run; `architecture` selects the model that its keys are checked against."""
