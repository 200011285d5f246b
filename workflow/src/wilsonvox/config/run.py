"""The configuration of a run, and the consistency of its parts."""

import math
from collections.abc import Sequence
from functools import cached_property
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
    """Settings of the generated decay and of the event files."""

    lepton: Literal["muon", "electron"] = Field(default="muon", description="leptons of the decay")
    flavour: Literal["B0", "B0bar", "both"] = Field(
        default="B0",
        description="flavour of the decays; both: either one at random, with probability 1/2",
    )
    antiparticle_shifts: Literal["equal", "conjugate"] = Field(
        default="equal",
        description="equal: both flavours decay with the same complex shifts, as in EvtGen; "
        "conjugate: a B0 decays with the complex conjugates of the shifts given",
    )
    four_momenta: bool = Field(
        default=False, description="also write the four-momenta of B0, K, π and the leptons"
    )
    frame: Literal["rest", "belle2"] = Field(
        default="rest",
        description="frame of the four-momenta: rest frame of the B0, or Belle II's laboratory",
    )

    @model_validator(mode="after")
    def _check_flavour_rates(self) -> "GenerationSettings":
        if self.flavour == "both" and self.antiparticle_shifts != "equal":
            raise ValueError(
                "flavour: both needs antiparticle_shifts: equal; with conjugate shifts the rates "
                "of the two flavours may differ, and so may their numbers of events"
            )
        return self

    @model_validator(mode="after")
    def _check_frame(self) -> "GenerationSettings":
        if self.frame != "rest" and not self.four_momenta:
            raise ValueError(
                f"frame: {self.frame} applies to four-momenta; also set four_momenta: true"
            )
        return self


class ImageSettings(ImageSpecification):
    """Image specification, and the fraction of the events used for such images."""

    fraction_of_events: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="fraction of the events of each campaign from which such images are made",
    )

    @property
    def specification(self) -> ImageSpecification:
        """The specification of the images, without their number."""
        return ImageSpecification(**self.model_dump(exclude={"fraction_of_events"}))


class FigureSettings(StrictModel):
    """Settings of the figures."""

    shown_points: tuple[ShownPoint, ShownPoint] | None = Field(
        default=None,
        description="the two points in distributions, images and histograms: a shift δC9, a label "
        "such as c10_-1.00, or shifts such as {c10: -1.0}; null: δC9 = 0 and −2 or, if one of "
        "them has no test images, the first and the last point with test images",
    )
    distributions_q2_gev2: tuple[float, float] = Field(
        default=(1.0, 6.0), description="q2 range of the distributions [GeV²]"
    )
    linearity: Literal["mean", "gaussian"] = Field(
        default="mean",
        description="centre and width of each ensemble in the linearity figure: mean with σ_L and "
        "σ_R, or mean and σ of a fitted Gaussian",
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

    run: Name = Field(description="name of the run; all output goes to results/{run}/")
    seed: int = Field(ge=0, description="the run's seed")
    physics_inputs: Literal["evtgen-btosllnpr", "flavio"] = Field(
        default="evtgen-btosllnpr", description="set of Standard-Model inputs"
    )
    generation: GenerationSettings = GenerationSettings()
    points: list[PointGroup] = Field(
        default=[], description="required unless the run is only a global fit"
    )
    images_per_campaign: dict[Split, PositiveInt] = Field(
        default={},
        description="maximum number of images per campaign (one seed, one file); default 200",
    )
    spare_events_fraction: float = Field(
        default=0.01,
        ge=0,
        description="spare events, as a fraction of those needed, to cover the q2 cuts",
    )
    keep_event_files: bool = Field(
        default=True,
        description="false: delete generated event files once they are voxelized and evaluated",
    )
    images: dict[Name, ImageSettings] = Field(
        default={}, description="required unless the run is only a global fit"
    )
    estimators: dict[Name, EstimatorSettings] = Field(
        default={}, description="required unless the run is only a global fit"
    )
    samples_table: str | None = Field(
        default="config/samples.tsv", description="table of external files, or null"
    )
    measure: list[str] | None = Field(
        default=None, description="samples to measure; null: all samples of the table"
    )
    figures: FigureSettings = FigureSettings()
    scan: dict[Name, ScanSettings] = Field(
        default={}, description="hyperparameter scans, by the name of the scanned estimator"
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
                    hint = "; start at another number (first)" if is_sampled(label) else ""
                    raise ValueError(f"points: {label} is duplicated{hint}")
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
        """True if the run makes images, with or without a global fit."""
        return bool(self.points)

    @property
    def reads_samples(self) -> bool:
        """True if the run reads its table of samples; a run that is only a global fit does not."""
        return self.has_images and self.samples_table is not None

    def architectures(self) -> set[str]:
        """Return the architectures of all estimators."""
        return {each.architecture for each in self.estimators.values()}

    def _check_parts(self) -> None:
        """Require points, images and estimators unless the run is only a global fit."""
        parts = ("points", "images", "estimators")
        missing = [name for name in parts if not getattr(self, name)]
        if missing and (self.global_fit is None or len(missing) < len(parts)):
            raise ValueError(f"{missing[0]}: is missing")

    def _check_scans(self) -> None:
        scannable = self.image_estimators()
        for name, scan in self.scan.items():
            if name not in scannable:
                raise ValueError(
                    f"scan.{name}: is no trained estimator"
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
                    f"images.{name}.flavour: {image.flavour}, but generation.flavour is "
                    f"{generated}; set both to the same flavour"
                )
            fits = [fit for fit in self.event_estimators().values() if name in fit.images]
            if fits and (image.flavour == "both" or image.antiparticle_angles != "conjugate"):
                raise ValueError(
                    f"images.{name}: has flavour {image.flavour} and antiparticle_angles "
                    f"{image.antiparticle_angles}; the {fits[0].architecture} needs events of one "
                    "flavour, with antiparticle_angles: conjugate"
                )

    def _check_shifts_vary(self, name: str, fitted: EventEstimatorSettings) -> None:
        """Require at least two values of each fitted shift among the evaluated points."""
        evaluated = [
            shift_vector(shifts)
            for group in self.points
            for shifts in group.points()
            if {"test", "interpolation"} & set(group.n_images)
        ]
        for parameter in fitted.coefficients:
            if len({float(parameter_values(vector, [parameter])[0]) for vector in evaluated}) < 2:
                raise ValueError(
                    f"estimators.{name}.coefficients: {parameter} is the same at all points with "
                    "test or interpolation images, so that its response cannot be determined; "
                    "remove it or add points"
                )

    def _check_sampled_shifts(self) -> None:
        """Require every estimator to estimate all shifts varied by the sampled points.

        An estimator assumes that the shifts it does not estimate are 0.
        """
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
                                "train it at points that vary this shift"
                                if self.estimators[estimator].trains
                                else f"add it to estimators.{estimator}.coefficients"
                            )
                        )

    def _of_kind(self, *kinds: type[Kind]) -> dict[str, Kind]:
        return {
            name: estimator
            for name, estimator in self.estimators.items()
            if isinstance(estimator, kinds)
        }

    def trained_estimators(self) -> dict[str, NetworkEstimatorConfig]:
        """Return the networks trained in epochs, by name."""
        return self._of_kind(NetworkEstimatorConfig)

    def voxel_sums(self) -> dict[str, VoxelSumEstimatorConfig]:
        """Return the ``voxel-sum`` networks, by name."""
        return self._of_kind(VoxelSumEstimatorConfig)

    def image_estimators(self) -> dict[str, ImageEstimatorSettings]:
        """Return the estimators that read images, by name; all of them are trained."""
        return self._of_kind(*get_args(ImageEstimatorSettings))

    def event_estimators(self) -> dict[str, EventEstimatorSettings]:
        """Return the estimators that fit the events of each image, by name; none is trained."""
        return self._of_kind(*get_args(EventEstimatorSettings))

    def scanned_estimator(self, name: str) -> ImageEstimatorSettings:
        """Return the settings of a scanned estimator that all trials share."""
        return with_settings(self.image_estimators()[name], self.scan[name].fixed)

    def scan_seed(self, name: str) -> int:
        """Return the seed of a scan's suggestions: its own one, or else that of the run."""
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
        """Return the group of every point by the label of the point, in the order of the file."""
        return {label: group for label, (group, _) in self._points_table.items()}

    def point_shifts(self, point: str) -> dict[str, float | complex]:
        """Return the shifts (dimensionless) of a point by coefficient; real ones as floats."""
        return dict(self._points_table[point][1])

    def labels(self, split: str) -> list[str]:
        """Return the labels of the points with images in `split`, in the order of the file."""
        return [label for label, group in self.point_groups().items() if split in group.n_images]

    def shown_labels(self) -> list[str]:
        """Return the labels of the two points shown in figures; one label if they are equal."""
        shown = self.figures.shown_points
        if shown is None:
            labels = [point_label({"c9": value}) for value in (0.0, -2.0)]
            tested = self.labels("test")
            if tested and not set(labels) <= set(tested):
                labels = [tested[0], tested[-1]]
        else:
            labels = [shown_label(point) for point in shown]
        return list(dict.fromkeys(labels))

    def displayed_coefficient(self) -> str:
        """Return the real parameter in which the shown points differ.

        It is c9 if they differ in c9 or do not differ at all.
        """
        varying = self._varying(self.shown_labels())
        return "c9" if "c9" in varying or not varying else varying[0]

    def _varying(self, labels: Sequence[str]) -> list[str]:
        """Return those of `PARAMETERS` that differ among the points named by `labels`."""
        vectors = [shift_vector(self.point_shifts(label)) for label in labels]
        rows = [tuple(map(float, parameter_values(vector))) for vector in vectors]
        columns = zip(PARAMETERS, zip(*rows, strict=True), strict=False)
        return [name for name, values in columns if len(set(values)) > 1]

    def estimated(self, estimator: str) -> tuple[str, ...]:
        """Return the parameters that an estimator estimates.

        A network estimates the shifts that vary among its training points.
        """
        settings = self.estimators[estimator]
        if not isinstance(settings, ImageEstimatorSettings):
            return tuple(settings.coefficients)
        return tuple(name for name in self._varying(self.labels("train")) if name in COEFFICIENTS)

    def plotted_coefficient(self, estimators: Sequence[str]) -> str:
        """Return the parameter shown in a figure of `estimators`.

        It is the parameter in which the shown points differ if one of the estimators estimates it,
        or else c9, or else the first parameter that one of them estimates.
        """
        known = [name for estimator in estimators for name in self.estimated(estimator)]
        wanted = (self.displayed_coefficient(), "c9")
        return next((name for name in wanted if name in known), known[0] if known else "c9")

    def compared_estimators(self, image: str) -> list[str]:
        """Return the estimators of an image that estimate the parameter of its comparison."""
        names = self.estimators_for(image)
        drawn = self.plotted_coefficient(names)
        return [name for name in names if drawn in self.estimated(name)]

    def joint_estimators(self, image: str) -> list[str]:
        """Return the estimators of an image that estimate the same several coefficients.

        These are the coefficients of the first estimator with more than one.
        """
        names = self.estimators_for(image)
        estimated = {name: set(self.estimated(name)) for name in names}
        several = next(
            (parameters for parameters in estimated.values() if len(parameters) > 1), None
        )
        return [name for name in names if estimated[name] == several]

    def estimators_for(self, image: str) -> list[str]:
        """Return the names of the estimators that use the image specification `image`."""
        return [name for name, estimator in self.estimators.items() if image in estimator.images]

    def luminosity_scan(self) -> list[tuple[str, str]]:
        """Return pairs of image specification and estimator for the luminosity figure.

        The specifications differ only in the number of events per image, and each estimator uses
        at least two of them. The list is empty if there are none.
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
            scanned = [pair for pair in scanned if drawn in self.estimated(pair[1])]
            if scanned:
                return scanned
        return []

    def campaigns(self, point: str, split: str) -> list[str]:
        """Return the names of a point's campaigns in `split`: ``000``, ``001`` and so on."""
        return [f"{number:03d}" for number in range(len(self.campaign_images(point, split)))]

    def campaign_images(self, point: str, split: str) -> list[int]:
        """Return the number of images per campaign: full campaigns, then the remainder."""
        total = self._points_table[point][0].n_images.get(split, 0)  # type: ignore[call-overload]
        size = self.images_per_campaign.get(split, 200)  # type: ignore[call-overload]
        full, rest = divmod(total, size)
        return [size] * full + ([rest] if rest else [])

    def campaign_events(self, point: str, split: str, campaign: str) -> int:
        """Return the number of events to generate for a campaign, before any cut.

        It suffices for the image specification with the most events.
        """
        largest = max(map(self._events_of_image, self.images.values()))
        needed = self.campaign_images(point, split)[int(campaign)] * largest
        # five standard deviations of the number of rejected events, for small campaigns
        spare = self.spare_events_fraction * needed
        spare += 5 * math.sqrt(spare)
        if any(image.flavour != self.generation.flavour for image in self.images.values()):
            spare += 5 * math.sqrt(needed)  # and of the number of events of either flavour
        return needed + round(spare) + 1

    def _events_of_image(self, image: ImageSpecification) -> int:
        """Return the events generated per image: twice its own if one flavour of two is used."""
        return image.events_per_image * (1 if image.flavour == self.generation.flavour else 2)

    def images_in_campaign(self, image: str, point: str, split: str, campaign: str) -> int:
        """Return the number of images of specification `image` in a campaign, at least one."""
        largest = max(map(self._events_of_image, self.images.values()))
        events = self.campaign_images(point, split)[int(campaign)] * largest
        settings = self.images[image]
        own = self._events_of_image(settings)
        return max(1, round(events * settings.fraction_of_events) // own)
