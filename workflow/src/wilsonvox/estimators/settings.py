"""Settings of estimators: what they are, and how they are trained. No heavy imports here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wilsonvox.shards import Normalisation

PositiveInt = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSettings(_Settings):
    """Sizes of a 3D residual network. The defaults are the papers' ResNet-34."""

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


class TrainingSettings(_Settings):
    """How a network is trained. The defaults are the papers', as far as they state them."""

    batch_size: PositiveInt = Field(default=128, description="images in a batch")
    learning_rate: float = Field(default=0.01, gt=0, description="initial learning rate of SGD")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    loss: Literal["mae", "mse"] = Field(default="mae", description="loss function")
    max_epochs: PositiveInt = Field(default=1000, description="most epochs")
    reduce_factor: float = Field(
        default=0.2, gt=0, lt=1, description="factor on the learning rate at a plateau"
    )
    reduce_patience: PositiveInt = Field(
        default=5, description="epochs without a better validation loss before that"
    )
    minimum_learning_rate: float = Field(default=1e-6, ge=0, description="its lower limit")
    early_stopping_patience: PositiveInt = Field(
        default=20, description="epochs without a better validation loss before stopping"
    )
    mixed_precision: bool = Field(
        default=False, description="compute in float16 on a GPU; a CPU stays with float32"
    )
    deterministic_on_gpu: bool = Field(
        default=False,
        description="the same weights on every run of a GPU, but slower; a CPU gives them anyway",
    )


class EstimatorSettings(_Settings):
    """One estimator of a run."""

    architecture: Literal["resnet"] = Field(default="resnet", description="family of the network")
    images: tuple[str, ...] = Field(min_length=1, description="image specifications it is for")
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    normalisation: Normalisation = Normalisation()
