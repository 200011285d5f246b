"""The specification of voxel images, and the scaling of their values."""

import os
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import OptionalFields, StrictModel
from wilsonvox.theory.q2_ranges import Range, ranges_between


class ImageSpecification(StrictModel, OptionalFields):
    """Specification of voxel images: bins, events per image, cuts and flavours."""

    OPTIONAL: ClassVar[tuple[str, ...]] = ("antiparticle_angles", "multiple_entries")

    bins: int = Field(default=50, ge=2, le=400, description="equal-width bins in each angle")
    events_per_image: int = Field(default=24_000, ge=1, description="events in one image")
    q2_min_gev2: float = Field(default=0.0, ge=0, description="lower cut on q2 [GeV²]")
    q2_max_gev2: float = Field(default=20.0, gt=0, description="upper cut on q2 [GeV²]")
    vetoes_gev2: tuple[tuple[float, float], ...] = Field(
        default=(), description="q2 windows left out [GeV²]; on the command line 8:11,12.7:14"
    )
    flavour: Literal["B0", "B0bar", "both"] = Field(
        default="B0", description="flavour that enters the images; both: mixed in each image"
    )
    antiparticle_angles: Literal["conjugate", "positive-lepton"] = Field(
        default="conjugate",
        description="angles of an anti-B0: conjugate, of its negative lepton, so that both "
        "flavours have one distribution; positive-lepton, of its positive one, as for a B0",
    )
    multiple_entries: Literal["averaged", "removed"] = Field(
        default="averaged",
        description="voxels with several events: averaged, their mean q2; removed, left empty",
    )

    @model_validator(mode="after")
    def _ranges_rise(self) -> "ImageSpecification":
        ranges = [(self.q2_min_gev2, self.q2_max_gev2), *self.vetoes_gev2]
        for low, high in ranges:
            if not low < high:
                raise ValueError(f"q2 range {low:g} … {high:g} GeV² is empty")
        return self


def describe_difference(expected: ImageSpecification, found: ImageSpecification) -> str:
    """In words, what differs between two image specifications; empty where nothing does.

    >>> describe_difference(ImageSpecification(), ImageSpecification(bins=25))
    'bins 25 instead of 50'
    """
    return ", ".join(
        f"{name} {getattr(found, name)} instead of {getattr(expected, name)}"
        for name in ImageSpecification.model_fields
        if getattr(found, name) != getattr(expected, name)
    )


def require_images_of(
    estimator: str | os.PathLike[str],
    expected: ImageSpecification,
    found: ImageSpecification,
    source: str | os.PathLike[str],
) -> None:
    """Refuse images that were made in another way than those of an estimator.

    Args:
        estimator: its file, for the message.
        expected: specification of the estimator's images.
        found: how the images were made.
        source: their file, for the message.

    Raises:
        UserError: the two specifications differ; says in what.
    """
    difference = describe_difference(expected, found)
    if difference:
        raise UserError(f"{source}: its images do not fit the estimator {estimator}: {difference}")


class VoxelScaling(StrictModel):
    """Scaling of the mean q2 of a voxel when images are loaded."""

    OPTION_NAMES: ClassVar[dict[str, str]] = {
        "method": "normalisation",
        "scale_gev2": "normalisation_scale_gev2",
    }

    method: Literal["fixed", "min-max", "none"] = Field(
        default="fixed",
        description="divide by a constant, map each shard's range to 0..1, or leave in GeV²",
    )
    scale_gev2: float = Field(default=20.0, gt=0, description="the constant of 'fixed' [GeV²]")


def selected_ranges(image: ImageSpecification) -> list[Range]:
    """The q² range of an image without its vetoes [GeV²], rising."""
    return ranges_between(image.q2_min_gev2, image.q2_max_gev2, image.vetoes_gev2)
