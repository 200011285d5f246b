"""Atomic writes: a killed job leaves no file that looks finished."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wilsonvox.errors import UserError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, because writers choose the format by it. When the block
    raises, the temporary file is removed and `path` is left as it was.

    Raises:
        UserError: the folder cannot be made or written.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(final)
    except OSError as error:
        if error.filename is None or Path(error.filename) not in (temporary, final, final.parent):
            raise
        raise UserError(f"{final}: cannot be written: {error.strerror}") from error
    finally:
        # nothing to remove, or its folder is a file: the error above says what is wrong
        with suppress(OSError):
            temporary.unlink()


def require_file(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` if it is a readable file.

    Raises:
        UserError: it does not exist or is a folder; `what` says what was expected there.
    """
    found = Path(path)
    if not found.is_file():
        reason = "is a folder" if found.is_dir() else "does not exist"
        raise UserError(f"{found}: {reason}; expected {what}")
    return found


def require_whole_root(path: str | os.PathLike[str], end: int) -> None:
    """Check that a ROOT file is as long as its header says (`end`, the header's fEND, in bytes).

    uproot reads what is left of a truncated file without complaint when only its tail is gone.

    Raises:
        UserError: the file is shorter.
    """
    size = Path(path).stat().st_size
    if size < end:
        raise UserError(f"{path}: truncated: {size} of {end} bytes; copy or make it again")
