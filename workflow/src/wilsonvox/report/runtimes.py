"""Times and memory of a run's jobs, from the files that Snakemake's `benchmark:` writes."""

import csv
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wilsonvox.core.errors import UserError


@dataclass(frozen=True)
class JobRuntime:
    """One run of one job. NaN where Snakemake did not measure it, as of jobs that end at once.

    seconds: wall time [s]; cpu_seconds: CPU time of all threads [s]; memory_mib: largest
    resident memory [MiB] (the column max_rss, in whose unit Snakemake counts 1024² bytes).
    """

    rule: str
    seconds: float
    cpu_seconds: float
    memory_mib: float


@dataclass(frozen=True)
class RuleRuntime:
    """All jobs of one rule: sums and extremes over those jobs of which each value is known.

    Times are wall times [s] and CPU times [s], memory is resident memory [MiB]; NaN where it is
    known of no job.
    """

    rule: str
    jobs: int
    total_seconds: float
    mean_seconds: float
    longest_seconds: float
    cpu_seconds: float
    memory_mib: float


def _number(text: str | None) -> float:
    """A benchmark's entry; NA, a dash and whatever else is no finite number are NaN."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def read_benchmark(path: str | os.PathLike[str], rule: str) -> list[JobRuntime]:
    """The runs in one benchmark file: one, or several of a repeated benchmark.

    Raises:
        UserError: it cannot be read, or has no column `s`.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            columns, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a benchmark file: {error}") from error
    if "s" not in columns:
        raise UserError(f"{path}: not a benchmark file: no column 's'; delete it")
    return [
        JobRuntime(
            rule, _number(row["s"]), _number(row.get("cpu_time")), _number(row.get("max_rss"))
        )
        for row in rows
    ]


def read_benchmarks(folder: str | os.PathLike[str]) -> list[JobRuntime]:
    """The runs of all jobs of a run, in the order of their paths.

    Args:
        folder: such as results/demo/benchmarks: its files are `{rule}.tsv` and
            `{rule}/{wildcards}.tsv`. It may be absent, when nothing has run yet.

    Raises:
        UserError: a file in it is not a benchmark.
    """
    root = Path(folder)
    return [
        job
        for path in sorted(root.rglob("*.tsv"))
        for job in read_benchmark(path, path.relative_to(root).with_suffix("").parts[0])
    ]


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def runtimes_by_rule(jobs: Iterable[JobRuntime]) -> list[RuleRuntime]:
    """Jobs summed up by rule, the rule with the most wall time first.

    >>> jobs = [JobRuntime("train", 3.0, 4.0, 100.0), JobRuntime("train", 1.0, math.nan, 90.0)]
    >>> runtimes_by_rule(jobs)[0].mean_seconds, runtimes_by_rule(jobs)[0].memory_mib
    (2.0, 100.0)
    """
    by_rule: dict[str, list[JobRuntime]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    rules = []
    for rule, of_rule in by_rule.items():
        seconds = _known(job.seconds for job in of_rule)
        cpu = _known(job.cpu_seconds for job in of_rule)
        memory = _known(job.memory_mib for job in of_rule)
        rules.append(
            RuleRuntime(
                rule=rule,
                jobs=len(of_rule),
                total_seconds=sum(seconds) if seconds else math.nan,
                mean_seconds=sum(seconds) / len(seconds) if seconds else math.nan,
                longest_seconds=max(seconds, default=math.nan),
                cpu_seconds=sum(cpu) if cpu else math.nan,
                memory_mib=max(memory, default=math.nan),
            )
        )
    # a rule of which no time is known stands last
    return sorted(
        rules, key=lambda each: (math.isnan(each.total_seconds), -each.total_seconds, each.rule)
    )
