"""Events into voxel images: mean q² in bins of the three angles."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.event_file import (
    BRANCHES,
    EventMetadata,
    Events,
    iterate_events,
    read_metadata,
)
from wilsonvox.records.digests import ColumnDigest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.points import COEFFICIENTS, shift_vector
from wilsonvox.voxels.flavours import is_of, with_image_angles
from wilsonvox.voxels.histograms import ANGLES, SparseImage, image_axes, stored_counts
from wilsonvox.voxels.shards import Shard, ShardMetadata
from wilsonvox.voxels.specification import ImageSpecification


def selection(events: Events, image: ImageSpecification) -> dict[str, NDArray[np.bool_]]:
    """Masks of shape (n,): ``selected``, and for each event left out the first reason.

    The reasons are ``not finite`` (q2 or an angle), ``other flavour``, ``outside the q2 range``
    and ``in a q2 veto window``; the q2 range includes its ends, a veto window its lower end.
    """
    q2 = events.q2
    finite = np.isfinite(q2)
    for name in ANGLES:
        finite &= np.isfinite(getattr(events, name))
    other_flavour = finite & ~is_of(events.flavour, image.flavour)
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


def voxel_indices(events: Events, bins: int) -> NDArray[np.int32]:
    """Flat voxel index of each event, as in `Shard`; int32 of shape (n,).

    Values beyond an axis, such as chi = 2π, which float32 rounds up, go into its outermost bin.
    """
    cos_theta_mu, cos_theta_k, chi = (
        axis.index(np.clip(getattr(events, name), low, high, dtype=np.float64))
        for axis, (name, (low, high)) in zip(image_axes(bins), ANGLES.items(), strict=True)
    )
    return np.asarray((cos_theta_mu * bins + cos_theta_k) * bins + chi, np.int32)


def fill_histogram(
    events: Events, bins: int, weights: NDArray[np.floating[Any]] | None = None
) -> tuple[NDArray[np.int32], bh.Histogram[Any]]:
    """Fill the q2 [GeV²] of `events` into a histogram over the occupied voxels.

    Neither time nor memory depends on the number of voxels.

    Args:
        events: those of one image, with finite q2 and angles.
        bins: equal-width bins of each angle, at most 1290 (`voxel` is int32).
        weights: of each event, shape (n,); 1 if not given.

    Returns:
        The occupied voxels, ascending, int32 of shape (n_occupied,), and a histogram with one bin
        per occupied voxel: `Mean` storage, or `WeightedMean` where there are weights.
    """
    occupied, row = np.unique(voxel_indices(events, bins), return_inverse=True)
    histogram = bh.Histogram(
        bh.axis.Integer(0, occupied.size, underflow=False, overflow=False),
        storage=bh.storage.Mean() if weights is None else bh.storage.WeightedMean(),
    )
    histogram.fill(row, sample=events.q2, weight=weights)
    return occupied, histogram


def fill_image(events: Events, bins: int) -> SparseImage:
    """One sparse image of all `events`: voxel, mean_q2 [GeV²] and count, as in `Shard`.

    Args:
        events: those of the image, with finite q2 and angles.
        bins: equal-width bins of each angle, at most 1290 (`voxel` is int32).

    Raises:
        UserError: a voxel holds more events than its 16-bit count can.
    """
    occupied, histogram = fill_histogram(events, bins)
    return (
        occupied,
        histogram.values().astype(np.float32),
        stored_counts(histogram.counts()),
    )


def make_image(events: Events, image: ImageSpecification) -> SparseImage:
    """One sparse image of all `events`, as `fill_image`, with the angles that `image` has.

    Voxels with several events are left out where `image.multiple_entries` is ``removed``.
    """
    voxel, mean_q2, count = fill_image(with_image_angles(events, image), image.bins)
    if image.multiple_entries == "averaged":
        return voxel, mean_q2, count
    single = count == 1
    return voxel[single], mean_q2[single], count[single]


def _windows(
    path: str | os.PathLike[str],
    image: ImageSpecification,
    n_images: int | None,
    numbers: Counter[str],
    digest: ColumnDigest,
) -> Iterator[tuple[Events, tuple[int, int]]]:
    """Selected events of each image, with the range of entries that holds them, in file order.

    Reads the whole file, also behind the last image: counts all events in `numbers`, by the names
    of `selection`, and takes them into `digest`.
    """
    size = image.events_per_image
    start = 0  # entry of the chunk's first event
    held: list[Events] = []  # of the image that the chunks before have begun
    n_held = first = made = 0
    for chunk in iterate_events(path):
        digest.update(chunk.columns())
        masks = selection(chunk, image)
        numbers.update({name: int(np.count_nonzero(mask)) for name, mask in masks.items()})
        rows = np.flatnonzero(masks["selected"])
        used = 0
        while used < len(rows) and (n_images is None or made < n_images):
            own = rows[used : used + size - n_held]
            if not held:
                first = start + int(own[0])
            held.append(_rows(chunk, own))
            n_held += len(own)
            used += len(own)
            if n_held == size:
                made += 1
                events = held[0] if len(held) == 1 else Events.concatenate(held)
                yield events, (first, start + int(own[-1]) + 1)
                held, n_held = [], 0
        # a copy, so that the chunk's memory is free
        held = [Events.concatenate(held)] if held else []
        start += len(chunk)


def _rows(events: Events, rows: NDArray[np.int64]) -> Events:
    """Events of rising row numbers; no copy where no row is left out."""
    span = events[rows[0] : rows[-1] + 1]
    return span if len(span) == len(rows) else span[rows - rows[0]]


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
    numbers: Counter[str] = Counter()
    digest = ColumnDigest(BRANCHES)
    images: list[SparseImage] = []
    ranges: list[tuple[int, int]] = []
    n_b0 = 0
    for events, entries in _windows(path, image, n_images, numbers, digest):
        images.append(make_image(events, image))
        ranges.append(entries)
        n_b0 += int(np.count_nonzero(events.flavour > 0))

    n_selected = numbers.pop("selected", 0)
    record = read_record(path)
    seed = None if record is None else record.seed
    identity = {"seed": seed, "events_digest": digest.hexdigest({})}
    _require_images(path, image, len(images), n_images, n_selected, numbers)
    _require_mixture(path, image, n_b0, len(images) * size)
    shifts = (
        np.full(len(COEFFICIENTS), np.nan, np.complex128)
        if source.shifts is None
        else shift_vector(source.shifts)
    )
    return Shard.from_images(
        images,
        metadata=_metadata(source, image, n_selected, numbers, len(images), identity),
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
    cut: Mapping[str, int],
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


def _require_mixture(
    path: str | os.PathLike[str], image: ImageSpecification, n_b0: int, n_events: int
) -> None:
    """Refuse mixed images that are not half of each flavour where the flavours' angles differ.

    Raises:
        UserError: the number of B0 is five standard deviations away from half of the events.
    """
    if image.flavour != "both" or image.antiparticle_angles == "conjugate":
        return
    if abs(2 * n_b0 - n_events) > 5 * math.sqrt(n_events):
        raise UserError(
            f"{Path(path)}: {n_b0} of the images' {n_events} events are B0, but images of both "
            f"flavours with antiparticle_angles {image.antiparticle_angles} are half B0 and half "
            "anti-B0; give events of both, or use images of one flavour"
        )


def _metadata(
    source: EventMetadata,
    image: ImageSpecification,
    n_selected: int,
    cut: Mapping[str, int],
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
        lepton=source.lepton,
        antiparticle_shifts=source.antiparticle_shifts,
        **identity,
        n_events_dropped=source.n_dropped,
        warnings=source.warnings,
        n_events_in_file=n_selected + sum(cut.values()),
        n_events_cut={reason: number for reason, number in cut.items() if number},
        n_events_used=used,
        n_events_left_over=n_selected - used,
    )
