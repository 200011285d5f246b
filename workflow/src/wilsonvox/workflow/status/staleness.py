"""Which jobs have to run again, by what the outputs themselves say, whatever their times.

An output is right while its content is that of its record, the command line, the code and the
packages behind it are today's, and every input has the content that was read. This is compared
with what Snakemake would do from times of modification and its own notes.
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
from wilsonvox.records.record import Record, portable_path, portable_word, run_folder
from wilsonvox.workflow.status.engine import PlannedJob

NOT_COMPARED = frozenset({"--threads", "--state"})
"""Options that say how a job computes, or where it keeps what it does not deliver."""


NEW_INPUT = "it did not read"


class Need(StrEnum):
    """Whether a job has to run, and what comes of it."""

    NO = "no"
    RESTORE = "restore"
    """An output is missing or damaged; it will come out as it was, so nothing after it runs."""
    CHANGE = "change"
    """It was made in another way than it would be now, and so was all that was made of it."""


@dataclass(frozen=True)
class State:
    """What the outputs of one job say.

    unchanged_inputs: inputs whose content is what the job read, whatever their times
    """

    job: PlannedJob
    need: Need
    reasons: tuple[str, ...] = ()
    unchanged_inputs: frozenset[str] = frozenset()


def option_changes(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """In words, how two command lines differ: ``--learning-rate 0.01 → 0.02``."""
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
        yield f"{name}: {' and '.join(parts) or 'another order'}"


def _in_this_run(words: Iterable[str], before: str, now: str) -> list[str]:
    """Words of a command line with the name of the run's folder replaced by another."""
    return [
        now + word[len(before) :] if word == before or word.startswith(f"{before}/") else word
        for word in words
    ]


def _run_now(job: PlannedJob, record: Record) -> str:
    """The run that a job's record speaks of, as it is called now.

    A file may lie outside of it: a measurement by an estimator of another run.
    """
    outside = record.output.startswith("../")
    return record.run if outside else run_folder(job.outputs[0]).as_posix()


def _own_reasons(job: PlannedJob, record: Record) -> Iterator[str]:
    run = _run_now(job, record)
    now = [portable_word(word) for word in job.command]
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
    """Outputs of a job that are missing or not what was written, one sentence each."""
    found = []
    copies: dict[str, str] = {}
    for path in job.outputs:
        if not Path(path).is_file():
            # a file that is deleted after its use is made when something needs it
            if not job.temporary:
                found.append(f"{path} is missing")
            continue
        if has_record_format(path):
            record = _record(path)
            if record is None or record.content_digest != _digest(path, cache):
                found.append(f"{path} is damaged")
            else:
                run = run_folder(path)
                copies |= {(run / name).as_posix(): d for name, d in record.copies.items()}
    wrong = (
        path
        for path in job.outputs
        if path in copies and Path(path).is_file() and _digest(path, cache) != copies[path]
    )
    return found + [f"{path} is damaged" for path in wrong]


def _digests_read(job: PlannedJob, record: Record) -> dict[str, str]:
    """Content digests that a job noted of its inputs, by path relative to the working folder."""
    run = Path(_run_now(job, record))
    found = {}
    for each in record.inputs:
        # a file from outside the working folder is known by its name alone
        path = os.path.normpath(run / each.path) if len(Path(each.path).parts) > 1 else each.path
        found[Path(path).as_posix()] = each.content_digest
    return found


def _inputs(
    job: PlannedJob, record: Record, makers: Mapping[str, State], cache: DigestCache
) -> tuple[list[str], frozenset[str]]:
    """What changed of the inputs of a job whose outputs exist, and which did not."""
    read = _digests_read(job, record)
    reasons, unchanged = [], set()
    for path in job.inputs:
        maker = makers.get(path)
        known = read.get(portable_path(path))
        if maker is not None and maker.need is Need.CHANGE:
            continue  # said of the job that makes it
        if known is None:
            reasons.append(f"{NEW_INPUT} {path}")
        elif not Path(path).is_file() or (maker is not None and maker.need is Need.RESTORE):
            continue  # made again as it was
        elif _digest(path, cache) == known:
            unchanged.add(path)
        else:
            reasons.append(f"{path} has other content than it read")
    return reasons, frozenset(unchanged)


def judge_job(
    job: PlannedJob,
    states: Mapping[str, State],
    makers: Mapping[str, State],
    cache: DigestCache,
) -> State:
    """What one job needs.

    Args:
        job: the job.
        states: of the jobs before it, by name.
        makers: the same by path of their outputs.
        cache: gives content digests.
    """
    lost = missing_or_corrupt_outputs(job, cache)
    after = _after([name for name in job.before if states[name].need is Need.CHANGE])
    # what Snakemake notes of its own parameters outlives the outputs of a run that failed
    # and is said where nothing before the job tells it
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
    if any(text.startswith("--") for text in own):  # tells of new inputs already
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
    """What every job needs, by name.

    Args:
        jobs: each after those that it depends on.
        cache: gives content digests; every existing output and input is digested once.
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
    """A job that has to run needs its inputs, also those that were deleted after their use."""
    for name in job.before:
        maker = states[name]
        gone = [path for path in maker.job.outputs if not Path(path).is_file()]
        if maker.need is Need.NO and set(gone) & set(job.inputs):
            states[name] = replace(maker, need=Need.RESTORE, reasons=(f"{job.name} needs it",))
