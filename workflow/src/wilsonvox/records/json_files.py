"""Results as JSON, with their record under the key ``provenance``."""

import os
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.records.digests import digest_json
from wilsonvox.records.record import Record

Result = TypeVar("Result", bound=BaseModel)


def load_recorded(model: type[Result], path: str | os.PathLike[str], what: str) -> Result:
    """Read what `save_recorded` wrote.

    Args:
        model: of the content.
        path: of the file.
        what: in words, for the message.

    Raises:
        UserError: no such file, or another one.
    """
    found = require_file(path, what)
    try:
        return model.model_validate_json(found.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{found}: not {what}; make it again ({line[:120]})") from error


def save_recorded(result: BaseModel, path: str | os.PathLike[str], record: Record) -> None:
    """Write `result`, which has a field `provenance`, as JSON, atomically.

    The record that goes there has the digest of the content in it.
    """
    digest = digest_json(result.model_dump(mode="json"))
    sealed = record.model_copy(update={"content_digest": digest}).sealed()
    full = result.model_copy(update={"provenance": sealed})
    with atomic_path(path) as temporary:
        temporary.write_text(full.model_dump_json(indent=2) + "\n", encoding="utf-8")
