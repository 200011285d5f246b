"""Results as JSON, with their record under the key ``provenance``."""

import os

from pydantic import BaseModel

from wilsonvox.files import atomic_path
from wilsonvox.provenance.formats import digest_json
from wilsonvox.provenance.record import Record


def save_recorded(result: BaseModel, path: str | os.PathLike[str], record: Record) -> None:
    """Write `result`, which has a field `provenance`, as JSON, atomically.

    The record that goes there has the digest of the content in it.
    """
    digest = digest_json(result.model_dump(mode="json"))
    sealed = record.model_copy(update={"content_digest": digest}).sealed()
    full = result.model_copy(update={"provenance": sealed})
    with atomic_path(path) as temporary:
        temporary.write_text(full.model_dump_json(indent=2) + "\n", encoding="utf-8")
