"""Reading records out of files, and digesting files by content, format by format.

Digests are over content (arrays, tables, pixels, weights), not bytes, because ROOT, PDF and Keras
files carry dates and identifiers.
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

from wilsonvox.provenance.record import Record

KEY = "provenance"
"""Name of the record in every format (`Keywords` in PDF)."""


def digest_arrays(arrays: Iterable[tuple[str, NDArray[np.generic]]]) -> str:
    """SHA-256 over names, dtypes, shapes and values of arrays, in the order of their names."""
    total = hashlib.sha256()
    for name, array in sorted(arrays, key=lambda item: item[0]):
        part = hashlib.sha256(np.ascontiguousarray(array).tobytes())
        total.update(f"{name}|{array.dtype.str}|{array.shape}|{part.hexdigest()}\n".encode())
    return total.hexdigest()


class ColumnDigest:
    """Digest of a table's columns, chunk by chunk, and of texts that belong to it.

    The same for every division into chunks.

    Args:
        kinds: dtype of each column by name.
    """

    def __init__(self, kinds: Mapping[str, np.dtype[Any]]) -> None:
        # digests say nothing of byte order: ROOT stores big-endian, arrays in memory are not
        self._hashers = {
            name: (kind.newbyteorder("<").str, hashlib.sha256()) for name, kind in kinds.items()
        }
        self._length = 0

    def update(self, columns: Mapping[str, NDArray[np.generic]]) -> None:
        """Take in one chunk: equally long arrays of one dimension by name."""
        length = 0
        for name, (kind, hasher) in self._hashers.items():
            array = np.ascontiguousarray(columns[name], dtype=kind)
            hasher.update(array.data)
            length = len(array)
        self._length += length

    def hexdigest(self, texts: Mapping[str, str]) -> str:
        """SHA-256 over all columns and over `texts`."""
        total = hashlib.sha256()
        for name, (kind, hasher) in sorted(self._hashers.items()):
            total.update(f"{name}|{kind}|{self._length}|{hasher.hexdigest()}\n".encode())
        for name, text in sorted(texts.items()):
            total.update(f"{name}|{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
        return total.hexdigest()


def digest_entries(entries: Mapping[str, bytes]) -> str:
    """SHA-256 over named pieces of bytes, in the order of their names."""
    total = hashlib.sha256()
    for name, content in sorted(entries.items()):
        total.update(f"{name}|{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _digest_root(path: Path) -> str:
    import uproot

    with uproot.open(path) as file:
        if KEY not in file:
            return _digest_bytes(path)
        tree = file["events"]
        names = tree.keys()
        digest = ColumnDigest({name: tree[name].interpretation.numpy_dtype for name in names})
        for chunk in tree.iterate(library="np", step_size=1_000_000):
            digest.update(chunk)
        texts = {"metadata": str(file["metadata"])} if "metadata" in file else {}
    return digest.hexdigest(texts)


def _digest_npz(path: Path) -> str:
    # np.load leaves a file open when it raises on a damaged one
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
        return digest_arrays((name, content[name]) for name in content.files if name != KEY)


def _digest_parquet(path: Path) -> str:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    metadata = (table.schema.metadata or {}).get(b"metadata", b"").decode()
    return digest_table(columns, metadata)


def digest_table(columns: Mapping[str, NDArray[Any]], metadata: str) -> str:
    """Digest of a table's columns, object columns as text, and of the text beside them."""
    arrays = [
        (name, column.astype(str) if column.dtype == object else column)
        for name, column in columns.items()
    ]
    return digest_arrays([*arrays, ("metadata", np.array(metadata))])


KERAS_ENTRIES = ("config.json", "estimator.json", "model.weights.h5")
"""Parts of a Keras archive that make its content; the others hold versions and the record."""


def _digest_keras(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist()) & set(KERAS_ENTRIES)
        return digest_entries({name: archive.read(name) for name in names})


def digest_json(content: Any) -> str:
    """Digest of the values in a JSON document, its record left out."""
    if isinstance(content, dict):
        content = {name: value for name, value in content.items() if name != KEY}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest_json(path: Path) -> str:
    return digest_json(json.loads(path.read_text()))


def _digest_png(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return digest_arrays([("pixels", np.asarray(image))])


def _digest_pdf(path: Path) -> str:
    """Over every object of the file, streams unpacked, but for the information that holds dates."""
    from io import BytesIO

    from pypdf import PdfReader
    from pypdf.generic import StreamObject

    reader = PdfReader(path)
    information = reader.trailer.raw_get("/Info") if "/Info" in reader.trailer else None
    skipped = getattr(information, "idnum", None)
    entries: dict[str, bytes] = {}
    for number in sorted({*reader.xref.get(0, {}), *reader.xref_objStm}):
        content = reader.get_object(number)
        if number == skipped or content is None:
            continue
        text = BytesIO()
        if isinstance(content, StreamObject):
            text.write(content.get_data())
        else:
            content.write_to_stream(text)
        entries[f"{number:08d}"] = text.getvalue()
    return digest_entries(entries)


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
    ".pdf": _digest_pdf,
}


def content_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hexadecimal) over the content of a file, by its suffix.

    Over the bytes where the format is not one of ours, and for ROOT files made by others.
    """
    found = Path(path)
    return _DIGESTS.get(found.suffix, _digest_bytes)(found)


def _text_root(path: Path) -> str | None:
    import uproot

    with uproot.open(path) as file:
        return str(file[KEY]) if KEY in file else None


def _text_npz(path: Path) -> str | None:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
        return str(content[KEY]) if KEY in content.files else None


def _text_parquet(path: Path) -> str | None:
    import pyarrow.parquet as pq

    text = (pq.read_schema(path).metadata or {}).get(KEY.encode())
    return None if text is None else text.decode()


def _text_keras(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        name = f"{KEY}.json"
        return archive.read(name).decode() if name in archive.namelist() else None


def _text_json(path: Path) -> str | None:
    content = json.loads(path.read_text())
    record = content.get(KEY) if isinstance(content, dict) else None
    return None if record is None else json.dumps(record)


def _text_png(path: Path) -> str | None:
    from PIL import Image

    with Image.open(path) as image:
        text = image.info.get(KEY)
    return None if text is None else str(text)


def _text_pdf(path: Path) -> str | None:
    from pypdf import PdfReader

    metadata = PdfReader(path).metadata
    text = None if metadata is None else metadata.get("/Keywords")
    return None if text is None else str(text)


_TEXTS: dict[str, Callable[[Path], str | None]] = {
    ".root": _text_root,
    ".npz": _text_npz,
    ".parquet": _text_parquet,
    ".keras": _text_keras,
    ".json": _text_json,
    ".png": _text_png,
    ".pdf": _text_pdf,
}


def has_record_format(path: str | os.PathLike[str]) -> bool:
    """Whether a file is of a format that can carry a record, by its suffix."""
    return Path(path).suffix in _TEXTS


def read_record(path: str | os.PathLike[str]) -> Record | None:
    """The record inside a file; None where the file has none (external files, CSV copies)."""
    found = Path(path)
    reader = _TEXTS.get(found.suffix)
    text = None if reader is None else reader(found)
    return None if text is None else Record.model_validate_json(text)


def record_digest(path: str | os.PathLike[str]) -> str | None:
    """SHA-256 of the record inside a file; None where it has none."""
    record = read_record(path)
    return None if record is None else record.digest()
