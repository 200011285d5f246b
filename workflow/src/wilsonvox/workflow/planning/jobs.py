"""The jobs of a configuration, their files and how much each has to do, without Snakemake."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.estimators import EVENT_ARCHITECTURES, PREPARED_FILE, TRAINED_FILE
from wilsonvox.estimators.settings import (
    AngularLikelihoodSettings,
    EventEstimatorSettings,
    ImageEstimatorSettings,
    NetworkEstimatorConfig,
    VoxelSumEstimatorConfig,
)
from wilsonvox.estimators.voxel_sum.limits import IMAGES_PER_BATCH
from wilsonvox.events.event_file import CHUNK
from wilsonvox.theory.points import SPLITS
from wilsonvox.voxels.specification import ImageSpecification
from wilsonvox.workflow.planning.networks import NetworkSize, network_size, voxel_sum_size

Settings = TypeVar("Settings")

STAGES = {
    "theory": ("angular_coefficients", "image_information"),
    "events": ("generate_events",),
    "samples": ("ingest_events",),
    "voxels": ("voxelize", "voxelize_sample"),
    "models": ("train", "train_voxel_sum", "prepare_estimator"),
    "evaluation": ("evaluate", "evaluate_events", "summarize"),
    "measurements": ("measure", "measure_events"),
    "figures": (
        "plot_topology",
        "plot_distributions",
        "plot_voxels",
        "plot_information",
        "plot_network",
        "plot_training",
        "plot_histograms",
        "plot_linearity",
        "plot_linearity_unscaled",
        "plot_sensitivity",
        "plot_luminosity",
        "plot_corner",
    ),
}
"""Rules by stage. A stage's name is that of its folder in results/{run}/."""

EVALUATED = ("test", "interpolation")
"""Splits whose images are evaluated."""

PREDICTION_BATCH = 32
"""Images that are dense at a time in a prediction; as in
`wilsonvox.estimators.model_file`."""

COMPARED_BINS = (25, 50, 100)
"""Bins with which `wilsonvox information` compares those of an image."""

EXTERNAL_EVENT_BYTES = 58.6
"""Bytes of an event in the four-momenta file of resources/evtgen (3,630,075 B, 62,000 events).

Only a file's size is known before it is read; files with more columns have fewer events.
"""

BACKWARD = 2
"""Cost of a backward pass through a network in forward passes: a gradient of the weights and one
of the inputs."""


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    rule: that it is of
    wildcards: their values, in the order in which they stand in the names of log files
    outputs: paths relative to the folder that the workflow runs in
    amounts: how much it has to do, by the names that the rates are for
        (docs/user_guide/planning.md)
    temporary: whether the workflow deletes its outputs once they were used
    """

    rule: str
    wildcards: tuple[str, ...]
    outputs: tuple[str, ...]
    amounts: Mapping[str, float]
    temporary: bool = False

    def side_files(self, run: str) -> tuple[str, str]:
        """Paths of its log and of its benchmark file in run `run`."""
        name = "/".join((self.rule, *self.wildcards))
        return f"results/{run}/logs/{name}.log", f"results/{run}/benchmarks/{name}.tsv"


@dataclass(frozen=True)
class Training:
    """How much one training has to do, at most.

    images, validation_images: number of each
    epochs: most epochs; least_epochs: fewest, if the first epoch stays the best
    network: size of the network
    """

    image: str
    estimator: str
    images: int
    validation_images: int
    batch_size: int
    epochs: int
    least_epochs: int
    network: NetworkSize

    @property
    def passes(self) -> int:
        """Forward passes of one image in an epoch, a backward pass counted as `BACKWARD`."""
        used = self.images // min(self.batch_size, self.images) * min(self.batch_size, self.images)
        return used * (1 + BACKWARD) + self.validation_images


def occupied_voxels(image: ImageSpecification) -> float:
    """Voxels of an image with at least one event, for events spread evenly; decays have fewer.

    >>> round(occupied_voxels(ImageSpecification(bins=50, events_per_image=24_000)))
    21837
    """
    cells = image.bins**3
    return cells * -math.expm1(-image.events_per_image / cells)


def voxels_with_two(image: ImageSpecification) -> float:
    """Voxels of an image with two events, for events spread evenly; decays have more.

    >>> round(voxels_with_two(ImageSpecification(bins=50, events_per_image=24_000)))
    1902
    """
    expected = image.events_per_image / image.bins**3
    return image.bins**3 * expected**2 / 2 * math.exp(-expected)


class _Planner:
    """Jobs of one configuration; methods are named after the rules."""

    def __init__(self, configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> None:
        self.configuration = configuration
        self.samples = samples
        self.folder = f"results/{configuration.run}"
        shifts = [
            row
            for group in configuration.points
            for row in group.points()
            if "train" in group.n_images
        ]
        names = {name for row in shifts for name in row}
        self.n_outputs = sum(len({row.get(name, 0.0) for row in shifts}) > 1 for name in names)

    def _job(
        self,
        rule: str,
        wildcards: tuple[str, ...],
        outputs: tuple[str, ...],
        **amounts: float,
    ) -> Job:
        paths = tuple(f"{self.folder}/{path}" for path in outputs)
        temporary = rule == "generate_events" and not self.configuration.keep_event_files
        return Job(rule, wildcards, paths, {"job": 1.0, **amounts}, temporary)

    # ------------------------------------------------------------ events and images
    def campaigns(self) -> Iterator[tuple[str, str, str]]:
        """Split, point and campaign of every event file."""
        for split in SPLITS:
            for point in self.configuration.labels(split):
                for campaign in self.configuration.campaigns(point, split):
                    yield split, point, campaign

    def generate_events(self) -> Iterator[Job]:
        for split, point, campaign in self.campaigns():
            events = self.configuration.campaign_events(point, split, campaign)
            yield self._job(
                "generate_events",
                (split, point, campaign),
                (f"events/{split}/{point}/{campaign}.root",),
                events=events,
                chunk_events=min(events, CHUNK),
            )

    def images(self) -> Iterator[tuple[str, ImageSpecification]]:
        """The image specifications that an estimator is for; of the others nothing is made."""
        for image, specification in self.configuration.images.items():
            if self.configuration.estimators_for(image):
                yield image, specification

    def _image_amounts(
        self, specification: ImageSpecification, n_images: float, events: float
    ) -> dict[str, float]:
        return {
            "events": events,
            "chunk_events": min(events, CHUNK),
            "images": n_images,
            "cells": n_images * specification.bins**3,
            "voxels": n_images * occupied_voxels(specification),
        }

    def voxelize(self) -> Iterator[Job]:
        for image, specification in self.images():
            for split, point, campaign in self.campaigns():
                where = f"{split}/{point}/{campaign}"
                yield self._job(
                    "voxelize",
                    (image, split, point, campaign),
                    (f"voxels/{image}/{where}.npz",),
                    **self._image_amounts(
                        specification,
                        self.configuration.images_in_campaign(image, point, split, campaign),
                        self.configuration.campaign_events(point, split, campaign),
                    ),
                )

    def image_information(self) -> Iterator[Job]:
        """Events in a voxel, summed over binnings and points, are what is convolved."""
        for image, specification in self.images():
            bins = {specification.bins, *COMPARED_BINS}
            means = sum(1 + specification.events_per_image / each**3 for each in bins)
            yield self._job(
                "image_information",
                (image,),
                (f"theory/{image}/information.json",),
                convolutions=len(self.configuration.shown_labels()) * means,
            )

    def sample_bytes(self, sample: str) -> int:
        return sum(Path(path).stat().st_size for path in self.samples[sample].files())

    def ingest_events(self) -> Iterator[Job]:
        for sample in self.samples:
            size = self.sample_bytes(sample)
            yield self._job(
                "ingest_events",
                (sample,),
                (f"samples/{sample}.root",),
                input_bytes=size,
                events=size / EXTERNAL_EVENT_BYTES,
            )

    def sample_images(self, sample: str, specification: ImageSpecification) -> float:
        events = self.sample_bytes(sample) / EXTERNAL_EVENT_BYTES
        return max(events // specification.events_per_image, 1)

    def voxelize_sample(self) -> Iterator[Job]:
        """Of image specifications that a network reads; fits read a sample's events."""
        used = {image for image, *_ in self.image_estimators()}
        for image, specification in self.images():
            for sample in self.samples if image in used else ():
                yield self._job(
                    "voxelize_sample",
                    (image, sample),
                    (f"voxels/{image}/samples/{sample}.npz",),
                    **self._image_amounts(
                        specification,
                        self.sample_images(sample, specification),
                        self.sample_bytes(sample) / EXTERNAL_EVENT_BYTES,
                    ),
                )

    # ------------------------------------------------------------ estimators
    def each_with(
        self, known: Mapping[str, Settings]
    ) -> Iterator[tuple[str, str, ImageSpecification, Settings]]:
        """Image specifications with those of their estimators that are `known`, by name."""
        for image, specification in self.images():
            for estimator in self.configuration.estimators_for(image):
                if estimator in known:
                    yield image, estimator, specification, known[estimator]

    def networks(self) -> Iterator[tuple[str, str, ImageSpecification, NetworkEstimatorConfig]]:
        return self.each_with(self.configuration.trained_estimators())

    def image_estimators(
        self,
    ) -> Iterator[tuple[str, str, ImageSpecification, ImageEstimatorSettings]]:
        return self.each_with(self.configuration.image_estimators())

    def fits(self) -> Iterator[tuple[str, str, ImageSpecification, EventEstimatorSettings]]:
        return self.each_with(self.configuration.event_estimators())

    def size(
        self, specification: ImageSpecification, settings: ImageEstimatorSettings
    ) -> NetworkSize:
        if isinstance(settings, VoxelSumEstimatorConfig):
            return voxel_sum_size(
                specification.bins,
                occupied_voxels(specification),
                voxels_with_two(specification),
                len(self.configuration.labels("train")),
                self.n_outputs,
                settings,
            )
        return network_size(
            settings.architecture, specification.bins, self.n_outputs, settings.network
        )

    def n_images(self, image: str, split: str, points: list[str] | None = None) -> int:
        return sum(
            self.configuration.images_in_campaign(image, point, split, campaign)
            for point in points or self.configuration.labels(split)
            for campaign in self.configuration.campaigns(point, split)
        )

    def trainings(self) -> Iterator[Training]:
        for image, estimator, specification, settings in self.networks():
            training = settings.training
            yield Training(
                image,
                estimator,
                self.n_images(image, "train"),
                self.n_images(image, "validation"),
                training.batch_size,
                training.max_epochs,
                min(training.max_epochs, training.early_stopping_patience + 1),
                self.size(specification, settings),
            )

    def largest_campaign(self, image: str) -> int:
        """Images in the largest shard that a training reads."""
        return max(
            self.configuration.images_in_campaign(image, point, split, campaign)
            for split in ("train", "validation")
            for point in self.configuration.labels(split)
            for campaign in self.configuration.campaigns(point, split)
        )

    def train(self) -> Iterator[Job]:
        for each in self.trainings():
            images = each.images + each.validation_images
            specification = self.configuration.images[each.image]
            folder = f"models/{each.image}/{each.estimator}"
            network = each.network
            yield self._job(
                "train",
                (each.image, each.estimator),
                (f"{folder}/{TRAINED_FILE}", f"{folder}/history.csv"),
                images=images,
                shard_voxels=self.largest_campaign(each.image) * occupied_voxels(specification),
                element_passes=each.epochs * each.passes * network.elements,
                multiply_accumulates=each.epochs * each.passes * network.multiply_accumulates,
                epochs=each.epochs,
                parameters=network.parameters,
                parameter_epochs=each.epochs * network.parameters,
                batch_elements=min(each.batch_size, each.images) * network.elements,
            )

    def train_voxel_sum(self) -> Iterator[Job]:
        for image, estimator, specification, settings in self.each_with(
            self.configuration.voxel_sums()
        ):
            n_images = self.n_images(image, "train")
            validated = self.n_images(image, "validation")
            network = self.size(specification, settings)
            yield self._job(
                "train_voxel_sum",
                (image, estimator),
                (f"models/{image}/{estimator}/{TRAINED_FILE}",),
                images=n_images + validated,
                voxels=n_images * occupied_voxels(specification),
                shard_voxels=self.largest_campaign(image) * occupied_voxels(specification),
                voxel_elements=(n_images + validated) * network.elements,
                batch_elements=IMAGES_PER_BATCH * network.elements,
                parameters=network.parameters,
            )

    def _fit_amounts(self, events: float, settings: EventEstimatorSettings) -> dict[str, float]:
        """Terms of the polynomials of `events` events, under the name of the fit's architecture."""
        n = len(settings.coefficients)
        terms = events * (n + 1) * (n + 2) / 2
        return {
            f"{name.replace('-', '_')}_terms": terms if name == settings.architecture else 0.0
            for name in EVENT_ARCHITECTURES
        }

    def prepare_estimator(self) -> Iterator[Job]:
        for image, estimator, _, settings in self.fits():
            bins = (
                len(settings.q2_bins_gev2) if isinstance(settings, AngularLikelihoodSettings) else 1
            )
            yield self._job(
                "prepare_estimator",
                (image, estimator),
                (f"models/{image}/{estimator}/{PREPARED_FILE}",),
                **self._fit_amounts(bins, settings),
            )

    def _prediction_amounts(
        self, n_images: float, specification: ImageSpecification, settings: ImageEstimatorSettings
    ) -> dict[str, float]:
        network = self.size(specification, settings)
        # a cheap operation on a voxel costs more than one on a dense array
        sums = isinstance(settings, VoxelSumEstimatorConfig)
        batch = IMAGES_PER_BATCH if sums else PREDICTION_BATCH
        return {
            "images": n_images,
            "voxels": n_images * occupied_voxels(specification),
            "element_passes": 0.0 if sums else n_images * network.elements,
            "multiply_accumulates": 0.0 if sums else n_images * network.multiply_accumulates,
            "voxel_elements": n_images * network.elements if sums else 0.0,
            "parameters": network.parameters,
            "batch_elements": min(n_images, batch) * network.elements,
        }

    def evaluate(self) -> Iterator[Job]:
        for image, estimator, specification, settings in self.image_estimators():
            for split in EVALUATED:
                for point in self.configuration.labels(split):
                    n_images = self.n_images(image, split, [point])
                    yield self._job(
                        "evaluate",
                        (image, estimator, split, point),
                        (f"evaluation/{image}/{estimator}/{split}/{point}.parquet",),
                        **self._prediction_amounts(n_images, specification, settings),
                    )

    def evaluate_events(self) -> Iterator[Job]:
        for image, estimator, specification, settings in self.fits():
            for split in EVALUATED:
                for point in self.configuration.labels(split):
                    n_images = self.n_images(image, split, [point])
                    events = sum(
                        self.configuration.campaign_events(point, split, campaign)
                        for campaign in self.configuration.campaigns(point, split)
                    )
                    fitted = n_images * specification.events_per_image
                    yield self._job(
                        "evaluate_events",
                        (image, estimator, split, point),
                        (f"evaluation/{image}/{estimator}/{split}/{point}.parquet",),
                        images=n_images,
                        voxels=n_images * occupied_voxels(specification),
                        events=events,
                        chunk_events=min(events, CHUNK),
                        **self._fit_amounts(fitted, settings),
                    )

    def _ensembles(self, image: str) -> dict[str, float]:
        return {
            "points": sum(len(self.configuration.labels(split)) for split in EVALUATED),
            "predictions": sum(self.n_images(image, split) for split in EVALUATED),
        }

    def estimators(self) -> Iterator[tuple[str, str]]:
        for image, _ in self.images():
            for estimator in self.configuration.estimators_for(image):
                yield image, estimator

    def summarize(self) -> Iterator[Job]:
        for image, estimator in self.estimators():
            folder = f"evaluation/{image}/{estimator}"
            yield self._job(
                "summarize",
                (image, estimator),
                (f"{folder}/summary.parquet", f"{folder}/summary.csv"),
                **self._ensembles(image),
            )

    def measure(self) -> Iterator[Job]:
        for image, estimator, specification, settings in self.image_estimators():
            for sample in self.samples:
                n_images = self.sample_images(sample, specification)
                yield self._job(
                    "measure",
                    (image, estimator, sample),
                    (f"measurements/{image}/{estimator}/{sample}.json",),
                    **self._ensembles(image),
                    **self._prediction_amounts(n_images, specification, settings),
                )

    def measure_events(self) -> Iterator[Job]:
        for image, estimator, specification, settings in self.fits():
            for sample in self.samples:
                n_images = self.sample_images(sample, specification)
                events = self.sample_bytes(sample) / EXTERNAL_EVENT_BYTES
                yield self._job(
                    "measure_events",
                    (image, estimator, sample),
                    (f"measurements/{image}/{estimator}/{sample}.json",),
                    **self._ensembles(image),
                    **self._image_amounts(specification, n_images, events),
                    **self._fit_amounts(n_images * specification.events_per_image, settings),
                )

    # ------------------------------------------------------------ figures
    def figures(self) -> Iterator[Job]:
        configuration = self.configuration
        shown = configuration.shown_labels()
        events = sum(configuration.campaign_events(point, "test", "000") for point in shown)
        yield self._figure("topology", ())
        yield self._figure("distributions", (), events=events)
        if scan := configuration.luminosity_scan():
            yield self._figure("luminosity", (), estimators=len(scan))
        for image, specification in self.images():
            n_images = sum(
                configuration.images_in_campaign(image, point, "test", "000") for point in shown
            )
            voxels = n_images * occupied_voxels(specification)
            drawn = len(shown) * occupied_voxels(specification)
            yield self._figure("voxels", (image,), voxels=voxels, drawn_voxels=drawn)
            yield self._figure("information", (image,))
            ensembles = self._ensembles(image)
            estimators = configuration.estimators_for(image)
            trained = configuration.trained_estimators()
            yield self._figure("sensitivity", (image,), estimators=len(estimators))
            joint = configuration.joint_estimators(image)
            for sample in self.samples if joint else ():
                yield self._job(
                    "plot_corner",
                    (image, sample),
                    tuple(f"figures/{image}/corner/{sample}.{end}" for end in ("pdf", "png")),
                    estimators=len(joint),
                )
            for estimator in estimators:
                where = (image, estimator)
                if estimator in trained:
                    network = self.size(specification, trained[estimator])
                    yield self._figure("network", where, parameters=network.parameters)
                    yield self._figure("training", where, **ensembles)
                for name in ("histograms", "linearity", "linearity_unscaled"):
                    yield self._figure(name, where, **ensembles)

    def _figure(self, name: str, wildcards: tuple[str, ...], **amounts: float) -> Job:
        path = "/".join(("figures", *wildcards, name))
        return self._job(f"plot_{name}", wildcards, (f"{path}.pdf", f"{path}.png"), **amounts)

    def jobs(self) -> Iterator[Job]:
        yield self._job("angular_coefficients", (), ("theory/angular_coefficients.npz",))
        yield from self.image_information()
        yield from self.generate_events()
        yield from self.ingest_events()
        yield from self.voxelize()
        yield from self.voxelize_sample()
        yield from self.train()
        yield from self.train_voxel_sum()
        yield from self.prepare_estimator()
        yield from self.evaluate()
        yield from self.evaluate_events()
        yield from self.summarize()
        yield from self.measure()
        yield from self.measure_events()
        yield from self.figures()


def planned(configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> list[Job]:
    """All jobs of a run from an empty folder, the targets of `all`, by stage.

    Args:
        configuration: of the run.
        samples: that it measures, by name; their files are looked at for their sizes.
    """
    return list(_Planner(configuration, samples).jobs())


def trainings(configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> list[Training]:
    """The trainings of a run, in the order of its images and estimators."""
    return list(_Planner(configuration, samples).trainings())
