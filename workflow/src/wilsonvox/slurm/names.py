"""Names of jobs in Slurm's queue, by which a run finds its own again."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from wilsonvox.workflow.started import StartedWith

_PATTERN = re.compile(r"(?P<run>wilsonvox-.+-[0-9a-f]{8})-(?P<started>[0-9a-f]{8})_.+")


@dataclass(frozen=True)
class JobNames:
    """What the names of a run's jobs begin with.

    run: of all jobs of the run in this folder, whoever submitted them:
        ``wilsonvox-demo-1a2b3c4d``
    started: eight digits of the code and configuration that they were submitted with
    """

    run: str
    started: str

    @classmethod
    def of(cls, started: StartedWith, folder: Path) -> "JobNames":
        """Names of the jobs of a run in the working folder `folder`."""
        place = hashlib.sha256(f"{os.path.realpath(folder)}\n{started.run}".encode())
        run = re.sub(r"[^A-Za-z0-9_-]", "-", started.run)[:20]
        return cls(f"wilsonvox-{run}-{place.hexdigest()[:8]}", started.digest[:8])

    @property
    def prefix(self) -> str:
        """What the executor's jobs are called, before its own random part: at most 50 characters.

        >>> JobNames("wilsonvox-demo-1a2b3c4d", "99aabbcc").prefix
        'wilsonvox-demo-1a2b3c4d-99aabbcc'
        """
        return f"{self.run}-{self.started}"

    def same_run(self, name: str) -> bool:
        """Whether a job of this name belongs to the run."""
        match = _PATTERN.fullmatch(name)
        return match is not None and match["run"] == self.run

    def same_start(self, name: str) -> bool:
        """Whether a job of this name was submitted with the same code and configuration."""
        return name.startswith(f"{self.prefix}_")
