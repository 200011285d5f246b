"""Finding an estimator and its ensembles in a run folder."""

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
    """Where a run keeps one estimator and the predictions of its ensembles."""

    estimator: str
    image: str
    model: Path
    predictions: tuple[Path, ...]
    summaries: tuple[Path, ...] = ()
    """The summary that names the predictions, where there is one."""

    @property
    def reads_events(self) -> bool:
        """Whether the estimator reads events (a prepared one) or images (a trained one)."""
        return self.model.name == PREPARED_FILE


def find_estimator(
    run: str | os.PathLike[str], estimator: str | None = None, image: str | None = None
) -> EstimatorFiles:
    """Find an estimator in models/{image}/{estimator}/ and its ensembles' predictions in a run.

    Args:
        run: folder of the run, such as results/demo.
        estimator: name of the estimator; not needed where the run has only one.
        image: name of the image specification; not needed where the estimator has only one.

    Raises:
        UserError: no such run, estimator or image (with the nearest name), several images to
            choose from, or no predictions.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"--run {folder}: no such folder; give that of a finished run")
    models = sorted(
        path for name in (TRAINED_FILE, PREPARED_FILE) for path in folder.glob(f"models/*/*/{name}")
    )
    if not models:
        raise UserError(
            f"--run {folder}: holds no estimator (models/*/*/{TRAINED_FILE} or {PREPARED_FILE})"
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
            f"--estimator {estimator}: made for several images; add --image, one of "
            f"{', '.join(images)}"
        )
    chosen = next(iter(images)) if image is None else image
    if chosen not in images:
        raise UserError(
            f"--image {chosen}: {estimator} is not made for it{did_you_mean(chosen, images)}"
        )
    evaluation = folder / "evaluation" / chosen / estimator
    predictions = _summarized_predictions(evaluation)
    if not predictions:
        raise UserError(
            f"{evaluation}: holds no predictions of test images, so that there is nothing to "
            "calibrate with; finish the run"
        )
    summary = evaluation / "summary.parquet"
    summaries = (summary,) if summary.is_file() else ()
    model = _maker(images[chosen], predictions[0])
    return EstimatorFiles(estimator, chosen, model, tuple(predictions), summaries)


def _maker(models: Sequence[Path], predictions: Path) -> Path:
    """Of the estimators in one folder the one that made a table of predictions.

    There are two where an estimator became one of another kind and kept its name.
    """
    record = read_record(predictions)
    names = {Path(each.path).name for each in record.inputs} if record is not None else set()
    return next((path for path in models if path.name in names), models[0])


def _summarized_predictions(evaluation: Path) -> list[Path]:
    """The tables that the estimator's summary was made of; without a summary all that are there.

    A table of a point that was taken out of the configuration stays in the folder, but is none of
    the run any more.
    """
    summary = evaluation / "summary.parquet"
    record = read_record(summary) if summary.is_file() else None
    if record is not None:
        names = [Path(each.path) for each in record.inputs if each.path.endswith(".parquet")]
        return [evaluation / path.parent.name / path.name for path in names]
    return [
        path for split in SUMMARY_SPLITS for path in sorted(evaluation.glob(f"{split}/*.parquet"))
    ]


def current_predictions(files: EstimatorFiles) -> tuple[list[Path], list[str]]:
    """The prediction tables that this very model made, and a warning if others lie beside them.

    Each table's record names its model's digest; one left behind by an earlier training or
    configuration does not describe this model.

    Raises:
        UserError: no table is of this model.
    """
    digest = content_digest(files.model)
    kept: list[Path] = []
    stale: list[Path] = []
    for path in files.predictions:
        record = read_record(path)
        inputs = () if record is None else record.inputs
        models = [
            each.content_digest
            for each in inputs
            if Path(each.path).name == files.model.name or each.path.endswith(".keras")
        ]
        (stale if models and digest not in models else kept).append(path)
    if not kept:
        raise UserError(
            f"{files.predictions[0].parent}: its predictions were made by another model than "
            f"{files.model}; evaluate it again"
        )
    if not stale:
        return kept, []
    names = ", ".join(f"{path.parent.name}/{path.stem}" for path in stale)
    return kept, [f"predictions made by another model are left out of the calibration: {names}"]


@dataclass(frozen=True)
class Calibrations:
    """What an estimator's ensembles say.

    by_coefficient: of each coefficient alone
    joint: of several together, in the same order; None where `calibrate_jointly` gives none
    about: metadata of the tables
    """

    by_coefficient: dict[str, Calibration]
    joint: JointCalibration | None
    about: TableMetadata


def calibrate(predictions: Sequence[Path]) -> Calibrations:
    """Calibrations of an estimator's coefficients from the tables of its ensembles.

    Raises:
        UserError: tables that cannot be read or do not fit together, or too few points.
    """
    frame, metadata = read_predictions(predictions)
    ensembles = make_ensembles(frame)
    result: dict[str, Calibration] = {}
    for name in coefficients_in(frame):
        chosen = [each for each in ensembles if each.coefficient == name]
        result[name] = Calibration.of(
            [each.true for each in chosen], [each.predicted for each in chosen]
        )
    return Calibrations(result, calibrate_jointly(frame), metadata)
