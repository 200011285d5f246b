"""Events into voxel images: mean q² in bins of the three angles."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
from numpy.typing import NDArray

from wilsonvox.errors import UserError
from wilsonvox.events import (
    BRANCHES,
    FLAVOURS,
    EventMetadata,
    Events,
    iterate_events,
    read_metadata,
)
from wilsonvox.points import COEFFICIENTS, shift_vector
from wilsonvox.provenance.formats import ColumnDigest, read_record
from wilsonvox.shards import ImageSpecification, Shard, ShardMetadata

ANGLES = {"cos_theta_mu": (-1.0, 1.0), "cos_theta_k": (-1.0, 1.0), "chi": (0.0, 2 * np.pi)}
"""The axes of an image and their ranges, in the order of its axes; chi in rad."""


EDGE = 1e-9
"""How far inside its axis, in units of its length, a value on the upper edge is put: less than
float32 resolves, more than the rounding of a bin index."""


def bin_edges(bins: int) -> dict[str, NDArray[np.float64]]:
    """Edges of the equal-width bins of each axis, float64 of shape (bins + 1,), by axis name."""
    return {name: np.linspace(low, high, bins + 1) for name, (low, high) in ANGLES.items()}


def selection(events: Events, image: ImageSpecification) -> dict[str, NDArray[np.bool_]]:
    """Masks of shape (n,): ``selected``, and for each event left out the first reason.

    The reasons are ``not finite`` (q2 or an angle), ``other flavour``, ``outside the q2 range``
    and ``in a q2 veto window``; the q2 range includes its ends, a veto window its lower end.
    """
    q2 = events.q2
    finite = np.isfinite(q2)
    for name in ANGLES:
        finite &= np.isfinite(getattr(events, name))
    other_flavour = finite & (events.flavour != FLAVOURS[image.flavour])
    outside = (q2 < image.q2_min_gev2) | (q2 > image.q2_max_gev2)
    vetoed = np.zeros(len(events), dtype=bool)
    for low, high in image.vetoes_gev2:
        vetoed |= (q2 >= low) & (q2 < high)
    right = finite & ~other_flavour
    return {
        "selected": right & ~outside & ~vetoed,
        "not finite": ~finite,
        "other flavour": other_flavour,
        "outside the q2 range": right & outside,
        "in a q2 veto window": right & vetoed & ~outside,
    }


def fill_image(
    events: Events, bins: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.uint16]]:
    """One sparse image of all `events`: voxel, mean_q2 [GeV²] and count, as in `Shard`.

    Filled by boost-histogram's `Mean` storage. Values on the upper edge of an axis (cos θ = 1, and
    chi = 2π, which float32 rounds up) go into the last bin.

    Raises:
        UserError: a voxel holds more events than its 16-bit count can.
    """
    axes = [
        bh.axis.Regular(bins, low, high, underflow=False, overflow=False)
        for low, high in ANGLES.values()
    ]
    histogram = bh.Histogram(*axes, storage=bh.storage.Mean())
    columns = [
        np.clip(getattr(events, name).astype(np.float64), low, high - EDGE * (high - low))
        for name, (low, high) in ANGLES.items()
    ]
    histogram.fill(*columns, sample=events.q2.astype(np.float64))
    view: Any = histogram.view(flow=False)
    counts = view.count.reshape(-1)
    voxel = np.flatnonzero(counts)
    occupied = counts[voxel]
    if occupied.size and occupied.max() > np.iinfo(np.uint16).max:
        raise UserError(
            f"--bins {bins}: a voxel holds {int(occupied.max())} events, at most 65535 can be "
            "stored; use more bins or fewer events an image"
        )
    return (
        voxel.astype(np.int32),
        view.value.reshape(-1)[voxel].astype(np.float32),
        occupied.astype(np.uint16),
    )


def _select(
    path: str | os.PathLike[str],
    image: ImageSpecification,
    cut: dict[str, int],
    digest: ColumnDigest,
) -> Iterator[tuple[Events, NDArray[np.int64]]]:
    """Selected events of a file with their entry numbers, chunk by chunk.

    Counts the others in `cut` and takes all into `digest`.
    """
    start = 0
    for chunk in iterate_events(path):
        digest.update(chunk.columns())
        masks = selection(chunk, image)
        for reason, mask in masks.items():
            if reason != "selected":
                cut[reason] = cut.get(reason, 0) + int(mask.sum())
        kept = masks["selected"]
        yield chunk[kept], start + np.flatnonzero(kept)
        start += len(chunk)


def voxelize_file(
    path: str | os.PathLike[str], image: ImageSpecification, n_images: int | None = None
) -> Shard:
    """Voxel images of an event file, in file order; memory is that of one chunk and the images.

    Args:
        path: an event file.
        image: bins, events an image, cuts and flavour.
        n_images: exactly so many images; as many as the events fill if not given.

    Raises:
        UserError: not an event file, or too few selected events.
    """
    source = read_metadata(path)
    size = image.events_per_image
    cut: dict[str, int] = {}
    digest = ColumnDigest(BRANCHES)
    images: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    ranges: list[tuple[int, int]] = []
    n_selected = 0
    held, held_entries = Events.concatenate([]), np.empty(0, np.int64)
    for chunk, entries in _select(path, image, cut, digest):
        n_selected += len(chunk)
        held = Events.concatenate([held, chunk])
        held_entries = np.concatenate([held_entries, entries])
        used = 0
        while len(held) - used >= size and (n_images is None or len(images) < n_images):
            window = slice(used, used + size)
            images.append(fill_image(held[window], image.bins))
            ranges.append((int(held_entries[window][0]), int(held_entries[window][-1]) + 1))
            used += size
        held, held_entries = held[used:], held_entries[used:]
        if n_images is not None and len(images) == n_images:
            held, held_entries = held[:0], held_entries[:0]

    record = read_record(path)
    seed = None if record is None else record.seed
    identity = {"seed": seed, "events_digest": digest.hexdigest({})}
    _require_images(path, image, len(images), n_images, n_selected, cut)
    lengths = [len(voxel) for voxel, _, _ in images]
    shifts = (
        np.full(len(COEFFICIENTS), np.nan, np.complex128)
        if source.shifts is None
        else shift_vector(source.shifts)
    )
    return Shard(
        metadata=_metadata(source, image, n_selected, cut, len(images), identity),
        voxel=np.concatenate([voxel for voxel, _, _ in images]),
        mean_q2=np.concatenate([mean for _, mean, _ in images]),
        count=np.concatenate([count for _, _, count in images]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        shifts=np.tile(shifts, (len(images), 1)),
        n_events=np.full(len(images), size, np.int64),
        source_range=np.array(ranges, np.int64).reshape(len(images), 2),
    )


def _require_images(
    path: str | os.PathLike[str],
    image: ImageSpecification,
    found: int,
    wanted: int | None,
    n_selected: int,
    cut: dict[str, int],
) -> None:
    needed = image.events_per_image * (1 if wanted is None else wanted)
    if found and (wanted is None or found == wanted):
        return
    reasons = ", ".join(f"{number} {reason}" for reason, number in cut.items() if number)
    advice = (
        "give a larger file or use smaller images"
        if wanted is None
        else "generate more events (spare_events_fraction) or ask for fewer images"
    )
    raise UserError(
        f"{Path(path)}: {n_selected} events pass the selection"
        + (f" ({reasons} left out)" if reasons else "")
        + f", but {wanted or 1} image(s) of {image.events_per_image} need {needed}; {advice}"
    )


def _metadata(
    source: EventMetadata,
    image: ImageSpecification,
    n_selected: int,
    cut: dict[str, int],
    n_images: int,
    identity: dict[str, Any],
) -> ShardMetadata:
    used = n_images * image.events_per_image
    return ShardMetadata(
        image=image,
        origin=source.origin,
        point=source.point,
        split=source.split,
        campaign=source.campaign,
        sample=source.sample,
        physics_inputs=source.physics_inputs,
        **identity,
        n_events_dropped=source.n_dropped,
        warnings=source.warnings,
        n_events_in_file=n_selected + sum(cut.values()),
        n_events_cut={reason: number for reason, number in cut.items() if number},
        n_events_used=used,
        n_events_left_over=n_selected - used,
    )
