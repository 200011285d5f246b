"""δC_i of a sample: an estimator's predictions of its images, calibrated with ensembles.

The interval is statistical: the finite number of events in the sample and of images in the
ensembles. It is at generator level (detector effects are not corrected for) and holds for one set
of physics inputs. Shifts are dimensionless. Definitions: docs/statistics.md.
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
from pydantic import BaseModel, ConfigDict, Field

from wilsonvox.calibration import LEVELS, Calibration
from wilsonvox.decay_agreement import antiparticle_warning, check_lepton
from wilsonvox.errors import UserError
from wilsonvox.events import FLAVOURS, TREE, iterate_events, read_metadata
from wilsonvox.files import require_file
from wilsonvox.joint_calibration import JointCalibration
from wilsonvox.points import PARAMETERS, parameter_values
from wilsonvox.provenance import Record
from wilsonvox.recorded_json import save_recorded
from wilsonvox.runs import EstimatorFiles, calibrate, current_predictions
from wilsonvox.shards import ImageSpecification, Shard, describe_difference

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]

Predict = Callable[[Shard, Path | None], Array]
"""Predictions of a shard's images, float64 of shape (n_images, n_coefficients), from the images or
from the event file that they were made of."""


class About(Protocol):
    """What a measurement has to know of an estimator; the metadata of both kinds tell it."""

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
    """An estimator of a run, of either kind.

    files: where the run keeps it
    about: its metadata
    load: gives its `Predict` function; called once everything else was found to be right
    """

    files: EstimatorFiles
    about: About
    load: Callable[[], Predict]


INTERVAL_TYPE = (
    "statistical: finite events in the sample and finite ensembles; generator level, detector "
    "effects are not corrected for; no theory uncertainty"
)
LEFT_OVER = "fill no whole image"
"""Reason of selected events that are not used because they are fewer than one image."""

SPREAD_P_VALUE = 0.001
"""A spread of single-image predictions less probable than this is warned of."""


class CoefficientMeasurement(BaseModel):
    """One measured shift; null stands for what the calibrated range does not hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float | None = Field(description="δC of the sample (dimensionless)")
    interval_68: Ends = Field(description="central 68 % confidence interval; null: open end")
    interval_95: Ends = Field(description="central 95 % confidence interval; null: open end")
    per_image: list[float | None] = Field(description="calibrated value of each image alone")
    pulls: list[float] | None = Field(
        default=None,
        description="of each image alone, where the true shift is known: prediction less its "
        "expectation at the true shift, over its standard deviation there",
    )
    mean_prediction: float = Field(description="mean prediction before calibration")
    calibrated_range: tuple[float, float] = Field(description="range of the ensembles' shifts")
    levels_without_shift: list[int] = Field(
        default=[],
        description="levels [%] at which no shift in the calibrated range agrees with the sample",
    )


class JointMeasurement(BaseModel):
    """Errors of several measured shifts together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    coefficients: tuple[str, ...] = Field(description="order of rows and columns")
    covariance: tuple[tuple[float, ...], ...] = Field(
        description="covariance of the values (dimensionless), the calibration's errors included"
    )
    correlation: tuple[tuple[float, ...], ...] = Field(description="the same, scaled to 1")


class Measurement(BaseModel):
    """What `wilsonvox measure` writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    coefficients: dict[str, CoefficientMeasurement]
    joint: JointMeasurement | None = Field(
        default=None,
        description="of several coefficients that were calibrated together, if they have values",
    )
    n_images: int
    n_events_used: int
    n_events_dropped: int = Field(description="all events of the input that are not in an image")
    n_events_dropped_by_reason: dict[str, int]
    estimator: str
    image: str = Field(description="name of the image specification in the run")
    image_specification: ImageSpecification
    physics_inputs: str | None = Field(description="Standard-Model inputs that it is for")
    warnings: list[str]
    sample: str | None
    true_shifts: dict[str, float] | None = Field(description="true shifts of the sample, if known")
    interval_type: str = INTERVAL_TYPE
    provenance: Record | None = None

    def save(self, path: str | os.PathLike[str], record: Record) -> None:
        """Write as JSON with `record` under the key `provenance`, atomically."""
        save_recorded(self, path, record)


def check_image(
    found: ImageSpecification, expected: ImageSpecification, what: str, whose: str
) -> None:
    """Check that images are those that an estimator understands.

    Raises:
        UserError: they differ; it names `what`, `whose` and every differing field.
    """
    difference = describe_difference(expected, found)
    if difference:
        raise UserError(
            f"{what}: its images are not those of {whose}: {difference}; make them with the same "
            "image specification"
        )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def symbol(coefficient: str) -> str:
    """Name of a shift for people.

    >>> symbol("c9p"), symbol("c9_imaginary")
    ('δC9′', 'Im δC9')
    """
    name, _, part = coefficient.partition("_")
    return ("Im " if part else "") + "δC" + name[1:].replace("p", "′")


def shown(value: float, decimals: int = 2) -> str:
    """A number for people, with a minus sign."""
    return f"{value:.{decimals}f}".replace("-", "−")


def measure_coefficient(
    coefficient: str, calibration: Calibration, predictions: Array, true: float | None = None
) -> tuple[CoefficientMeasurement, list[str]]:
    """Value and intervals of one shift, and what has to be said about them.

    Args:
        coefficient: its name, such as c9.
        calibration: of the estimator, from its ensembles.
        predictions: of the sample's images, float64, shape (n_images,).
        true: the true shift, where it is known.
    """
    name, n = symbol(coefficient), len(predictions)
    mean = float(np.mean(predictions))
    low, high = calibration.low, calibration.high
    edges = f"{shown(low)} … {shown(high)}"
    warnings: list[str] = []
    if calibration.shape_is_gaussian:
        smallest = min(len(each) for each in calibration.predictions)
        warnings.append(
            f"{name}: the smallest ensemble has {smallest} images, too few to show the shape of "
            "the predictions; the intervals assume a Gaussian"
        )
    if calibration.falling:
        stretches = ", ".join(f"{shown(a)} … {shown(b)}" for a, b in calibration.falling)
        warnings.append(
            f"{name}: the estimator's response does not rise everywhere in the calibrated range "
            f"(not in {stretches}), so that one prediction can stand for several shifts"
        )
    values, count = calibration.values([mean])
    if count[0] == 0:
        curve = calibration.response(calibration.grid)
        warnings.append(
            f"{name}: the mean prediction {shown(mean, 3)} is outside the calibrated response "
            f"{shown(float(curve.min()), 3)} … {shown(float(curve.max()), 3)} (shifts {edges}); "
            "no value is given"
        )
    elif count[0] > 1:
        warnings.append(
            f"{name}: the mean prediction {shown(mean, 3)} stands for {count[0]} shifts, because "
            "the response does not rise everywhere; no value is given"
        )
    intervals: list[Ends] = []
    nowhere: list[int] = []
    for level in LEVELS:
        found = calibration.intervals([mean], n, level)
        ends = (_number(found.low[0]), _number(found.high[0]))
        intervals.append(ends)
        label = f"{name}: {round(100 * level)} % interval"
        if found.empty[0]:
            nowhere.append(round(100 * level))
            warnings.append(
                f"{label}: no shift in the calibrated range {edges} agrees with the sample"
            )
            continue
        if found.disjoint[0]:
            warnings.append(f"{label}: made of several stretches; its outermost ends are given")
        for side, end, edge in (("lower", ends[0], low), ("upper", ends[1], high)):
            if end is None:
                warnings.append(
                    f"{label}: {side} end open: beyond the calibrated range (it ends at "
                    f"{shown(edge)})"
                )
    if n >= 2:
        p_values = _spread_p_values(calibration, predictions, float(values[0]))
        warnings += _spread_warnings(name, *p_values)
    pulls = None
    if true is not None and low <= true <= high:
        pulls = calibration.pulls(predictions, true).tolist()
    measured = CoefficientMeasurement(
        pulls=pulls,
        value=_number(values[0]),
        interval_68=intervals[0],
        interval_95=intervals[1],
        per_image=[_number(value) for value in calibration.values(predictions)[0]],
        mean_prediction=mean,
        calibrated_range=(low, high),
        levels_without_shift=nowhere,
    )
    return measured, warnings


def measure_jointly(
    names: Sequence[str],
    calibration: JointCalibration,
    predictions: Array,
    truth: Mapping[str, float] | None = None,
) -> tuple[dict[str, CoefficientMeasurement], JointMeasurement | None, list[str]]:
    """Values, intervals and covariance of several shifts, and what has to be said about them.

    The intervals are those of a normal distribution with the covariance at the values.

    Args:
        names: of the k coefficients.
        calibration: of the estimator, from its ensembles.
        predictions: of the sample's images, float64, shape (n_images, k).
        truth: the true shifts by name, as far as they are known.
    """
    from scipy.stats import norm

    found = calibration.estimate(predictions)
    errors = np.sqrt(np.diag(found.covariance))
    known = bool(np.all(np.isfinite(found.value)))
    together = ", ".join(map(symbol, names))
    warnings: list[str] = []
    if not known:
        warnings.append(
            f"{together}: the mean prediction stands for no shifts in the calibrated box "
            + ", ".join(
                f"{symbol(name)} {shown(low)} … {shown(high)}"
                for name, low, high in zip(names, calibration.low, calibration.high, strict=True)
            )
            + "; no values are given"
        )
    elif len(predictions) >= 2:
        p_values = calibration.spread_p_values(predictions, found.value)
        warnings += _spread_warnings(together, *p_values)
    images = np.array([calibration.invert(each) for each in predictions])
    true = np.array([(truth or {}).get(name, np.nan) for name in names])
    pulls = calibration.pulls(true, predictions)
    measured: dict[str, CoefficientMeasurement] = {}
    for index, name in enumerate(names):
        low, high = float(calibration.low[index]), float(calibration.high[index])
        intervals: list[Ends] = []
        for level in LEVELS:
            reach = float(norm.ppf((1 + level) / 2) * errors[index])
            ends = (float(found.value[index]) - reach, float(found.value[index]) + reach)
            inside = (ends[0] >= low, ends[1] <= high)
            intervals.append((ends[0] if inside[0] else None, ends[1] if inside[1] else None))
            for side, within, edge in zip(("lower", "upper"), inside, (low, high), strict=True):
                if known and not within:
                    warnings.append(
                        f"{symbol(name)}: {round(100 * level)} % interval: {side} end open: beyond "
                        f"the calibrated range (it ends at {shown(edge)})"
                    )
        measured[name] = CoefficientMeasurement(
            value=_number(found.value[index]),
            interval_68=intervals[0],
            interval_95=intervals[1],
            per_image=[_number(value) for value in images[:, index]],
            mean_prediction=float(predictions[:, index].mean()),
            calibrated_range=(low, high),
            pulls=pulls[:, index].tolist() if np.isfinite(pulls[:, index]).all() else None,
        )
    if not known:
        return measured, None, warnings
    joint = JointMeasurement(
        coefficients=tuple(names),
        covariance=_matrix(found.covariance),
        correlation=_matrix(found.covariance / np.outer(errors, errors)),
    )
    return measured, joint, warnings


def _matrix(values: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in values)


def _spread_p_values(calibration: Calibration, predictions: Array, value: float) -> Sequence[float]:
    """Those of a measured value or, where there is none, of the shift with the next response."""
    shift = value
    if not np.isfinite(shift):
        curve = calibration.response(calibration.grid)
        shift = float(calibration.grid[np.argmin(np.abs(curve - np.mean(predictions)))])
    return calibration.spread_p_values(predictions, shift)


def _spread_warnings(name: str, larger: float, smaller: float) -> list[str]:
    """Say so where the images' predictions scatter unlike the ensembles' do.

    Args:
        name: what was measured.
        larger: probability of a spread at least as large.
        smaller: probability of one at most as large.
    """
    if min(larger, smaller) >= SPREAD_P_VALUE:
        return []
    found, meaning = (
        ("more", "the sample does not look like the training events")
        if larger < smaller
        else ("less", "are the same events in several images?")
    )
    p_value = f"p-value {min(larger, smaller):.1g}"
    comparison = f"the images' predictions scatter {found} than the ensembles' ({p_value})"
    return [f"{name}: {comparison}; {meaning}"]


def true_shifts(shard: Shard, coefficients: Sequence[str]) -> dict[str, float] | None:
    """The true shifts of a sample where they are known and the same for all images.

    Those of `coefficients`, and any other that is not zero, by their names in `PARAMETERS`.
    """
    shifts = shard.shifts
    if not len(shifts) or not np.all(np.isfinite(shifts)) or np.any(shifts != shifts[0]):
        return None
    values = dict(zip(PARAMETERS, map(float, parameter_values(shifts[0])), strict=True))
    return {name: value for name, value in values.items() if name in coefficients or value != 0}


def dropped_events(shard: Shard) -> dict[str, int]:
    """Events that are in no image, by reason: dropped by ingest, cut, or left over."""
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
    """What a sample's images need said: of its files, a remainder, other inputs or shifts."""
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
            f"estimator is for {physics_inputs}"
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
                f"the sample has {symbol(name)} = {shown(value)}, which the estimator takes for 0"
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
        events_path: the event file made of it.
        image: the estimator's image specification.

    Raises:
        UserError: too few selected events, with their numbers; all of the other flavour.
    """
    from wilsonvox.voxels import selection

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
        shard: the sample's images.
        predictions: the estimator's of them, float64, shape (n_images, n_coefficients).
        calibrations: by coefficient, in the order of the predictions' columns.
        files: names of the estimator and its image specification.
        physics_inputs: set of inputs that the estimator is for.
        warnings: those that are already known; they stand first.
        antiparticle_shifts: ``equal`` or ``conjugate``, what the estimator takes; None where it
            is not known.
        joint: calibration of all coefficients together, in place of `calibrations`.

    Raises:
        UserError: the estimator predicts something not finite.
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
    said = [*warnings, *sample_warnings(shard, physics_inputs, names, antiparticle_shifts)]
    truth = true_shifts(shard, names)
    measured: dict[str, CoefficientMeasurement] = {}
    errors: JointMeasurement | None = None
    if joint is not None:
        measured, errors, more = measure_jointly(names, joint, predictions, truth)
        said += more
    else:
        for column, (name, calibration) in enumerate(calibrations.items()):
            measured[name], more = measure_coefficient(
                name, calibration, predictions[:, column], (truth or {}).get(name)
            )
            said += more
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
        warnings=said,
        sample=shard.metadata.sample,
        true_shifts=truth,
    )


def _require_flavour(path: Path, flavour: str) -> None:
    """Refuse an event file whose own flavours contradict the one given, as ingest does."""
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
) -> Iterator[tuple[Shard, Path]]:
    """Voxel images of ROOT files, and the event file that they were made of, inside a block.

    The event file is a temporary one. A single file that is an event file of this pipeline already
    is used as it is.

    Args:
        events: the files.
        image: the images to make.
        tree: name of the tree; None for the only one.
        layout: one of `wilsonvox.ingest.LAYOUTS`.
        flavour: of the decays, where the files do not tell.

    Raises:
        UserError: files that cannot be read as decays, or too few events for one image.
    """
    from wilsonvox.ingest import ingest_files
    from wilsonvox.voxels import voxelize_file

    name = ", ".join(map(str, events))
    if len(events) == 1 and tree in (None, TREE) and layout in ("auto", "variables"):
        try:
            read_metadata(events[0])
        except UserError:
            pass  # another file; ingest says what is wrong with it, if anything is
        else:
            _require_flavour(events[0], flavour)
            require_one_image(name, events[0], image)
            yield voxelize_file(events[0], image), events[0]
            return
    with tempfile.TemporaryDirectory(prefix="wilsonvox-") as folder:
        path = Path(folder) / "events.root"
        ingest_files(events, path, tree=tree, layout=layout, flavour=flavour)
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
) -> Iterator[tuple[Shard, Path | None]]:
    """The sample's images and, where they were made here, the event file behind them."""
    if shard_path is None:
        with images_of_files(events, estimator.about.image, tree, layout, flavour) as made:
            yield made
        return
    shard = Shard.load(shard_path)
    whose = f"estimator {estimator.files.estimator}"
    check_image(shard.metadata.image, estimator.about.image, str(shard_path), whose)
    if not len(shard):
        raise UserError(f"{shard_path}: holds no image")
    yield shard, None


def measure_sample(
    estimator: OpenedEstimator,
    events: Sequence[Path] = (),
    shard_path: Path | None = None,
    tree: str | None = None,
    layout: str = "auto",
    flavour: str = "auto",
) -> tuple[Measurement, list[Path]]:
    """Measure the shifts of ROOT files, or of a shard, with an estimator of a run.

    Everything that can be wrong with the input is found before a network is loaded.

    Args:
        estimator: of the run.
        events: ROOT files; see `images_of_files` for `tree`, `layout` and `flavour`.
        shard_path: voxel images to take instead, for an estimator that reads images.
        tree: name of the tree.
        layout: layout of the files.
        flavour: flavour of the decays.

    Returns:
        The measurement, and the files of the run that went into it.

    Raises:
        UserError: see the functions above; or not either of `events` and `shard_path`.
    """
    files, about = estimator.files, estimator.about
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
    whose = f"estimator {files.estimator}"
    tables, warnings = current_predictions(files)
    found = calibrate(tables)
    calibrations = found.by_coefficient
    check_image(found.about.image, about.image, str(tables[0]), whose)
    if set(about.coefficients) != set(calibrations):
        raise UserError(
            f"{tables[0].parent.parent}: predictions of {', '.join(calibrations)}, but {whose} "
            f"estimates {', '.join(about.coefficients)}; evaluate it again"
        )
    joint = found.joint
    if joint is not None:
        joint = joint.ordered([list(calibrations).index(name) for name in about.coefficients])
    with _images(estimator, events, shard_path, tree, layout, flavour) as (shard, source):
        given = ", ".join(map(str, events)) or str(shard_path)
        check_lepton(given, shard.metadata.lepton, whose, about.lepton)
        result = measure(
            shard,
            estimator.load()(shard, source),
            {name: calibrations[name] for name in about.coefficients},
            files,
            about.physics_inputs,
            warnings,
            about.antiparticle_shifts,
            joint,
        )
    return result, [files.model, *tables, *files.summaries]
