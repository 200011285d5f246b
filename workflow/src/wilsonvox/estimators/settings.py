"""Settings of estimators: what they are, and how they are trained. No heavy imports here."""

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
                f"range {low:g} … {high:g} is not below the one that begins at {following:g}"
            )
    return value


def _check_unique(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name not in PARAMETERS:
            raise ValueError(f"{name!r} is unknown; known are {', '.join(PARAMETERS)}")
        if value.count(name) > 1:
            raise ValueError(f"{name} stands there twice")
    return value


RisingRange = Annotated[Range, AfterValidator(_check_increasing)]
Parameters = Annotated[
    tuple[str, ...],
    AfterValidator(_check_unique),
    Field(min_length=1, json_schema_extra={"items": {"type": "string", "enum": list(PARAMETERS)}}),
]


class NetworkSettings(StrictModel):
    """Sizes of a 3D residual network. The defaults are the papers' ResNet-34."""

    coordinates: bool = Field(
        default=False,
        description="add cos θ_μ, cos θ_K, cos χ and sin χ of occupied voxels as input channels",
    )
    stem_filters: PositiveInt = Field(default=64, description="filters of the first convolution")
    stem_kernel: PositiveInt = Field(default=7, description="its kernel size, in voxels")
    stem_stride: PositiveInt = Field(default=2, description="its stride, in voxels")
    pooling: Literal["max", "average"] = Field(
        default="max", description="kind of the pooling after it"
    )
    pool_size: PositiveInt = Field(default=3, description="size of that pooling, in cells; 1: none")
    pool_stride: PositiveInt = Field(default=2, description="its stride")
    filters: tuple[PositiveInt, ...] = Field(
        default=(64, 128, 256, 512), description="filters of each stack of residual blocks"
    )
    blocks: tuple[PositiveInt, ...] = Field(
        default=(3, 4, 6, 3), description="basic blocks (two convolutions) in each stack"
    )
    dense_units: PositiveInt = Field(default=1000, description="neurons of the dense layer")
    dense_activation: Literal["relu", "linear"] = Field(
        default="relu", description="its activation (the papers leave it open)"
    )
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout probability")
    batch_normalisation_momentum: float = Field(
        default=0.99, gt=0, lt=1, description="momentum of the moving averages (Keras's default)"
    )

    @model_validator(mode="after")
    def _one_size_a_stack(self) -> "NetworkSettings":
        if len(self.filters) != len(self.blocks):
            raise ValueError("filters and blocks need one number a stack each")
        return self


class TrainingSettings(StrictModel, OptionalFields):
    """How a network is trained. The defaults are the papers', as far as they state them."""

    OPTIONAL: ClassVar[tuple[str, ...]] = ("learning_rate_schedule",)

    batch_size: PositiveInt = Field(default=128, description="images in a batch")
    learning_rate: float = Field(default=0.01, gt=0, description="initial learning rate of SGD")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    loss: Literal["mae", "mse"] = Field(default="mae", description="loss function")
    max_epochs: PositiveInt = Field(default=1000, description="most epochs")
    learning_rate_schedule: Literal["plateau", "step"] = Field(
        default="plateau",
        description="when the learning rate is cut: plateau, where the validation loss does not "
        "get better; step, whatever the loss",
    )
    reduce_factor: float = Field(
        default=0.2, gt=0, lt=1, description="factor on the learning rate at each cut"
    )
    reduce_patience: PositiveInt = Field(
        default=5,
        description="epochs without a better validation loss before a cut; of the schedule step "
        "epochs between cuts",
    )
    minimum_learning_rate: float = Field(default=1e-6, ge=0, description="its lower limit")
    early_stopping_patience: PositiveInt = Field(
        default=20, description="epochs without a better validation loss before stopping"
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="epochs in which the learning rate rises to its initial value; 0: none",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="largest norm of all gradients together; null: any"
    )
    gradient_accumulation_steps: PositiveInt = Field(
        default=1, description="batches whose gradients are averaged for a step of the optimizer"
    )
    jit_compile: bool = Field(
        default=False, description="compile the network with XLA on a GPU; a CPU does without"
    )
    mixed_precision: bool = Field(
        default=False, description="compute in float16 on a GPU; a CPU stays with float32"
    )
    deterministic_on_gpu: bool = Field(
        default=False,
        description="the same weights on every run of a GPU, but slower; a CPU gives them anyway",
    )

    @model_validator(mode="after")
    def _compiled_or_deterministic(self) -> "TrainingSettings":
        if self.jit_compile and self.deterministic_on_gpu:
            raise ValueError(
                "jit_compile and deterministic_on_gpu exclude each other: Keras compiles nothing "
                "where operations are deterministic"
            )
        return self


class VoxelSumSettings(StrictModel):
    """Of a network that sums over occupied voxels, and of how it is fitted to images."""

    q2_knots: Annotated[int, Field(ge=3, le=512)] = Field(
        default=32, description="knots of log q2 between which angular coefficients are linear"
    )
    density_degree: Annotated[int, Field(ge=1, le=6)] = Field(
        default=3, description="degree in the shifts of the angular coefficients"
    )
    use_counts: bool = Field(
        default=True,
        description="use the number of events of each voxel; else each occupied one is one event",
    )
    head_degree: Annotated[int, Field(ge=1, le=6)] = Field(
        default=4, description="highest degree of the head's polynomials"
    )
    bias_weight: float = Field(
        default=10.0, ge=1, description="weight of a squared bias beside the variance in the head"
    )


_COEFFICIENTS: Any = Field(
    default=("c9",), description="shifts that are fitted, such as c9,c10; the others are 0"
)


class LikelihoodSettings(StrictModel):
    """Of the unbinned maximum-likelihood fit."""

    parameter_range: RisingRange = Field(
        default=(-5.0, 5.0), description="limits of a fitted shift"
    )


class AngularLikelihoodSettings(StrictModel):
    """Of the fit to angular observables in bins of q². The default bins are LHCb's."""

    parameter_range: RisingRange = Field(
        default=(-5.0, 5.0), description="limits of a fitted shift"
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
        description="bins of q2 [GeV²]; on the command line 1.1:2.5,2.5:4",
    )


EventSettings = LikelihoodSettings | AngularLikelihoodSettings
"""Settings of an estimator that reads events."""


class NetworkEstimatorConfig(StrictModel):
    """A network: it reads images and is trained with those of the splits train and validation."""

    trains: ClassVar[bool] = True

    architecture: Literal["resnet"] = Field(default="resnet", description="family of the network")
    images: tuple[str, ...] = Field(min_length=1, description="image specifications it is for")
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    normalisation: VoxelScaling = VoxelScaling()


class FittedShifts(StrictModel):
    """What a fit of the decay model leaves free."""

    coefficients: Parameters = _COEFFICIENTS


class VoxelSumEstimatorConfig(VoxelSumSettings):
    """A network that sums over the voxels of images, fitted to those of train and validation."""

    trains: ClassVar[bool] = True

    architecture: Literal["voxel-sum"] = Field(description="family of the network")
    images: tuple[str, ...] = Field(min_length=1, description="image specifications it is for")

    @property
    def settings(self) -> VoxelSumSettings:
        """The settings of the network alone."""
        return VoxelSumSettings(
            **{name: getattr(self, name) for name in VoxelSumSettings.model_fields}
        )


class _EventEstimatorConfig(StrictModel):
    """A fit of the decay model: it reads the events of the images and is not trained."""

    trains: ClassVar[bool] = False

    architecture: str
    images: tuple[str, ...] = Field(
        min_length=1, description="image specifications whose events it fits"
    )
    coefficients: Parameters = _COEFFICIENTS


class LikelihoodEstimatorConfig(LikelihoodSettings, _EventEstimatorConfig):
    """The unbinned maximum-likelihood fit of the four decay variables."""

    architecture: Literal["likelihood"] = Field(description="kind of the fit")

    @property
    def settings(self) -> LikelihoodSettings:
        """The settings of the fit alone."""
        return LikelihoodSettings(parameter_range=self.parameter_range)


class AngularLikelihoodEstimatorConfig(AngularLikelihoodSettings, _EventEstimatorConfig):
    """The fit to angular observables in bins of q²."""

    architecture: Literal["angular-likelihood"] = Field(description="kind of the fit")

    @property
    def settings(self) -> AngularLikelihoodSettings:
        """The settings of the fit alone."""
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
"""What the configuration says of an estimator, by its architecture."""


def _architecture(value: Any) -> str:
    # without a key it is a network, as it was before there was anything else
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
"""One estimator of a run; which keys it has is told by its `architecture`."""
