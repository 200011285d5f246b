"""The configuration of a run: its parts, and what has to fit together."""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import ConfigDict, Field, model_validator

from wilsonvox.config.base import Name, PositiveInt, Split
from wilsonvox.config.global_fit import GlobalFitSettings
from wilsonvox.config.points import PointGroup, ShownPoint, shown_label
from wilsonvox.core.models import StrictModel
from wilsonvox.core.suggestions import did_you_mean
from wilsonvox.estimators.settings import (
    EstimatorSettings,
    EventEstimatorSettings,
    ImageEstimatorSettings,
    NetworkEstimatorConfig,
    VoxelSumEstimatorConfig,
)
from wilsonvox.theory.points import (
    COEFFICIENTS,
    PARAMETERS,
    is_sampled,
    parameter_values,
    point_label,
    shift_vector,
)
from wilsonvox.training.scan.settings import ScanSettings
from wilsonvox.training.scan.space import check_scan, with_settings
from wilsonvox.voxels.specification import ImageSpecification

Kind = TypeVar("Kind")


class GenerationSettings(StrictModel):
    """Which decay is generated, and what is written of it."""

    lepton: Literal["muon", "electron"] = Field(
        default="muon", description="the two leptons of the decay"
    )
    flavour: Literal["B0", "B0bar", "both"] = Field(
        default="B0", description="flavour of the decays; both: each of either, at random"
    )
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
    def _check_flavour_rates(self) -> "GenerationSettings":
        if self.flavour == "both" and self.antiparticle_shifts != "equal":
            raise ValueError(
                "flavour: both is for antiparticle_shifts: equal; with conjugate ones the "
                "flavours' rates may differ, and with them how many there are of each"
            )
        return self

    @model_validator(mode="after")
    def _check_frame(self) -> "GenerationSettings":
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


class FigureSettings(StrictModel):
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
    linearity: Literal["mean", "gaussian"] = Field(
        default="mean",
        description="what the linearity shows of each ensemble: its mean with σ_L and σ_R, or mean "
        "and σ of a Gaussian fitted to it",
    )


class RunConfiguration(StrictModel):
    """The configuration of one run."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["points", "images", "estimators"]},
                {"required": ["global_fit"]},
            ]
        }
    )

    run: Name = Field(description="name of the run: everything is written to results/{run}/")
    seed: int = Field(ge=0, description="the run's seed")
    physics_inputs: Literal["evtgen-btosllnpr", "flavio"] = Field(
        default="evtgen-btosllnpr", description="set of Standard-Model inputs"
    )
    generation: GenerationSettings = GenerationSettings()
    points: list[PointGroup] = Field(default=[], description="needed but for a global fit alone")
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
    images: dict[Name, ImageSettings] = Field(
        default={}, description="needed but for a global fit alone"
    )
    estimators: dict[Name, EstimatorSettings] = Field(
        default={}, description="needed but for a global fit alone"
    )
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
    global_fit: GlobalFitSettings | None = Field(
        default=None, description="a fit of δC9 and δC10 to binned observables"
    )

    @model_validator(mode="after")
    def _check_references(self) -> "RunConfiguration":
        self._check_parts()
        if self.has_images:
            self._check_images()
        self._check_scans()
        return self

    def _check_images(self) -> None:
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
        self._check_flavours()
        for name, fitted in self.event_estimators().items():
            self._check_shifts_vary(name, fitted)
        self._check_sampled_shifts()
        tested = self.labels("test")
        for label in self.shown_labels():
            if label not in tested:
                raise ValueError(
                    f"figures.shown_points: {label} is no point with test images"
                    + did_you_mean(label, tested)
                )

    @property
    def has_images(self) -> bool:
        """Whether it has the parts that `all` is made of, beside or without a global fit."""
        return bool(self.points)

    @property
    def reads_samples(self) -> bool:
        """Whether it reads its table of samples; a global fit alone measures none of them."""
        return self.has_images and self.samples_table is not None

    def architectures(self) -> set[str]:
        """Return the architectures of all estimators."""
        return {each.architecture for each in self.estimators.values()}

    def _check_parts(self) -> None:
        """Refuse a run without points, images and estimators, unless it has a global fit alone."""
        parts = ("points", "images", "estimators")
        missing = [name for name in parts if not getattr(self, name)]
        if missing and (self.global_fit is None or len(missing) < len(parts)):
            raise ValueError(f"{missing[0]}: is missing")

    def _check_scans(self) -> None:
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

    def _check_flavours(self) -> None:
        generated = self.generation.flavour
        for name, image in self.images.items():
            if generated not in (image.flavour, "both"):
                raise ValueError(
                    f"images.{name}.flavour: {image.flavour}, but the events that are generated "
                    f"are of generation.flavour: {generated}; set both alike"
                )
            fits = [each for each in self.event_estimators().values() if name in each.images]
            if fits and (image.flavour == "both" or image.antiparticle_angles != "conjugate"):
                raise ValueError(
                    f"images.{name}: is of flavour {image.flavour} with antiparticle_angles "
                    f"{image.antiparticle_angles}; the {fits[0].architecture} reads events of one "
                    "flavour with the angles of its own decay"
                )

    def _check_shifts_vary(self, name: str, fitted: EventEstimatorSettings) -> None:
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

    def _check_sampled_shifts(self) -> None:
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

    def trained_estimators(self) -> dict[str, NetworkEstimatorConfig]:
        """The networks that are trained epoch by epoch, by name."""
        return self._of_kind(NetworkEstimatorConfig)

    def voxel_sums(self) -> dict[str, VoxelSumEstimatorConfig]:
        """The networks that sum over voxels, by name."""
        return self._of_kind(VoxelSumEstimatorConfig)

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
            labels = [shown_label(each) for each in shown]
        return list(dict.fromkeys(labels))

    def displayed_coefficient(self) -> str:
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

    def plotted_coefficient(self, estimators: Sequence[str]) -> str:
        """The one parameter that a figure of `estimators` shows.

        That of the shown points where one of them estimates it, else c9, else any that one does.
        """
        known = [name for each in estimators for name in self.estimated(each)]
        wanted = (self.displayed_coefficient(), "c9")
        return next((name for name in wanted if name in known), known[0] if known else "c9")

    def compared_estimators(self, image: str) -> list[str]:
        """Estimators of an image specification that estimate what its comparison shows."""
        names = self.estimators_for(image)
        drawn = self.plotted_coefficient(names)
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
            drawn = self.plotted_coefficient([estimator for _, estimator in scanned])
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
        largest = max(map(self._events_of_image, self.images.values()))
        needed = self.campaign_images(point, split)[int(campaign)] * largest
        # five standard deviations of the number cut away, for campaigns of few events
        spare = self.spare_events_fraction * needed
        spare += 5 * math.sqrt(spare)
        if any(image.flavour != self.generation.flavour for image in self.images.values()):
            spare += 5 * math.sqrt(needed)  # and of the number of either flavour
        return needed + round(spare) + 1

    def _events_of_image(self, image: ImageSpecification) -> int:
        """Events generated for one image: twice its own where it is of one flavour of two."""
        return image.events_per_image * (1 if image.flavour == self.generation.flavour else 2)

    def images_in_campaign(self, image: str, point: str, split: str, campaign: str) -> int:
        """Images of specification `image` made of a campaign, at least one."""
        largest = max(map(self._events_of_image, self.images.values()))
        events = self.campaign_images(point, split)[int(campaign)] * largest
        settings = self.images[image]
        own = self._events_of_image(settings)
        return max(1, round(events * settings.fraction_of_events) // own)
