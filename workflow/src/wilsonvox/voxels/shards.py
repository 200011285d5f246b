"""Shards: the voxel images of one campaign or sample, sparse, in one `.npz` file.

Of each image only the occupied voxels are kept. `mean_q2` is in GeV² and is normalised when a
shard is loaded into dense images, so that one shard serves every normalisation.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import boost_histogram as bh
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.records.digests import digest_arrays
from wilsonvox.records.record import Record
from wilsonvox.voxels.histograms import SparseImage, histogram_from_image
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling


class ShardMetadata(StrictModel):
    """Metadata of a shard and of its event file."""

    image: ImageSpecification
    origin: Literal["generated", "ingested"]
    point: str | None = None
    split: str | None = None
    campaign: str | None = None
    sample: str | None = None
    physics_inputs: str | None = None
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="the leptons, where they are known"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="whether a B0 has the shifts or their conjugates, if generated"
    )
    seed: int | None = Field(
        default=None,
        description="the run's seed, if generated; point, split and campaign make it a stream",
    )
    events_digest: str | None = Field(
        default=None, description="SHA-256 over the event file's values, whatever its labels"
    )
    n_events_dropped: dict[str, int] = Field(
        default_factory=dict, description="events dropped when the event file was made, by reason"
    )
    warnings: tuple[str, ...] = Field(default=(), description="those of the event file")
    n_events_in_file: int = Field(description="events in the event file")
    n_events_cut: dict[str, int] = Field(description="events left out, by reason")
    n_events_used: int = Field(description="events in the images")
    n_events_left_over: int = Field(description="selected events that fill no whole image")


@dataclass(frozen=True)
class Shard:
    """Sparse images. Image i owns entries ``offsets[i]:offsets[i + 1]`` of the voxel arrays.

    voxel: int32, flat index ``(i_cos_theta_mu * bins + i_cos_theta_k) * bins + i_chi``, ascending
    mean_q2: float32 [GeV²]; count: uint16; offsets: int64, shape (n_images + 1,)
    shifts: complex128, shape (n_images, 6), NaN where the truth is not known
    n_events: int64, shape (n_images,), events in the image
    source_range: int64, shape (n_images, 2), first and past-the-last entry in the event file
    """

    metadata: ShardMetadata
    voxel: NDArray[np.int32]
    mean_q2: NDArray[np.float32]
    count: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    shifts: NDArray[np.complex128]
    n_events: NDArray[np.int64]
    source_range: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def from_images(
        cls,
        images: Sequence[SparseImage],
        metadata: ShardMetadata,
        shifts: NDArray[np.complex128],
        n_events: NDArray[np.int64],
        source_range: NDArray[np.int64],
    ) -> Self:
        """Join sparse images, such as those of `wilsonvox.voxels.histograms.image_from_histogram`.

        Args:
            images: at least one.
            metadata: of the shard.
            shifts: complex128 of shape (n_images, 6), NaN where the truth is not known.
            n_events: events in each image, int64 of shape (n_images,).
            source_range: first and past-the-last entry of each image in the event file, int64 of
                shape (n_images, 2).
        """
        voxels, means, counts = zip(*images, strict=True)
        return cls(
            metadata=metadata,
            voxel=np.concatenate(voxels),
            mean_q2=np.concatenate(means),
            count=np.concatenate(counts),
            offsets=np.cumsum([0, *map(len, voxels)], dtype=np.int64),
            shifts=shifts,
            n_events=n_events,
            source_range=source_range,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by their name in the file."""
        names = ("voxel", "mean_q2", "count", "offsets", "shifts", "n_events", "source_range")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def _range(self) -> tuple[np.float32, np.float32]:
        if not len(self.mean_q2):
            return np.float32(0), np.float32(1)
        return self.mean_q2.min(), self.mean_q2.max()

    def _normalised(
        self, mean_q2: NDArray[np.float32], normalisation: VoxelScaling
    ) -> NDArray[np.float32]:
        if normalisation.method == "fixed":
            return mean_q2 / np.float32(normalisation.scale_gev2)
        if normalisation.method == "min-max":
            low, high = self._range
            return (mean_q2 - low) / (high - low if high > low else np.float32(1))
        return mean_q2

    def normalised(self, normalisation: VoxelScaling) -> NDArray[np.float32]:
        """`mean_q2` after normalisation, float32, same shape.

        'min-max' maps the smallest and largest occupied mean q2 of this shard to 0 and 1.
        """
        return self._normalised(self.mean_q2, normalisation)

    def fill(self, image: NDArray[np.float32], index: int, normalisation: VoxelScaling) -> None:
        """Scatter image `index` into `image`, float32 zeros of shape (bins³,)."""
        voxel, value = self.occupied(index, normalisation)
        image[voxel] = value

    def occupied(
        self, index: int, normalisation: VoxelScaling
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The occupied voxels of image `index` and their normalised mean q2, each shape (n,)."""
        entries = slice(self.offsets[index], self.offsets[index + 1])
        return self.voxel[entries], self._normalised(self.mean_q2[entries], normalisation)

    def dense(
        self, indices: NDArray[np.integer[Any]], normalisation: VoxelScaling
    ) -> NDArray[np.float32]:
        """Dense images, float32 of shape (len(indices), bins, bins, bins, 1), 0 where empty.

        Axes 1 to 3 are cos_theta_mu, cos_theta_k, chi.
        """
        bins = self.metadata.image.bins
        images = np.zeros((len(indices), bins**3), dtype=np.float32)
        for image, index in zip(images, indices, strict=True):
            self.fill(image, int(index), normalisation)
        return images.reshape(len(indices), bins, bins, bins, 1)

    def histogram(self, index: int) -> bh.Histogram[bh.storage.Mean]:
        """Image `index` as a histogram: counts and mean q2 [GeV²] in `Mean` storage.

        The axes are cos_theta_mu, cos_theta_k and chi [rad], with `bins` bins each. `hist.Hist` and
        mplhep plot it, or a projection of it. The spread of q2 in a voxel is not stored: variances
        of voxels with several events, and of projections that include one, are NaN.
        """
        entries = slice(self.offsets[index], self.offsets[index + 1])
        image = self.voxel[entries], self.mean_q2[entries], self.count[entries]
        return histogram_from_image(image, self.metadata.image.bins)

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write the shard, atomically and without compression."""
        arrays = self.arrays() | {"metadata": np.array(self.metadata.model_dump_json())}
        full = record.model_copy(update={"content_digest": digest_arrays(arrays.items())})
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, allow_pickle=False, provenance=np.array(full.to_json()), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a shard and check that its arrays fit together.

        Raises:
            UserError: no such file, not a shard, truncated or inconsistent.
        """
        found = require_file(path, "a shard of voxel images (.npz)")
        try:
            # np.load leaves a file open when it raises on a damaged one
            with found.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            metadata = ShardMetadata.model_validate_json(str(arrays["metadata"]))
            recorded = json.loads(str(arrays.pop("provenance")))["content_digest"]
            if digest_arrays(arrays.items()) != recorded:
                raise ValueError("content differs from its recorded digest")
            del arrays["metadata"]
            shard = cls(metadata=metadata, **arrays)
            sizes = {len(shard.voxel), len(shard.mean_q2), len(shard.count), int(shard.offsets[-1])}
            if len(sizes) != 1 or shard.shifts.shape != (len(shard), 6):
                raise ValueError("its arrays do not fit together")
        except Exception as error:
            raise UserError(
                f"{found}: not a readable shard ({error}); delete it and run again"
            ) from error
        return shard
