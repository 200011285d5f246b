"""Guard of a run on Slurm: stops it when code or configuration change.

The cluster profiles name it to the executor `wilsonvox-slurm` (plugins/), which imports nothing of
this package.
"""

import re

from wilsonvox.core.errors import UserError
from wilsonvox.workflow.started import CHANGED, StartedWith, Watch

_MESSAGE = re.compile(r"wilsonvox: |^stopped by SIG")
"""Lines with which a command explains why it ended."""


class RunGuard:
    """Identity of a run and checks on it, as the executor `wilsonvox-slurm` calls them.

    name: name of the run, after `wilsonvox-`
    digest: SHA-256 (hexadecimal) of its name, code and configuration

    Raises:
        UserError: the workflow that Snakemake runs is not that of wilsonvox.
    """

    def __init__(self) -> None:
        started = StartedWith.noted()
        if started is None:
            raise UserError(
                "this guard is for the workflow of wilsonvox only: remove wilsonvox-slurm-guard "
                "from the profile"
            )
        self.name = f"wilsonvox-{started.run}"
        self.digest = started.digest
        self._watch = Watch()

    def changed(self) -> str | None:
        """Return why nothing more may be submitted; None while the code has not changed."""
        if not self._watch.changed():
            return None
        return (
            f"the code of the checkout {CHANGED}: nothing more is submitted; put it back, or let "
            "the running jobs end, and start again (long runs belong in a checkout that nobody "
            "edits)"
        )

    def stop_reason(self, log: str) -> str | None:
        """Return the line of a job that found other code or configuration; None if there is none.

        Args:
            log: text of the job's logs.
        """
        lines = [line for line in log.splitlines() if CHANGED in line]
        return lines[-1].partition("wilsonvox: ")[2] if lines else None

    def failure_message(self, log: str) -> str | None:
        """Return the last line with which a command explains why it ended; None if there is none.

        Args:
            log: text of the job's logs.
        """
        lines = [line.strip() for line in log.splitlines() if _MESSAGE.search(line)]
        return lines[-1] if lines else None
