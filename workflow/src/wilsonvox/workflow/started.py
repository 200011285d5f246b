"""What a workflow was started with: a job that finds another checkout or configuration stops.

Every job of a cluster reads code and configuration again on its node, hours after the workflow was
started on the login node. Were they edited meanwhile, some outputs would be made by the old and
some by the new. So the process that the user started notes a digest of both in its environment,
which schedulers hand on to jobs, and each job compares.
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
"""Environment variable that tells jobs what their workflow was started with."""

CHANGED = "changed under the running workflow"
"""Words of the line with which a job stops."""


def workflow_files(root: Path) -> list[Path]:
    """Snakefiles of the checkout `root`, sorted."""
    found = [root / "Snakefile", root / "workflow/Snakefile", *root.glob("workflow/rules/*.smk")]
    return sorted(path for path in found if path.is_file())


def _source_files(root: Path) -> list[Path]:
    """Modules and data of the package, without what Python and editors leave beside them."""
    return sorted(
        path
        for path in (root / "workflow/src/wilsonvox").rglob("*")
        if "__pycache__" not in path.parts  # numba writes there when a job first runs
        and path.suffix
        and not path.name.startswith(".")
        and not path.name.endswith("~")
        and path.is_file()
    )


def code_digest(root: Path, tree: SourceTree | None = None) -> str:
    """SHA-256 (hexadecimal) of all code of the checkout `root` and of its lock file.

    Comments, docstrings and formatting of modules do not count; Snakefiles and the package's data
    count byte by byte.

    Args:
        root: folder of the checkout.
        tree: its modules, where they have been read already.
    """
    tree = tree or SourceTree(root / "workflow/src")
    total = hashlib.sha256(f"{lock_digest()}\n".encode())
    for path in [*_source_files(root), *workflow_files(root)]:
        code = path.suffix == ".py"
        digest = tree.file_digest(path) if code else hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root)} {digest}\n".encode())
    return total.hexdigest()


def configuration_digest(configuration: RunConfiguration, samples: Iterable[SampleRow]) -> str:
    """SHA-256 (hexadecimal) of all values of a configuration and of the samples' table."""
    values = [
        configuration.model_dump(mode="json"),
        *(row.model_dump(mode="json") for row in samples),
    ]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class StartedWith:
    """What a workflow was started with.

    run: name of the run
    code: digest of the checkout's code, see `code_digest`
    configuration: digest of its values, see `configuration_digest`
    """

    run: str
    code: str
    configuration: str

    @classmethod
    def now(
        cls, configuration: RunConfiguration, samples: Mapping[str, SampleRow]
    ) -> "StartedWith":
        """What a workflow would be started with at this moment, in this checkout."""
        return cls(
            run=configuration.run,
            code=code_digest(checkout(), installed_tree()),
            configuration=configuration_digest(configuration, samples.values()),
        )

    @classmethod
    def noted(cls, environment: Mapping[str, str] = os.environ) -> "StartedWith | None":
        """What the process that the user started noted; None where there is nothing."""
        text = environment.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    def note(self) -> None:
        """Tell it to all processes that this one starts, and to the jobs that it submits."""
        os.environ[VARIABLE] = json.dumps(asdict(self), sort_keys=True)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def difference(self, started: "StartedWith | None") -> str | None:
        """In one line, how this differs from what the workflow was started with; None if equal."""
        if started is None or started == self:
            return None
        what, before, now = (
            ("code of the checkout", started.code, self.code)
            if started.code != self.code
            else ("configuration", started.configuration, self.configuration)
        )
        return (
            f"the {what} {CHANGED}, which was started with {before[:8]} and now is {now[:8]}: "
            "put it back, or stop the workflow and start it again (long runs belong in a checkout "
            "that nobody edits)"
        )


def note_or_compare(
    configuration: RunConfiguration, samples: Mapping[str, SampleRow], is_main_process: bool
) -> str | None:
    """Note what a workflow is started with, or compare in one of its jobs.

    Returns:
        In a job, how code or configuration differ now, in one line; None where they do not.
    """
    now = StartedWith.now(configuration, samples)
    if is_main_process:
        now.note()
        return None
    return now.difference(StartedWith.noted())


class Watch:
    """Looks for changed code of the checkout while a workflow runs; cheap where nothing changed."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or checkout()
        self._digest = code_digest(self.root)
        self._seen = self._signature()

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        files = [*_source_files(self.root), *workflow_files(self.root)]
        stats = ((path, path.stat()) for path in files)
        return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in stats)

    def changed(self) -> bool:
        """Whether the code differs from what it was when this watch began."""
        try:
            seen = self._signature()
            if seen == self._seen:
                return False
            if code_digest(self.root) != self._digest:
                return True
        except (OSError, UserError, ValueError):  # a file is being written, or is no code any more
            return True
        self._seen = seen
        return False
