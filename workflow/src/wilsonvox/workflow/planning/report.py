"""A plan as text for people."""

from collections.abc import Iterator, Sequence

from wilsonvox.workflow.planning.costs import (
    CLUSTER_SNAKEMAKES,
    CostEstimate,
    EventGenerator,
    Plan,
    RuleCost,
    TrainingCost,
    total,
)

Row = Sequence[str]

PERCENT_BELOW = 1.95
"""Factors below this one are shown in percent."""


def sure(factor: float) -> str:
    """Format the factor within which an estimate holds.

    >>> sure(1.5), sure(3)
    ('± 50 %', 'factor 3')
    """
    if factor < PERCENT_BELOW:
        return f"± {100 * (factor - 1):.0f} %"
    return f"factor {factor:.2g}"


def _figures(value: float) -> str:
    """Two digits at least, thousands with commas."""
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """A time in the unit that fits.

    >>> duration(5), duration(660), duration(36_000_000)
    ('5.0 s', '11 min', '10,000 h')
    """
    if seconds < 120:
        return f"{_figures(seconds)} s"
    if seconds < 7200:
        return f"{_figures(seconds / 60)} min"
    return f"{_figures(seconds / 3600)} h"


def size(n_bytes: float) -> str:
    """A number of bytes in the decimal unit that fits.

    >>> size(2_500), size(1.8e9)
    ('2.5 kB', '1.8 GB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= scale:
            return f"{_figures(n_bytes / scale)} {unit}"
    return f"{_figures(n_bytes / 1e3)} kB"


def _hours(estimate: CostEstimate, unit: str) -> str:
    value = estimate.value / 3600
    if value < 0.01:
        return f"less than 0.01 {unit}"
    digits = f"{value:,.2f}" if value < 1 else _figures(value)
    return f"{digits} {unit} ({sure(estimate.factor)})"


def _aligned(rows: Sequence[Row], left: int) -> Iterator[str]:
    """Lines of a table, the first `left` columns flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _rule_row(rule: RuleCost, stage: str) -> Row:
    return (
        stage,
        rule.rule,
        f"{rule.jobs:,}",
        ("≤ " if rule.upper_limit else "") + duration(rule.core_seconds.value),
        sure(rule.core_seconds.factor),
        duration(rule.largest_core_seconds.value),
        size(rule.memory_bytes.value),
        sure(rule.memory_bytes.factor),
    )


def _jobs(plan: Plan) -> Iterator[str]:
    rows: list[Row] = [
        ("stage", "rule", "jobs", "processor", "within", "largest job", "memory", "within")
    ]
    before = ""
    for rule in plan.rules:
        rows.append(_rule_row(rule, "" if rule.stage == before else rule.stage))
        before = rule.stage
    largest = plan.largest_memory
    rows.append(
        (
            "all",
            "",
            f"{plan.jobs:,}",
            ("≤ " if any(rule.upper_limit for rule in plan.rules) else "")
            + duration(plan.core_seconds.value),
            sure(plan.core_seconds.factor),
            duration(max(rule.largest_core_seconds.value for rule in plan.rules)),
            size(largest.memory_bytes.value),
            sure(largest.memory_bytes.factor),
        )
    )
    yield "Jobs: processor time on CPUs alone, and memory of the largest job"
    yield ""
    yield from _aligned(rows, left=2)


def _storage(plan: Plan) -> Iterator[str]:
    rows: list[Row] = [
        ("stage", "outputs", "logs", "times", "notes", "files", "size", "within", "deleted again")
    ]
    for stage in plan.stages:
        deleted = stage.deleted_bytes.value
        rows.append(
            (
                stage.stage,
                *(f"{n:,}" for n in (stage.outputs, stage.logs, stage.benchmarks, stage.notes)),
                f"{stage.files:,}",
                size(stage.kept_bytes.value),
                sure(stage.kept_bytes.factor),
                size(deleted) if deleted else "",
            )
        )
    columns = ("outputs", "logs", "benchmarks", "notes", "files")
    sums = (sum(getattr(stage, name) for stage in plan.stages) for name in columns)
    deleted = sum(stage.deleted_bytes.value for stage in plan.stages)
    rows.append(
        (
            "all",
            *(f"{n:,}" for n in sums),
            size(plan.kept_bytes.value),
            sure(plan.kept_bytes.factor),
            size(deleted) if deleted else "",
        )
    )
    yield "Files at the end: outputs, logs and times in results/, Snakemake's notes in .snakemake/"
    yield ""
    yield from _aligned(rows, left=1)


def _training_row(training: TrainingCost) -> Row:
    limited = training.least_epochs < training.epochs
    return (
        training.image,
        training.estimator,
        f"{training.images:,}",
        f"{_figures(training.multiply_accumulates / 1e6)} M",
        f"≤ {training.epochs:,}" if limited else f"{training.epochs:,}",
        duration(training.core_seconds.value),
        sure(training.core_seconds.factor),
        duration(training.gpu_seconds.value),
        sure(training.gpu_seconds.factor),
    )


def _trainings(plan: Plan) -> Iterator[str]:
    if not plan.trainings:
        yield "No estimator is trained."
        return
    rows: list[Row] = [
        ("image", "estimator", "images", "products", "epochs", "on a CPU", "within",
         "on a GPU", "assumed")
    ]  # fmt: skip
    rows += [_training_row(each) for each in plan.trainings]
    yield "Training: all epochs on a CPU or one GPU; products: multiply-accumulates of one image"
    yield ""
    yield from _aligned(rows, left=2)
    said: dict[str, list[str]] = {}
    for each in plan.trainings:
        if each.least_epochs < each.epochs:
            end = f"{each.least_epochs:,} to {each.epochs:,} epochs"
            text = f"an upper limit; early stopping ends it after {end}."
            said.setdefault(text, []).append(each.estimator)
    for each in plan.trainings:
        memory = f"{size(each.node_memory_bytes.value)} ({sure(each.node_memory_bytes.factor)})"
        said.setdefault(f"on a GPU the node's memory holds {memory}.", []).append(each.estimator)
    yield from (f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in said.items())


def _generator(generator: EventGenerator) -> str:
    low, high = generator.evtgen_least_core_seconds, generator.evtgen_most_core_seconds
    return (
        f"{generator.events / 1e6:,.1f} million take {duration(generator.core_seconds.value)}; "
        f"EvtGen itself would take {duration(low)} to {duration(high)}"
    )


def _most_memory(plan: Plan) -> str:
    largest = plan.largest_memory
    return (
        f"{size(largest.memory_bytes.value)} in a job of {largest.rule}; on a cluster "
        f"{size(CLUSTER_SNAKEMAKES * plan.snakemake.memory_bytes.value)} more, Snakemake's own"
    )


def _quota(plan: Plan) -> str:
    return (
        f"{plan.files:,} files; {plan.folders:,} folders in results/{plan.run}/, "
        f"{plan.snakemake_folders} in .snakemake/"
    )


def _totals(plan: Plan) -> Iterator[str]:
    rest, gpu = plan.core_seconds_without_training, plan.gpu_seconds
    limit = "at most " if any(rule.upper_limit for rule in plan.rules) else ""
    own, cluster = plan.snakemake.core_seconds, plan.snakemake.cluster_core_seconds
    on_gpu = f"{_hours(rest, 'core-hours')} and {limit}{_hours(gpu, 'GPU-hours, not measured')}"
    rows: list[Row] = [
        ("on CPUs alone", limit + _hours(plan.core_seconds, "core-hours")),
        *([("training on a GPU", on_gpu)] if plan.trainings else []),
        ("Snakemake itself", f"{_hours(own, 'core-hours')} on one machine"),
        ("", f"{_hours(total((own, cluster)), 'core-hours')} on a cluster, two starts in each job"),
        (
            "most memory",
            _most_memory(plan),
        ),
        (
            "file quota",
            _quota(plan),
        ),
        ("events", _generator(plan.generator)),
    ]
    yield from _aligned(rows, left=2)


def lines(plan: Plan) -> Iterator[str]:
    """The plan as lines of at most 100 characters, for configurations of few estimators."""
    yield f"Plan of run {plan.run} from an empty folder; nothing was run"
    for part in (_jobs(plan), _storage(plan), _trainings(plan), _totals(plan)):
        yield ""
        yield from part
    if plan.scan_trials:
        yield ""
        yield (
            f"Not counted: the target scan. Its {plan.scan_trials} trials have sizes that are known"
        )
        yield "only when they are suggested; one of the estimator's own size costs as its training."
    if plan.has_global_fit:
        yield ""
        yield "Not counted: the target global_fit (its cost: docs/user_guide/global_fit.md)."
    yield ""
    where = plan.measured_on
    yield f"Measured on {where.cores} cores of {where.processor} on {where.date}; on no other."
    yield "How it is reckoned, and what the demonstration did cost: docs/user_guide/planning.md"
