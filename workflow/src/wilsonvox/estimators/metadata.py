"""Metadata of a trained estimator, stored in its file."""

from typing import Literal

from pydantic import Field

from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings, VoxelSumSettings
from wilsonvox.voxels.event_overlap import EventRanges
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling


class EstimatorMetadata(StrictModel):
    """What a trained estimator says about itself."""

    estimator: str = Field(description="its name in the configuration")
    architecture: str = Field(description="family of the network")
    image: ImageSpecification = Field(description="the only images that it understands")
    normalisation: VoxelScaling = Field(description="of mean q2, before the network")
    coefficients: tuple[str, ...] = Field(description="what its outputs are, in their order")
    network: NetworkSettings | VoxelSumSettings = Field(description="its sizes")
    training: TrainingSettings | None = Field(
        default=None, description="how it was trained, if in epochs"
    )
    physics_inputs: str | None = Field(description="set of SM inputs of the training events")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="leptons of the training events"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None,
        description="whether a B0 of the training has the shifts or their conjugates",
    )
    training_points: dict[str, int] = Field(description="training images by point")
    training_events: tuple[EventRanges, ...] = Field(
        default=(), description="events of the training images, shard by shard"
    )
    validation_events: tuple[EventRanges, ...] = Field(
        default=(), description="events of the validation images, shard by shard"
    )
    n_parameters: int = Field(description="weights, moving averages included")
    best_epoch: int | None = Field(
        default=None, description="epoch, from 1, whose weights these are"
    )
    best_validation_loss: float | None = Field(
        default=None, description="validation loss after that epoch"
    )
    history_digest: str | None = Field(
        default=None, description="SHA-256 of the bytes of history.csv"
    )
