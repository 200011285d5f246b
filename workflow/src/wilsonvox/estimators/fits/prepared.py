"""Prepared estimators: fits of the decay model to the events of each image, in one `.npz` file.

The file contains everything that can be computed before events are read, including the decay
model, so that no other input is needed. Each architecture is a module
(`wilsonvox.estimators.EVENT_ARCHITECTURES`) with two functions: ``prepare(model, image,
coefficients, settings)`` returns the arrays of the file, and ``estimator(arrays, metadata, model)``
an `EventEstimator`.
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
    """Fitted shifts of one image, in the order of the estimator's coefficients.

    values: float64, shape (k,), fitted shifts (dimensionless)
    errors: float64, shape (k,), of the Hesse matrix (dimensionless)

    Both are NaN if the fit did not converge.
    """

    values: Array
    errors: Array


class EventEstimator(Protocol):
    """Estimator that reads the events of an image."""

    def estimate(self, events: Events) -> Estimate:
        """Return the shifts of one image, given its selected events."""
        ...


class PreparedMetadata(StrictModel):
    """Metadata of a prepared estimator: images, decay model and settings of the fit."""

    estimator: str = Field(description="name of the estimator in the configuration")
    architecture: str = Field(description="type of fit")
    image: ImageSpecification = Field(description="specification of the images it accepts")
    coefficients: tuple[str, ...] = Field(description="fitted coefficients, in order")
    physics_inputs: str = Field(description="set of SM inputs of the decay model")
    lepton: Literal["muon", "electron"] | None = Field(
        default=None, description="lepton of the decay model"
    )
    antiparticle_shifts: Literal["equal", "conjugate"] | None = Field(
        default=None, description="rule for antiparticles: B0 with equal or with conjugate shifts"
    )
    settings: EventSettings = Field(description="settings of the fit")


def _module(architecture: str) -> Any:
    if architecture not in EVENT_ARCHITECTURES:
        raise UserError(
            f"architecture {architecture!r} is unknown; known are {', '.join(EVENT_ARCHITECTURES)}"
        )
    return importlib.import_module(EVENT_ARCHITECTURES[architecture])


def prepare(metadata: PreparedMetadata, model: DecayModel) -> dict[str, Array]:
    """Compute the arrays of an estimator's file.

    Args:
        metadata: metadata of the estimator to prepare.
        model: decay model that the estimator assumes.

    Raises:
        UserError: the architecture is unknown, or its ``prepare`` raises one.
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
        path: file name, ending in ``.npz``.
        metadata: metadata to store.
        model: decay model; its inputs, lepton and rule for antiparticles are stored.
        arrays: arrays returned by `prepare`.
        record: record to store; the digest of the content is added to it.

    Raises:
        UserError: `path` does not end in ``.npz`` or cannot be written.
    """
    if Path(path).suffix != ".npz":
        raise UserError(f"{path}: the name of a prepared estimator must end in .npz")
    content: dict[str, NDArray[Any]] = dict(arrays) | {
        "metadata": np.array(metadata.model_dump_json()),
        "decay_model": np.array(_MODEL.dump_json(model).decode()),
    }
    full = record.model_copy(update={"content_digest": digest_arrays(content.items())})
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **{KEY: np.array(full.to_json())}, **content)


@dataclass(frozen=True)
class PreparedEstimator:
    """Prepared estimator, ready to predict."""

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
        """Fit the shifts of all images of a shard.

        The event file is read in chunks; memory holds one chunk and one image at a time.

        Args:
            shard: images with the estimator's specification.
            events: event file that the images were made from.
            source: file name of the shard, for messages.

        Returns:
            Shifts and errors, float64 of shape (n_images, k), in the order of
            `metadata.coefficients`; both NaN for an image whose fit did not converge.

        Raises:
            UserError: the image specification differs from the estimator's, or the events are not
                those of the images.
        """
        require_images_of(self.path, self.metadata.image, shard.metadata.image, source)
        check_events(shard, events, source)
        shape = (len(shard), len(self.metadata.coefficients))
        values, errors = np.full(shape, np.nan), np.full(shape, np.nan)
        for index, chosen in events_of_images(shard, events, source):
            estimate = self.estimator.estimate(chosen)
            if np.all(np.isfinite(estimate.values)) and np.all(np.isfinite(estimate.errors)):
                values[index], errors[index] = estimate.values, estimate.errors
        return values, errors


def load_prepared(path: str | os.PathLike[str]) -> PreparedEstimator:
    """Read a prepared estimator.

    Raises:
        UserError: the file is missing or damaged, or its content does not match its record.
    """
    file = require_file(path, "a prepared estimator (.npz)")
    try:
        # open the file here: np.load leaves it open when it raises an error
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
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
            f"{file}: not a readable prepared estimator ({' '.join(str(error).split())}); "
            "delete it and run again"
        ) from error
    estimator: EventEstimator = _module(metadata.architecture).estimator(arrays, metadata, model)
    return PreparedEstimator(file, metadata, model, estimator)


def check_events(
    shard: Shard, events: str | os.PathLike[str], source: str | os.PathLike[str]
) -> None:
    """Check by its digest that an event file is the one that the images were made from.

    Args:
        shard: images.
        events: event file.
        source: file name of the shard, for messages.

    Raises:
        UserError: the digest differs, or the shard contains no digest of its events.
    """
    expected = shard.metadata.events_digest
    if expected is None:
        raise UserError(f"{source}: has no digest of the events it was made from; make it again")
    digest = ColumnDigest(BRANCHES)
    for chunk in iterate_events(events):
        digest.update(chunk.columns())
    if digest.hexdigest({}) != expected:
        raise UserError(
            f"{events}: is not the file that the images of {source} were made from; give that file"
        )


def events_of_images(
    shard: Shard, events: str | os.PathLike[str], source: str | os.PathLike[str] = "shard"
) -> Iterator[tuple[int, Events]]:
    """Yield the index and the selected events of each image, in the order of the file.

    Args:
        shard: images; `source_range` gives the positions of their events in the file.
        events: event file that the images were made from.
        source: file name of the shard, for messages.

    Raises:
        UserError: an image has another number of events than it was made from.
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
                yield index, _image_events(shard, index, parts.pop(index), events, source)
        start = stop
    for index in waiting:  # range beyond the end of the file
        yield index, _image_events(shard, index, parts.pop(index), events, source)


def _image_events(
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
            f"{source}: image {index} was made from {expected} events, but the selection gives "
            f"{len(chosen)} at its position in {events}; make the images again"
        )
    return chosen
