"""Estimators that read events: prepared from the decay model, kept in one `.npz` file.

Such an estimator fits the events of each image. Everything that can be computed before events are
seen is in its file, the decay model included, so that the file alone suffices. Each architecture
is a module (`wilsonvox.estimators.EVENT_ARCHITECTURES`) with two functions: ``prepare(model,
image, coefficients, settings)`` gives the arrays of the file, and ``estimator(arrays, metadata,
model)`` an `EventEstimator`.
"""

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.estimators import EVENT_ARCHITECTURES
from wilsonvox.estimators.settings import EventSettings
from wilsonvox.events.event_file import BRANCHES, Events, iterate_events
from wilsonvox.records.digests import KEY, ColumnDigest, digest_arrays
from wilsonvox.records.embedded import parse_record
from wilsonvox.records.record import Record
from wilsonvox.theory.model import DecayModel
from wilsonvox.voxels.binning import selection
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification, require_images_of

Array = NDArray[np.float64]

_TEXTS = ("metadata", "decay_model")
_MODEL: TypeAdapter[DecayModel] = TypeAdapter(DecayModel)


@dataclass(frozen=True)
class Estimate:
    """What a fit says of one image, in the order of the estimator's coefficients.

    values: float64, shape (k,), fitted shifts (dimensionless)
    errors: float64, shape (k,), of the Hesse matrix (dimensionless)

    Both are NaN where the fit did not converge.
    """

    values: Array
    errors: Array


class EventEstimator(Protocol):
    """What the module of an architecture makes of a prepared file."""

    def estimate(self, events: Events) -> Estimate:
        """The shifts of one image, from its selected events."""
        ...


class PreparedMetadata(StrictModel):
    """What a prepared estimator says about itself."""

    estimator: str = Field(description="its name in the configuration")
    architecture: str = Field(description="kind of the fit")
    image: ImageSpecification = Field(description="the images whose events it fits")
    coefficients: tuple[str, ...] = Field(description="the shifts that it fits, in their order")
    physics_inputs: str = Field(description="set of SM inputs of its decay model")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="leptons of the decays that it is for"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="whether it takes a B0 to have the shifts or their conjugates"
    )
    settings: EventSettings = Field(description="settings of the fit")


def _module(architecture: str) -> Any:
    if architecture not in EVENT_ARCHITECTURES:
        raise UserError(
            f"architecture {architecture!r} is unknown; known are {', '.join(EVENT_ARCHITECTURES)}"
        )
    return importlib.import_module(EVENT_ARCHITECTURES[architecture])


def prepare(metadata: PreparedMetadata, model: DecayModel) -> dict[str, Array]:
    """The arrays of an estimator's file.

    Args:
        metadata: what is to be prepared.
        model: the decay that the estimator takes the events for.

    Raises:
        UserError: no such architecture, or what its ``prepare`` refuses.
    """
    arrays: dict[str, Array] = _module(metadata.architecture).prepare(
        model, metadata.image, metadata.coefficients, metadata.settings
    )
    reserved = {*_TEXTS, KEY} & set(arrays)
    if reserved:
        raise ValueError(f"{metadata.architecture}: array {reserved.pop()} has a reserved name")
    return arrays


def save_prepared(
    path: str | os.PathLike[str],
    metadata: PreparedMetadata,
    model: DecayModel,
    arrays: Mapping[str, Array],
    record: Record,
) -> None:
    """Write a prepared estimator, atomically; equal estimators give equal bytes.

    Args:
        path: of the file, ending in ``.npz``.
        metadata: stored as it is.
        model: stored as its inputs, lepton and rule for antiparticles.
        arrays: those of `prepare`.
        record: stored with the digest of all that added to it.

    Raises:
        UserError: `path` does not end in ``.npz`` or cannot be written.
    """
    if Path(path).suffix != ".npz":
        raise UserError(f"{path}: the name of a prepared estimator ends in .npz")
    content: dict[str, NDArray[Any]] = dict(arrays) | {
        "metadata": np.array(metadata.model_dump_json()),
        "decay_model": np.array(_MODEL.dump_json(model).decode()),
    }
    full = record.model_copy(update={"content_digest": digest_arrays(content.items())})
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **{KEY: np.array(full.to_json())}, **content)


@dataclass(frozen=True)
class PreparedEstimator:
    """A prepared estimator, ready to predict."""

    path: Path
    metadata: PreparedMetadata
    model: DecayModel
    estimator: EventEstimator

    def predict(
        self,
        shard: Shard,
        events: str | os.PathLike[str],
        source: str | os.PathLike[str] = "shard",
    ) -> tuple[Array, Array]:
        """Fitted shifts of all images of a shard, and their errors.

        The event file is read in chunks: memory is that of one chunk and one image.

        Args:
            shard: images of the estimator's own specification.
            events: the event file that they were made of.
            source: the shard's file, for messages.

        Returns:
            Two float64 arrays of shape (n_images, k) in the order of `metadata.coefficients`;
            both NaN for an image whose fit did not converge.

        Raises:
            UserError: images of another specification, or other events than those of the images.
        """
        require_images_of(self.path, self.metadata.image, shard.metadata.image, source)
        check_events(shard, events, source)
        shape = (len(shard), len(self.metadata.coefficients))
        values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
        for index, chosen in events_of_images(shard, events, source):
            found = self.estimator.estimate(chosen)
            if np.all(np.isfinite(found.values)) and np.all(np.isfinite(found.errors)):
                values[index], errors[index] = found.values, found.errors
        return values, errors


def load_prepared(path: str | os.PathLike[str]) -> PreparedEstimator:
    """Read a prepared estimator.

    Raises:
        UserError: no such file, damaged, or its content is not that of its record.
    """
    found = require_file(path, "a prepared estimator (.npz)")
    try:
        # np.load leaves a file open when it raises on a damaged one
        with found.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        if not {*_TEXTS, KEY} <= set(arrays):
            raise ValueError("it was not written by `wilsonvox prepare`")
        record = parse_record(str(arrays.pop(KEY)))
        if digest_arrays(arrays.items()) != record.content_digest:
            raise ValueError("content differs from its recorded digest")
        texts = {name: str(arrays.pop(name)) for name in _TEXTS}
        metadata = PreparedMetadata.model_validate_json(texts["metadata"])
        model = _MODEL.validate_json(texts["decay_model"])
    except Exception as error:
        raise UserError(
            f"{found}: not a readable prepared estimator ({' '.join(str(error).split())}); "
            "delete it and run again"
        ) from error
    estimator: EventEstimator = _module(metadata.architecture).estimator(arrays, metadata, model)
    return PreparedEstimator(found, metadata, model, estimator)


def check_events(
    shard: Shard, events: str | os.PathLike[str], source: str | os.PathLike[str]
) -> None:
    """Refuse an event file that the images were not made of, by its content.

    Args:
        shard: the images.
        events: the event file.
        source: the shard's file, for the message.

    Raises:
        UserError: another file, or a shard that does not say of which events it was made.
    """
    expected = shard.metadata.events_digest
    if expected is None:
        raise UserError(f"{source}: does not say of which events it was made; make it again")
    digest = ColumnDigest(BRANCHES)
    for chunk in iterate_events(events):
        digest.update(chunk.columns())
    if digest.hexdigest({}) != expected:
        raise UserError(
            f"{events}: not the events that the images of {source} were made of; give their own"
        )


def events_of_images(
    shard: Shard, events: str | os.PathLike[str], source: str | os.PathLike[str] = "shard"
) -> Iterator[tuple[int, Events]]:
    """The selected events of each image, with the image's index, in the order of the file.

    Args:
        shard: the images; `source_range` tells where in the file their events are.
        events: the event file that they were made of.
        source: the shard's file, for messages.

    Raises:
        UserError: an image has another number of events there than it was made of.
    """
    image = shard.metadata.image
    waiting = sorted(range(len(shard)), key=lambda index: int(shard.source_range[index][1]))
    parts: dict[int, list[Events]] = {index: [] for index in waiting}
    start = 0
    for chunk in iterate_events(events):
        stop = start + len(chunk)
        kept = selection(chunk, image)["selected"]
        entries, selected = start + np.flatnonzero(kept), chunk[kept]
        for index in list(waiting):
            first, end = map(int, shard.source_range[index])
            if first >= stop:
                continue
            low, high = np.searchsorted(entries, [first, end])
            if low < high:
                parts[index].append(selected[int(low) : int(high)])
            if end <= stop:
                waiting.remove(index)
                yield index, _whole(shard, index, parts.pop(index), events, source)
        start = stop
    for index in waiting:  # beyond the end of the file
        yield index, _whole(shard, index, parts.pop(index), events, source)


def _whole(
    shard: Shard,
    index: int,
    parts: list[Events],
    events: str | os.PathLike[str],
    source: str | os.PathLike[str],
) -> Events:
    chosen = Events.concatenate(parts)
    expected = int(shard.n_events[index])
    if len(chosen) != expected:
        raise UserError(
            f"{source}: image {index} was made of {expected} events, but the selection finds "
            f"{len(chosen)} at its place in {events}; make the images again"
        )
    return chosen
