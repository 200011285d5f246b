"""Atomic writes: a killed job leaves no file that looks finished."""

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from wilsonvox.core.errors import UserError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Errors of writing that tell of the disk, not of the program: full, too large, read-only."""

FOREIGN_LEFTOVERS_DAYS = 7
"""Age after which what another machine left unfinished is removed: nobody here can tell whether
the process that wrote it still lives."""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell `path` in errors of writing that do not say which file they are about.

    Writing to an open file on a full disk gives such an error.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            error.filename = os.fspath(path)
        raise


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, because writers choose the format by it. When the block
    raises, the temporary file is removed and `path` is left as it was. What processes that were
    killed left of `path` is removed first.

    Raises:
        UserError: the folder cannot be made or written.
        OSError: the disk is full; it names `path`.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem}.{_machine()}-{os.getpid()}.part{final.suffix}")
    ours = {temporary, final, *final.parents}
    with naming(final):
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            for left in unfinished_files(final):
                with suppress(OSError):
                    left.unlink()
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.replace(final)
        except OSError as error:
            if error.filename is None or Path(error.filename) not in ours:
                raise
            raise UserError(f"{final}: cannot be written: {error.strerror}") from error
        finally:
            # nothing to remove, or its folder is a file: the error above says what is wrong
            with suppress(OSError):
                temporary.unlink()


@cache
def _machine() -> str:
    """Eight digits for where a process number means something: the host and its container."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        numbers = ""
    return hashlib.sha256(f"{os.uname().nodename} {numbers}".encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def unfinished_files(path: str | os.PathLike[str]) -> list[Path]:
    """Temporary files of `atomic_path` that killed processes left beside `path`.

    Those of processes that run are none of them, be they on this machine or on another one that
    writes to the same disk.
    """
    final = Path(path)
    name = re.compile(
        rf"\.{re.escape(final.stem)}\.([0-9a-f]{{8}})-(\d{{1,9}})\.part{re.escape(final.suffix)}"
    )
    return [
        each
        for each in final.parent.glob(".*.part*")
        if (match := name.fullmatch(each.name)) and _is_left_over(each, match[1], int(match[2]))
    ]


def _is_left_over(path: Path, machine: str, process: int) -> bool:
    if machine == _machine():
        return not _is_running(process)
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:  # finished and gone meanwhile
        return False
    return age > FOREIGN_LEFTOVERS_DAYS * 86400


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
