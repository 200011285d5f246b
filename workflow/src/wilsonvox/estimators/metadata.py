"""Metadata of a trained estimator, stored in its file."""

from typing import Literal

from pydantic import Field

from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings, VoxelSumSettings
from wilsonvox.voxels.event_overlap import EventRanges
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling


class EstimatorMetadata(StrictModel):
    """Metadata of a trained estimator: images, network, training data and result."""

    estimator: str = Field(description="name of the estimator in the configuration")
    architecture: str = Field(description="architecture of the network")
    image: ImageSpecification = Field(description="specification of the images it accepts")
    normalisation: VoxelScaling = Field(description="scaling of mean q2 before the network")
    coefficients: tuple[str, ...] = Field(description="coefficients of the outputs, in order")
    network: NetworkSettings | VoxelSumSettings = Field(description="settings of the network")
    training: TrainingSettings | None = Field(
        default=None, description="settings of the training; null for an estimator without epochs"
    )
    physics_inputs: str | None = Field(description="set of SM inputs of the training events")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="lepton of the training events"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None,
        description="rule for antiparticles in training: B0 with equal or with conjugate shifts",
    )
    training_points: dict[str, int] = Field(description="number of training images per point")
    training_events: tuple[EventRanges, ...] = Field(
        default=(), description="events of the training images, one entry per shard"
    )
    validation_events: tuple[EventRanges, ...] = Field(
        default=(), description="events of the validation images, one entry per shard"
    )
    n_parameters: int = Field(description="number of weights, including moving averages")
    best_epoch: int | None = Field(
        default=None, description="epoch (counted from 1) of the stored weights"
    )
    best_validation_loss: float | None = Field(
        default=None, description="validation loss at that epoch"
    )
    history_digest: str | None = Field(default=None, description="SHA-256 digest of history.csv")
