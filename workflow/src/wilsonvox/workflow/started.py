"""Detect edits of the code or the configuration while a workflow runs.

On a cluster, every job reads code and configuration again on its node, possibly hours after the
workflow was started on the login node. If they were edited in the meantime, old and new code would
make different outputs of one run. Therefore the main process stores a digest of both in its
environment, which schedulers pass on to jobs, and each job compares it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.core.errors import UserError
from wilsonvox.provenance.code import SourceTree, installed_tree
from wilsonvox.provenance.environment import checkout, lock_digest

VARIABLE = "WILSONVOX_STARTED_WITH"
"""Environment variable that passes the digests at the start to the jobs."""

CHANGED = "changed under the running workflow"
"""Part of the message with which a job stops."""


def workflow_files(root: Path) -> list[Path]:
    """Return the Snakefiles of the checkout `root`, sorted."""
    files = [root / "Snakefile", root / "workflow/Snakefile", *root.glob("workflow/rules/*.smk")]
    return sorted(path for path in files if path.is_file())


def _source_files(root: Path) -> list[Path]:
    """Return the modules and data files of the package, without caches and backup files."""
    return sorted(
        path
        for path in (root / "workflow/src/wilsonvox").rglob("*")
        if "__pycache__" not in path.parts  # numba writes there during jobs
        and path.suffix
        and not path.name.startswith(".")
        and not path.name.endswith("~")
        and path.is_file()
    )


def code_digest(root: Path, tree: SourceTree | None = None) -> str:
    """Return the SHA-256 (hexadecimal) of all code of a checkout and of its lock file.

    Comments, docstrings and formatting of modules do not count. Snakefiles and data files of the
    package are compared byte by byte.

    Args:
        root: folder of the checkout.
        tree: modules of the checkout, if they have already been read.
    """
    tree = tree or SourceTree(root / "workflow/src")
    total = hashlib.sha256(f"{lock_digest()}\n".encode())
    for path in [*_source_files(root), *workflow_files(root)]:
        code = path.suffix == ".py"
        digest = tree.file_digest(path) if code else hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root)} {digest}\n".encode())
    return total.hexdigest()


def configuration_digest(configuration: RunConfiguration, samples: Iterable[SampleRow]) -> str:
    """Return the SHA-256 (hexadecimal) of all values of a configuration and of the samples."""
    values = [
        configuration.model_dump(mode="json"),
        *(row.model_dump(mode="json") for row in samples),
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class StartedWith:
    """Digests of the code and the configuration at the start of a workflow.

    Attributes:
        run: name of the run.
        code: digest of the code of the checkout, see `code_digest`.
        configuration: digest of the configuration, see `configuration_digest`.
    """

    run: str
    code: str
    configuration: str

    @classmethod
    def now(
        cls, configuration: RunConfiguration, samples: Mapping[str, SampleRow]
    ) -> "StartedWith":
        """Compute the current digests of this checkout."""
        return cls(
            run=configuration.run,
            code=code_digest(checkout(), installed_tree()),
            configuration=configuration_digest(configuration, samples.values()),
        )

    @classmethod
    def noted(cls, environment: Mapping[str, str] = os.environ) -> "StartedWith | None":
        """Read the digests stored by the main process; None if there are none."""
        text = environment.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    def note(self) -> None:
        """Store the digests in the environment of child processes and submitted jobs."""
        os.environ[VARIABLE] = json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def difference(self, started: "StartedWith | None") -> str | None:
        """Describe the difference from the start of the workflow; None if there is none."""
        if started is None or started == self:
            return None
        what, before, now = (
            ("code of the checkout", started.code, self.code)
            if started.code != self.code
            else ("configuration", started.configuration, self.configuration)
        )
        return (
            f"the {what} {CHANGED}, from {before[:8]} at its start to {now[:8]} now: restore it, "
            "or stop and restart the workflow (use a separate checkout for long runs)"
        )


def note_or_compare(
    configuration: RunConfiguration, samples: Mapping[str, SampleRow], is_main_process: bool
) -> str | None:
    """Store the digests in the main process of a workflow, or compare them in a job.

    Returns:
        In a job, one line about the difference of code or configuration; None if there is none.
    """
    now = StartedWith.now(configuration, samples)
    if is_main_process:
        now.note()
        return None
    return now.difference(StartedWith.noted())


class Watch:
    """Watch the code of a checkout while a workflow runs; fast while no file changes.

    Args:
        root: folder of the checkout; by default the installed one.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or checkout()
        self._digest = code_digest(self.root)
        self._seen = self._signature()

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        files = [*_source_files(self.root), *workflow_files(self.root)]
        stats = ((path, path.stat()) for path in files)
        return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)

    def changed(self) -> bool:
        """Return True if the code differs from that at the start of the watch."""
        try:
            seen = self._signature()
            if seen == self._seen:
                return False
            if code_digest(self.root) != self._digest:
                return True
        except (OSError, UserError, ValueError):  # a file is being written, or is not valid code
            return True
        self._seen = seen
        return False
