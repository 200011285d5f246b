"""The configuration of a run and the table of samples; the source of `workflow/schemas/`."""

import difflib
import itertools
import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from wilsonvox.errors import UserError
from wilsonvox.estimators.settings import (
    ESTIMATOR_MODELS,
    EstimatorSettings,
    EventEstimatorSettings,
    ImageEstimatorSettings,
    NetworkEstimator,
    NetworkSettings,
    RisingRange,
    TrainingSettings,
    VoxelSumEstimator,
)
from wilsonvox.points import (
    COEFFICIENTS,
    PARAMETERS,
    is_sampled,
    parameter_values,
    parse_point,
    parse_shift,
    point_label,
    shift_vector,
)
from wilsonvox.sampled_points import MOST_POINTS, sampled_label, sobol_points
from wilsonvox.scan.settings import ScanSettings, SearchRange
from wilsonvox.scan.space import check_scan, with_settings
from wilsonvox.shards import ImageSpecification, Normalisation

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*(_[A-Za-z0-9.+-]+)*$")]
Split = Literal["train", "validation", "test", "interpolation"]
PositiveInt = Annotated[int, Field(ge=1)]


def _shifts(value: Any) -> float | str | list[float | str]:
    """One shift, or a list of them, as the configuration writes them."""
    if isinstance(value, list):
        return [_shift(each) for each in value]
    return _shift(value)


def _shift(value: Any) -> float | str:
    if isinstance(value, str):
        try:
            parse_shift(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"shift {value!r}: not a number such as -0.9, or text such as -0.9+0.3i")
    return float(value)


_SHIFT_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "description": "with an imaginary part, such as -0.9+0.3i"},
    ]
}
# one validator for all forms, because pydantic's own message of a union tells of each
Shifts = Annotated[
    float | str | list[float | str],
    PlainValidator(_shifts),
    WithJsonSchema({"anyOf": [*_SHIFT_SCHEMA["anyOf"], {"type": "array", "items": _SHIFT_SCHEMA}]}),
]


def _shown_point(value: Any) -> float | str | dict[str, float | str]:
    """A shown point as the configuration writes it: a shift of C9, a label, or shifts by name."""
    if isinstance(value, dict):
        shifts = {str(name): _shift(each) for name, each in value.items()}
        _label({name: _parsed(each) for name, each in shifts.items()})
        return shifts
    if isinstance(value, str):
        try:
            if not is_sampled(value):
                parse_point(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value
    return _shift(value)


def _label(shifts: Mapping[str, complex]) -> str:
    try:
        return point_label(shifts)
    except UserError as error:
        raise ValueError(str(error)) from error


def _parsed(shift: float | str) -> float | complex:
    return parse_shift(shift) if isinstance(shift, str) else shift


ShownPoint = Annotated[
    float | str | dict[str, float | str],
    PlainValidator(_shown_point),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "description": "a shift δC9"},
                {"type": "string", "description": "the label of a point, such as c10_-1.00"},
                {
                    "type": "object",
                    "additionalProperties": {"anyOf": _SHIFT_SCHEMA["anyOf"]},
                    "description": "shifts by coefficient, such as {c10: -1.0}",
                },
            ]
        }
    ),
]


Kind = TypeVar("Kind")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Coefficient = Literal["c7", "c9", "c10", "c7p", "c9p", "c10p"]


class SobolPoints(_Model):
    """Points of a Sobol sequence in a box of shifts, with the labels sobol_0000, sobol_0001, ….

    Which shifts a number stands for is decided by the box alone, not by the run's seed.
    """

    box: dict[Coefficient, RisingRange] = Field(
        min_length=1, description="lower and upper end of each shift δC_i (dimensionless)"
    )
    number: int = Field(ge=1, le=MOST_POINTS, description="number of points")
    first: int = Field(
        default=0, ge=0, lt=MOST_POINTS, description="number of the first in the sequence"
    )

    @field_validator("box")
    @classmethod
    def _ends_are_finite(cls, value: dict[str, tuple[float, float]]) -> Any:
        for name, ends in value.items():
            if not all(map(math.isfinite, ends)):
                raise ValueError(f"{name}: range {ends[0]:g} … {ends[1]:g} is not finite")
        return value

    def table(self) -> dict[str, dict[str, float | complex]]:
        """Shifts of the points by their labels."""
        box = {str(name): ends for name, ends in self.box.items()}
        rows = sobol_points(box, self.number, self.first)
        return {sampled_label(self.first + n): dict(row) for n, row in enumerate(rows)}


class PointGroup(_Model):
    """Points that share their numbers of images: lists of shifts make a grid, or sampled ones."""

    shifts: dict[Coefficient, Shifts] | None = Field(
        default=None, min_length=1, description="shifts δC_i (dimensionless) by coefficient"
    )
    sobol: SobolPoints | None = Field(
        default=None, description="points of a Sobol sequence in a box, in place of shifts"
    )
    n_images: dict[Split, PositiveInt] = Field(
        min_length=1, description="images of each point, by split"
    )

    @model_validator(mode="after")
    def _interpolation_is_never_trained(self) -> "PointGroup":
        if "interpolation" in self.n_images and len(self.n_images) > 1:
            raise ValueError("interpolation points have no images in any other split")
        return self

    @model_validator(mode="after")
    def _has_one_kind_of_points(self) -> "PointGroup":
        if (self.shifts is None) == (self.sobol is None):
            raise ValueError("a group of points has either shifts or sobol")
        return self

    def points(self) -> list[dict[str, float | complex]]:
        """The shifts of every point of the group; floats where they are real."""
        if self.sobol is not None:
            return list(self.sobol.table().values())
        assert self.shifts is not None
        values = [
            [parse_shift(each) if isinstance(each, str) else each for each in given]
            for given in (v if isinstance(v, list) else [v] for v in self.shifts.values())
        ]
        return [dict(zip(self.shifts, row, strict=True)) for row in itertools.product(*values)]

    def labels(self) -> list[str]:
        """Labels of the points, in the order of `points`."""
        if self.sobol is not None:
            return list(self.sobol.table())
        return [point_label(shifts) for shifts in self.points()]


class GenerationSettings(_Model):
    """Which decay is generated, and what is written of it."""

    lepton: Literal["muon", "electron"] = Field(
        default="muon", description="the two leptons of the decay"
    )
    flavour: Literal["B0", "B0bar"] = Field(default="B0", description="flavour of the decays")
    antiparticle_shifts: Literal["equal", "conjugate"] = Field(
        default="equal",
        description="equal: both flavours decay with the same complex shifts, as in EvtGen; "
        "conjugate: a B0 decays with the complex conjugates of the shifts given",
    )
    four_momenta: bool = Field(
        default=False, description="write the four-momenta of B0, K, π and the leptons too"
    )
    frame: Literal["rest", "belle2"] = Field(
        default="rest",
        description="frame of the four-momenta: rest frame of the B0, or Belle II's laboratory",
    )

    @model_validator(mode="after")
    def _frame_is_that_of_something(self) -> "GenerationSettings":
        if self.frame != "rest" and not self.four_momenta:
            raise ValueError(
                f"frame: {self.frame} is that of four-momenta; set four_momenta: true as well"
            )
        return self


class ImageSettings(ImageSpecification):
    """How events become images, and how much of the events does."""

    fraction_of_events: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="part of each campaign's events that such images are made of",
    )

    @property
    def specification(self) -> ImageSpecification:
        """What the images are, whatever their number."""
        return ImageSpecification(**self.model_dump(exclude={"fraction_of_events"}))


class FigureSettings(_Model):
    """What the figures show."""

    shown_points: tuple[ShownPoint, ShownPoint] | None = Field(
        default=None,
        description="the two points in distributions, images and histograms: a shift δC9, a label "
        "such as c10_-1.00, or shifts such as {c10: -1.0}; null: δC9 = 0 and −2 or, where one of "
        "them has no test images, the first and the last point that has",
    )
    distributions_q2_gev2: tuple[float, float] = Field(
        default=(1.0, 6.0), description="q2 range of the distributions [GeV²]"
    )


class RunConfiguration(_Model):
    """The configuration of one run."""

    run: Name = Field(description="name of the run: everything is written to results/{run}/")
    seed: int = Field(ge=0, description="the run's seed")
    physics_inputs: Literal["evtgen-btosllnpr", "flavio"] = Field(
        default="evtgen-btosllnpr", description="set of Standard-Model inputs"
    )
    generation: GenerationSettings = GenerationSettings()
    points: list[PointGroup] = Field(min_length=1)
    images_per_campaign: dict[Split, PositiveInt] = Field(
        default={}, description="most images in one campaign (one seed, one file); default 200"
    )
    spare_events_fraction: float = Field(
        default=0.01, ge=0, description="events beyond what images need, to cover the q2 cuts"
    )
    keep_event_files: bool = Field(
        default=True,
        description="false: generated event files are deleted once they are voxelized and "
        "evaluated",
    )
    images: dict[Name, ImageSettings] = Field(min_length=1)
    estimators: dict[Name, EstimatorSettings] = Field(min_length=1)
    samples_table: str | None = Field(
        default="config/samples.tsv", description="table of external files, or null"
    )
    measure: list[str] | None = Field(
        default=None, description="samples to measure; null: every one of the table"
    )
    figures: FigureSettings = FigureSettings()
    scan: dict[Name, ScanSettings] = Field(
        default={}, description="hyperparameter scans, by the estimator whose settings they scan"
    )

    @model_validator(mode="after")
    def _names_fit(self) -> "RunConfiguration":
        for name, estimator in self.estimators.items():
            for image in estimator.images:
                if image not in self.images:
                    raise ValueError(
                        f"estimators.{name}.images: {image!r} is not under images"
                        + did_you_mean(image, self.images)
                    )
        seen: set[str] = set()
        for group in self.points:
            for label in group.labels():
                if label in seen:
                    hint = "; begin at another number (first)" if is_sampled(label) else ""
                    raise ValueError(f"points: {label} stands there twice{hint}")
                seen.add(label)
        for split in ("train", "validation") if self.image_estimators() else ():
            if not any(split in group.n_images for group in self.points):
                raise ValueError(f"points: no point has {split} images")
        self._flavours_fit()
        for name, fitted in self.event_estimators().items():
            self._shifts_vary(name, fitted)
        self._sampled_shifts_are_estimated()
        tested = self.labels("test")
        for label in self.shown_labels():
            if label not in tested:
                raise ValueError(
                    f"figures.shown_points: {label} is no point with test images"
                    + did_you_mean(label, tested)
                )
        self._scans_fit()
        return self

    def _scans_fit(self) -> None:
        scannable = self.image_estimators()
        for name, scan in self.scan.items():
            if name not in scannable:
                raise ValueError(
                    f"scan.{name}: is no estimator that is trained"
                    + (did_you_mean(name, scannable) if scannable else "")
                )
            try:
                check_scan(scannable[name], scan, did_you_mean)
            except ValueError as error:
                raise ValueError(f"scan.{name}.{error}") from error

    def _flavours_fit(self) -> None:
        for name, image in self.images.items():
            if image.flavour != self.generation.flavour:
                raise ValueError(
                    f"images.{name}.flavour: {image.flavour}, but the events that are generated "
                    f"are of generation.flavour: {self.generation.flavour}; set both alike"
                )

    def _shifts_vary(self, name: str, fitted: EventEstimatorSettings) -> None:
        """Refuse fitted shifts of whose response the ensembles could say nothing."""
        evaluated = [
            shift_vector(shifts)
            for group in self.points
            for shifts in group.points()
            if {"test", "interpolation"} & set(group.n_images)
        ]
        for parameter in fitted.coefficients:
            if len({float(parameter_values(each, [parameter])[0]) for each in evaluated}) < 2:
                raise ValueError(
                    f"estimators.{name}.coefficients: {parameter} is the same at all points with "
                    "test or interpolation images, so that its response cannot be told; take it "
                    "out or add points"
                )

    def _sampled_shifts_are_estimated(self) -> None:
        """Refuse estimators of fewer shifts than sampled points have: to them others are 0."""
        for group in self.points:
            if group.sobol is None or not {"test", "interpolation"} & set(group.n_images):
                continue
            for estimator in self.estimators:
                for name in group.sobol.box:
                    if name not in self.estimated(estimator):
                        raise ValueError(
                            f"points: the sobol points with test or interpolation images vary "
                            f"{name}, which estimator {estimator} does not estimate; "
                            + (
                                "train it at points that vary it"
                                if self.estimators[estimator].trains
                                else f"add it to estimators.{estimator}.coefficients"
                            )
                        )

    def _of_kind(self, *kinds: type[Kind]) -> dict[str, Kind]:
        return {name: each for name, each in self.estimators.items() if isinstance(each, kinds)}

    def trained_estimators(self) -> dict[str, NetworkEstimator]:
        """The networks that are trained epoch by epoch, by name."""
        return self._of_kind(NetworkEstimator)

    def voxel_sums(self) -> dict[str, VoxelSumEstimator]:
        """The networks that sum over voxels, by name."""
        return self._of_kind(VoxelSumEstimator)

    def image_estimators(self) -> dict[str, ImageEstimatorSettings]:
        """The estimators that read images, by name; they learn from those of the split train."""
        return self._of_kind(*get_args(ImageEstimatorSettings))

    def event_estimators(self) -> dict[str, EventEstimatorSettings]:
        """The estimators that read the images' events, by name: they are not trained."""
        return self._of_kind(*get_args(EventEstimatorSettings))

    def scanned_estimator(self, name: str) -> ImageEstimatorSettings:
        """A scanned estimator as its trials have it, but for what is scanned."""
        return with_settings(self.image_estimators()[name], self.scan[name].fixed)

    def scan_seed(self, name: str) -> int:
        """The seed of a scan's suggestions: its own, else the run's."""
        own = self.scan[name].seed
        return self.seed if own is None else own

    @cached_property
    def _points_table(self) -> dict[str, tuple[PointGroup, dict[str, float | complex]]]:
        return {
            label: (group, shifts)
            for group in self.points
            for label, shifts in zip(group.labels(), group.points(), strict=True)
        }

    def point_groups(self) -> dict[str, PointGroup]:
        """Every point's group by the point's label, in the order of the file."""
        return {label: group for label, (group, _) in self._points_table.items()}

    def point_shifts(self, point: str) -> dict[str, float | complex]:
        """The shifts of a point by its label; floats where they are real."""
        return dict(self._points_table[point][1])

    def labels(self, split: str) -> list[str]:
        """Labels of the points that have images in `split`, in the order of the file."""
        return [label for label, group in self.point_groups().items() if split in group.n_images]

    def shown_labels(self) -> list[str]:
        """Labels of the two points that distributions and histograms show; one if they agree."""
        shown = self.figures.shown_points
        if shown is None:
            labels = [point_label({"c9": value}) for value in (0.0, -2.0)]
            tested = self.labels("test")
            if tested and not set(labels) <= set(tested):
                labels = [tested[0], tested[-1]]
        else:
            labels = [_shown_label(each) for each in shown]
        return list(dict.fromkeys(labels))

    def shown_coefficient(self) -> str:
        """The real parameter in which the shown points differ; c9 if they do in it, or in none."""
        varying = self._varying(self.shown_labels())
        return "c9" if "c9" in varying or not varying else varying[0]

    def _varying(self, labels: Sequence[str]) -> list[str]:
        """Parameters of `PARAMETERS` that are not the same at all points, by their labels."""
        vectors = [shift_vector(self.point_shifts(label)) for label in labels]
        rows = [tuple(map(float, parameter_values(each))) for each in vectors]
        columns = zip(PARAMETERS, zip(*rows, strict=True), strict=False)
        return [name for name, values in columns if len(set(values)) > 1]

    def estimated(self, estimator: str) -> tuple[str, ...]:
        """Parameters that an estimator estimates: a network those that its training varies."""
        settings = self.estimators[estimator]
        if not isinstance(settings, ImageEstimatorSettings):
            return tuple(settings.coefficients)
        return tuple(name for name in self._varying(self.labels("train")) if name in COEFFICIENTS)

    def drawn_coefficient(self, estimators: Sequence[str]) -> str:
        """The one parameter that a figure of `estimators` shows.

        That of the shown points where one of them estimates it, else c9, else any that one does.
        """
        known = [name for each in estimators for name in self.estimated(each)]
        wanted = (self.shown_coefficient(), "c9")
        return next((name for name in wanted if name in known), known[0] if known else "c9")

    def compared_estimators(self, image: str) -> list[str]:
        """Estimators of an image specification that estimate what its comparison shows."""
        names = self.estimators_for(image)
        drawn = self.drawn_coefficient(names)
        return [name for name in names if drawn in self.estimated(name)]

    def joint_estimators(self, image: str) -> list[str]:
        """Estimators of an image specification that estimate the same several coefficients.

        Those of the first that estimates more than one.
        """
        names = self.estimators_for(image)
        estimated = {name: set(self.estimated(name)) for name in names}
        several = next((each for each in estimated.values() if len(each) > 1), None)
        return [name for name in names if estimated[name] == several]

    def estimators_for(self, image: str) -> list[str]:
        """Names of the estimators that image specification `image` is for."""
        return [name for name, estimator in self.estimators.items() if image in estimator.images]

    def luminosity_scan(self) -> list[tuple[str, str]]:
        """Image specifications and estimators of the figure that compares numbers of events.

        The specifications that differ from the first of them in nothing else, and the estimators
        that are for two of them or more. Empty where there are none.
        """
        kinds: dict[ImageSpecification, list[str]] = {}
        for name, image in self.images.items():
            kind = image.specification.model_copy(update={"events_per_image": 1})
            kinds.setdefault(kind, []).append(name)
        for names in kinds.values():
            distinct = {self.images[name].events_per_image: name for name in reversed(names)}
            scanned = [
                (image, estimator)
                for estimator, settings in self.estimators.items()
                if len(set(distinct.values()) & set(settings.images)) > 1
                for image in distinct.values()
                if image in settings.images
            ]
            drawn = self.drawn_coefficient([estimator for _, estimator in scanned])
            scanned = [each for each in scanned if drawn in self.estimated(each[1])]
            if scanned:
                return scanned
        return []

    def campaigns(self, point: str, split: str) -> list[str]:
        """Names of a point's campaigns in `split`: ``000``, ``001`` and so on."""
        return [f"{number:03d}" for number in range(len(self.campaign_images(point, split)))]

    def campaign_images(self, point: str, split: str) -> list[int]:
        """Images in each campaign of a point and split: full ones, then the rest."""
        total = self._points_table[point][0].n_images.get(split, 0)  # type: ignore[call-overload]
        size = self.images_per_campaign.get(split, 200)  # type: ignore[call-overload]
        full, rest = divmod(total, size)
        return [size] * full + ([rest] if rest else [])

    def campaign_events(self, point: str, split: str, campaign: str) -> int:
        """Events to generate for a campaign, before cuts: enough for its largest images."""
        largest = max(image.events_per_image for image in self.images.values())
        n_images = self.campaign_images(point, split)[int(campaign)]
        needed = n_images * largest
        # five standard deviations of the number cut away, for campaigns of few events
        spare = self.spare_events_fraction * needed
        return needed + round(spare + 5 * math.sqrt(spare)) + 1

    def images_in_campaign(self, image: str, point: str, split: str, campaign: str) -> int:
        """Images of specification `image` made of a campaign, at least one."""
        largest = max(each.events_per_image for each in self.images.values())
        events = self.campaign_images(point, split)[int(campaign)] * largest
        settings = self.images[image]
        return max(1, round(events * settings.fraction_of_events) // settings.events_per_image)


class SampleRow(_Model):
    """One row of samples.tsv: an external file, or several."""

    sample: Name = Field(description="name of the sample")
    path: str = Field(
        min_length=1,
        description="ROOT file, glob, or several separated by commas; relative to "
        "the folder that the workflow runs in",
    )
    tree: str = Field(default="", description="tree or ntuple in the file; empty: the only one")
    layout: Literal["auto", "variables", "four-momenta", "belle2", "particle-list"] = "auto"
    flavour: Literal["auto", "B0", "B0bar"] = Field(
        default="auto", description="flavour, where the file does not tell"
    )
    true_point: str = Field(default="", description="true shifts as a point label, if known")

    @field_validator("true_point")
    @classmethod
    def _is_a_label(cls, value: str) -> str:
        if value:
            try:
                parse_point(value)
            except UserError as error:
                raise ValueError(str(error)) from error
        return value

    def files(self) -> list[str]:
        """The sample's files: comma-separated paths and globs written out, globs sorted.

        Raises:
            UserError: a glob that no file matches.
        """
        import glob

        found: list[str] = []
        for pattern in (part.strip() for part in self.path.split(",")):
            # a path without wildcards stays: the workflow says what is missing
            matches = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
            if not matches:
                raise UserError(f"sample {self.sample!r}: no file matches {pattern}")
            found += matches
        return found

    def portable_path(self) -> str:
        """`path` for others to read: absolute paths, which tell of a host, cut to names."""
        from wilsonvox.provenance.record import portable_path

        parts = [part.strip() for part in self.path.split(",")]
        return ",".join(portable_path(part) if Path(part).is_absolute() else part for part in parts)


def _shown_label(point: float | str | dict[str, float | str]) -> str:
    if isinstance(point, str):
        return point
    shifts = point if isinstance(point, dict) else {"c9": point}
    return point_label({name: _parsed(each) for name, each in shifts.items()})


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """The end of a message about a wrong word: the nearest known one, or all of them."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


_MODELS: dict[str, type[BaseModel]] = {
    "points": PointGroup,
    "sobol": SobolPoints,
    "images": ImageSpecification,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "normalisation": Normalisation,
    "figures": FigureSettings,
    "generation": GenerationSettings,
    "scan": ScanSettings,
    "parameters": SearchRange,
}


def _of_other_architectures(key: str, architecture: str) -> str:
    """In words, which architectures have a key that this one lacks; empty where none has it."""
    others = [
        name
        for name, model in ESTIMATOR_MODELS.items()
        if key in model.model_fields and name != architecture
    ]
    if not others:
        return ""
    return f"no key of architecture {architecture}, but of {' and '.join(others)}"


def _unknown_key(location: list[str], architecture: str | None) -> str:
    """What is said of a key that is not known, with the nearest that is.

    Args:
        location: the keys above it, and itself.
        architecture: of the estimator that it stands under; none elsewhere.
    """
    key = location[-1]
    parents = [part for part in location[:-1] if part in _MODELS]
    if parents:
        known = list(_MODELS[parents[-1]].model_fields)
    elif architecture is not None:
        known = list(ESTIMATOR_MODELS[architecture].model_fields)
        elsewhere = _of_other_architectures(key, architecture)
        if elsewhere:
            return f"{elsewhere}; known are {', '.join(known)}"
    else:
        known = list(RunConfiguration.model_fields)
    return "unknown key" + did_you_mean(key, known)


def _explain(error: ValidationError, source: str) -> str:
    # a misspelt key shows as one that is missing, too: say the unknown ones first
    errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    first = errors[0]
    location = [str(part) for part in first["loc"]]
    architecture = None
    if len(location) > 2 and location[0] == "estimators" and location[2] in ESTIMATOR_MODELS:
        architecture = location.pop(2)  # pydantic's own word for which of the models it took
    message = first["msg"].removeprefix("Value error, ")
    if location[-1:] == ["[key]"] and first["type"] == "literal_error":
        location.pop()
        known = [word.strip(" '") for word in re.split(",| or ", first["ctx"]["expected"])]
        message = "unknown key" + did_you_mean(location[-1], known)
    elif first["type"] == "union_tag_invalid":
        location.append("architecture")
        given = first["ctx"]["tag"]
        message = f"{given!r} is unknown{did_you_mean(given, ESTIMATOR_MODELS)}"
    elif first["type"] == "extra_forbidden":
        message = _unknown_key(location, architecture)
    elif first["type"] == "missing":
        message = "is missing"
    elif not isinstance(first["input"], dict | list):
        message = f"{message} (got {first['input']!r})"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (
        f"{source}: {'.'.join(location)}: {message}{more}" if location else f"{source}: {message}"
    )


def parse_configuration(
    values: Mapping[str, Any], source: str = "configuration"
) -> RunConfiguration:
    """Validate a configuration given as a mapping.

    Raises:
        UserError: the first thing wrong, with its key and, for a typo, the nearest valid key.
    """
    try:
        return RunConfiguration.model_validate(dict(values))
    except ValidationError as error:
        raise UserError(_explain(error, source)) from error


def load_configuration(path: str | os.PathLike[str]) -> RunConfiguration:
    """Read and validate a YAML configuration.

    Raises:
        UserError: no such file, not YAML, or not valid.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a configuration; expected keys such as 'run' and 'points'")
    return parse_configuration(values, str(path))


def load_samples(path: str | os.PathLike[str]) -> dict[str, SampleRow]:
    """Read and validate a table of samples (tab-separated, with a header).

    Raises:
        UserError: no such file, a wrong column, value or a repeated name.
    """
    import csv

    columns = list(SampleRow.model_fields)
    rows: dict[str, SampleRow] = {}
    try:
        with Path(path).open(newline="") as handle:
            lines = [line for line in handle if line.strip() and not line.startswith("#")]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    reader = csv.DictReader(lines, delimiter="\t")
    for column in reader.fieldnames or ():
        if column not in columns:
            raise UserError(f"{path}: unknown column {column!r}{did_you_mean(column, columns)}")
    for number, values in enumerate(reader, start=1):
        given = {key: (value or "").strip() for key, value in values.items() if key is not None}
        given = {key: value for key, value in given.items() if value}
        try:
            row = SampleRow.model_validate(given)
        except ValidationError as error:
            raise UserError(_explain(error, f"{path}: row {number}")) from error
        if row.sample in rows:
            raise UserError(f"{path}: row {number}: sample {row.sample!r} stands there twice")
        rows[row.sample] = row
    return rows


def measured_samples(configuration: RunConfiguration) -> dict[str, SampleRow]:
    """The samples that a run measures, by name.

    Raises:
        UserError: the table is not valid, lacks a sample that `measure` names, or names a file
            that does not exist.
    """
    table = configuration.samples_table
    samples = {} if table is None else load_samples(table)
    names = list(samples) if configuration.measure is None else configuration.measure
    for name in names:
        if name not in samples:
            where = table or "samples_table (which is null)"
            raise UserError(
                f"measure: {name!r} is not a sample of {where}"
                + (did_you_mean(name, samples) if samples else "")
            )
    for name in names:
        try:
            missing = [path for path in samples[name].files() if not Path(path).is_file()]
        except UserError as error:
            raise UserError(f"{table}: {error}") from error
        if missing:
            raise UserError(f"{table}: sample {name!r}: path: there is no file {missing[0]}")
    return {name: samples[name] for name in names}


__all__ = [
    "COEFFICIENTS",
    "FigureSettings",
    "GenerationSettings",
    "PointGroup",
    "RunConfiguration",
    "SampleRow",
    "load_configuration",
    "load_samples",
    "measured_samples",
    "parse_configuration",
]
