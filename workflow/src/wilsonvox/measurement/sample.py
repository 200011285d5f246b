"""Measurement of the shifts δC_i of a sample: predictions of its images, calibrated by ensembles.

The intervals are statistical, from the finite number of events in the sample and of images in the
ensembles. They are at generator level (not corrected for detector effects) and valid for one set of
physics inputs. Shifts are dimensionless. Definitions: docs/physics/statistics.md.
"""

import glob
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file
from wilsonvox.core.models import StrictModel
from wilsonvox.ensembles.calibration import Calibration
from wilsonvox.ensembles.joint_calibration import JointCalibration
from wilsonvox.events.event_file import TREE, iterate_events, read_metadata
from wilsonvox.measurement.intervals import (
    CoefficientMeasurement,
    JointMeasurement,
    format_number,
    measure_coefficient,
    measure_jointly,
    symbol,
)
from wilsonvox.measurement.run_folder import EstimatorFiles, calibrate, current_predictions
from wilsonvox.records.json_files import save_recorded
from wilsonvox.records.record import Record, RecordFactory
from wilsonvox.theory.particles import FLAVOURS
from wilsonvox.theory.points import PARAMETERS, parameter_values
from wilsonvox.voxels.compatibility import antiparticle_warning, check_lepton
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification, describe_difference

Array = NDArray[np.float64]

Predict = Callable[[Shard, Path | None], Array]
"""Function that predicts a shard's images, float64 of shape (n_images, n_coefficients), from the
images or from the event file that they were made from."""


class EstimatorDescription(Protocol):
    """Properties of an estimator that a measurement needs; part of the metadata of both kinds."""

    @property
    def image(self) -> ImageSpecification: ...  # noqa: D102

    @property
    def coefficients(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def physics_inputs(self) -> str | None: ...  # noqa: D102

    @property
    def lepton(self) -> str | None: ...  # noqa: D102

    @property
    def antiparticle_shifts(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True)
class OpenedEstimator:
    """Estimator of a run, trained or prepared.

    files: its paths in the run
    metadata: its metadata
    load: returns its `Predict` function; called after all other input was checked
    """

    files: EstimatorFiles
    metadata: EstimatorDescription
    load: Callable[[], Predict]


INTERVAL_TYPE = (
    "statistical: finite events in the sample and finite ensembles; generator level, detector "
    "effects are not corrected for; no theory uncertainty"
)
LEFT_OVER = "fill no whole image"
"""Reason of selected events that are not used because they do not fill an image."""


class Measurement(StrictModel):
    """Result of `wilsonvox measure`."""

    coefficients: dict[str, CoefficientMeasurement] = Field(
        description="measured shifts by coefficient"
    )
    joint: JointMeasurement | None = Field(
        default=None,
        description="covariance of several coefficients that were calibrated together, if measured",
    )
    n_images: int = Field(description="number of images")
    n_events_used: int = Field(description="number of events in the images")
    n_events_dropped: int = Field(description="number of events in the input that are in no image")
    n_events_dropped_by_reason: dict[str, int] = Field(
        description="number of these events by reason"
    )
    estimator: str = Field(description="name of the estimator in the run")
    image: str = Field(description="name of the image specification in the run")
    image_specification: ImageSpecification = Field(description="specification of the images")
    physics_inputs: str | None = Field(description="set of SM inputs of the estimator")
    warnings: list[str] = Field(description="warnings on the sample and the result")
    sample: str | None = Field(description="name of the sample, if it has one")
    true_shifts: dict[str, float] | None = Field(description="true shifts of the sample, if known")
    interval_type: str = Field(
        default=INTERVAL_TYPE, description="uncertainties contained in the intervals"
    )
    provenance: Record | None = None

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as JSON with `record` under the key `provenance`, atomically."""
        save_recorded(self, path, record)


def check_image(
    image: ImageSpecification, expected: ImageSpecification, source: str, owner: str
) -> None:
    """Check that images have the specification of an estimator.

    Args:
        image: specification of the images.
        expected: specification of the estimator.
        source: file of the images, for the message.
        owner: the estimator, for the message.

    Raises:
        UserError: the specifications differ; the message lists every differing field.
    """
    difference = describe_difference(expected, image)
    if difference:
        raise UserError(
            f"{source}: its images are not those of {owner}: {difference}; make them with the same "
            "image specification"
        )


def true_shifts(shard: Shard, coefficients: Sequence[str]) -> dict[str, float] | None:
    """Return the true shifts of a sample if they are known and the same for all images.

    Contains `coefficients` and any other coefficient that is not zero, by name in `PARAMETERS`.
    """
    shifts = shard.shifts
    if not len(shifts) or not np.all(np.isfinite(shifts)) or np.any(shifts != shifts[0]):
        return None
    values = dict(zip(PARAMETERS, map(float, parameter_values(shifts[0])), strict=True))
    return {name: value for name, value in values.items() if name in coefficients or value != 0}


def dropped_events(shard: Shard) -> dict[str, int]:
    """Count events that are in no image, by reason: dropped during ingest, cut, or left over."""
    total: dict[str, int] = {}
    metadata = shard.metadata
    for part in (
        metadata.n_events_dropped,
        metadata.n_events_cut,
        {LEFT_OVER: metadata.n_events_left_over},
    ):
        for reason, number in part.items():
            if number:
                total[reason] = total.get(reason, 0) + number
    return total


def sample_warnings(
    shard: Shard,
    physics_inputs: str | None,
    coefficients: Sequence[str],
    antiparticle_shifts: str | None = None,
) -> list[str]:
    """List warnings on a sample's images: files, left-over events, other inputs or shifts."""
    metadata = shard.metadata
    warnings = list(metadata.warnings)
    if metadata.n_events_left_over:
        warnings.append(
            f"{metadata.n_events_left_over:,} selected events fill no whole image of "
            f"{metadata.image.events_per_image:,} and are not used"
        )
    if metadata.physics_inputs is not None and metadata.physics_inputs != physics_inputs:
        warnings.append(
            f"the sample was generated with physics inputs {metadata.physics_inputs}, the "
            f"estimator assumes {physics_inputs}"
        )
    antiparticles = antiparticle_warning(
        metadata.antiparticle_shifts,
        antiparticle_shifts,
        metadata.image.flavour,
        shard.shifts,
        coefficients,
    )
    if antiparticles:
        warnings.append(antiparticles)
    truth = true_shifts(shard, coefficients) or {}
    for name, value in truth.items():
        if name not in coefficients:
            warnings.append(
                f"the sample has {symbol(name)} = {format_number(value)}, which the estimator "
                "assumes to be 0"
            )
    return warnings


def require_one_image(
    path: str | os.PathLike[str],
    events_path: str | os.PathLike[str],
    image: ImageSpecification,
) -> None:
    """Check that an event file fills at least one image.

    Args:
        path: the user's file, for the message.
        events_path: event file made from it.
        image: image specification of the estimator.

    Raises:
        UserError: too few selected events (the message gives their numbers), or all events are of
            the other flavour.
    """
    from wilsonvox.voxels.binning import selection

    counts: dict[str, int] = {}
    for chunk in iterate_events(events_path):
        for reason, mask in selection(chunk, image).items():
            counts[reason] = counts.get(reason, 0) + int(mask.sum())
    total, selected = sum(counts.values()), counts.pop("selected", 0)
    if selected >= image.events_per_image:
        return
    if total and counts.get("other flavour", 0) == total:
        other = next(name for name in FLAVOURS if name != image.flavour)
        raise UserError(
            f"{path}: all {total:,} events are {other}, but the estimator reads images of "
            f"{image.flavour} events only"
        )
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.items() if number)
    raise UserError(
        f"{path}: {selected:,} of {total:,} events pass the selection"
        f"{f' ({reasons})' if reasons else ''}, but one image needs {image.events_per_image:,}; "
        "give more events"
    )


def measure(
    shard: Shard,
    predictions: Array,
    calibrations: Mapping[str, Calibration],
    files: EstimatorFiles,
    physics_inputs: str | None,
    warnings: Sequence[str] = (),
    antiparticle_shifts: str | None = None,
    joint: JointCalibration | None = None,
) -> Measurement:
    """Measure the shifts of a sample.

    Args:
        shard: images of the sample.
        predictions: predictions of the images, float64, shape (n_images, n_coefficients).
        calibrations: calibrations by coefficient, in the order of the predictions' columns.
        files: names of the estimator and its image specification.
        physics_inputs: set of SM inputs of the estimator.
        warnings: warnings to put first.
        antiparticle_shifts: the estimator's rule for antiparticles, ``equal`` or ``conjugate``;
            None if unknown.
        joint: joint calibration of all coefficients, used in place of `calibrations`.

    Raises:
        UserError: a prediction is not finite.
    """
    missing = np.flatnonzero(~np.isfinite(predictions).all(axis=1))
    if len(missing) and files.reads_events:
        raise UserError(
            f"{files.model}: the fit of {len(missing)} of {len(predictions)} images of the sample "
            f"did not converge (image {missing[0]}); is it the decay that the estimator is for? "
            "A wider parameter_range or fewer coefficients may help"
        )
    if len(missing):
        raise UserError(f"{files.model}: predicts values that are not finite; train it again")
    names = tuple(calibrations)
    all_warnings = [*warnings, *sample_warnings(shard, physics_inputs, names, antiparticle_shifts)]
    truth = true_shifts(shard, names)
    measured: dict[str, CoefficientMeasurement] = {}
    errors: JointMeasurement | None = None
    if joint is not None:
        measured, errors, more = measure_jointly(names, joint, predictions, truth)
        all_warnings += more
    else:
        for column, (name, calibration) in enumerate(calibrations.items()):
            measured[name], more = measure_coefficient(
                name, calibration, predictions[:, column], (truth or {}).get(name)
            )
            all_warnings += more
    dropped = dropped_events(shard)
    return Measurement(
        coefficients=measured,
        joint=errors,
        n_images=len(shard),
        n_events_used=int(np.sum(shard.n_events)),
        n_events_dropped=sum(dropped.values()),
        n_events_dropped_by_reason=dropped,
        estimator=files.estimator,
        image=files.image,
        image_specification=shard.metadata.image,
        physics_inputs=physics_inputs,
        warnings=all_warnings,
        sample=shard.metadata.sample,
        true_shifts=truth,
    )


def _require_flavour(path: Path, flavour: str) -> None:
    """Check that the flavours in an event file do not contradict the given one, as ingest does."""
    if flavour == "auto":
        return
    others = sum(
        int(np.count_nonzero(chunk.flavour != FLAVOURS[flavour])) for chunk in iterate_events(path)
    )
    if others:
        raise UserError(
            f"{path}: {others:,} events are not {flavour} by the file's own codes; use --flavour "
            "auto"
        )


@contextmanager
def images_of_files(
    events: Sequence[Path],
    image: ImageSpecification,
    tree: str | None = None,
    layout: str = "auto",
    flavour: str = "auto",
    *,
    make_record: RecordFactory,
) -> Iterator[tuple[Shard, Path]]:
    """Make voxel images from ROOT files, and the event file behind them, as a context manager.

    The event file is temporary. A single file that is already an event file of this pipeline is
    used directly.

    Args:
        events: ROOT files.
        image: specification of the images to make.
        tree: name of the tree; None for the only one.
        layout: one of `wilsonvox.events.ingest.layouts.LAYOUTS`.
        flavour: flavour of the decays, if the files do not contain it.
        make_record: function that makes the record of the temporary event file.

    Raises:
        UserError: the files cannot be read as decays, or contain too few events for one image.
    """
    from wilsonvox.events.ingest.reader import ingest_files
    from wilsonvox.voxels.binning import voxelize_file

    name = ", ".join(map(str, events))
    if len(events) == 1 and tree in (None, TREE) and layout in ("auto", "variables"):
        try:
            read_metadata(events[0])
        except UserError:
            pass  # not an event file; ingest reports any errors in it
        else:
            _require_flavour(events[0], flavour)
            require_one_image(name, events[0], image)
            yield voxelize_file(events[0], image), events[0]
            return
    with tempfile.TemporaryDirectory(prefix="wilsonvox-") as folder:
        path = Path(folder) / "events.root"
        ingest_files(
            events, path, tree=tree, layout=layout, flavour=flavour, make_record=make_record
        )
        require_one_image(name, path, image)
        yield voxelize_file(path, image), path


@contextmanager
def _images(
    estimator: OpenedEstimator,
    events: Sequence[Path],
    shard_path: Path | None,
    tree: str | None,
    layout: str,
    flavour: str,
    make_record: RecordFactory,
) -> Iterator[tuple[Shard, Path | None]]:
    """Yield the images of the sample and, if they were made here, the event file behind them."""
    if shard_path is None:
        with images_of_files(
            events, estimator.metadata.image, tree, layout, flavour, make_record=make_record
        ) as made:
            yield made
        return
    shard = Shard.load(shard_path)
    owner = f"estimator {estimator.files.estimator}"
    check_image(shard.metadata.image, estimator.metadata.image, str(shard_path), owner)
    if not len(shard):
        raise UserError(f"{shard_path}: contains no image")
    yield shard, None


def measure_sample(
    estimator: OpenedEstimator,
    events: Sequence[Path] = (),
    shard_path: Path | None = None,
    tree: str | None = None,
    layout: str = "auto",
    flavour: str = "auto",
    *,
    make_record: RecordFactory,
) -> tuple[Measurement, list[Path]]:
    """Measure the shifts of ROOT files, or of a shard, with an estimator of a run.

    All input is checked before a network is loaded.

    Args:
        estimator: estimator of the run.
        events: ROOT files; see `images_of_files` for `tree`, `layout` and `flavour`.
        shard_path: voxel images to use instead, for an estimator that reads images.
        tree: name of the tree.
        layout: layout of the files.
        flavour: flavour of the decays.
        make_record: function that makes the record of the temporary event file.

    Returns:
        The measurement, and the files of the run that were used.

    Raises:
        UserError: see the functions above; or neither or both of `events` and `shard_path` given.
    """
    files, metadata = estimator.files, estimator.metadata
    if shard_path is not None and files.reads_events:
        raise UserError(
            f"--shard {shard_path}: {files.estimator} reads events, not images; give --events, "
            "the ROOT file with the decays"
        )
    if bool(events) == (shard_path is not None):
        raise UserError("give either --events or --shard")
    for path in events:
        if not glob.has_magic(str(path)):  # ingest expands patterns
            require_file(path, "a ROOT file with decays")
    owner = f"estimator {files.estimator}"
    tables, warnings = current_predictions(files)
    calibrated = calibrate(tables)
    calibrations = calibrated.by_coefficient
    check_image(calibrated.metadata.image, metadata.image, str(tables[0]), owner)
    if set(metadata.coefficients) != set(calibrations):
        raise UserError(
            f"{tables[0].parent.parent}: predictions of {', '.join(calibrations)}, but {owner} "
            f"estimates {', '.join(metadata.coefficients)}; evaluate it again"
        )
    joint = calibrated.joint
    if joint is not None:
        joint = joint.ordered([list(calibrations).index(name) for name in metadata.coefficients])
    with _images(estimator, events, shard_path, tree, layout, flavour, make_record) as (
        shard,
        source,
    ):
        given = ", ".join(map(str, events)) or str(shard_path)
        check_lepton(given, shard.metadata.lepton, owner, metadata.lepton)
        result = measure(
            shard,
            estimator.load()(shard, source),
            {name: calibrations[name] for name in metadata.coefficients},
            files,
            metadata.physics_inputs,
            warnings,
            metadata.antiparticle_shifts,
            joint,
        )
    return result, [files.model, *tables, *files.summaries]
