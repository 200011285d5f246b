"""Find the jobs that have to run again from the records in their outputs.

An output is up to date if its content agrees with its record, if command line, code and packages
are the current ones, and if every input has the content that was read. Modification times do not
matter. The result is compared with the plan of Snakemake, which uses modification times and its own
metadata.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from wilsonvox.provenance.audit import other_code
from wilsonvox.provenance.comparison import command_options
from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.records.embedded import has_record_format, read_record
from wilsonvox.records.record import Record, portable_argument, portable_path, run_folder
from wilsonvox.workflow.status.engine import PlannedJob

NOT_COMPARED = frozenset({"--threads", "--state"})
"""Options that change how a job computes, or where it keeps temporary files."""


NEW_INPUT = "it did not read"


class Need(StrEnum):
    """Why a job has to run, if at all."""

    NO = "no"
    RESTORE = "restore"
    """An output is missing or damaged; it will be the same as before, so no later job runs."""
    CHANGE = "change"
    """Its output would be made differently now; all later jobs run, too."""


@dataclass(frozen=True)
class State:
    """State of one job.

    Attributes:
        job: the job.
        need: the need to run it.
        reasons: the reasons, one sentence each.
        unchanged_inputs: inputs with the content that the job read.
    """

    job: PlannedJob
    need: Need
    reasons: tuple[str, ...] = ()
    unchanged_inputs: frozenset[str] = frozenset()


def option_changes(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """Describe the differences of two command lines: ``--learning-rate 0.01 → 0.02``."""
    old, new = command_options(before), command_options(now)
    for name in [*old, *(each for each in new if each not in old)]:
        if name in NOT_COMPARED or old.get(name) == new.get(name):
            continue
        first, second = old.get(name, []), new.get(name, [])
        if len(first) <= 1 and len(second) <= 1:
            shown = (" ".join(each) or "none" for each in (first, second))
            yield f"{name or 'command'} {' → '.join(shown)}"
            continue
        gone = [each for each in first if each not in second]
        come = [each for each in second if each not in first]
        parts = [f"{len(come)} more"] if come else []
        parts += [f"{len(gone)} fewer"] if gone else []
        yield f"{name}: {' and '.join(parts) or 'different order'}"


def _in_this_run(words: Iterable[str], before: str, now: str) -> list[str]:
    """Replace the run folder `before` by `now` in the words of a command line."""
    return [
        now + word[len(before) :] if word == before or word.startswith(f"{before}/") else word
        for word in words
    ]


def _run_now(job: PlannedJob, record: Record) -> str:
    """Return the current folder of the run in a job's record.

    A file may be outside of that run, such as a measurement with an estimator of another run.
    """
    outside = record.output.startswith("../")
    return record.run if outside else run_folder(job.outputs[0]).as_posix()


def _own_reasons(job: PlannedJob, record: Record) -> Iterator[str]:
    run = _run_now(job, record)
    now = [portable_argument(word) for word in job.command]
    yield from option_changes(_in_this_run(record.command, record.run, run), now)
    yield from other_code(record)


def _digest(path: str, cache: DigestCache) -> str | None:
    try:
        return cache.digest(path)
    except Exception:
        return None


def _record(path: str) -> Record | None:
    try:
        return read_record(path)
    except Exception:
        return None


def missing_or_corrupt_outputs(job: PlannedJob, cache: DigestCache) -> list[str]:
    """List the outputs of a job that are missing or corrupt, one sentence each."""
    problems = []
    copies: dict[str, str] = {}
    for path in job.outputs:
        if not Path(path).is_file():
            # temporary files are made again only if another job needs them
            if not job.temporary:
                problems.append(f"{path} is missing")
            continue
        if has_record_format(path):
            record = _record(path)
            if record is None or record.content_digest != _digest(path, cache):
                problems.append(f"{path} is damaged")
            else:
                run = run_folder(path)
                copies |= {(run / name).as_posix(): d for name, d in record.copies.items()}
    wrong = (
        path
        for path in job.outputs
        if path in copies and Path(path).is_file() and _digest(path, cache) != copies[path]
    )
    return problems + [f"{path} is damaged" for path in wrong]


def _digests_read(job: PlannedJob, record: Record) -> dict[str, str]:
    """Return the recorded content digests of a job's inputs by path in the working folder."""
    run = Path(_run_now(job, record))
    digests = {}
    for entry in record.inputs:
        # files outside the working folder are recorded by name only
        path = os.path.normpath(run / entry.path) if len(Path(entry.path).parts) > 1 else entry.path
        digests[Path(path).as_posix()] = entry.content_digest
    return digests


def _inputs(
    job: PlannedJob, record: Record, makers: Mapping[str, State], cache: DigestCache
) -> tuple[list[str], frozenset[str]]:
    """Return the reasons from changed inputs of a job, and its unchanged inputs."""
    read = _digests_read(job, record)
    reasons, unchanged = [], set()
    for path in job.inputs:
        maker = makers.get(path)
        known = read.get(portable_path(path))
        if maker is not None and maker.need is Need.CHANGE:
            continue  # the reason is reported for the job that makes it
        if known is None:
            reasons.append(f"{NEW_INPUT} {path}")
        elif not Path(path).is_file() or (maker is not None and maker.need is Need.RESTORE):
            continue  # it will have the same content as before
        elif _digest(path, cache) == known:
            unchanged.add(path)
        else:
            reasons.append(f"{path} differs from the content it read")
    return reasons, frozenset(unchanged)


def judge_job(
    job: PlannedJob,
    states: Mapping[str, State],
    makers: Mapping[str, State],
    cache: DigestCache,
) -> State:
    """Determine the state of one job.

    Args:
        job: the job.
        states: states of earlier jobs, by name.
        makers: states of earlier jobs, by path of their outputs.
        cache: source of content digests.
    """
    lost = missing_or_corrupt_outputs(job, cache)
    after = _after([name for name in job.before if states[name].need is Need.CHANGE])
    # Snakemake's metadata of parameters outlive the outputs of a failed run; they are reported as
    # a reason if no earlier job explains the change
    changed = list(job.noted)
    noted = [] if after else changed
    records = (_record(path) for path in job.outputs if has_record_format(path))
    record = next(filter(None, records), None)
    if record is None:
        reasons = (*lost, *noted, *after)
        need = Need.CHANGE if changed or after else Need.RESTORE if lost else Need.NO
        return State(job, need, reasons)
    own = list(_own_reasons(job, record))
    inputs, unchanged = _inputs(job, record, makers, cache)
    if any(text.startswith("--") for text in own):  # these include new inputs
        inputs = [text for text in inputs if not text.startswith(NEW_INPUT)]
    if own or inputs or changed or after:
        reasons = (*lost, *(own or noted), *inputs, *after)
        return State(job, Need.CHANGE, reasons, unchanged)
    return State(job, Need.RESTORE if lost else Need.NO, tuple(lost), unchanged)


def _after(upstream: Sequence[str]) -> tuple[str, ...]:
    if not upstream:
        return ()
    more = f" and {len(upstream) - 1} more" if len(upstream) > 1 else ""
    return (f"after {upstream[0]}{more}",)


def classify_jobs(jobs: Sequence[PlannedJob], cache: DigestCache) -> dict[str, State]:
    """Determine the state of every job, by name.

    Args:
        jobs: jobs in topological order.
        cache: source of content digests; every existing output and input is digested once.
    """
    paths = {Path(path) for job in jobs for path in (*job.outputs, *job.inputs)}
    cache.fill(path for path in sorted(paths) if path.is_file())
    states: dict[str, State] = {}
    makers: dict[str, State] = {}
    for job in jobs:
        state = judge_job(job, states, makers, cache)
        states[job.name] = state
        makers |= dict.fromkeys(job.outputs, state)
    for job in reversed(jobs):
        if states[job.name].need is not Need.NO:
            _need_inputs(job, states)
    return states


def _need_inputs(job: PlannedJob, states: dict[str, State]) -> None:
    """Mark the makers of deleted temporary inputs of a job that has to run."""
    for name in job.before:
        maker = states[name]
        gone = [path for path in maker.job.outputs if not Path(path).is_file()]
        if maker.need is Need.NO and set(gone) & set(job.inputs):
            states[name] = replace(maker, need=Need.RESTORE, reasons=(f"{job.name} needs it",))
