"""Stages that train, prepare, evaluate and summarize estimators, scan them, and measure samples."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from wilsonvox.config.option_words import option_words
from wilsonvox.estimators import PREPARED_FILE, TRAINED_FILE
from wilsonvox.estimators.settings import VoxelSumEstimatorConfig
from wilsonvox.stages.arguments import decay_arguments, image_arguments
from wilsonvox.stages.events import COEFFICIENTS, SAMPLE_EVENTS
from wilsonvox.stages.graph import File, Files, Input, Resources, Stage, Wildcards, output_of
from wilsonvox.stages.run import EstimatorKind, Run

EVALUATED_SPLITS = ("test", "interpolation")
"""Splits whose images are evaluated."""


def campaign_files(
    run: Run, stage: str, output: str, split: str, points: Iterable[str], **wildcards: str
) -> list[File]:
    """Return an output of all campaigns of a split at some points, in the configuration's order."""
    return [
        output_of(stage, output, split=split, point=point, campaign=campaign, **wildcards)
        for point in points
        for campaign in run.configuration.campaigns(point, split)
    ]


def _train_shards(run: Run, wildcards: Wildcards) -> Files:
    points = run.configuration.labels("train")
    return campaign_files(run, "voxelize", "shard", "train", points, image=wildcards["image"])


def _validation_shards(run: Run, wildcards: Wildcards) -> Files:
    points = run.configuration.labels("validation")
    return campaign_files(run, "voxelize", "shard", "validation", points, image=wildcards["image"])


TRAINING_SHARDS = {
    "train": Input(_train_shards, ("voxelize",), "train"),
    "validation": Input(_validation_shards, ("voxelize",), "validation"),
}


def _point_shards(run: Run, wildcards: Wildcards) -> Files:
    split, points = wildcards["split"], [wildcards["point"]]
    return campaign_files(run, "voxelize", "shard", split, points, image=wildcards["image"])


def _point_events(run: Run, wildcards: Wildcards) -> Files:
    split, points = wildcards["split"], [wildcards["point"]]
    return campaign_files(run, "generate_events", "events", split, points)


def _estimator_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    estimator = run.configuration.trained_estimators()[wildcards["estimator"]]
    return [
        *("--estimator", wildcards["estimator"], "--architecture", estimator.architecture),
        *option_words(estimator.network),
        *option_words(estimator.training),
        *option_words(estimator.normalisation),
        *("--seed", run.configuration.seed),
    ]


def _voxel_sum_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    estimator = run.configuration.voxel_sums()[wildcards["estimator"]]
    return ["--estimator", wildcards["estimator"], *option_words(estimator.settings)]


def _prepare_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    estimator = run.configuration.event_estimators()[wildcards["estimator"]]
    return [
        *("--estimator", wildcards["estimator"], "--architecture", estimator.architecture),
        *("--coefficients", ",".join(estimator.coefficients)),
        *option_words(estimator.settings),
        *image_arguments(run, wildcards),
        *decay_arguments(run, wildcards),
    ]


def _estimator_settings(run: Run, wildcards: Wildcards) -> Any:
    estimator = run.configuration.estimators[wildcards["estimator"]]
    return estimator.model_dump(mode="json", exclude={"images"})


def trained_model(run: Run, estimator: str, image: str) -> File:
    """Return the file of an estimator that reads images."""
    is_sum = estimator in run.configuration.voxel_sums()
    stage = "train_voxel_sum" if is_sum else "train"
    return output_of(stage, "model", image=image, estimator=estimator)


def _model(run: Run, wildcards: Wildcards) -> Files:
    return [trained_model(run, wildcards["estimator"], wildcards["image"])]


def _prepared(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("image", "estimator")}
    return [output_of("prepare_estimator", "model", **names)]


def _point_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return ["--point", wildcards["point"], "--split", wildcards["split"]]


def prediction_file(run: Run, image: str, estimator: str, split: str, point: str) -> File:
    """Return the predictions of an estimator for the images of one point."""
    reads_events = estimator in run.configuration.event_estimators()
    stage = "evaluate_events" if reads_events else "evaluate"
    names = {"image": image, "estimator": estimator, "split": split, "point": point}
    return output_of(stage, "predictions", **names)


def _predictions(run: Run, wildcards: Wildcards) -> Files:
    return [
        prediction_file(run, wildcards["image"], wildcards["estimator"], split, point)
        for split in EVALUATED_SPLITS
        for point in run.configuration.labels(split)
    ]


EVALUATIONS = ("evaluate", "evaluate_events")

PREDICTIONS = Input(_predictions, EVALUATIONS, "predictions", is_ordered=False)
"""Predictions of all evaluated images of an estimator."""


def _summary(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("image", "estimator")}
    return [output_of("summarize", "parquet", **names)]


def _sample_shard(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("image", "sample")}
    return [output_of("voxelize_sample", "shard", **names)]


def _measure_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return ["--estimator", wildcards["estimator"], "--image", wildcards["image"]]


# ---------------------------------------------------------------- scans
def _scanned(kind: EstimatorKind | None = None) -> Any:
    def constraints(run: Run) -> Mapping[str, Iterable[str]]:
        names = run.estimators(kind)
        return {"estimator": [name for name in run.configuration.scan if name in names]}

    return constraints


def trial_file(run: Run, image: str, estimator: str, number: int) -> File:
    """Return the result of one trial of a scan."""
    is_sum = estimator in run.configuration.voxel_sums()
    stage = "train_trial_voxel_sum" if is_sum else "train_trial"
    return output_of(stage, "trial", image=image, estimator=estimator, trial=f"{number:03d}")


def _trials(run: Run, wildcards: Wildcards, numbers: Iterable[int]) -> Files:
    image, estimator = wildcards["image"], wildcards["estimator"]
    return [trial_file(run, image, estimator, number) for number in numbers]


def _earlier_trials(run: Run, wildcards: Wildcards) -> Files:
    scan = run.configuration.scan[wildcards["estimator"]]
    return _trials(run, wildcards, range(scan.trials(int(wildcards["round"])).start))


def _all_trials(run: Run, wildcards: Wildcards) -> Files:
    scan = run.configuration.scan[wildcards["estimator"]]
    return _trials(run, wildcards, range(scan.n_trials))


def _suggestions(run: Run, wildcards: Wildcards, rounds: Iterable[int]) -> Files:
    names = {name: wildcards[name] for name in ("image", "estimator")}
    return [
        output_of("suggest_trials", "suggestions", round=str(number), **names) for number in rounds
    ]


def _trial_suggestions(run: Run, wildcards: Wildcards) -> Files:
    scan = run.configuration.scan[wildcards["estimator"]]
    return _suggestions(run, wildcards, [scan.round_of(int(wildcards["trial"]))])


def _all_suggestions(run: Run, wildcards: Wildcards) -> Files:
    return _suggestions(
        run, wildcards, range(run.configuration.scan[wildcards["estimator"]].rounds)
    )


def _suggest_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    configuration, name = run.configuration, wildcards["estimator"]
    scan, base = configuration.scan[name], configuration.scanned_estimator(name)
    arguments: list[Any] = ["--estimator", name, "--architecture", base.architecture]
    for key, where in scan.parameters.items():
        arguments += ["--parameter", key, where.model_dump_json(exclude_defaults=True)]
    arguments += ["--round", wildcards["round"], "--trials", scan.trials_per_round]
    arguments += ["--sampler", scan.sampler, "--seed", configuration.scan_seed(name)]
    parts: list[BaseModel] = (
        [base.settings]
        if isinstance(base, VoxelSumEstimatorConfig)
        else [base.network, base.training, base.normalisation]
    )
    return arguments + [argument for part in parts for argument in option_words(part)]


def _suggest_settings(run: Run, wildcards: Wildcards) -> Any:
    configuration, name = run.configuration, wildcards["estimator"]
    base = configuration.scanned_estimator(name)
    scan = configuration.scan[name].model_dump(mode="json", exclude={"rounds", "seed", "fixed"})
    return [base.model_dump(mode="json", exclude={"images"}), scan]


def _trial_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return ["--estimator", wildcards["estimator"], "--trial", wildcards["trial"]]


def _seeded_trial_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return [*_trial_arguments(run, wildcards), "--seed", run.configuration.seed]


SUGGESTIONS = Input(_trial_suggestions, ("suggest_trials",), "suggestions")
TRIALS = ("train_trial", "train_trial_voxel_sum")
SCAN_FOLDER = "scans/{image}/{estimator}"
_TRIAL_FOLDER = f"{SCAN_FOLDER}/trials/{{trial}}"

ESTIMATOR_STAGES = {
    "train": Stage(
        outputs={
            "model": f"models/{{image}}/{{estimator}}/{TRAINED_FILE}",
            "history": "models/{image}/{estimator}/history.csv",
        },
        modules=("wilsonvox.cli.train",),
        inputs=TRAINING_SHARDS,
        arguments=_estimator_arguments,
        settings=_estimator_settings,
        # no outputs: Snakemake deletes those before a job runs, and a killed training resumes from
        # its checkpoint; TensorBoard's files contain times
        side_files={
            "state": "training_state/{image}/{estimator}.npz",
            "tensorboard": "logs/train/{image}/{estimator}",
        },
        estimators="networks",
        builds=True,
        resources=Resources(
            6000,
            1440,
            threads=2,
            gpu_memory_mb=10000,
            all_gpus=True,
            # a model and its optimizer may take longer to write than the 30 s between SIGTERM and
            # SIGKILL
            stop_signal_seconds=120,
            reason="one shard of 2,640 images (0.56 GB) at a time while they are checked, then "
            "some batches, and the training's state (0.77 GB), next to TensorFlow, and CUDA (4 GB "
            "allowed for); a training that does not end in time goes on in the next attempt",
        ),
    ),
    "train_voxel_sum": Stage(
        outputs={"model": f"models/{{image}}/{{estimator}}/{TRAINED_FILE}"},
        modules=("wilsonvox.cli.train_voxel_sum",),
        inputs=TRAINING_SHARDS,
        arguments=_voxel_sum_arguments,
        settings=_estimator_settings,
        estimators="sums",
        builds=True,
        resources=Resources(
            4000,
            240,
            reason="one shard of 2,640 images of 0.212 MB at a time (0.56 GB), next to "
            "TensorFlow; 907 MB measured with shards of 140 images",
        ),
    ),
    "prepare_estimator": Stage(
        outputs={"model": f"models/{{image}}/{{estimator}}/{PREPARED_FILE}"},
        modules=("wilsonvox.estimators.fits.prepared",),
        arguments=_prepare_arguments,
        settings=_estimator_settings,
        estimators="events",
        builds=True,
        resources=Resources(2000, 30, reason="grids in q2 and m_kpi; 165 MB and 1.5 s measured"),
    ),
    "suggest_trials": Stage(
        outputs={"suggestions": f"{SCAN_FOLDER}/round_{{round}}.json"},
        modules=("wilsonvox.training.scan.study", "wilsonvox.training.scan.space"),
        inputs={"earlier": Input(_earlier_trials, TRIALS, "earlier", is_loop=True)},
        arguments=_suggest_arguments,
        settings=_suggest_settings,
        estimators="images",
        constraints=_scanned(),
        resources=Resources(
            1500, 20, reason="Optuna and a few JSON files; 62 MB measured of the smallest"
        ),
    ),
    "train_trial": Stage(
        outputs={"trial": f"{_TRIAL_FOLDER}/trial.json"},
        modules=("wilsonvox.cli.train", "wilsonvox.training.scan.objective"),
        inputs={**TRAINING_SHARDS, "suggestions": SUGGESTIONS},
        arguments=_seeded_trial_arguments,
        # no outputs: a trial whose loss is not finite has no model
        side_files={
            "model": f"{_TRIAL_FOLDER}/model.keras",
            "history": f"{_TRIAL_FOLDER}/history.csv",
            "state": f"training_state/{SCAN_FOLDER}/{{trial}}.npz",
        },
        estimators="networks",
        builds=True,
        constraints=_scanned("networks"),
        resources=Resources(
            3500,
            1440,
            gpu_memory_mb=10000,
            stop_signal_seconds=120,
            reason="as train, on one GPU; the trials of a round run at the same time",
        ),
    ),
    "train_trial_voxel_sum": Stage(
        outputs={"trial": f"{_TRIAL_FOLDER}/trial.json"},
        modules=("wilsonvox.cli.train_voxel_sum", "wilsonvox.training.scan.objective"),
        inputs={**TRAINING_SHARDS, "suggestions": SUGGESTIONS},
        arguments=_trial_arguments,
        side_files={"model": f"{_TRIAL_FOLDER}/model.keras"},
        estimators="sums",
        builds=True,
        constraints=_scanned("sums"),
        resources=Resources(3500, 240, reason="as train_voxel_sum"),
    ),
    "collect_trials": Stage(
        outputs={
            "json": f"{SCAN_FOLDER}/scan.json",
            "csv": f"{SCAN_FOLDER}/trials.csv",
            "study": f"{SCAN_FOLDER}/study.journal",
        },
        modules=("wilsonvox.training.scan.comparison",),
        inputs={
            "suggestions": Input(_all_suggestions, ("suggest_trials",), "suggestions"),
            "trials": Input(_all_trials, TRIALS, "trial"),
        },
        estimators="images",
        constraints=_scanned(),
        resources=Resources(1500, 20, reason="as suggest_trials"),
    ),
    # not wilsonvox.cli.evaluate and wilsonvox.cli.measure, which import both kinds of estimators
    "evaluate": Stage(
        outputs={"predictions": "evaluation/{image}/{estimator}/{split}/{point}.parquet"},
        modules=(
            "wilsonvox.estimators.evaluation",
            "wilsonvox.estimators.model_file",
            "wilsonvox.ensembles.tables",
        ),
        inputs={
            "model": Input(_model, ("train", "train_voxel_sum"), "model"),
            "shards": Input(_point_shards, ("voxelize",), "shard"),
        },
        arguments=_point_arguments,
        estimators="images",
        resources=Resources(
            3000,
            60,
            gpu_memory_mb=8000,
            reason="900 images, TensorFlow and CUDA; 1.0 GB and 9 s measured with the small "
            "network on a CPU",
        ),
    ),
    "evaluate_events": Stage(
        outputs={"predictions": "evaluation/{image}/{estimator}/{split}/{point}.parquet"},
        modules=(
            "wilsonvox.estimators.evaluation",
            "wilsonvox.estimators.fits.prepared",
            "wilsonvox.ensembles.tables",
        ),
        inputs={
            "model": Input(_prepared, ("prepare_estimator",), "model"),
            "shards": Input(_point_shards, ("voxelize",), "shard"),
            "events": Input(_point_events, ("generate_events",), "events"),
        },
        arguments=_point_arguments,
        estimators="events",
        builds=True,
        resources=Resources(
            2000,
            120,
            reason="holds the events of one image at a time and one piece of a file; 436 MB and "
            "3.4 s measured for 60 images of 20,000 events",
        ),
    ),
    "summarize": Stage(
        outputs={
            "parquet": "evaluation/{image}/{estimator}/summary.parquet",
            "csv": "evaluation/{image}/{estimator}/summary.csv",
        },
        modules=("wilsonvox.cli.summarize",),
        inputs={
            "predictions": PREDICTIONS,
            "coefficients": COEFFICIENTS,
        },
        resources=Resources(
            1500,
            30,
            reason="tables of all predictions; 232 MB and 12 s measured for the demonstration",
        ),
    ),
    "measure": Stage(
        outputs={"measurement": "measurements/{image}/{estimator}/{sample}.json"},
        modules=("wilsonvox.measurement.sample", "wilsonvox.estimators.model_file"),
        inputs={
            "model": Input(_model, ("train", "train_voxel_sum")),
            "predictions": Input(_predictions, EVALUATIONS, is_ordered=False),
            "summary": Input(_summary, ("summarize",)),
            "shard": Input(_sample_shard, ("voxelize_sample",), "shard"),
        },
        arguments=_measure_arguments,
        side_files={"run": ""},
        estimators="images",
        resources=Resources(
            3000,
            60,
            gpu_memory_mb=8000,
            reason="as evaluate; 720 MB and 14 s measured for the demonstration",
        ),
    ),
    "measure_events": Stage(
        outputs={"measurement": "measurements/{image}/{estimator}/{sample}.json"},
        modules=("wilsonvox.measurement.sample", "wilsonvox.estimators.fits.prepared"),
        inputs={
            "model": Input(_prepared, ("prepare_estimator",)),
            "predictions": Input(_predictions, EVALUATIONS, is_ordered=False),
            "summary": Input(_summary, ("summarize",)),
            "events": SAMPLE_EVENTS,
        },
        arguments=_measure_arguments,
        side_files={"run": ""},
        estimators="events",
        builds=True,
        resources=Resources(
            2000,
            60,
            reason="reads and bins the sample, then as evaluate_events; 401 MB and 3.7 s measured",
        ),
    ),
}
"""Estimators, their predictions, ensembles and scans, and measured samples."""
