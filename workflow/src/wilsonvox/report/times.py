"""Runtimes page."""

from dataclasses import replace
from pathlib import Path

from wilsonvox.report.page import Column, Row, Section, number, page
from wilsonvox.report.runtimes import RuleRuntime, read_benchmarks, runtimes_by_rule

_RUNTIME_COLUMNS = (
    Column("rule", left=True),
    Column("jobs", "number of jobs"),
    Column("total [s]", "total wall time"),
    Column("mean [s]", "mean wall time per job"),
    Column("longest [s]", "longest wall time of a job"),
    Column("CPU [s]", "total CPU time of all threads"),
    Column("memory [MiB]", "maximum resident memory of a job (1 MiB = 1024² bytes)"),
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
    """Render the runtimes page: runtimes and memory of the jobs, by rule.

    Raises:
        UserError: a file is not a benchmark file.
    """
    jobs = read_benchmarks(run / "benchmarks")
    rules = runtimes_by_rule(jobs)
    total = runtimes_by_rule(replace(job, rule="all") for job in jobs)
    paragraph = (
        "Last execution of each job, from Snakemake's benchmark files. Jobs run in parallel, so "
        "the elapsed time of the run is shorter than the sum. A dash marks jobs too short to be "
        "measured."
        if rules
        else "This run has no benchmark files yet."
    )
    return page(
        "Runtimes",
        [
            Section(
                paragraph=paragraph,
                columns=_RUNTIME_COLUMNS,
                rows=[_runtime_row(rule) for rule in rules],
                total=_runtime_row(total[0]) if total else (),
                meanings=bool(rules),
            )
        ],
    )
