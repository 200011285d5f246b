"""Check that a run's folder is writable before its first job starts."""

import os
from pathlib import Path
from tempfile import TemporaryFile

TRIAL_BYTES = 4096
"""Size of the trial file: the smallest block of common file systems."""


def writing_problem(folder: str | os.PathLike[str]) -> str | None:
    """Return one line on why `folder` is not writable, or None if it is.

    Writes a temporary file without a name, because permissions and free space reveal neither
    read-only disks nor quotas. If the folder does not exist, its nearest existing parent is
    tested.
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
