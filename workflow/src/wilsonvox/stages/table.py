"""The table of all stages, and the paths and jobs that follow from it."""

from collections.abc import Iterable, Iterator, Mapping

from wilsonvox.stages.estimators import ESTIMATOR_STAGES
from wilsonvox.stages.events import EVENT_STAGES
from wilsonvox.stages.figures import (
    FIGURE_STAGES,
    GLOBAL_FIT_FIGURE_STAGES,
    SCAN_FIGURE_STAGES,
)
from wilsonvox.stages.global_fit import GLOBAL_FIT_STAGES
from wilsonvox.stages.graph import File, Job, Resources, Stage
from wilsonvox.stages.run import Run

STAGES: Mapping[str, Stage] = {
    **EVENT_STAGES,
    **ESTIMATOR_STAGES,
    **FIGURE_STAGES,
    **GLOBAL_FIT_STAGES,
    **GLOBAL_FIT_FIGURE_STAGES,
    **SCAN_FIGURE_STAGES,
}
"""Every stage by the name of its rule."""

PACKING: Mapping[str, Resources] = {
    "report_pages": Resources(1500, 20, reason="tables of a run as HTML"),
    "write_configuration": Resources(500, 10, reason="one small file"),
    "write_report": Resources(1500, 60, reason="Snakemake's report with all figures"),
    "run_crate": Resources(
        3000,
        120,
        reason="digests and packs models, figures and records one after another; not measured",
    ),
}
"""Resources of the rules that pack a finished run."""


def path_of(file: File) -> str:
    """Return the path of a file relative to the folder of the run.

    >>> from wilsonvox.stages.graph import output_of
    >>> path_of(output_of("voxelize_sample", "shard", image="b50", sample="mine"))
    'voxels/b50/samples/mine.npz'
    """
    return STAGES[file.job.stage].outputs[file.output].format(**file.job.wildcards)


def job_paths(job: Job) -> list[str]:
    """Return the paths of all outputs of a job, relative to the folder of the run."""
    return [pattern.format(**job.wildcards) for pattern in STAGES[job.stage].outputs.values()]


def figure_jobs(run: Run, stages: Iterable[str]) -> list[Job]:
    """Return the jobs of some figures' stages for a run."""
    return [
        Job(name, tuple(sorted(wildcards.items())))
        for name in stages
        for wildcards in (STAGES[name].jobs or _none)(run)
    ]


def _none(run: Run) -> list[dict[str, str]]:
    return []


def jobs_behind(run: Run, targets: Iterable[Job]) -> Iterator[Job]:
    """Yield all jobs that some jobs need, each once and after those that it needs.

    Args:
        run: of the jobs.
        targets: the jobs that are asked for; they are among the jobs yielded.
    """
    seen: set[Job] = set()
    # an explicit stack: the trials of a scan are a chain of any length
    stack: list[tuple[Job, bool]] = [(job, False) for job in reversed(list(targets))]
    while stack:
        job, is_ready = stack.pop()
        if is_ready:
            yield job
            continue
        if job in seen:
            continue
        seen.add(job)
        stack.append((job, True))
        inputs = STAGES[job.stage].input_files(run, job.wildcards).values()
        needed = {file.job: None for files in inputs for file in files if isinstance(file, File)}
        stack += [(other, False) for other in reversed(needed) if other not in seen]
