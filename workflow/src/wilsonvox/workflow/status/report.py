"""Print the status of a run: jobs that have to run, and commands that correct the plan."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wilsonvox.records.embedded import has_record_format
from wilsonvox.workflow.status.engine import MADE_AGAIN
from wilsonvox.workflow.status.staleness import Need, State

SCAN_FIGURES = ("scan.pdf", "scan.png")
"""Names of figures made by the target `scan` but not by the default target."""

TARGETS_APART = ("scans", "training_state/scans", "global_fit", "figures/global_fit")
"""Folders of a run written by the targets `scan` and `global_fit`, not by the default target."""


@dataclass(frozen=True)
class Status:
    """Status of a run.

    Attributes:
        states: states of all jobs by name, in topological order.
        run: folder of the run.
        snakemake: words of the command that runs the workflow.
        targets: rules or files to make; empty for the default target.
    """

    states: Mapping[str, State]
    run: Path
    snakemake: tuple[str, ...]
    targets: tuple[str, ...] = ()

    def needed(self) -> list[State]:
        """Return the jobs that have to run."""
        return [state for state in self.states.values() if state.need is not Need.NO]

    def missed(self) -> list[State]:
        """Return the jobs that have to run but that Snakemake would not run."""
        return [state for state in self.needed() if not state.job.would_run]

    def needless(self) -> list[State]:
        """Return the jobs that Snakemake would run although none of their dependencies changed."""
        return [
            state for state in self.states.values() if state.need is Need.NO and state.job.would_run
        ]

    def left_over(self) -> list[Path]:
        """Return the files in the run folder that no job of this configuration makes.

        The list is empty if targets are given. Files of scans and global fits are excluded, because
        they have their own targets.
        """
        if self.targets:
            return []
        made = {Path(path) for state in self.states.values() for path in state.job.outputs}
        files = sorted(self.run.rglob("*")) if self.run.is_dir() else []
        apart = [self.run / name for name in TARGETS_APART]
        return [
            path
            for path in files
            if has_record_format(path)
            and path not in made
            and path.name not in SCAN_FIGURES
            and not any(path.is_relative_to(folder) for folder in apart)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the states of all jobs, Snakemake's plan, and the repairs as JSON values."""
        return {
            "run": str(self.run),
            "jobs": [
                {
                    "name": name,
                    "rule": state.job.rule,
                    "wildcards": state.job.wildcards,
                    "need": str(state.need),
                    "reasons": list(state.reasons),
                    "snakemake_would_run": state.job.would_run,
                    "snakemake_reasons": list(state.job.reasons),
                }
                for name, state in self.states.items()
            ],
            "repairs": self.repairs(),
            "left_over": [str(path) for path in self.left_over()],
        }

    def repairs(self) -> list[str]:
        """Return shell commands, to run in order, that correct the plan of Snakemake."""
        commands: list[str] = []
        stale = [path for state in self.needless() for path in state.job.newer]
        older = {
            path: _oldest(state.job.outputs)
            for state in self.needless()
            for path in state.job.newer
            if path in state.unchanged_inputs
        }
        commands += [
            shlex.join(["touch", "-r", str(older[path]), path])
            for path in dict.fromkeys(stale)
            if older.get(path)
        ]
        chosen = self.needed() if self.needless() else self.missed()
        restored = [s for s in chosen if s.need is Need.RESTORE and not s.job.temporary]
        if restored:
            # only these files are targets, so that nothing after them runs
            lost = [path for state in restored for path in _lost(state)]
            commands.append(shlex.join([self.snakemake[0], "--force", *lost, *self.snakemake[1:]]))
            commands += self._as_old(restored)
        changed = [
            path for s in self.missed() if s.need is Need.CHANGE for path in s.job.outputs[:1]
        ]
        if changed:
            commands.append(shlex.join([*self.snakemake, "--forcerun", *changed]))
        return commands

    def _as_old(self, restored: Sequence[State]) -> Iterator[str]:
        """Yield commands that make restored ROOT files older than the files made from them.

        The bytes of a ROOT file differ each time it is written, so that Snakemake cannot recognise
        equal content.
        """
        for path in (path for state in restored for path in state.job.outputs):
            readers = [
                state
                for state in self.states.values()
                if path in state.job.inputs and state.need is Need.NO
            ]
            oldest = _oldest([each for state in readers for each in state.job.outputs])
            if path.endswith(".root") and oldest:
                yield shlex.join(["touch", "-r", oldest, path])

    def run_command(self) -> str:
        """Return the command that runs exactly the needed jobs once the repairs are done."""
        needed = [state for state in self.needed() if state.job.would_run]
        read = {path for state in needed for path in state.job.inputs}
        ends = [
            state.job.outputs[0]
            for state in needed
            if not state.job.temporary and not read & set(state.job.outputs)
        ]
        # with the default target, Snakemake would make deleted temporary event files again
        made_again = any(MADE_AGAIN in s.job.reasons for s in self.needless())
        targets = ends if made_again else list(self.targets)
        return shlex.join([self.snakemake[0], *targets, *self.snakemake[1:]])


def _oldest(paths: Sequence[str]) -> str | None:
    existing = [path for path in paths if Path(path).is_file()]
    return min(existing, key=lambda path: Path(path).stat().st_mtime_ns, default=None)


def _lost(state: State) -> list[str]:
    """Return one output of a job, which represents all of them."""
    return list(state.job.outputs[:1])


def _kind(reason: str) -> str:
    return "after" if reason.startswith("after ") else reason


def _names(states: Sequence[State], most: int = 3) -> str:
    """Summarize jobs: ``voxelize test/c9_-1.00/000`` or ``9 voxelize, 1 train``."""
    if len(states) <= most:
        return ", ".join(state.job.name for state in states)
    rules: dict[str, int] = {}
    for state in states:
        rules[state.job.rule] = rules.get(state.job.rule, 0) + 1
    return ", ".join(f"{number} {rule}" for rule, number in rules.items())


def _grouped(states: Sequence[State]) -> dict[str, list[State]]:
    """Group states by their reasons, without those from earlier jobs."""
    groups: dict[str, list[State]] = {}
    for state in states:
        own = [reason for reason in state.reasons if _kind(reason) != "after"]
        names = own or ["an input is made again"]
        for path in state.job.outputs:  # one line for the same loss of many files
            names = [text.replace(f"{path} is", "an output is") for text in names]
        for text in dict.fromkeys(names):
            groups.setdefault(text, []).append(state)
    return groups


def lines(status: Status) -> Iterator[str]:
    """Yield the lines of the status, one per reason."""
    needed = status.needed()
    total = len(status.states)
    yield f"{status.run}: {len(needed)} of {total} jobs have to run" + (":" if needed else "")
    for reason, states in _grouped(needed).items():
        yield f"  {_names(states)}: {reason}"
    missed, needless = status.missed(), status.needless()
    if missed:
        yield f"Snakemake alone would miss {len(missed)} of them: {_names(missed)}"
    if needless:
        yield (
            f"Snakemake alone would run {len(needless)} more, although none of their dependencies "
            f"has changed: {_names(needless)}"
        )
        for path in sorted({path for state in needless for path in state.job.newer}):
            yield f"  {path} is newer than the files made from it"
    commands = status.repairs()
    if commands:
        yield "to correct this, run:"
        yield from (f"  {command}" for command in commands)
    if needed and len(missed) < len(needed):
        yield "then run:" if commands else "run:"
        yield f"  {status.run_command()}"
    extra = status.left_over()
    if extra:
        names = ", ".join(str(path) for path in extra[:2])
        yield (
            f"{len(extra)} {'file' if len(extra) == 1 else 'files'} in {status.run} belong to no "
            f"job of this configuration and are not used: {names}{' …' if len(extra) > 2 else ''}"
        )
