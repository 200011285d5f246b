"""Reading records out of files, and digesting files by content, format by format.

Digests are over content (arrays, tables, pixels, weights), not bytes, because ROOT, PDF and Keras
files carry dates and identifiers.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

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


def _digest_root(path: Path) -> str:
    import uproot

    with uproot.open(path) as file:
        if KEY not in file:
            return _digest_bytes(path)
        tree = file["events"]
        names = sorted(tree.keys())
        hashers = {name: hashlib.sha256() for name in names}
        for chunk in tree.iterate(library="np", step_size=1_000_000):
            for name in names:
                hashers[name].update(np.ascontiguousarray(chunk[name]).tobytes())
        dtypes = {name: tree[name].interpretation.numpy_dtype.str for name in names}
        total = hashlib.sha256()
        for name in names:
            line = f"{name}|{dtypes[name]}|{tree.num_entries}|{hashers[name].hexdigest()}\n"
            total.update(line.encode())
    return total.hexdigest()


def _digest_npz(path: Path) -> str:
    with np.load(path, allow_pickle=False) as content:
        return digest_arrays((name, content[name]) for name in content.files if name != KEY)


def _digest_parquet(path: Path) -> str:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = ((name, table[name].to_numpy(zero_copy_only=False)) for name in table.column_names)
    return digest_arrays(
        (name, column.astype(str) if column.dtype == object else column) for name, column in columns
    )


def _digest_keras(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return hashlib.sha256(archive.read("model.weights.h5")).hexdigest()


def _digest_json(path: Path) -> str:
    content = json.loads(path.read_text())
    if isinstance(content, dict):
        content.pop(KEY, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest_png(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return digest_arrays([("pixels", np.asarray(image))])


def _digest_pdf(path: Path) -> str:
    from pypdf import PdfReader

    total = hashlib.sha256()
    for page in PdfReader(path).pages:
        contents = page.get_contents()
        total.update(b"" if contents is None else contents.get_data())
    return total.hexdigest()


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
    with np.load(path, allow_pickle=False) as content:
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
