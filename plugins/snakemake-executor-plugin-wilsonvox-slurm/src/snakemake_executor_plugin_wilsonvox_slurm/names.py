"""Names of jobs in Slurm's queue, by which a run identifies its own jobs."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from snakemake_executor_plugin_wilsonvox_slurm.guard import Guard

NAME_LENGTH = 30
"""Characters of a run's name that go into the names of its jobs: Slurm's plugin takes 50 in all."""


@dataclass(frozen=True)
class JobNames:
    """Beginning of the names of a run's jobs.

    run: common to all jobs of the run in this folder, from any Snakemake process:
        ``demo-1a2b3c4d``
    state: eight digits of the guard's digest: the code and configuration of the submission
    """

    run: str
    state: str

    @classmethod
    def of(cls, guard: Guard, folder: Path) -> "JobNames":
        """Return the names of the jobs of a run in the working folder `folder`."""
        place = hashlib.sha256(f"{os.path.realpath(folder)}\n{guard.name}".encode())
        name = re.sub(r"[^A-Za-z0-9_-]", "-", guard.name)[:NAME_LENGTH]
        return cls(f"{name}-{place.hexdigest()[:8]}", guard.digest[:8])

    @property
    def prefix(self) -> str:
        """Prefix of the names, before the random part of each Snakemake process.

        At most 50 characters.

        >>> JobNames("demo-1a2b3c4d", "99aabbcc").prefix
        'demo-1a2b3c4d-99aabbcc'
        """
        return f"{self.run}-{self.state}"

    def same_run(self, name: str) -> bool:
        """Return True if a job of this name belongs to the run."""
        return re.fullmatch(rf"{re.escape(self.run)}-[0-9a-f]{{8}}_.+", name) is not None

    def same_state(self, name: str) -> bool:
        """Return True if a job of this name was submitted with the same code and configuration."""
        return name.startswith(f"{self.prefix}_")
