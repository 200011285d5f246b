"""All trials of a scan side by side."""

from collections.abc import Sequence
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.training.scan.study import importance
from wilsonvox.training.scan.trials import Scan, Suggestions, TrialResult

COLUMNS = ("trial", "round", "objective", "best_epoch", "n_parameters", "failure")
"""Columns of the table before those of the scanned settings."""


def collected(rounds: Sequence[Suggestions], trials: Sequence[TrialResult]) -> Scan:
    """The scan that rounds and trials belong to.

    Args:
        rounds: suggestions of every round.
        trials: results of every trial, in any order.

    Raises:
        UserError: a trial is missing, or they are of different scans.
    """
    first = rounds[0]
    space = first.space
    if any(each.space != space or each.estimator != first.estimator for each in rounds):
        raise UserError("--suggestions: they are of different scans")
    suggested = {each.trial: each.parameters for one in rounds for each in one.trials}
    found = {each.trial: each for each in trials}
    for number, parameters in suggested.items():
        if number not in found:
            raise UserError(f"--trial: the result of trial {number} is missing")
        if found[number].parameters != parameters:
            raise UserError(f"--trial: trial {number} has other settings than were suggested")
    if len(trials) > len(suggested):
        raise UserError(f"--trial: {len(trials)} results of {len(suggested)} trials")
    ordered = [found[number] for number in sorted(found)]
    done = [each for each in ordered if each.objective is not None]
    return Scan(
        estimator=first.estimator,
        sampler=first.sampler,
        space=space,
        best=min(done, key=lambda each: (each.objective, each.trial)).trial if done else None,
        importance=importance(space, ordered),
        trials=[each.model_copy(update={"provenance": None}) for each in ordered],
    )


def table(scan: Scan) -> str:
    """The trials as CSV, one row each: `COLUMNS`, then the scanned settings; empty where unknown.

    Numbers are written in full, so that equal scans have equal tables.
    """
    import csv
    import io

    names = list(scan.space)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *names])
    for each in scan.trials:
        row: list[Any] = [getattr(each, name) for name in COLUMNS]
        row += [each.parameters[name] for name in names]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()
