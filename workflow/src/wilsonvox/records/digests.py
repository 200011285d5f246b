"""Digests of the content of files, with one function per file format.

A digest is over content (arrays, tables, pixels, weights), not bytes, because ROOT and Keras files
carry dates and identifiers.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.files import require_whole_root

KEY = "provenance"
"""Name of the record in every format."""


def digest_arrays(arrays: Iterable[tuple[str, NDArray[np.generic]]]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and values of arrays, sorted by name."""
    total = hashlib.sha256()
    for name, array in sorted(arrays, key=lambda item: item[0]):
        part = hashlib.sha256(np.ascontiguousarray(array).tobytes())
        total.update(f"{name}|{array.dtype.str}|{array.shape}|{part.hexdigest()}\n".encode())
    return total.hexdigest()


class ColumnDigest:
    """Incremental digest of a table's columns and of accompanying texts.

    The result does not depend on the division into chunks.

    Args:
        kinds: dtype of each column, by name.
    """

    def __init__(self, kinds: Mapping[str, np.dtype[Any]]) -> None:
        # independent of byte order: ROOT stores big-endian, memory is little-endian
        self._hashers = {
            name: (kind.newbyteorder("<").str, hashlib.sha256()) for name, kind in kinds.items()
        }
        self._length = 0

    def update(self, columns: Mapping[str, NDArray[np.generic]]) -> None:
        """Add one chunk: one-dimensional arrays of equal length, by name."""
        length = 0
        for name, (kind, hasher) in self._hashers.items():
            array = np.ascontiguousarray(columns[name], dtype=kind)
            hasher.update(array.data)
            length = len(array)
        self._length += length

    def hexdigest(self, texts: Mapping[str, str]) -> str:
        """Return the SHA-256 of all columns and of `texts`."""
        total = hashlib.sha256()
        for name, (kind, hasher) in sorted(self._hashers.items()):
            total.update(f"{name}|{kind}|{self._length}|{hasher.hexdigest()}\n".encode())
        for name, text in sorted(texts.items()):
            total.update(f"{name}|{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
        return total.hexdigest()


def digest_entries(entries: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of named byte strings, sorted by name."""
    total = hashlib.sha256()
    for name, content in sorted(entries.items()):
        total.update(f"{name}|{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _digest_root(path: Path) -> str:
    import uproot

    with uproot.open(path) as file:
        if KEY not in file:
            return _digest_bytes(path)
        require_whole_root(path, file.file.fEND)
        tree = file["events"]
        names = tree.keys()
        digest = ColumnDigest({name: tree[name].interpretation.numpy_dtype for name in names})
        for chunk in tree.iterate(library="np", step_size=1_000_000):
            digest.update(chunk)
        texts = {"metadata": str(file["metadata"])} if "metadata" in file else {}
    return digest.hexdigest(texts)


def _digest_npz(path: Path) -> str:
    # np.load does not close the file if it raises on a damaged one
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
        return digest_arrays((name, content[name]) for name in content.files if name != KEY)


def _digest_parquet(path: Path) -> str:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    metadata = (table.schema.metadata or {}).get(b"metadata", b"").decode()
    return digest_table(columns, metadata)


def digest_table(columns: Mapping[str, NDArray[Any]], metadata: str) -> str:
    """Return the digest of a table's columns (object columns as text) and of its metadata."""
    arrays = [
        (name, column.astype(str) if column.dtype == object else column)
        for name, column in columns.items()
    ]
    return digest_arrays([*arrays, ("metadata", np.array(metadata))])


KERAS_ENTRIES = ("config.json", "estimator.json", "model.weights.h5")
"""Entries of a Keras archive that the digest covers; the others contain versions and the record."""


def _digest_keras(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist()) & set(KERAS_ENTRIES)
        return digest_entries({name: archive.read(name) for name in names})


def digest_json(content: Any) -> str:
    """Return the digest of the values in a JSON document, excluding its record."""
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != KEY}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest_json(path: Path) -> str:
    return digest_json(json.loads(path.read_text()))


def _digest_png(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        image.verify()  # checksums of all chunks; reading the pixels does not check them
    with Image.open(path) as image:
        return digest_arrays([("pixels", np.asarray(image))])


def _digest_bytes(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


_DIGESTS: dict[str, Callable[[Path], str]] = {
    ".root": _digest_root,
    ".npz": _digest_npz,
    ".parquet": _digest_parquet,
    ".keras": _digest_keras,
    ".json": _digest_json,
    ".png": _digest_png,
}


def content_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 (hexadecimal) of a file's content; the suffix determines the format.

    For unknown formats and for ROOT files of other programs it is the digest of the bytes.
    """
    file = Path(path)
    return _DIGESTS.get(file.suffix, _digest_bytes)(file)
