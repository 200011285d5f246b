"""Atomic writing of files, so that a killed job leaves no incomplete output, and file checks."""

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
"""Error codes caused by the disk: full, over quota, file too large, read-only."""

FOREIGN_LEFTOVERS_DAYS = 7
"""Age after which unfinished files of another machine are removed. Whether the process that wrote
them still runs cannot be determined from here."""


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add `path` to write errors that do not name a file.

    Writing to an open file on a full disk raises such an error.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in NO_ROOM:
            error.filename = os.fspath(path)
        raise


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    The temporary name keeps the suffix, because writers choose the format by it. If the block
    raises, the temporary file is removed and `path` is left unchanged. Temporary files that killed
    processes left behind are removed first.

    Raises:
        UserError: the folder cannot be made or written.
        OSError: the disk is full; the error names `path`.
    """
    final = Path(path)
    temporary = final.with_name(f".{final.stem}.{_machine()}-{os.getpid()}.part{final.suffix}")
    ours = {temporary, final, *final.parents}
    with naming(final):
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            for leftover in unfinished_files(final):
                with suppress(OSError):
                    leftover.unlink()
            yield temporary
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
            temporary.replace(final)
        except OSError as error:
            if error.filename is None or Path(error.filename) not in ours:
                raise
            raise UserError(f"{final}: cannot be written: {error.strerror}") from error
        finally:
            # nothing to remove, or the folder is a file, which the error above reports
            with suppress(OSError):
                temporary.unlink()


@cache
def _machine() -> str:
    """Return eight hexadecimal digits that identify the host and its PID namespace."""
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
    except OSError:  # belongs to another user
        return True
    return True


def unfinished_files(path: str | os.PathLike[str]) -> list[Path]:
    """List temporary files of `atomic_path` that killed processes left next to `path`.

    Files of running processes are not listed. Files of another machine on the same disk are listed
    after `FOREIGN_LEFTOVERS_DAYS`.
    """
    final = Path(path)
    name = re.compile(
        rf"\.{re.escape(final.stem)}\.([0-9a-f]{{8}})-(\d{{1,9}})\.part{re.escape(final.suffix)}"
    )
    return [
        candidate
        for candidate in final.parent.glob(".*.part*")
        if (match := name.fullmatch(candidate.name))
        and _is_left_over(candidate, match[1], int(match[2]))
    ]


def _is_left_over(path: Path, machine: str, process: int) -> bool:
    if machine == _machine():
        return not _is_running(process)
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:  # finished and renamed in the meantime
        return False
    return age > FOREIGN_LEFTOVERS_DAYS * 86400


def require_file(path: str | os.PathLike[str], what: str) -> Path:
    """Return `path` if it is a readable file.

    Raises:
        UserError: it does not exist or is a folder. The message names the expected content,
            `what`.
    """
    file = Path(path)
    if not file.is_file():
        reason = "is a folder" if file.is_dir() else "does not exist"
        raise UserError(f"{file}: {reason}; expected {what}")
    return file


def require_whole_root(path: str | os.PathLike[str], end: int) -> None:
    """Check that a ROOT file has the length stated in its header.

    uproot reads a truncated file without an error if only its tail is missing.

    Args:
        path: the ROOT file.
        end: fEND of the header [bytes].

    Raises:
        UserError: the file is shorter.
    """
    size = Path(path).stat().st_size
    if size < end:
        raise UserError(f"{path}: truncated: {size} of {end} bytes; copy or make it again")
