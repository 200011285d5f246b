"""Settings of the networks and GANs of a global fit (without heavy imports)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import PositiveInt, RisingRange
from wilsonvox.global_fit.chi_squared import Version
from wilsonvox.global_fit.hadronic import HALF_WIDTHS, Hadronic

HalfWidth = Annotated[float, Field(gt=0)]


class TrainingSetSettings(StrictModel):
    """Training set of an ML model. The defaults are those of the paper's first experiments."""

    c9_range: RisingRange = Field(default=(-2.0, 0.0), description="range of the shift of C9")
    c10_range: RisingRange = Field(default=(-1.0, 1.0), description="range of the shift of C10")
    values_per_coefficient: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=50, description="values of each shift on a regular grid, end points included"
    )
    hadronic: Hadronic = Field(
        default="none",
        description="polynomials in q2 that are added to the predictions: none, independent for "
        "each kind of observable, or shared by all observables",
    )
    hadronic_draws: PositiveInt = Field(
        default=1, description="draws of the hadronic coefficients per grid point"
    )
    half_widths: tuple[HalfWidth, HalfWidth, HalfWidth] = Field(
        default=HALF_WIDTHS,
        description="half-widths of the uniform draws of a0, a1 [GeV⁻²] and a2 [GeV⁻⁴]",
    )


class InverseNetworkSettings(StrictModel):
    """Network from observables to shifts. The defaults are the paper's first experiment."""

    hidden_units: tuple[PositiveInt, ...] = Field(
        default=(2,), description="units of each hidden layer"
    )
    activation: Literal["relu", "silu"] = Field(
        default="relu", description="activation of the hidden layers"
    )
    output: Literal["point", "mixture"] = Field(
        default="point",
        description="output of the network: a point estimate of the shifts and hadronic "
        "coefficients, or a mixture of Gaussians in the two shifts",
    )
    components: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Gaussians in a mixture"
    )
    smeared: bool = Field(
        default=False,
        description="train on predictions smeared by the errors, at points that fill the whole "
        "range and in units of the errors, instead of exact predictions on the grid",
    )
    branching_ratio_unit: Annotated[float, Field(gt=0)] = Field(
        default=1e-7,
        description="unit [GeV⁻²] of branching ratios in the inputs, unless inputs are in units of "
        "the errors",
    )
    smeared_points: Annotated[int, Field(ge=16)] = Field(
        default=32768, description="smeared predictions per epoch"
    )
    batch_size: PositiveInt = Field(default=512, description="samples per batch")
    max_epochs: PositiveInt = Field(default=100, description="maximum number of epochs")
    early_stopping_patience: PositiveInt = Field(
        default=10, description="epochs without improvement of the validation loss before stopping"
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="fraction of the samples used for early stopping"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=1e-3, description="learning rate of Adam (the paper names no optimizer)"
    )
    decay: Literal["none", "cosine"] = Field(
        default="none", description="schedule of the learning rate"
    )
    starts: PositiveInt = Field(
        default=10, description="number of trainings from random initial weights"
    )

    @model_validator(mode="after")
    def _check_mixture_is_smeared(self) -> "InverseNetworkSettings":
        if self.output == "mixture" and not self.smeared:
            raise ValueError("a mixture needs smeared predictions: exact ones have no spread")
        return self


class GanSettings(StrictModel):
    """Generative adversarial network. The defaults are those of the paper where it states them."""

    architecture: Literal["dense", "convolutional"] = Field(
        default="dense", description="architecture of generator and discriminator"
    )
    conditional: bool = Field(
        default=False,
        description="whether (C9, C10) are inputs of generator and discriminator; otherwise they "
        "are generated",
    )
    chi_squared: bool = Field(default=False, description="whether samples include their χ²")
    latent_size: PositiveInt = Field(default=60, description="number of latent variables")
    batch_size: PositiveInt = Field(default=64, description="samples per batch")
    epochs: PositiveInt = Field(default=25, description="passes over the training set")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=2e-4, description="learning rate of Adam for both networks"
    )
    beta_1: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="exponential decay rate of the first moments in Adam"
    )
    samples: Annotated[int, Field(ge=100)] = Field(
        default=10_000, description="samples generated after training"
    )
    starts: PositiveInt = Field(
        default=10, description="number of trainings from random initial weights"
    )


class NetworkModelSettings(StrictModel):
    """Network of a global fit, with its training set."""

    version: Version = Field(
        default="experimental",
        description="version of the χ², which also defines the errors of smeared predictions",
    )
    training_set: TrainingSetSettings = TrainingSetSettings()
    network: InverseNetworkSettings = InverseNetworkSettings()


class GanModelSettings(StrictModel):
    """GAN of a global fit, with its training set."""

    version: Version = Field(default="experimental", description="version of the χ²")
    training_set: TrainingSetSettings = TrainingSetSettings()
    gan: GanSettings = GanSettings()
