"""Results as JSON files, with the provenance record under the key ``provenance``."""

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
    """Read and validate a file written by `save_recorded`.

    Args:
        model: pydantic model of the content.
        path: the file.
        what: description of the expected content, for error messages.

    Raises:
        UserError: the file does not exist or has other content.
    """
    file = require_file(path, what)
    try:
        return model.model_validate_json(file.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"{file}: not {what}; make it again ({line[:120]})") from error


def save_recorded(result: BaseModel, path: str | os.PathLike[str], record: Record) -> None:
    """Write `result` as JSON, atomically.

    Args:
        result: model with a field `provenance`, which receives the record.
        path: file to write.
        record: written with the digest of the content added.
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
