"""Read the provenance record inside a file, format by format."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from wilsonvox.core.errors import UserError
from wilsonvox.records.digests import KEY
from wilsonvox.records.record import Record, canonical_json, seal_of


def _text_root(path: Path) -> str | None:
    import uproot

    with uproot.open(path) as file:
        return str(file[KEY]) if KEY in file else None


def _text_npz(path: Path) -> str | None:
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
        return str(content[KEY]) if KEY in content.files else None


def _parquet_metadata(path: Path) -> list[dict[bytes, bytes] | None]:
    import pyarrow.parquet as pq

    return [pq.read_schema(path).metadata, pq.read_metadata(path).metadata]


def _text_parquet(path: Path) -> str | None:
    # Parquet contains it twice: as plain metadata and in the Arrow schema, which pyarrow prefers
    copies = [(metadata or {}).get(KEY.encode()) for metadata in _parquet_metadata(path)]
    if copies[0] != copies[1]:
        raise ValueError("its two copies of the record differ")
    return None if copies[0] is None else copies[0].decode()


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


_TEXTS: dict[str, Callable[[Path], str | None]] = {
    ".root": _text_root,
    ".npz": _text_npz,
    ".parquet": _text_parquet,
    ".keras": _text_keras,
    ".json": _text_json,
    ".png": _text_png,
}


def has_record_format(path: str | os.PathLike[str]) -> bool:
    """Return whether the format of a file, by its suffix, can contain a record."""
    return Path(path).suffix in _TEXTS


def record_text(path: str | os.PathLike[str]) -> str | None:
    """Return the record of a file as the text stored there; None if it has none."""
    file = Path(path)
    reader = _TEXTS.get(file.suffix)
    return None if reader is None else reader(file)


def parse_record(text: str) -> Record:
    """Parse and check the text of a record.

    Raises:
        ValueError: the record is damaged, was edited, or comes from another version of this
            package.
    """
    try:
        record = Record.model_validate_json(text)
        if record.seal != seal_of(json.loads(text)):
            raise ValueError("its record was edited or is damaged")
        return record
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise ValueError(f"its record is damaged or of another version ({reason})") from error


def read_record(path: str | os.PathLike[str]) -> Record | None:
    """The record inside a file; None where the file has none (external files, copies).

    Raises:
        UserError: the record is damaged, was edited, or comes from another version of this
            package.
        Exception: any exception of the format's library for a damaged file.
    """
    text = record_text(path)
    try:
        return None if text is None else parse_record(text)
    except ValueError as error:
        raise UserError(f"{os.fspath(path)}: {error}; delete it and make it again") from error


def text_digest(text: str) -> str:
    """SHA-256 of a record as it is written in a file, whatever the layout of its JSON."""
    return hashlib.sha256(canonical_json(json.loads(text)).encode()).hexdigest()


def record_digest(path: str | os.PathLike[str]) -> str | None:
    """Return the SHA-256 of a file's record; None if it has none."""
    text = record_text(path)
    return None if text is None else text_digest(text)
