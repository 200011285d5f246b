"""Checks and labels of the shards of a training."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.theory.points import COEFFICIENTS
from wilsonvox.voxels.compatibility import check_lepton
from wilsonvox.voxels.event_overlap import check_no_shared_events
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import describe_difference


def check_voxels(source: str, shard: Shard) -> None:
    """Raise an error if a shard has voxels with a non-finite mean q2.

    Raises:
        UserError: a mean q2 is not finite. The message names `source` and the first such image.
    """
    wrong = ~np.isfinite(shard.mean_q2)
    if wrong.any():
        image = int(np.searchsorted(shard.offsets, np.argmax(wrong), side="right")) - 1
        raise UserError(
            f"{source}: has voxels whose mean q2 is not a finite number, the first in image "
            f"{image} (from 0); delete it and make it again"
        )


def _check_shard(source: str, shard: Shard, split: str) -> None:
    actual = shard.metadata.split
    if actual not in (split, None):
        raise UserError(
            f"{source}: its images are of split {actual!r}; --{split} takes those of {split!r} only"
        )
    if not np.isfinite(shard.shifts).all():
        raise UserError(
            f"{source}: its true shifts are not known, so it cannot be used for training"
        )
    if np.any(shard.shifts.imag):
        raise UserError(f"{source}: its shifts have imaginary parts; networks predict real shifts")
    check_voxels(source, shard)


def check_shards(train: Mapping[str, Shard], validation: Mapping[str, Shard]) -> None:
    """Raise an error if shards cannot be used together in a training.

    Args:
        train: training shards by the name of their file.
        validation: validation shards by the name of their file.

    Raises:
        UserError: there are no images; or a shard has another split, image specification, lepton or
            set of physics inputs than the first training shard, unknown or complex shifts,
            non-finite voxels, or events of another shard. The message names the file.
    """
    for split, shards in (("train", train), ("validation", validation)):
        if not sum(map(len, shards.values())):
            raise UserError(f"--{split}: there are no images in {', '.join(shards) or 'no shard'}")
        for source, shard in shards.items():
            _check_shard(source, shard, split)
    first, reference = next(iter(train.items()))
    for source, shard in (*train.items(), *validation.items()):
        difference = describe_difference(reference.metadata.image, shard.metadata.image)
        if difference:
            raise UserError(f"{source}: its images differ from those of {first}: {difference}")
        inputs, expected = shard.metadata.physics_inputs, reference.metadata.physics_inputs
        if inputs != expected:
            raise UserError(
                f"{source}: was made with physics inputs {inputs}, but {first} with {expected}"
            )
        check_lepton(source, shard.metadata.lepton, str(first), reference.metadata.lepton)
    check_no_shared_events((*train.items(), *validation.items()))


def varying_coefficients(shards: Mapping[str, Shard]) -> tuple[str, ...]:
    """Return the coefficients whose shifts differ between images, in the order of `COEFFICIENTS`.

    Raises:
        UserError: all images have the same shifts.
    """
    shifts = np.concatenate([shard.shifts.real for shard in shards.values()])
    varying = np.ptp(shifts, axis=0) > 0
    names = tuple(name for name, varies in zip(COEFFICIENTS, varying, strict=True) if bool(varies))
    if not names:
        raise UserError("--train: all images have the same shifts, so there is nothing to learn")
    return names


def labels(shards: Mapping[str, Shard], coefficients: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the true shifts of all images, float64 of shape (n_images, len(coefficients))."""
    columns = [COEFFICIENTS.index(name) for name in coefficients]
    return np.concatenate([shard.shifts.real[:, columns] for shard in shards.values()])


def training_points(shards: Mapping[str, Shard]) -> dict[str, int]:
    """Return the number of images by point, in the order of the shards."""
    points: dict[str, int] = {}
    for shard in shards.values():
        label = shard.metadata.point or shard.metadata.sample or "unnamed"
        points[label] = points.get(label, 0) + len(shard)
    return points
