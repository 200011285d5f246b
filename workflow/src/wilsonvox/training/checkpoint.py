"""Checkpoints: the complete state of a training between two batches, in a file.

A training that resumes from a checkpoint gives the same numbers, bit by bit, as an uninterrupted
one. The file (`.npz`, no pickle) belongs to one training, identified by its key. It is rewritten
after every epoch, and within an epoch if a signal requests a stop, and removed when the model is
written.
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
    """State of early stopping; names as in keras.callbacks.EarlyStopping."""

    wait: int
    best: float | None
    best_epoch: int
    stopped_epoch: int


class Plateau(StrictModel):
    """State of the learning-rate schedule; names as in keras.callbacks.ReduceLROnPlateau."""

    wait: int
    cooldown_counter: int
    best: float | None


class Progress(StrictModel):
    """Part of a checkpoint that is not arrays."""

    next_epoch: int
    """Epoch, from 0, that is next or in progress."""
    batches_done: int = 0
    """Number of batches of that epoch that are done; if all are, only its validation is left."""
    stop_training: bool
    """True if early stopping has ended the training."""
    rows: tuple[dict[str, int | float], ...]
    """History so far, with the columns `wilsonvox.training.loop.HISTORY_COLUMNS`."""
    stopping: Stopping
    plateau: Plateau | None
    """None if the learning rate is not reduced at plateaus."""


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint: state of a training after an epoch, or within one.

    progress: numbers
    variables: variables of the model: weights, moving averages, states of seed generators
    optimizer: variables of the optimizer: iterations, learning rate, momenta
    best_weights: weights and moving averages of the best epoch; empty if there is none yet
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
    # in the order of the images; names of shards are ignored
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
    """Identify a training: a SHA-256 digest of each input that its numbers depend on, by name.

    Args:
        train_shards: training shards by file name; the names are ignored.
        validation_shards: validation shards by file name; the names are ignored.
        architecture: name in `wilsonvox.estimators.ARCHITECTURES`.
        network: settings of the network.
        training: settings of the training.
        normalisation: scaling of the voxels.
        seed: seed of the run.
        threads: number of CPU threads.
        replicas: number of devices that share each batch.
        versions: versions of the numerical packages, by name.
        code_digest: digest of the training code.
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
class CheckpointFile:
    """Checkpoint file of one training.

    path: file name
    key: key of the training, from `training_key`; a checkpoint with another key is not used
    """

    path: Path
    key: Mapping[str, str]

    def check_writable(self) -> None:
        """Check before the first epoch that the file can be written.

        Raises:
            UserError: the file cannot be written.
        """
        if self.path.is_dir():
            raise UserError(f"{self.path}: is a folder; --state needs the name of a file")
        if self.path.suffix != ".npz":
            raise UserError(f"{self.path}: the name of a --state file must end in .npz")
        trial = self.path.with_name(f".{self.path.stem}.trial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise self._not_written(error) from error

    def save(self, state: Checkpoint) -> None:
        """Write a checkpoint, atomically.

        Raises:
            UserError: the file cannot be written; the previous one is kept.
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
            f"{self.path}: the checkpoint cannot be written: {error.strerror or error}; "
            "free space there or give another --state"
        )

    def load(self) -> Checkpoint | None:
        """Read the checkpoint; None if there is none from which this training can resume.

        Logs one line with the reason if a file is not used.
        """
        if not self.path.exists():
            return None
        try:
            # open the file here: np.load leaves it open when it raises an error
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            recorded = str(arrays.pop("digest"))
            if digest_arrays(arrays.items()) != recorded:
                raise ValueError("content differs from its recorded digest")
            stored_key = json.loads(str(arrays["key"]))
            progress = Progress.model_validate_json(str(arrays["progress"]))
        except Exception as error:
            reason = f"not a readable checkpoint ({' '.join(str(error).split())})"
            logger.warning("%s: %s; the training starts from the beginning", self.path, reason)
            return None
        names = {*stored_key, *self.key}
        different = [name for name in sorted(names) if stored_key.get(name) != self.key.get(name)]
        if different:
            reason = f"checkpoint of another training (different {', '.join(different)})"
            logger.warning("%s: %s; this one starts from the beginning", self.path, reason)
            return None
        return Checkpoint(progress, *(_group(arrays, name) for name in _GROUPS))


def _group(arrays: Mapping[str, NDArray[Any]], group: str) -> Arrays:
    return tuple(arrays[name] for name in sorted(arrays) if name.startswith(f"{group}_"))


def remove_checkpoint(path: Path) -> None:
    """Remove the checkpoint of a finished training, and temporary files of killed processes."""
    for file in (path, *unfinished_files(path)):
        try:
            file.unlink(missing_ok=True)
        except OSError as error:  # the model is written, so this is harmless
            logger.warning("%s: cannot be removed: %s", file, error.strerror)
