"""Shards of fake images that a tiny network can learn from, for the tests of the networks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from wilsonvox.estimators.settings import NetworkSettings
from wilsonvox.provenance.recording import make_record
from wilsonvox.theory.points import COEFFICIENTS, point_label
from wilsonvox.voxels.shards import Shard, ShardMetadata
from wilsonvox.voxels.specification import ImageSpecification

IMAGE = ImageSpecification(bins=8, events_per_image=100)


def toy_network(dropout: float) -> NetworkSettings:
    """Network small enough to be trained in a second."""
    return NetworkSettings(
        stem_filters=4,
        stem_kernel=3,
        filters=(4,),
        blocks=(1,),
        dense_units=8,
        dropout=dropout,
        batch_normalisation_momentum=0.8,
    )


def toy_shard(
    c9: float,
    n_images: int = 6,
    split: str = "train",
    campaign: str = "000",
    image: ImageSpecification = IMAGE,
    shifts: Sequence[float] | None = None,
    **metadata: Any,
) -> Shard:
    """Images with a mean q2 that grows with `c9`, each with about 80 voxels at random places."""
    key = (round(1000 * c9) + 100_000, n_images, len(split), int(campaign))
    generator = np.random.default_rng(key)
    cells = image.bins**3
    occupied = [
        np.sort(generator.choice(cells, size=generator.integers(75, 86), replace=False))
        for _ in range(n_images)
    ]
    voxel = np.concatenate([np.array([], dtype=np.int32), *occupied]).astype(np.int32)
    mean_q2 = np.clip(generator.normal(10 + 4 * c9, 1.0, len(voxel)), 0.1, 20)
    row = np.array([c9 if name == "c9" else 0.0 for name in COEFFICIENTS])
    if shifts is not None:
        row = np.asarray(shifts)
    given = {
        "image": image,
        "origin": "generated",
        "point": point_label({"c9": c9}),
        "split": split,
        "campaign": campaign,
        "physics_inputs": "toy",
        "lepton": "muon",
        "antiparticle_shifts": "equal",
        "n_events_in_file": n_images * image.events_per_image,
        "n_events_cut": {},
        "n_events_used": n_images * image.events_per_image,
        "n_events_left_over": 0,
    }
    starts = np.arange(n_images, dtype=np.int64) * image.events_per_image
    return Shard(
        metadata=ShardMetadata.model_validate(given | metadata),
        voxel=voxel,
        mean_q2=mean_q2.astype(np.float32),
        count=np.ones(len(voxel), dtype=np.uint16),
        offsets=np.cumsum([0, *map(len, occupied)]).astype(np.int64),
        shifts=np.tile(row, (n_images, 1)).astype(np.complex128),
        n_events=np.full(n_images, image.events_per_image, dtype=np.int64),
        source_range=np.stack([starts, starts + image.events_per_image], axis=1),
    )


def save(shard: Shard, path: Any) -> str:
    """Write a shard with a record and return its path as a word."""
    shard.save(path, make_record("voxelize", "out.file", settings={}))
    return str(path)
