"""The page of the runtimes."""

from dataclasses import replace
from pathlib import Path

from wilsonvox.report.page import Column, Row, Section, number, page
from wilsonvox.report.runtimes import RuleRuntime, read_benchmarks, runtimes_by_rule

_RUNTIME_COLUMNS = (
    Column("rule", left=True),
    Column("jobs", "number of jobs"),
    Column("total [s]", "wall time of all of them, summed up"),
    Column("mean [s]", "wall time of one job"),
    Column("longest [s]", "wall time of the longest job"),
    Column("CPU [s]", "CPU time of all of them and of all their threads"),
    Column("memory [MiB]", "largest resident memory of any of them, in units of 1024² bytes"),
)


def _runtime_row(rule: RuleRuntime) -> Row:
    return (
        rule.rule,
        f"{rule.jobs:,}",
        number(rule.total_seconds, ",.1f"),
        number(rule.mean_seconds, ",.1f"),
        number(rule.longest_seconds, ",.1f"),
        number(rule.cpu_seconds, ",.1f"),
        number(rule.memory_mib, ",.0f"),
    )


def runtimes_page(run: Path) -> str:
    """Times and memory of the run's jobs, by rule.

    Raises:
        UserError: a file among the benchmarks is none.
    """
    jobs = read_benchmarks(run / "benchmarks")
    rules = runtimes_by_rule(jobs)
    together = runtimes_by_rule(replace(job, rule="all") for job in jobs)
    paragraph = (
        "The last run of each job, as Snakemake measured it (its benchmark files). Jobs run side "
        "by side, so the run took less time than their sum. A dash: not measured, because the job "
        "ended at once."
        if rules
        else "No job has been timed in this run yet."
    )
    return page(
        "Runtimes",
        [
            Section(
                paragraph=paragraph,
                columns=_RUNTIME_COLUMNS,
                rows=[_runtime_row(rule) for rule in rules],
                total=_runtime_row(together[0]) if together else (),
                meanings=bool(rules),
            )
        ],
    )
