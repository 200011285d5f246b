"""Optuna study of a scan: suggestions of a round, and the study file of all trials.

A round is suggested by one job from the results of the earlier rounds, in the order of their trials
and with a seed of its own, so that equal configurations suggest equal trials, regardless of how
many jobs run at once and which ends first. Optuna is imported inside the functions.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import BaseModel

from wilsonvox.core.errors import UserError
from wilsonvox.training.scan.settings import ScanSettings, SearchRange
from wilsonvox.training.scan.space import Label, contains, kind, label, setting

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

MINIMUM_TRIALS_FOR_IMPORTANCE = 4
"""Minimum number of trials for a meaningful importance."""

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class CompletedTrial(Protocol):
    """Properties of a finished trial that a study needs; its objective is None if it failed."""

    @property
    def trial(self) -> int: ...  # noqa: D102

    @property
    def parameters(self) -> Mapping[str, Label]: ...  # noqa: D102

    @property
    def objective(self) -> float | None: ...  # noqa: D102


def _optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distribution(estimator: BaseModel, name: str, where: SearchRange) -> "BaseDistribution":
    """Return Optuna's distribution of one setting of an estimator."""
    distributions = _optuna().distributions
    if where.choices is not None:
        chosen = distributions.CategoricalDistribution([label(choice) for choice in where.choices])
    elif kind(estimator, name) == "integer":
        chosen = distributions.IntDistribution(where.low, where.high, where.log, where.step or 1)
    else:
        chosen = distributions.FloatDistribution(where.low, where.high, where.log, where.step)
    result: BaseDistribution = chosen
    return result


def space_of(
    estimator: BaseModel, parameters: Mapping[str, SearchRange]
) -> dict[str, dict[str, Any]]:
    """Return Optuna's distributions by setting, sorted by name, as JSON."""
    to_json = _optuna().distributions.distribution_to_json
    return {
        name: json.loads(to_json(distribution(estimator, name, parameters[name])))
        for name in sorted(parameters)
    }


def _distributions(space: Mapping[str, Mapping[str, Any]]) -> dict[str, "BaseDistribution"]:
    from_json = _optuna().distributions.json_to_distribution
    return {name: from_json(json.dumps(content)) for name, content in space.items()}


def round_seed(seed: int, estimator: str, round_number: int) -> int:
    """Derive a 32-bit seed of the sampler in one round."""
    key = (zlib.crc32(b"scan"), zlib.crc32(estimator.encode()), round_number)
    return int(np.random.SeedSequence(entropy=seed, spawn_key=key).generate_state(1)[0])


def _add_trials(
    study: "Study", space: Mapping[str, Mapping[str, Any]], trials: Sequence[CompletedTrial]
) -> None:
    """Add trials to a study in the order of their numbers, without clock times."""
    trial_module = _optuna().trial
    distributions = _distributions(space)
    for number, trial in enumerate(sorted(trials, key=lambda trial: trial.trial)):
        failed = trial.objective is None
        states = trial_module.TrialState
        study.add_trial(
            trial_module.FrozenTrial(
                number=number,
                trial_id=number,
                state=states.FAIL if failed else states.COMPLETE,
                value=trial.objective,
                datetime_start=_NO_TIME,
                datetime_complete=_NO_TIME,
                params=dict(trial.parameters),
                distributions=distributions,
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
        )


def own_values(
    estimator: BaseModel, parameters: Mapping[str, SearchRange]
) -> dict[str, Label] | None:
    """Return the estimator's own values of scanned settings; None if outside the search space."""
    values = {name: setting(estimator, name) for name in sorted(parameters)}
    if not all(contains(parameters[name], value) for name, value in values.items()):
        return None
    return {name: label(value) for name, value in values.items()}


def suggest(
    estimator: BaseModel,
    scan: ScanSettings,
    round_number: int,
    sampler_seed: int,
    earlier: Sequence[CompletedTrial],
) -> list[dict[str, Label]]:
    """Suggest values of the scanned settings for each trial of a round.

    The first trial has the estimator's own values, if the search space contains them. The first
    round is random; `tpe` then samples near good earlier trials, and away from the other trials of
    the round, whose results are still unknown ("constant liar").

    Args:
        estimator: estimator of the trials, except for the scanned settings.
        scan: settings of the scan.
        round_number: round, counted from 0.
        sampler_seed: seed of this round, see `round_seed`.
        earlier: all trials of the earlier rounds.

    Raises:
        UserError: `earlier` is incomplete.
    """
    expected = list(range(scan.trials(round_number).start))
    if sorted(trial.trial for trial in earlier) != expected:
        raise UserError(
            f"--earlier: round {round_number} needs the results of trials 0 to {len(expected) - 1}"
            if expected
            else "--earlier: there are no trials before the first round"
        )
    optuna = _optuna()
    if scan.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(
            seed=sampler_seed, n_startup_trials=scan.trials_per_round, constant_liar=True
        )
    else:
        sampler = optuna.samplers.RandomSampler(seed=sampler_seed)
    study = optuna.create_study(sampler=sampler, direction="minimize")
    space = space_of(estimator, scan.parameters)
    _add_trials(study, space, earlier)
    own = own_values(estimator, scan.parameters)
    if round_number == 0 and own is not None:
        study.enqueue_trial(own)
    distributions = _distributions(space)
    return [dict(study.ask(distributions).params) for _ in scan.trials(round_number)]


def write_study(
    path: str | os.PathLike[str],
    name: str,
    space: Mapping[str, Mapping[str, Any]],
    trials: Sequence[CompletedTrial],
) -> None:
    """Write all trials to a new file of Optuna's journal storage.

    Equal trials give equal bytes: the file contains no clock times, and the process name that
    Optuna writes into every line is replaced.

    Args:
        path: file name; the file must not exist.
        name: name of the study.
        space: Optuna's distributions by setting.
        trials: trials in any order.
    """
    storages = _optuna().storages
    lock = storages.journal.JournalFileOpenLock(str(path))
    backend = storages.journal.JournalFileBackend(str(path), lock_obj=lock)
    storage = storages.JournalStorage(backend)
    study = _optuna().create_study(study_name=name, storage=storage, direction="minimize")
    _add_trials(study, space, trials)
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    texts = [json.dumps(line | {"worker_id": "wilsonvox"}) + "\n" for line in lines]
    Path(path).write_text("".join(texts))


def importance(
    space: Mapping[str, Mapping[str, Any]], trials: Sequence[CompletedTrial]
) -> dict[str, float] | None:
    """Compute the importance of each setting for the objective; the sum is one.

    Optuna's PED-ANOVA (arXiv:2304.10255) compares the values of a setting among the better trials
    with those among all. With a dozen trials it is only indicative.

    Returns:
        Importance by setting, or None with fewer than `MINIMUM_TRIALS_FOR_IMPORTANCE` successful
        trials, or if all objectives are equal.
    """
    done = [trial for trial in trials if trial.objective is not None]
    if len(done) < MINIMUM_TRIALS_FOR_IMPORTANCE or len({trial.objective for trial in done}) == 1:
        return None
    optuna = _optuna()
    study = optuna.create_study(direction="minimize")
    _add_trials(study, space, done)
    importances = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    values = {name: float(importances.get(name, 0.0)) for name in space}
    return values if np.isfinite(list(values.values())).all() and any(values.values()) else None
