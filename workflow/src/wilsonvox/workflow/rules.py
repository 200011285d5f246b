"""Inputs, parameters and resources of the rules, in the form that Snakemake takes.

Paths begin with ``<results>``, ``<logs>`` and ``<benchmarks>``, the path variables that
`workflow/Snakefile` sets.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wilsonvox.config.global_fit import check_global_fit
from wilsonvox.config.reading import parse_configuration
from wilsonvox.config.samples import measured_samples
from wilsonvox.core.errors import UserError
from wilsonvox.stages.graph import File, Files, Resources
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import PACKING, STAGES, path_of
from wilsonvox.workflow.job_digest import JobDigests
from wilsonvox.workflow.started import note_or_compare


def load_run(values: Mapping[str, Any], source: str, is_main_process: bool) -> Run:
    """Validate the configuration of a run and the files that it names.

    Args:
        values: the configuration as Snakemake read it.
        source: names of its files, for messages.
        is_main_process: whether this is the process that the user started. A job on another node
            reads code and configuration again, and must find those of that process.

    Raises:
        UserError: the configuration or a file that it names is not valid, or code or configuration
            changed while the workflow ran.
    """
    configuration = parse_configuration(dict(values), source)
    samples = measured_samples(configuration)
    check_global_fit(configuration.global_fit)
    changed = note_or_compare(configuration, samples, is_main_process)
    if changed:
        raise UserError(f"wilsonvox: {changed}")
    return Run(configuration, samples)


def one_of(names: Iterable[str]) -> str:
    """Return the pattern of a wildcard that has one of some names; without names it never matches.

    >>> one_of(["b50", "b100"])
    'b50|b100'
    """
    return "|".join(map(re.escape, names)) or r"(?!)"


def result(path: str) -> str:
    """Return a path in the folder of the run."""
    return f"<results>/{path}"


def results(paths: Iterable[str]) -> list[str]:
    """Return paths in the folder of the run."""
    return [result(path) for path in paths]


def side_file(kind: str, suffix: str, stage: str) -> str:
    """Return the path of a job's log or benchmark file: stage and wildcards in their order.

    >>> side_file("logs", "log", "evaluate")
    '<logs>/evaluate/{image}/{estimator}/{split}/{point}.log'
    """
    wildcards = [f"{{{name}}}" for name in STAGES[stage].wildcards]
    return f"<{kind}>/{'/'.join([stage, *wildcards])}.{suffix}"


def _asked(name: str) -> Resources:
    return STAGES[name].resources if name in STAGES else PACKING[name]


def threads(name: str) -> int:
    """Return the number of threads of a rule."""
    return _asked(name).threads


def resources(name: str) -> dict[str, Any]:
    """Return memory [MB] and run time [min] of a rule."""
    return {"mem_mb": _asked(name).memory_mb, "runtime": _asked(name).minutes}


def _paths(files: Files) -> list[str]:
    return [result(path_of(file)) if isinstance(file, File) else file for file in files]


@dataclass(frozen=True)
class Rules:
    """Inputs, parameters and wildcards of the rules of a run."""

    run: Run
    digests: JobDigests

    def inputs(self, stage: str) -> Callable[[Any], dict[str, list[str]]]:
        """Return the function that gives the named inputs of a job."""

        def inputs(wildcards: Any) -> dict[str, list[str]]:
            files = STAGES[stage].input_files(self.run, dict(wildcards.items()))
            return {name: _paths(paths) for name, paths in files.items()}

        return inputs

    def arguments(self, stage: str) -> Callable[[Any, Any], list[str]]:
        """Return the function that gives the command-line arguments of a job.

        These are its input files under their options, its side files and its settings.
        """

        def arguments(wildcards: Any, input: Any) -> list[str]:  # noqa: A002 (Snakemake's name)
            entry, values = STAGES[stage], dict(wildcards.items())
            words = [
                word
                for name, source in entry.inputs.items()
                if source.option
                for path in getattr(input, name)
                for word in (f"--{source.option}", path)
            ]
            for option, pattern in entry.side_files.items():
                path = f"{self.run.folder}/{pattern.format(**values)}".rstrip("/")
                words += [f"--{option}", path]
            return words + [str(word) for word in entry.arguments(self.run, values)]

        return arguments

    def digest(self, stage: str) -> Callable[[Any], str]:
        """Return the function that gives the digest of everything behind a job."""

        def digest(wildcards: Any) -> str:
            return self.digests.digest(stage, **dict(wildcards.items()))

        return digest

    def constraints(self, stage: str) -> dict[str, str]:
        """Return the patterns of the wildcards that only some of their values may have."""
        entry = STAGES[stage]
        names: dict[str, Iterable[str]] = {}
        if entry.estimators is not None and "estimator" in entry.wildcards:
            names["estimator"] = self.run.estimators(entry.estimators)
        if entry.constraints is not None:
            names |= entry.constraints(self.run)
        return {wildcard: one_of(allowed) for wildcard, allowed in names.items()}
