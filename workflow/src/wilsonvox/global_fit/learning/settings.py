"""Settings of the networks and GANs of a global fit. No heavy imports here."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import PositiveInt, RisingRange
from wilsonvox.global_fit.chi_squared import Version
from wilsonvox.global_fit.hadronic import HALF_WIDTHS, Hadronic

HalfWidth = Annotated[float, Field(gt=0)]


class TrainingSetSettings(StrictModel):
    """Predictions that a machine learns from. The defaults are those of the first experiments."""

    c9_range: RisingRange = Field(default=(-2.0, 0.0), description="range of C9's shift")
    c10_range: RisingRange = Field(default=(-1.0, 1.0), description="range of C10's shift")
    values_per_coefficient: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=50, description="values of each shift on a regular grid, ends included"
    )
    hadronic: Hadronic = Field(
        default="none",
        description="polynomials in q2 added to the predictions: none, independent for each kind "
        "of observable, or shared by all",
    )
    hadronic_draws: PositiveInt = Field(
        default=1, description="draws of the polynomials' coefficients at each point of the grid"
    )
    half_widths: tuple[HalfWidth, HalfWidth, HalfWidth] = Field(
        default=HALF_WIDTHS,
        description="half-widths of the uniform draws of a0, a1 [GeV⁻²] and a2 [GeV⁻⁴]",
    )


class InverseNetworkSettings(StrictModel):
    """A network from observables to shifts. The defaults are the paper's first experiment."""

    hidden_units: tuple[PositiveInt, ...] = Field(
        default=(2,), description="neurons of each hidden layer"
    )
    activation: Literal["relu", "silu"] = Field(
        default="relu", description="activation of the hidden layers"
    )
    output: Literal["point", "mixture"] = Field(
        default="point",
        description="what it predicts: the shifts and hadronic coefficients, or a mixture of "
        "Gaussians of the two shifts",
    )
    components: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Gaussians of a mixture"
    )
    smeared: bool = Field(
        default=False,
        description="learn from predictions smeared by the errors, at points drawn from the whole "
        "range and in units of the errors, instead of exact predictions on the grid",
    )
    branching_ratio_unit: Annotated[float, Field(gt=0)] = Field(
        default=1e-7,
        description="unit [GeV⁻²] of branching ratios in its inputs, where they are not in units "
        "of the errors",
    )
    smeared_points: Annotated[int, Field(ge=16)] = Field(
        default=32768, description="points of an epoch of smeared predictions"
    )
    batch_size: PositiveInt = Field(default=512, description="samples in a batch")
    max_epochs: PositiveInt = Field(default=100, description="most epochs")
    early_stopping_patience: PositiveInt = Field(
        default=10, description="epochs without a better validation loss before stopping"
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="share of the samples that decide on the end"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=1e-3, description="of Adam (the paper names no optimizer)"
    )
    decay: Literal["none", "cosine"] = Field(
        default="none", description="course of the learning rate over the epochs"
    )
    starts: PositiveInt = Field(default=10, description="trainings from random weights")

    @model_validator(mode="after")
    def _mixture_is_smeared(self) -> "InverseNetworkSettings":
        if self.output == "mixture" and not self.smeared:
            raise ValueError("a mixture needs smeared predictions: exact ones have no spread")
        return self


class GanSettings(StrictModel):
    """A generative adversarial network. The defaults are the paper's, as far as it states them."""

    architecture: Literal["dense", "convolutional"] = Field(
        default="dense", description="layers of generator and discriminator"
    )
    conditional: bool = Field(
        default=False,
        description="whether generator and discriminator are given (C9, C10), which otherwise are "
        "generated too",
    )
    chi_squared: bool = Field(
        default=False, description="whether samples hold their χ² as one more number"
    )
    latent_size: PositiveInt = Field(default=60, description="numbers that a sample is made of")
    batch_size: PositiveInt = Field(default=64, description="samples in a batch")
    epochs: PositiveInt = Field(default=25, description="passes over the training set")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=2e-4, description="of Adam, of both networks"
    )
    beta_1: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="decay of Adam's mean gradients"
    )
    samples: Annotated[int, Field(ge=100)] = Field(
        default=10_000, description="samples drawn after the training"
    )
    starts: PositiveInt = Field(default=10, description="trainings from random weights")


class NetworkMachine(StrictModel):
    """A network of a global fit, and what it learns from."""

    version: Version = Field(
        default="experimental", description="of the χ², whose errors smear predictions"
    )
    training_set: TrainingSetSettings = TrainingSetSettings()
    network: InverseNetworkSettings = InverseNetworkSettings()


class GanMachine(StrictModel):
    """A GAN of a global fit, and what it learns from."""

    version: Version = Field(default="experimental", description="of the χ²")
    training_set: TrainingSetSettings = TrainingSetSettings()
    gan: GanSettings = GanSettings()
