"""`wilsonvox scan`: the jobs of a hyperparameter scan, one subcommand per job."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wilsonvox.cli.options import Function, model_from, options_from
from wilsonvox.cli.shards import training_options
from wilsonvox.estimators import ARCHITECTURES, SUM_ARCHITECTURES
from wilsonvox.estimators.settings import (
    ImageEstimatorSettings,
    NetworkEstimatorConfig,
    NetworkSettings,
    TrainingSettings,
    VoxelSumEstimatorConfig,
    VoxelSumSettings,
)
from wilsonvox.voxels.specification import VoxelScaling

if TYPE_CHECKING:
    from wilsonvox.estimators.metadata import EstimatorMetadata
    from wilsonvox.training.scan.settings import SearchRange
    from wilsonvox.training.scan.trials import Suggestion, TrialResult

logger = logging.getLogger(__name__)

SUGGESTIONS = "the suggestions of a round of trials (.json)"
EPOCHS = "training in epochs"
RESULT = "the result of a trial (.json)"


@click.group(no_args_is_help=False)
def command() -> None:
    """Scan the hyperparameters of an estimator: suggest trials, train one, compare all."""


def _estimator(architecture: str, options: dict[str, Any]) -> ImageEstimatorSettings:
    """Make the settings of an estimator from options, with a placeholder for its images."""
    images = ("images",)
    if architecture == "voxel-sum":
        own = model_from(VoxelSumSettings, options)
        return VoxelSumEstimatorConfig(architecture="voxel-sum", images=images, **own.model_dump())
    return NetworkEstimatorConfig(
        images=images,
        network=model_from(NetworkSettings, options),
        training=model_from(TrainingSettings, options),
        normalisation=model_from(VoxelScaling, options),
    )


def _settings(estimator: ImageEstimatorSettings) -> dict[str, Any]:
    """Return all settings of an estimator as stored in files."""
    return estimator.model_dump(mode="json", exclude={"images"})


def _parsed_range(name: str, text: str) -> "SearchRange":
    from pydantic import ValidationError

    from wilsonvox.core.errors import UserError
    from wilsonvox.training.scan.settings import SearchRange

    try:
        return SearchRange.model_validate(json.loads(text))
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--parameter {name}: {message} (got {text})") from error
    except ValueError as error:
        raise UserError(f"--parameter {name}: not JSON: {error} (got {text})") from error


@command.command("suggest")
@click.option("--estimator", required=True, metavar="NAME", help="Scanned estimator.")
@click.option(
    "--architecture",
    type=click.Choice([*ARCHITECTURES, *SUM_ARCHITECTURES]),
    default="resnet",
    show_default=True,
    help="Architecture of the estimator; options of other architectures are ignored.",
)
@click.option(
    "--parameter",
    "parameters",
    nargs=2,
    multiple=True,
    required=True,
    metavar="NAME JSON",
    help="Scanned setting and its range, such as "
    """training.learning_rate '{"low": 0.001, "high": 0.1, "log": true}'; repeatable.""",
)
@click.option(
    "--round",
    "round_number",
    type=click.IntRange(min=0),
    required=True,
    help="Index of the round, starting at 0.",
)
@click.option(
    "--trials", type=click.IntRange(min=1), required=True, help="Number of trials per round."
)
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "random"]),
    default="tpe",
    show_default=True,
    help="Sampler of Optuna.",
)
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Seed of the scan.")
@click.option(
    "--earlier",
    multiple=True,
    metavar="FILE.json",
    help="Result of a trial of an earlier round; repeat for all of them.",
)
@options_from(NetworkSettings)
@options_from(TrainingSettings)
@options_from(VoxelScaling)
@options_from(VoxelSumSettings)
@click.option("--out", required=True, metavar="FILE.json", help="Suggestions to write.")
def suggest_trials(
    estimator: str,
    architecture: str,
    parameters: tuple[tuple[str, str], ...],
    round_number: int,
    trials: int,
    sampler: str,
    seed: int,
    earlier: tuple[str, ...],
    out: str,
    **options: Any,
) -> None:
    """Suggest the settings of a round's trials with Optuna, from the results of earlier rounds."""
    from wilsonvox.core.errors import UserError
    from wilsonvox.core.suggestions import did_you_mean
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.records.json_files import load_recorded, save_recorded
    from wilsonvox.training.scan.settings import ScanSettings
    from wilsonvox.training.scan.space import check_scan, decode, with_settings
    from wilsonvox.training.scan.study import round_seed, space_of, suggest
    from wilsonvox.training.scan.trials import Suggestion, Suggestions, TrialResult

    base = _estimator(architecture, options)
    ranges = {name: _parsed_range(name, text) for name, text in parameters}
    scan = ScanSettings.model_validate(
        {
            "parameters": ranges,
            "rounds": round_number + 1,
            "trials_per_round": trials,
            "sampler": sampler,
        }
    )
    try:
        check_scan(base, scan, did_you_mean)
    except ValueError as error:
        raise UserError(f"--parameter: {str(error).removeprefix('parameters.')}") from error
    sampler_seed = round_seed(seed, estimator, round_number)
    results = [load_recorded(TrialResult, path, RESULT) for path in earlier]
    chosen = [
        Suggestion(
            trial=number,
            parameters=values,
            settings=_settings(
                with_settings(base, {k: decode(ranges[k], v) for k, v in values.items()})
            ),
        )
        for number, values in zip(
            scan.trials(round_number),
            suggest(base, scan, round_number, sampler_seed, results),
            strict=True,
        )
    ]
    record = make_record(
        "suggest_trials",
        out,
        settings={
            "estimator": estimator,
            "parameters": {
                name: search_range.model_dump(mode="json") for name, search_range in ranges.items()
            },
            "settings": _settings(base),
            "round": round_number,
            "trials": trials,
            "sampler": sampler,
        },
        inputs=earlier,
        seed=seed,
    )
    suggestions = Suggestions(
        estimator=estimator,
        round=round_number,
        sampler=sampler,
        sampler_seed=sampler_seed,
        space=space_of(base, ranges),
        trials=chosen,
    )
    save_recorded(suggestions, out, record)
    for suggestion in chosen:
        values = ", ".join(f"{name} {value}" for name, value in suggestion.parameters.items())
        logger.info("trial %d: %s", suggestion.trial, values)


def _of_trial(function: Function) -> Function:
    for option in (
        click.option(
            "--trial", type=click.IntRange(min=0), required=True, help="Index of the trial."
        ),
        click.option(
            "--suggestions",
            required=True,
            metavar="FILE.json",
            help="Suggestions of the round of the trial.",
        ),
    ):
        function = option(function)
    return function


@command.command("train")
@training_options("Shard of validation images, by which trials are compared; repeatable.")
@_of_trial
@click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of the run, for a training in epochs."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPU threads; their number changes the weights in the sixth digit.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Checkpoint of a training in epochs, as for 'wilsonvox train'.",
)
@click.option(
    "--history", metavar="FILE.csv", help="Losses by epoch to write, for a training in epochs."
)
@click.option("--model", required=True, metavar="FILE.keras", help="Trained network to write.")
@click.option("--out", required=True, metavar="FILE.json", help="Result of the trial to write.")
def train_trial(
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    estimator: str,
    suggestions: str,
    trial: int,
    seed: int | None,
    threads: int,
    state: Path | None,
    history: str | None,
    model: str,
    out: str,
) -> None:
    """Train the network of one trial and compute its error on the validation images.

    If the loss becomes infinite or NaN, no model is written and the result contains the reason.
    """
    from wilsonvox.core.errors import UserError
    from wilsonvox.records.json_files import load_recorded
    from wilsonvox.training.scan.trials import Suggestions
    from wilsonvox.training.signals import LossNotFinite, TrainingStopped

    suggested = load_recorded(Suggestions, suggestions, SUGGESTIONS)
    if suggested.estimator != estimator:
        raise UserError(f"--estimator: {suggestions} is for {suggested.estimator}, not {estimator}")
    one = suggested.one(trial)
    in_epochs = one.settings["architecture"] != "voxel-sum"
    if in_epochs and (history is None or seed is None):
        raise UserError(f"{'--seed' if seed is None else '--history'}: required for a {EPOCHS}")
    # remove files of an earlier training of this trial: its result may now be without a model
    for path in (model, history):
        if path is not None:
            Path(path).unlink(missing_ok=True)
    common: dict[str, Any] = {
        "estimator": f"{estimator}-trial-{trial:03d}",
        "threads": threads,
        "out": model,
        "more_inputs": (suggestions,),
    }
    rule = "train_trial" if in_epochs else "train_trial_voxel_sum"
    metadata: EstimatorMetadata | None = None
    failure = None
    try:
        if in_epochs:
            metadata = _train_network(
                one, train_paths, validation_paths, seed or 0, state, str(history), common
            )
        else:
            metadata = _fit_voxel_sum(one, train_paths, validation_paths, common)
    except LossNotFinite as error:
        failure = str(error)
        logger.warning("trial %d failed: %s", trial, failure)
        if state is not None:
            from wilsonvox.training.checkpoint import remove_checkpoint

            remove_checkpoint(state)
    except TrainingStopped as stopped:
        logger.warning("%s", stopped)
        click.get_current_context().exit(stopped.exit_code)
    inputs = (*train_paths, *validation_paths, suggestions)
    result = _result(estimator, one, suggested.round, metadata, failure, model, train_paths[0])
    if metadata is not None:
        from wilsonvox.training.scan.objective import validation_error

        objective = validation_error(model, validation_paths, threads)
        logger.info("trial %d: mean absolute error %.5f on validation images", trial, objective)
        result = result.model_copy(update={"objective": objective})
    _save_result(result, rule, one, inputs, seed if in_epochs else None, out)


def _train_network(
    one: "Suggestion",
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    seed: int,
    state: Path | None,
    history: str,
    common: dict[str, Any],
) -> "EstimatorMetadata":
    from wilsonvox.cli.train import train_and_save

    whole = NetworkEstimatorConfig.model_validate(one.settings | {"images": ["images"]})
    names = ("architecture", "network", "training", "normalisation")
    return train_and_save(
        train_paths,
        validation_paths,
        settings={name: getattr(whole, name) for name in names},
        seed=seed,
        state=state,
        history=history,
        rule="train_trial",
        **common,
    )


def _fit_voxel_sum(
    one: "Suggestion",
    train_paths: tuple[str, ...],
    validation_paths: tuple[str, ...],
    common: dict[str, Any],
) -> "EstimatorMetadata":
    from wilsonvox.cli.train_voxel_sum import fit_and_save

    whole = VoxelSumEstimatorConfig.model_validate(one.settings | {"images": ["images"]})
    return fit_and_save(
        train_paths,
        validation_paths,
        settings=whole.settings,
        rule="train_trial_voxel_sum",
        **common,
    )


def _result(
    estimator: str,
    one: "Suggestion",
    round_number: int,
    metadata: "EstimatorMetadata | None",
    failure: str | None,
    model: str,
    shard: str,
) -> "TrialResult":
    """Return the result of a trial without its objective."""
    from wilsonvox.records.digests import content_digest
    from wilsonvox.training.scan.trials import TrialResult
    from wilsonvox.voxels.shards import Shard

    about = metadata or Shard.load(shard).metadata
    return TrialResult(
        estimator=estimator,
        trial=one.trial,
        round=round_number,
        parameters=one.parameters,
        objective=None,
        failure=failure,
        best_epoch=metadata.best_epoch if metadata else None,
        n_parameters=metadata.n_parameters if metadata else None,
        model_digest=content_digest(model) if metadata else None,
        image=about.image,
        physics_inputs=about.physics_inputs,
    )


def _save_result(
    result: "TrialResult",
    rule: str,
    one: "Suggestion",
    inputs: tuple[str, ...],
    seed: int | None,
    out: str,
) -> None:
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.records.json_files import save_recorded

    settings = {"trial": one.trial, **one.settings}
    save_recorded(result, out, make_record(rule, out, settings, inputs, seed=seed))


@command.command("collect")
@click.option(
    "--suggestions",
    "suggestion_paths",
    multiple=True,
    required=True,
    metavar="FILE.json",
    help="Suggestions of a round; repeat for all rounds.",
)
@click.option(
    "--trial",
    "trial_paths",
    multiple=True,
    required=True,
    metavar="FILE.json",
    help="Result of a trial; repeat for all trials.",
)
@click.option("--csv", required=True, metavar="FILE.csv", help="Table of the trials to write.")
@click.option(
    "--study",
    required=True,
    metavar="FILE.journal",
    help="Journal storage of Optuna to write, with all trials.",
)
@click.option("--out", required=True, metavar="FILE.json", help="Results of all trials to write.")
def collect_trials(
    suggestion_paths: tuple[str, ...],
    trial_paths: tuple[str, ...],
    csv: str,
    study: str,
    out: str,
) -> None:
    """Compare all trials of a scan, and also write them as a study of Optuna."""
    from wilsonvox.core.files import atomic_path
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.records.digests import content_digest
    from wilsonvox.records.json_files import load_recorded, save_recorded
    from wilsonvox.training.scan.comparison import combine_rounds, table
    from wilsonvox.training.scan.study import write_study
    from wilsonvox.training.scan.trials import Suggestions, TrialResult

    rounds = [load_recorded(Suggestions, path, SUGGESTIONS) for path in suggestion_paths]
    scan = combine_rounds(
        rounds, [load_recorded(TrialResult, path, RESULT) for path in trial_paths]
    )
    with atomic_path(csv) as table_part, atomic_path(study) as study_part:
        table_part.write_text(table(scan), encoding="utf-8")
        write_study(study_part, scan.estimator, scan.space, scan.trials)
        record = make_record(
            "collect_trials",
            out,
            {"estimator": scan.estimator},
            [*suggestion_paths, *trial_paths],
            copies={csv: content_digest(table_part), study: content_digest(study_part)},
        )
        save_recorded(scan, out, record)
    if scan.best is None:
        logger.warning("no trial has a finite loss")
    else:
        best = scan.trials[scan.best]
        logger.info("best of %d trials: %d, %.5f", len(scan.trials), best.trial, best.objective)
