"""The state of a training between two batches, in a file, so that a killed training goes on.

A training that goes on from its state gives the same numbers, to the last bit, as one that nobody
disturbed. The file (`.npz`, no pickle) belongs to one training, told by its key; it is written
anew after every epoch, and in the middle of one when a signal asks the training to stop, and
removed when the model is written.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, unfinished_files
from wilsonvox.core.models import StrictModel
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.records.digests import digest_arrays
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

logger = logging.getLogger(__name__)

Arrays = tuple[NDArray[Any], ...]


class Stopping(StrictModel):
    """Where early stopping stands; names as in keras.callbacks.EarlyStopping."""

    wait: int
    best: float | None
    best_epoch: int
    stopped_epoch: int


class Plateau(StrictModel):
    """Where the cuts of the learning rate stand; as in keras.callbacks.ReduceLROnPlateau."""

    wait: int
    cooldown_counter: int
    best: float | None


class Progress(StrictModel):
    """All of a state that is not an array."""

    next_epoch: int
    """Number, from 0, of the epoch that comes next, or is in work."""
    batches_done: int = 0
    """Batches of that epoch that were done; with all of them only its validation is left."""
    stop_training: bool
    """Whether early stopping has ended the training."""
    rows: tuple[dict[str, int | float], ...]
    """The history so far, as in `wilsonvox.training.loop.HISTORY_COLUMNS`."""
    stopping: Stopping
    plateau: Plateau | None
    """None where the learning rate is not cut at plateaus."""


@dataclass(frozen=True)
class TrainingState:
    """A training after an epoch, or in the middle of one.

    progress: numbers
    variables: of the model: weights, moving averages, states of seed generators
    optimizer: its variables: iterations, learning rate, momenta
    best_weights: weights and moving averages of the best epoch; empty before there is one
    metrics: sums of the loss over the batches done, each of shape (n_replicas,); empty between
        epochs
    """

    progress: Progress
    variables: Arrays
    optimizer: Arrays
    best_weights: Arrays
    metrics: Arrays = ()


_GROUPS = ("variables", "optimizer", "best_weights", "metrics")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _digest_shards(shards: Mapping[str, Shard]) -> str:
    # in their order, which is that of the images; their names do not matter
    return _digest([digest_arrays(shard.arrays().items()) for shard in shards.values()])


def training_key(
    train_shards: Mapping[str, Shard],
    validation_shards: Mapping[str, Shard],
    *,
    architecture: str,
    network: NetworkSettings,
    training: TrainingSettings,
    normalisation: VoxelScaling,
    seed: int,
    threads: int,
    replicas: int,
    versions: Mapping[str, str],
    code_digest: str,
) -> dict[str, str]:
    """What a training is: a SHA-256 of each thing that its numbers depend on, by name.

    Args:
        train_shards: shards by the name of their file, which does not count.
        validation_shards: likewise.
        architecture: name in `wilsonvox.estimators.ARCHITECTURES`.
        network: sizes of the network.
        training: how it is trained.
        normalisation: of the voxels.
        seed: the run's seed.
        threads: threads on the CPU.
        replicas: devices that each batch is divided among.
        versions: of the packages that compute, by name.
        code_digest: of the code that trains.
    """
    return {
        "training images": _digest_shards(train_shards),
        "validation images": _digest_shards(validation_shards),
        "architecture": _digest(architecture),
        "network": _digest(network.model_dump(mode="json")),
        "training settings": _digest(training.model_dump(mode="json")),
        "normalisation": _digest(normalisation.model_dump(mode="json")),
        "seed": _digest(seed),
        "threads": _digest(threads),
        "number of devices": _digest(replicas),
        "package versions": _digest(dict(versions)),
        "code": code_digest,
    }


@dataclass(frozen=True)
class StateFile:
    """The file of one training's state.

    path: of the file
    key: of the training, from `training_key`; a state with another one is never used
    """

    path: Path
    key: Mapping[str, str]

    def check_writable(self) -> None:
        """Find out before the first epoch, not after it, that the file cannot be written.

        Raises:
            UserError: it cannot.
        """
        if self.path.is_dir():
            raise UserError(f"{self.path}: is a folder; --state takes the name of a file")
        if self.path.suffix != ".npz":
            raise UserError(f"{self.path}: the name of a --state file ends in .npz")
        trial = self.path.with_name(f".{self.path.stem}.trial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise self._not_written(error) from error

    def save(self, state: TrainingState) -> None:
        """Write a state, atomically.

        Raises:
            UserError: the file cannot be written; the one before stays.
        """
        arrays = {"progress": np.array(state.progress.model_dump_json())}
        arrays["key"] = np.array(json.dumps(dict(self.key)))
        for group in _GROUPS:
            for number, array in enumerate(getattr(state, group)):
                arrays[f"{group}_{number:05d}"] = array
        digest = np.array(digest_arrays(arrays.items()))
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as handle:
                np.savez(handle, allow_pickle=False, digest=digest, **arrays)
        except OSError as error:
            raise self._not_written(error) from error

    def _not_written(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path}: the training's state cannot be written: {error.strerror or error}; "
            "make room there or give another --state"
        )

    def load(self) -> TrainingState | None:
        """The state in the file; None where there is none that this training can go on from.

        Says in one log line why a file is not used.
        """
        if not self.path.exists():
            return None
        try:
            # np.load leaves a file open when it raises on a damaged one
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            recorded = str(arrays.pop("digest"))
            if digest_arrays(arrays.items()) != recorded:
                raise ValueError("content differs from its recorded digest")
            found = json.loads(str(arrays["key"]))
            progress = Progress.model_validate_json(str(arrays["progress"]))
        except Exception as error:
            reason = f"not a readable state ({' '.join(str(error).split())})"
            logger.warning("%s: %s; the training begins anew", self.path, reason)
            return None
        names = {*found, *self.key}
        different = [name for name in sorted(names) if found.get(name) != self.key.get(name)]
        if different:
            reason = f"state of another training (other {', '.join(different)})"
            logger.warning("%s: %s; this one begins anew", self.path, reason)
            return None
        return TrainingState(progress, *(_group(arrays, name) for name in _GROUPS))


def _group(arrays: Mapping[str, NDArray[Any]], group: str) -> Arrays:
    return tuple(arrays[name] for name in sorted(arrays) if name.startswith(f"{group}_"))


def remove_state(path: Path) -> None:
    """Remove the state of a finished training, and what killed processes left of it beside it."""
    for each in (path, *unfinished_files(path)):
        try:
            each.unlink(missing_ok=True)
        except OSError as error:  # the model is written: nothing is lost
            logger.warning("%s: cannot be removed: %s", each, error.strerror)
