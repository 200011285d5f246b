"""Stages of the workflow and the files between them.

A stage is a rule of the workflow. Its entry names its output files, its inputs as outputs of other
stages, the command-line arguments that the configuration gives it, the code that it runs and the
resources that it needs. Paths are relative to the folder of the run; wildcards stand in braces.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from wilsonvox.stages.run import EstimatorKind, Run

Wildcards = Mapping[str, str]
"""Values of a job's wildcards by name."""


@dataclass(frozen=True)
class Job:
    """A stage with the values of its wildcards."""

    stage: str
    values: tuple[tuple[str, str], ...] = ()

    @property
    def wildcards(self) -> dict[str, str]:
        """Values of the wildcards by name."""
        return dict(self.values)


@dataclass(frozen=True)
class File:
    """An output file of a job, by the name that the stage gives to the output."""

    job: Job
    output: str


def output_of(stage: str, output: str, **wildcards: str) -> File:
    """Return one output of a stage for given values of its wildcards."""
    return File(Job(stage, tuple(sorted(wildcards.items()))), output)


Files = Sequence[File | str]
"""Files of other stages, and paths of external files."""

NO_WILDCARDS: Wildcards = {}


@dataclass(frozen=True)
class Input:
    """A named input of a stage.

    select: returns the files for a run and the wildcards of a job
    stages: stages that make these files; none for external files
    option: option of the command line that takes each file, without dashes; none if the command
        finds the files by itself
    is_loop: whether the files are of earlier jobs of a loop over stages, as the trials of a scan
        from which the next ones are suggested; such stages are not in `Stage.after`
    is_ordered: whether the order of the files matters to the output
    """

    select: Callable[[Run, Wildcards], Files]
    stages: tuple[str, ...] = ()
    option: str = ""
    is_loop: bool = False
    is_ordered: bool = True

    def files(self, run: Run, wildcards: Wildcards) -> Files:
        """Return the files for a job.

        Raises:
            ValueError: a file of a stage that is not among `stages`.
        """
        files = self.select(run, wildcards)
        for file in files:
            if isinstance(file, File) and file.job.stage not in self.stages:
                raise ValueError(f"{file.job.stage} is not declared among {self.stages}")
        return files


@dataclass(frozen=True)
class Resources:
    """Resources of the first attempt of a job; later attempts ask for multiples of them.

    memory_mb: memory of the command [MB], on a CPU
    minutes: run time [min]; many times what was measured, for slow nodes and busy file systems
    threads: threads of the command
    gpu_memory_mb: memory where the job runs on a GPU [MB], with TensorFlow's CUDA libraries; None
        for stages that use no GPU
    all_gpus: whether the job uses all GPUs that the site's profile names, or one
    stop_signal_seconds: time before the end at which a batch system sends SIGTERM [s]
    reason: source of the numbers; "measured" means the largest resident size of the command at the
        sizes of config/paper.yaml, on a CPU
    """

    memory_mb: int
    minutes: int
    threads: int = 1
    gpu_memory_mb: int | None = None
    all_gpus: bool = False
    stop_signal_seconds: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """Place of a figure in the report of a run.

    caption: file in workflow/report/, without suffix
    category: heading in the report
    labels: columns of the report's table; values may contain wildcards
    """

    caption: str
    category: str
    labels: Mapping[str, str]
    subcategory: str = ""


def no_arguments(run: Run, wildcards: Wildcards) -> list[str]:
    """Return no arguments."""
    return []


def no_settings(run: Run, wildcards: Wildcards) -> Any:
    """Return no settings."""
    return None


@dataclass(frozen=True)
class Stage:
    """One stage of the workflow, named as its rule.

    outputs: patterns of the output files by name
    modules: modules in which the code of the stage begins
    inputs: inputs by name
    arguments: command-line arguments that come from the configuration
    settings: values that matter and are not among the arguments
    side_files: patterns of files that are neither inputs nor outputs, by the option that names them
    resources: what a job asks for
    estimators: kind of the estimators that the stage is for; None for all
    builds: whether the stage imports the module of an architecture, by the name of an option
    parts: modules that run only on request, by the names of these requests
    jobs: wildcards of all jobs of a figure; None for stages that are run as inputs of others
    constraints: values that wildcards may have, beyond the estimators of `estimators`
    temporary: whether the outputs are deleted once they were used
    report: place in the report, for figures
    description: one sentence, for figures
    command: subcommand that draws the figure
    """

    outputs: Mapping[str, str]
    modules: tuple[str, ...]
    inputs: Mapping[str, Input] = field(default_factory=dict)
    arguments: Callable[[Run, Wildcards], list[Any]] = no_arguments
    settings: Callable[[Run, Wildcards], Any] = no_settings
    side_files: Mapping[str, str] = field(default_factory=dict)
    resources: Resources = Resources(1500, 20)
    estimators: EstimatorKind | None = None
    builds: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)
    jobs: Callable[[Run], Iterable[Wildcards]] | None = None
    constraints: Callable[[Run], Mapping[str, Iterable[str]]] | None = None
    temporary: Callable[[Run], bool] | None = None
    report: Report | None = None
    description: str = ""
    command: str = ""

    @cached_property
    def wildcards(self) -> tuple[str, ...]:
        """Names of the wildcards, in the order of the first output's path."""
        pattern = next(iter(self.outputs.values()))
        return tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", pattern)))

    @cached_property
    def after(self) -> tuple[str, ...]:
        """Stages whose outputs the stage reads."""
        sources = [source for source in self.inputs.values() if not source.is_loop]
        names = [name for source in sources for name in source.stages]
        return tuple(dict.fromkeys(names))

    @property
    def folder(self) -> str:
        """First folder of the outputs' paths, such as ``voxels``."""
        return next(iter(self.outputs.values())).partition("/")[0]

    def input_files(self, run: Run, wildcards: Wildcards) -> dict[str, Files]:
        """Return the input files of a job by the names of the inputs."""
        return {name: source.files(run, wildcards) for name, source in self.inputs.items()}
