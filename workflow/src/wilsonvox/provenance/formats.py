"""Reading records out of files, and digesting files by content, format by format.

Digests are over content (arrays, tables, pixels, weights), not bytes, because ROOT, PDF and Keras
files carry dates and identifiers.
"""

import hashlib
import itertools
import json
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from wilsonvox.errors import UserError
from wilsonvox.files import require_whole_root
from wilsonvox.provenance.record import Record, canonical_json, seal_of

if TYPE_CHECKING:
    from pypdf import PdfReader

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
        require_whole_root(path, file.file.fEND)
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
        image.verify()  # every chunk's checksum, which reading the pixels passes over
    with Image.open(path) as image:
        return digest_arrays([("pixels", np.asarray(image))])


def _open_pdf(path: Path) -> "PdfReader":
    from pypdf import PdfReader

    # what is wrong with a file it also raises, if it matters
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    return PdfReader(path, strict=True)


def _digest_pdf(path: Path) -> str:
    """Over every object as it is written, but for the information, which holds record and dates.

    Streams are unpacked and their packed lengths left out: compressors differ in these. Nothing is
    interpreted, so that no reader's way of writing numbers comes in.
    """
    from pypdf.generic import IndirectObject, StreamObject

    with _open_pdf(path) as reader:
        information = reader.trailer.raw_get("/Info") if "/Info" in reader.trailer else None
        skipped = {getattr(information, "idnum", None)}
        starts = {number: start for part in reader.xref.values() for number, start in part.items()}
        for number in starts:
            content = reader.get_object(number)
            if isinstance(content, StreamObject) and "/Length" in content:
                length = content.raw_get("/Length")
                if isinstance(length, IndirectObject):
                    skipped.add(length.idnum)
    written = path.read_bytes()
    ends = dict(itertools.pairwise([*sorted(starts.values()), len(written)]))
    return digest_entries(
        {
            f"{number:08d}": _pdf_object(written[start : ends[start]])
            for number, start in starts.items()
            if number not in skipped
        }
    )


def _pdf_object(written: bytes) -> bytes:
    """One object of a PDF file up to `endobj`, its stream unpacked."""
    content, found, _ = written.rpartition(b"endobj")
    if not found:
        raise ValueError("an object of the PDF has no end")
    head, found, tail = content.partition(b"stream\n")
    if not found:
        return content
    packed = tail.rpartition(b"endstream")[0].removesuffix(b"\n")
    head = re.sub(rb"/Length \d+(?! \d+ R)", b"/Length", head)
    return head + (zlib.decompress(packed) if b"/FlateDecode" in head else packed)


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


def _parquet_metadata(path: Path) -> list[dict[bytes, bytes] | None]:
    import pyarrow.parquet as pq

    return [pq.read_schema(path).metadata, pq.read_metadata(path).metadata]


def _text_parquet(path: Path) -> str | None:
    # Parquet holds it twice: plainly, and in the packed Arrow schema, which pyarrow prefers
    found = [(each or {}).get(KEY.encode()) for each in _parquet_metadata(path)]
    if found[0] != found[1]:
        raise ValueError("its two copies of the record differ")
    return None if found[0] is None else found[0].decode()


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
    with _open_pdf(path) as reader:
        text = None if reader.metadata is None else reader.metadata.get("/Keywords")
    # others write words there
    return str(text) if text is not None and str(text).startswith("{") else None


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


def record_text(path: str | os.PathLike[str]) -> str | None:
    """The record inside a file as it is written there; None where the file has none."""
    found = Path(path)
    reader = _TEXTS.get(found.suffix)
    return None if reader is None else reader(found)


def parse_record(text: str) -> Record:
    """The record that a file holds as text.

    Raises:
        ValueError: it is damaged, was edited, or is of another version of this package.
    """
    try:
        record = Record.model_validate_json(text)
        if record.version and record.seal != seal_of(json.loads(text)):
            raise ValueError("its record was edited or is damaged")
        return record
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        raise ValueError(f"its record is damaged or of another version ({reason})") from error


def read_record(path: str | os.PathLike[str]) -> Record | None:
    """The record inside a file; None where the file has none (external files, CSV copies).

    Raises:
        UserError: it is damaged, was edited, or is of another version of this package.
        Exception: whatever reading a damaged file raises.
    """
    text = record_text(path)
    try:
        return None if text is None else parse_record(text)
    except ValueError as error:
        raise UserError(f"{os.fspath(path)}: {error}; delete it and make it again") from error


def text_digest(text: str) -> str:
    """SHA-256 of a record as it is written in a file, its layout left out.

    The same as `Record.digest`, but for records of versions that had other fields.
    """
    return hashlib.sha256(canonical_json(json.loads(text)).encode()).hexdigest()


def record_digest(path: str | os.PathLike[str]) -> str | None:
    """SHA-256 of the record inside a file; None where it has none."""
    text = record_text(path)
    return None if text is None else text_digest(text)
