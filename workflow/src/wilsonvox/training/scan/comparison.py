"""Comparison of all trials of a scan."""

from collections.abc import Sequence
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.training.scan.study import importance
from wilsonvox.training.scan.trials import Scan, Suggestions, TrialResult

COLUMNS = ("trial", "round", "objective", "best_epoch", "n_parameters", "failure")
"""Columns of the table before those of the scanned settings."""


def combine_rounds(rounds: Sequence[Suggestions], trials: Sequence[TrialResult]) -> Scan:
    """Combine rounds and trials into one scan.

    Args:
        rounds: suggestions of every round.
        trials: results of every trial, in any order.

    Raises:
        UserError: a trial is missing, or they belong to different scans.
    """
    first = rounds[0]
    space = first.space
    if any(
        suggestions.space != space or suggestions.estimator != first.estimator
        for suggestions in rounds
    ):
        raise UserError("--suggestions: the files belong to different scans")
    suggested = {
        suggestion.trial: suggestion.parameters
        for suggestions in rounds
        for suggestion in suggestions.trials
    }
    results = {trial.trial: trial for trial in trials}
    for number, parameters in suggested.items():
        if number not in results:
            raise UserError(f"--trial: the result of trial {number} is missing")
        if results[number].parameters != parameters:
            raise UserError(f"--trial: the settings of trial {number} differ from its suggestion")
    if len(trials) > len(suggested):
        raise UserError(
            f"--trial: {len(trials)} results given, but there are {len(suggested)} trials"
        )
    ordered = [results[number] for number in sorted(results)]
    done = [trial for trial in ordered if trial.objective is not None]
    return Scan(
        estimator=first.estimator,
        sampler=first.sampler,
        space=space,
        best=min(done, key=lambda trial: (trial.objective, trial.trial)).trial if done else None,
        importance=importance(space, ordered),
        trials=[trial.model_copy(update={"provenance": None}) for trial in ordered],
    )


def table(scan: Scan) -> str:
    """Format the trials as CSV, one row per trial: `COLUMNS`, then the scanned settings.

    Unknown values are empty. Numbers have full precision, so that equal scans give equal tables.
    """
    import csv
    import io

    names = list(scan.space)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *names])
    for trial in scan.trials:
        row: list[Any] = [getattr(trial, name) for name in COLUMNS]
        row += [trial.parameters[name] for name in names]
        writer.writerow(["" if value is None else value for value in row])
    return text.getvalue()
