"""Read and write results as JSON, with their record under the key ``provenance``."""

import os
from typing import ClassVar, Self, TypeVar

from pydantic import BaseModel, ValidationError

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import atomic_path, require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.records.digests import digest_json
from wilsonvox.records.record import Record

Result = TypeVar("Result", bound=BaseModel)


def load_recorded(model: type[Result], path: str | os.PathLike[str], what: str) -> Result:
    """Read a result that `save_recorded` wrote.

    Args:
        model: class of the result.
        path: file to read.
        what: description of the expected file, for the error message.

    Raises:
        UserError: the file does not exist or is not such a result.
    """
    found = require_file(path, what)
    try:
        return model.model_validate_json(found.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{found}: not {what}; make it again ({line[:120]})") from error


def save_recorded(result: BaseModel, path: str | os.PathLike[str], record: Record) -> None:
    """Write `result`, which has a field `provenance`, as JSON, atomically.

    The record is stored in that field, completed with the digest of the content.
    """
    digest = digest_json(result.model_dump(mode="json"))
    sealed = record.model_copy(update={"content_digest": digest}).sealed()
    full = result.model_copy(update={"provenance": sealed})
    with atomic_path(path) as temporary:
        temporary.write_text(full.model_dump_json(indent=2) + "\n", encoding="utf-8")


class RecordedResult(StrictModel):
    """Result that is stored as JSON; subclasses have a field `provenance: Record | None`."""

    file_description: ClassVar[str]
    """Description of the file, for error messages."""

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as JSON with `record` under the key `provenance`, atomically."""
        save_recorded(self, path, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a result that `save` wrote.

        Raises:
            UserError: the file does not exist or is not such a result.
        """
        return load_recorded(cls, path, cls.file_description)
