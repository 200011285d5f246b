"""Whether a run's folder can be written, found out before its first job."""

import os
from pathlib import Path
from tempfile import TemporaryFile

TRIAL_BYTES = 4096
"""The least that a disk gives to a file: room for a job's log."""


def writing_problem(folder: str | os.PathLike[str]) -> str | None:
    """In one line, why nothing can be written into `folder`; None where it can.

    Writes a nameless file, because neither permissions nor the free space of a disk tell of
    read-only disks and quotas. A folder that is not there yet is looked for where it would be made.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        with TemporaryFile(dir=existing) as trial:
            trial.write(bytes(TRIAL_BYTES))
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as error:
        return f"{os.fspath(folder)}: cannot be written: {os.strerror(error.errno or 0)}"
    return None
