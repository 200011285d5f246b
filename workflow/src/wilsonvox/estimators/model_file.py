"""Model files of trained estimators: a Keras model with metadata and provenance record.

A ``.keras`` file is a zip archive. In addition to Keras's own entries it contains
``estimator.json`` (`EstimatorMetadata`) and ``provenance.json`` (the record), which Keras ignores.
"""

import json
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.estimators.metadata import EstimatorMetadata
from wilsonvox.estimators.settings import VoxelSumSettings
from wilsonvox.records.digests import KERAS_ENTRIES, content_digest, digest_entries
from wilsonvox.records.embedded import read_record
from wilsonvox.records.record import Record
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import require_images_of

METADATA_ENTRY = "estimator.json"
RECORD_ENTRY = "provenance.json"
PREDICTION_BATCH = 32
"""Number of dense images in memory at a time during prediction."""


def save_estimator(
    path: str | os.PathLike[str], model: Any, metadata: EstimatorMetadata, record: Record
) -> None:
    """Write a Keras model with its metadata and its record, atomically.

    Args:
        path: file name, ending in ``.keras``.
        model: keras.Model, not compiled: the state of the optimizer is not stored.
        metadata: metadata to store.
        record: record to store; the digest of network, weights and metadata is added to it.

    Raises:
        UserError: `path` does not end in ``.keras`` or cannot be written.
    """
    if Path(path).suffix != ".keras":
        raise UserError(f"{path}: the name of a model file must end in .keras")
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        about = json.loads(entries["metadata.json"])
        about.pop("date_saved", None)
        entries["metadata.json"] = json.dumps(about).encode()
        entries["config.json"] = _numbered_objects(entries["config.json"])
        entries[METADATA_ENTRY] = metadata.model_dump_json().encode()
        counted = {name: entries[name] for name in KERAS_ENTRIES}
        full = record.model_copy(update={"content_digest": digest_entries(counted)})
        entries[RECORD_ENTRY] = full.to_json().encode()
        # ZipInfo has the fixed date 1980-01-01, so that equal models give equal bytes
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name), content)


def _numbered_objects(config: bytes) -> bytes:
    """Number the shared objects in Keras's description of a network in order.

    Keras names them by memory addresses, which differ from run to run.
    """
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return match[1] + str(numbers.setdefault(match[2], len(numbers) + 1)).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def read_estimator_metadata(path: str | os.PathLike[str]) -> EstimatorMetadata:
    """Read the metadata of a trained estimator without loading the network.

    Raises:
        UserError: the file is missing, damaged, or a Keras model not written by this package.
    """
    file = require_file(path, "a trained estimator (.keras)")
    try:
        with zipfile.ZipFile(file) as archive:
            if METADATA_ENTRY not in archive.namelist():
                raise ValueError("it was not written by `wilsonvox train`")
            return EstimatorMetadata.model_validate_json(archive.read(METADATA_ENTRY))
    except Exception as error:
        raise _unreadable(file, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path}: not a readable estimator ({' '.join(str(error).split())}); "
        "delete it and train again"
    )


@dataclass(frozen=True)
class Estimator:
    """Trained network, ready to predict."""

    path: Path
    metadata: EstimatorMetadata
    model: Any

    def predict(
        self, shard: Shard, source: str | os.PathLike[str] = "shard"
    ) -> NDArray[np.float64]:
        """Predict the shifts of all images of a shard.

        The memory needed does not depend on the number of images.

        Args:
            shard: images with the estimator's specification.
            source: file name of the shard, for messages.

        Returns:
            float64 of shape (n_images, n_coefficients), in the order of `metadata.coefficients`.

        Raises:
            UserError: the image specification of the shard differs from the estimator's.
        """
        require_images_of(self.path, self.metadata.image, shard.metadata.image, source)
        n_outputs = len(self.metadata.coefficients)
        if not len(shard):
            return np.zeros((0, n_outputs))
        predicted = self.model.predict(self._batches(shard), verbose=0)
        return np.asarray(predicted, dtype=np.float64).reshape(len(shard), n_outputs)

    def _batches(self, shard: Shard) -> Any:
        if isinstance(self.metadata.network, VoxelSumSettings):
            from wilsonvox.estimators.networks.voxel_batches import VoxelBatches
            from wilsonvox.estimators.voxel_sum.limits import IMAGES_PER_BATCH

            return VoxelBatches(shard, IMAGES_PER_BATCH, self.metadata.network.use_counts)
        from wilsonvox.estimators.networks.image_batches import ImageBatches

        return ImageBatches([shard], self.metadata.normalisation, PREDICTION_BATCH)


def load_estimator(path: str | os.PathLike[str], threads: int | None = None) -> Estimator:
    """Read a trained estimator in Keras's safe mode, which executes no code from the file.

    Predictions are computed on one device: the first visible GPU, or else the CPU.

    Args:
        path: file written by `save_estimator`.
        threads: CPU threads, see `wilsonvox.estimators.networks.backend.prepare_backend`.

    Raises:
        UserError: the file is missing or damaged, or its content does not match its record; or GPUs
            are missing, see `wilsonvox.estimators.networks.gpus.check_gpus`.
    """
    from wilsonvox.estimators.networks.backend import prepare_backend
    from wilsonvox.estimators.networks.gpus import log_devices

    metadata = read_estimator_metadata(path)
    file = Path(path)
    try:
        record = read_record(file)
        if record is None or record.content_digest != content_digest(file):
            raise ValueError("content differs from its recorded digest")
    except Exception as error:
        raise _unreadable(file, error) from error
    prepare_backend(threads)
    log_devices()
    import keras

    try:
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        raise _unreadable(file, error) from error
    return Estimator(file, metadata, model)
