"""Search for an estimator and the predictions of its ensembles in a run folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wilsonvox.core.errors import UserError
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.ensembles.calibration import Calibration
from wilsonvox.ensembles.joint_calibration import JointCalibration
from wilsonvox.ensembles.summary import (
    SUMMARY_SPLITS,
    calibrate_jointly,
    coefficients_in,
    make_ensembles,
    read_predictions,
)
from wilsonvox.ensembles.tables import TableMetadata
from wilsonvox.estimators import PREPARED_FILE, TRAINED_FILE
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record


@dataclass(frozen=True)
class EstimatorFiles:
    """Paths of one estimator of a run and of the predictions of its ensembles."""

    estimator: str
    image: str
    model: Path
    predictions: tuple[Path, ...]
    summaries: tuple[Path, ...] = ()
    """Summary made from the predictions, if there is one."""

    @property
    def reads_events(self) -> bool:
        """True if the estimator reads events (a prepared fit), not images (a trained network)."""
        return self.model.name == PREPARED_FILE


def find_estimator(
    run: str | os.PathLike[str], estimator: str | None = None, image: str | None = None
) -> EstimatorFiles:
    """Find the model file of an estimator and the predictions of its ensembles in a run.

    Args:
        run: folder of the run, such as results/demo.
        estimator: name of the estimator; may be None if the run has only one.
        image: name of the image specification; may be None if the estimator has only one.

    Raises:
        UserError: unknown run, estimator or image (with the closest name), several images to choose
            from, or no predictions.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"--run {folder}: no such folder; give that of a finished run")
    models = sorted(
        path for name in (TRAINED_FILE, PREPARED_FILE) for path in folder.glob(f"models/*/*/{name}")
    )
    if not models:
        raise UserError(
            f"--run {folder}: contains no estimator (models/*/*/{TRAINED_FILE} or {PREPARED_FILE})"
        )
    names = sorted({path.parent.name for path in models})
    if estimator is None and len(names) > 1:
        raise UserError(f"--run {folder}: add --estimator, one of {', '.join(names)}")
    estimator = names[0] if estimator is None else estimator
    if estimator not in names:
        raise UserError(f"--estimator {estimator}: not in {folder}{did_you_mean(estimator, names)}")
    images: dict[str, list[Path]] = {}
    for path in models:
        if path.parent.name == estimator:
            images.setdefault(path.parts[-3], []).append(path)
    if image is None and len(images) > 1:
        raise UserError(
            f"--estimator {estimator}: exists for several images; add --image, one of "
            f"{', '.join(images)}"
        )
    chosen = next(iter(images)) if image is None else image
    if chosen not in images:
        raise UserError(
            f"--image {chosen}: there is no {estimator} for it{did_you_mean(chosen, images)}"
        )
    evaluation = folder / "evaluation" / chosen / estimator
    predictions = _summarized_predictions(evaluation)
    if not predictions:
        raise UserError(
            f"{evaluation}: contains no predictions of test images for the calibration; "
            "finish the run"
        )
    summary = evaluation / "summary.parquet"
    summaries = (summary,) if summary.is_file() else ()
    model = _maker(images[chosen], predictions[0])
    return EstimatorFiles(estimator, chosen, model, tuple(predictions), summaries)


def _maker(models: Sequence[Path], predictions: Path) -> Path:
    """Select the estimator in a folder that made a table of predictions.

    There are two if the architecture of an estimator was changed and its name kept.
    """
    record = read_record(predictions)
    names = {Path(entry.path).name for entry in record.inputs} if record is not None else set()
    return next((path for path in models if path.name in names), models[0])


def _summarized_predictions(evaluation: Path) -> list[Path]:
    """Return the tables that the estimator's summary was made from; without a summary, all tables.

    The table of a point that was removed from the configuration remains in the folder, but is no
    longer part of the run.
    """
    summary = evaluation / "summary.parquet"
    record = read_record(summary) if summary.is_file() else None
    if record is not None:
        names = [Path(entry.path) for entry in record.inputs if entry.path.endswith(".parquet")]
        return [evaluation / path.parent.name / path.name for path in names]
    return [
        path for split in SUMMARY_SPLITS for path in sorted(evaluation.glob(f"{split}/*.parquet"))
    ]


def current_predictions(files: EstimatorFiles) -> tuple[list[Path], list[str]]:
    """Return the prediction tables made by this very model, and a warning if there are others.

    The record of a table contains the digest of its model; tables of an earlier training or
    configuration do not describe this model.

    Raises:
        UserError: no table was made by this model.
    """
    digest = content_digest(files.model)
    kept: list[Path] = []
    stale: list[Path] = []
    for path in files.predictions:
        record = read_record(path)
        inputs = () if record is None else record.inputs
        models = [
            entry.content_digest
            for entry in inputs
            if Path(entry.path).name == files.model.name or entry.path.endswith(".keras")
        ]
        (stale if models and digest not in models else kept).append(path)
    if not kept:
        raise UserError(
            f"{files.predictions[0].parent}: its predictions were made by a model other than "
            f"{files.model}; evaluate it again"
        )
    if not stale:
        return kept, []
    names = ", ".join(f"{path.parent.name}/{path.stem}" for path in stale)
    return kept, [f"predictions by another model are excluded from the calibration: {names}"]


@dataclass(frozen=True)
class Calibrations:
    """Calibrations of an estimator by its ensembles.

    by_coefficient: calibration of each coefficient alone
    joint: calibration of all together, in the same order; None if `calibrate_jointly` returns None
    metadata: metadata of the prediction tables
    """

    by_coefficient: dict[str, Calibration]
    joint: JointCalibration | None
    metadata: TableMetadata


def calibrate(predictions: Sequence[Path]) -> Calibrations:
    """Calibrate an estimator with the prediction tables of its ensembles.

    Raises:
        UserError: the tables cannot be read or do not match, or there are too few points.
    """
    frame, metadata = read_predictions(predictions)
    ensembles = make_ensembles(frame)
    result: dict[str, Calibration] = {}
    for name in coefficients_in(frame):
        chosen = [ensemble for ensemble in ensembles if ensemble.coefficient == name]
        result[name] = Calibration.of(
            [ensemble.true for ensemble in chosen], [ensemble.predicted for ensemble in chosen]
        )
    return Calibrations(result, calibrate_jointly(frame), metadata)
