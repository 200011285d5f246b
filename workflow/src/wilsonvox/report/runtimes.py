"""Runtimes and memory of the jobs of a run, from Snakemake's benchmark files."""

import csv
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wilsonvox.core.errors import UserError


@dataclass(frozen=True)
class JobRuntime:
    """Runtime and memory of one execution of a job.

    Values that Snakemake did not measure, as for very short jobs, are NaN.

    Attributes:
        rule: name of the rule.
        seconds: wall time [s].
        cpu_seconds: CPU time of all threads [s].
        memory_mib: maximum resident memory [MiB], the column max_rss.
    """

    rule: str
    seconds: float
    cpu_seconds: float
    memory_mib: float


@dataclass(frozen=True)
class RuleRuntime:
    """Sums and maxima over the jobs of one rule, without jobs whose value is unknown.

    Values that are unknown for all jobs are NaN.

    Attributes:
        rule: name of the rule.
        jobs: number of jobs.
        total_seconds: total wall time [s].
        mean_seconds: mean wall time [s].
        longest_seconds: maximum wall time [s].
        cpu_seconds: total CPU time [s].
        memory_mib: maximum resident memory [MiB].
    """

    rule: str
    jobs: int
    total_seconds: float
    mean_seconds: float
    longest_seconds: float
    cpu_seconds: float
    memory_mib: float


def _number(text: str | None) -> float:
    """Parse an entry of a benchmark file; NA, dashes and other text become NaN."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def read_benchmark(path: str | os.PathLike[str], rule: str) -> list[JobRuntime]:
    """Read a benchmark file: one row, or several for a repeated benchmark.

    Raises:
        UserError: the file cannot be read or has no column `s`.
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
    """Read the benchmark files of a run, sorted by path.

    Args:
        folder: folder such as results/demo/benchmarks, with files `{rule}.tsv` and
            `{rule}/{wildcards}.tsv`. It does not exist before the first job has run.

    Raises:
        UserError: a file is not a benchmark file.
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
    """Sum the jobs by rule, sorted by descending wall time.

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
    # rules without known times are last
    return sorted(
        rules, key=lambda rule: (math.isnan(rule.total_seconds), -rule.total_seconds, rule.rule)
    )
