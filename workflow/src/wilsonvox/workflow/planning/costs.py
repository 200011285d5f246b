"""Estimate the cost of the jobs of a configuration from measured rates, with uncertainties."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, computed_field

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.core.models import StrictModel
from wilsonvox.workflow.planning.jobs import PlannedJob, Training, planned, trainings
from wilsonvox.workflow.planning.rates import (
    MeasuredOn,
    Rate,
    Rates,
    RuleRates,
    SnakemakeRates,
    load_rates,
)

LEAST_FACTOR = {"seconds": 2.0, "memory_bytes": 1.4, "output_bytes": 1.05}
"""No figure of these is surer than that: rules of the demonstration took up to 1.9 times the
planned processor time, and two runs differed by so much in memory (docs/user_guide/planning.md)."""

TRAINING_FACTOR = 2.0
"""A multiply-accumulate costs by the shape of its layer: of the networks that were measured the
papers' needs 1.4 times the rate, a small one a fifth of it."""

MEASURED_RATIO = 10.0
FAR_FACTOR = 2.0
"""Nothing was measured of jobs that cost more than so many times their start alone; how sure their
processor time and memory are then. (A job of 2,640 images, of 63 million events, was held against
the plan: docs/user_guide/planning.md.)"""

SAMPLE_RULES = ("ingest_events", "voxelize_sample", "measure", "measure_events")
SAMPLE_FACTOR = 3.0
"""Events in a file of unknown layout, from its size: the files in resources/evtgen have between
21 and 160 bytes an event, `EXTERNAL_EVENT_BYTES` lies between."""

GPU_RATE = 4e12
GPU_FACTOR = 3.0
"""Multiply-accumulates a second of one GPU in training, and the factor within which that holds.
Not measured here: from published rates of V100 and A100 (docs/user_guide/planning.md)."""

EVTGEN_RATES = (37_000.0, 52_000.0)
"""Events a second of one core, least and most, with which EvtGen made the files of which
resources/evtgen holds slices."""

CLUSTER_SNAKEMAKES = 2
"""Snakemake starts so often inside each job on a cluster: for the job and for its one step."""

SNAKEMAKE_FOLDERS = (
    "auxiliary", "conda", "conda-archive", "incomplete", "iocache", "locks", "log", "metadata",
    "shadow", "singularity",
)  # fmt: skip
"""Folders that Snakemake makes in .snakemake."""

TENSORBOARD_FILES = ("train/events", "validation/events")
"""Files of a training that is not interrupted; each start of a training leaves such a pair."""


class CostEstimate(StrictModel):
    """A figure and the factor, either way, within which it is expected to hold."""

    value: float = Field(ge=0)
    factor: float = Field(ge=1)

    @property
    def low(self) -> float:
        """The least that is expected."""
        return self.value / self.factor

    @property
    def high(self) -> float:
        """The most that is expected."""
        return self.value * self.factor


def total(estimates: Iterable[CostEstimate]) -> CostEstimate:
    """The sum; all errors are taken to have the same sign, because the machine is the same.

    >>> total([CostEstimate(value=1, factor=2), CostEstimate(value=3, factor=1)]).factor
    1.25
    """
    parts = list(estimates)
    value = sum(part.value for part in parts)
    if not value:
        return CostEstimate(value=0, factor=1)
    high, low = sum(part.high for part in parts), sum(part.low for part in parts)
    return CostEstimate(value=value, factor=max(high / value, value / low))


class RuleCost(StrictModel):
    """All jobs of one rule.

    core_seconds: processor time of all jobs [s]; largest_core_seconds: of the largest
    memory_bytes: of the largest job, its first attempt [B]
    output_bytes: size of all outputs [B], those among them that are deleted again
    outputs: number of output files; kept: of those that stay
    upper_limit: whether the time is that of the most epochs, which early stopping may cut short
    """

    stage: str
    rule: str
    jobs: int
    core_seconds: CostEstimate
    largest_core_seconds: CostEstimate
    memory_bytes: CostEstimate
    output_bytes: CostEstimate
    outputs: int
    kept: int
    upper_limit: bool


class StageFiles(StrictModel):
    """Files of one stage at the end of a run.

    outputs, logs, benchmarks: numbers of files in results/{run}/
    notes: files in .snakemake/
    kept_bytes: of all of them, at the end [B]
    deleted_bytes: of outputs that are deleted once they were used [B]
    """

    stage: str
    outputs: int
    logs: int
    benchmarks: int
    notes: int
    kept_bytes: CostEstimate
    deleted_bytes: CostEstimate

    @computed_field  # type: ignore[prop-decorator]
    @property
    def files(self) -> int:
        """All files of the stage."""
        return self.outputs + self.logs + self.benchmarks + self.notes


class TrainingCost(StrictModel):
    """One training: the upper limit of `epochs`, and what fewer epochs would leave of it.

    multiply_accumulates: of one image, forward; parameters: weights and moving averages
    epochs: most epochs; least_epochs: fewest that early stopping can leave
    core_seconds: on a CPU, all epochs [s]; gpu_seconds: on one GPU instead, all epochs [s]
    node_memory_bytes: of the process where a GPU holds the batches [B]
    """

    image: str
    estimator: str
    images: int
    validation_images: int
    multiply_accumulates: int
    parameters: int
    epochs: int
    least_epochs: int
    core_seconds: CostEstimate
    gpu_seconds: CostEstimate
    node_memory_bytes: CostEstimate


class EventGenerator(StrictModel):
    """Processor time that EvtGen would need for the events [s]."""

    events: int
    core_seconds: CostEstimate
    evtgen_least_core_seconds: float
    evtgen_most_core_seconds: float


class SnakemakeCost(StrictModel):
    """Overhead of Snakemake: processor time, memory and files.

    core_seconds: processor time of a run on one machine [s]
    cluster_core_seconds: more of it on a cluster, inside the jobs [s]
    memory_bytes: of the process that starts the jobs; twice as much is in each cluster job [B]
    """

    core_seconds: CostEstimate
    cluster_core_seconds: CostEstimate
    memory_bytes: CostEstimate


class Plan(StrictModel):
    """Estimated cost of a run from an empty folder."""

    run: str
    rules: tuple[RuleCost, ...]
    stages: tuple[StageFiles, ...]
    trainings: tuple[TrainingCost, ...]
    generator: EventGenerator
    snakemake: SnakemakeCost
    folders: int = Field(description="folders in results/{run}/, itself among them")
    snakemake_folders: int = Field(description="folders in .snakemake/, itself among them")
    measured_on: MeasuredOn
    scan_trials: int = Field(
        default=0, description="trials of the target scan, which count nowhere else"
    )
    has_global_fit: bool = Field(
        default=False, description="whether there is a target global_fit, which counts nowhere"
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def jobs(self) -> int:
        """Number of all jobs."""
        return sum(rule.jobs for rule in self.rules)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def files(self) -> int:
        """Number of all files at the end, folders left out."""
        return sum(stage.files for stage in self.stages)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def core_seconds(self) -> CostEstimate:
        """Processor time of all jobs on CPUs alone [s], Snakemake's own left out."""
        return total(rule.core_seconds for rule in self.rules)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def core_seconds_without_training(self) -> CostEstimate:
        """Processor time of all jobs but the trainings [s]."""
        return total(rule.core_seconds for rule in self.rules if rule.rule != "train")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gpu_seconds(self) -> CostEstimate:
        """Time of one GPU for all trainings [s], all epochs."""
        return total(training.gpu_seconds for training in self.trainings)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kept_bytes(self) -> CostEstimate:
        """Size of all files at the end [B]."""
        return total(stage.kept_bytes for stage in self.stages)

    @property
    def largest_memory(self) -> RuleCost:
        """The rule with the largest job in memory."""
        return max(self.rules, key=lambda rule: rule.memory_bytes.value)


def _estimate(
    value: float,
    rate: Rate,
    kind: Literal["seconds", "memory_bytes", "output_bytes"],
    rule: str,
    largest: float = 0.0,
) -> CostEstimate:
    """`value` and how sure it is; `largest` is that of the largest job."""
    least = SAMPLE_FACTOR if rule in SAMPLE_RULES and kind != "memory_bytes" else 1.0
    # a cost of the job alone is as sure for a sample as for anything else
    if set(rate.per) == {"job"}:
        least = 1.0
    if rule == "train" and kind == "seconds":
        least = TRAINING_FACTOR
    if largest > MEASURED_RATIO * rate.per.get("job", largest):
        least = max(least, FAR_FACTOR)
    return CostEstimate(value=value, factor=max(rate.factor, least, LEAST_FACTOR[kind]))


def _rule_cost(
    stage: str, rule: str, jobs: Sequence[PlannedJob], rates: Rates, limited: bool
) -> RuleCost:
    rate = rates.rule(rule)
    seconds = [rate.seconds.of(job.amounts) for job in jobs]
    memory = max(rate.memory_bytes.of(job.amounts) for job in jobs)
    size = sum(rate.output_bytes.of(job.amounts) for job in jobs)
    outputs = sum(len(job.outputs) for job in jobs)
    return RuleCost(
        stage=stage,
        rule=rule,
        jobs=len(jobs),
        core_seconds=_estimate(sum(seconds), rate.seconds, "seconds", rule, max(seconds)),
        largest_core_seconds=_estimate(max(seconds), rate.seconds, "seconds", rule, max(seconds)),
        memory_bytes=_estimate(memory, rate.memory_bytes, "memory_bytes", rule, memory),
        output_bytes=_estimate(size, rate.output_bytes, "output_bytes", rule),
        outputs=outputs,
        kept=sum(len(job.outputs) for job in jobs if not job.temporary),
        upper_limit=limited,
    )


def _stage_files(stage: str, rules: Sequence[RuleCost], rates: SnakemakeRates) -> StageFiles:
    jobs = sum(rule.jobs for rule in rules)
    notes = sum(rule.outputs for rule in rules)
    small = jobs * (rates.log_bytes + rates.benchmark_bytes) + notes * rates.metadata_bytes
    kept = [rule.output_bytes for rule in rules if rule.kept]
    return StageFiles(
        stage=stage,
        outputs=sum(rule.kept for rule in rules),
        logs=jobs
        + sum(rule.jobs * len(TENSORBOARD_FILES) for rule in rules if rule.rule == "train"),
        benchmarks=jobs,
        notes=notes,
        # logs and notes grow with the number of inputs
        kept_bytes=total([*kept, CostEstimate(value=small, factor=3)]),
        deleted_bytes=total(rule.output_bytes for rule in rules if not rule.kept),
    )


def _training_cost(training: Training, job: PlannedJob, rates: RuleRates) -> TrainingCost:
    operations = training.epochs * training.passes * training.network.multiply_accumulates
    seconds, memory = rates.seconds, rates.memory_bytes
    on_node = memory.of({**job.amounts, "batch_elements": 0.0})
    return TrainingCost(
        image=training.image,
        estimator=training.estimator,
        images=training.images,
        validation_images=training.validation_images,
        multiply_accumulates=training.network.multiply_accumulates,
        parameters=training.network.parameters,
        epochs=training.epochs,
        least_epochs=training.least_epochs,
        core_seconds=_estimate(seconds.of(job.amounts), seconds, "seconds", "train"),
        gpu_seconds=CostEstimate(value=operations / GPU_RATE, factor=GPU_FACTOR),
        node_memory_bytes=_estimate(on_node, memory, "memory_bytes", "train"),
    )


def _folders(jobs: Iterable[PlannedJob], run: str) -> int:
    """Folders in results/{run}/ at the end, itself among them."""
    root = PurePosixPath("results", run)
    found = {root}
    for job in jobs:
        paths = list(job.side_files(run))
        if not job.temporary:  # Snakemake deletes emptied folders as well
            paths += job.outputs
        if job.rule == "train":
            wildcards = "/".join(job.wildcards)
            # the state of a training that goes on; empty at the end
            paths.append(f"{root}/training_state/{wildcards}.npz")
            paths += [f"{root}/logs/train/{wildcards}/{each}" for each in TENSORBOARD_FILES]
        for path in paths:
            found.update(each for each in PurePosixPath(path).parents if root in each.parents)
    return len(found)


def _snakemake_cost(n_jobs: int, rates: SnakemakeRates) -> SnakemakeCost:
    each = rates.run_seconds + rates.job_seconds
    memory = CostEstimate(value=rates.memory_bytes, factor=LEAST_FACTOR["memory_bytes"])
    return SnakemakeCost(
        core_seconds=CostEstimate(value=rates.run_seconds + n_jobs * rates.job_seconds, factor=2),
        cluster_core_seconds=CostEstimate(value=CLUSTER_SNAKEMAKES * n_jobs * each, factor=3),
        memory_bytes=memory,
    )


def plan(
    configuration: RunConfiguration,
    samples: Mapping[str, SampleRow],
    rates: Rates | None = None,
) -> Plan:
    """Estimate the cost of a run from an empty folder; only the file of rates is read.

    Args:
        configuration: of the run.
        samples: that it measures, by name (`wilsonvox.config.samples.measured_samples`).
        rates: measured ones; those of the package by default.

    Raises:
        UserError: the rates cannot be read.
    """
    rates = rates or load_rates()
    jobs = planned(configuration, samples)
    each_training = trainings(configuration, samples)
    limited = any(training.least_epochs < training.epochs for training in each_training)
    by_rule: dict[str, list[PlannedJob]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    rules = [
        _rule_cost(of_rule[0].group, rule, of_rule, rates, limited and rule == "train")
        for rule, of_rule in by_rule.items()
    ]
    stages = [
        _stage_files(stage, [rule for rule in rules if rule.stage == stage], rates.snakemake)
        for stage in dict.fromkeys(job.group for job in jobs)
    ]
    # of the whole run: Snakemake's log
    whole = StageFiles(
        stage="the run",
        outputs=0,
        logs=0,
        benchmarks=0,
        notes=1,
        kept_bytes=CostEstimate(value=len(jobs) * rates.snakemake.log_bytes, factor=3),
        deleted_bytes=CostEstimate(value=0, factor=1),
    )
    train_jobs = {job.wildcards: job for job in jobs if job.rule == "train"}
    costs = [
        _training_cost(each, train_jobs[each.image, each.estimator], rates.rule("train"))
        for each in each_training
    ]
    generated = [job for job in jobs if job.rule == "generate_events"]
    events = round(sum(job.amounts["events"] for job in generated))
    slow, fast = EVTGEN_RATES
    return Plan(
        run=configuration.run,
        rules=tuple(rules),
        stages=(*stages, whole),
        trainings=tuple(costs),
        generator=EventGenerator(
            events=events,
            core_seconds=next(r.core_seconds for r in rules if r.rule == "generate_events"),
            evtgen_least_core_seconds=events / fast,
            evtgen_most_core_seconds=events / slow,
        ),
        snakemake=_snakemake_cost(len(jobs), rates.snakemake),
        folders=_folders(jobs, configuration.run),
        snakemake_folders=1 + len(SNAKEMAKE_FOLDERS),
        measured_on=rates.measured_on,
        scan_trials=sum(
            scan.n_trials * len(configuration.estimators[name].images)
            for name, scan in configuration.scan.items()
        ),
        has_global_fit=configuration.global_fit is not None,
    )
