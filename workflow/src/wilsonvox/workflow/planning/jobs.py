"""The jobs of a run, from the table of stages, and the amounts of work of each."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow
from wilsonvox.estimators import EVENT_ARCHITECTURES
from wilsonvox.estimators.model_file import PREDICTION_BATCH
from wilsonvox.estimators.settings import AngularLikelihoodSettings, VoxelSumEstimatorConfig
from wilsonvox.estimators.voxel_sum.limits import IMAGES_PER_BATCH
from wilsonvox.events.event_file import CHUNK
from wilsonvox.stages.estimators import EVALUATED_SPLITS
from wilsonvox.stages.graph import Job
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES, job_paths, jobs_behind
from wilsonvox.stages.targets import jobs_of_all
from wilsonvox.voxels.specification import ImageSpecification
from wilsonvox.workflow.planning.networks import NetworkSize, network_size, voxel_sum_size

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
class PlannedJob:
    """A job of the workflow with its amounts of work.

    rule: rule of the job
    wildcards: values of the wildcards, in the order in which they stand in the names of log files
    outputs: paths relative to the folder that the workflow runs in
    amounts: how much it has to do, by the names that the rates are for
        (docs/user_guide/planning.md)
    temporary: whether the workflow deletes the outputs once they were used
    group: first folder of the outputs in the folder of the run
    """

    rule: str
    wildcards: tuple[str, ...]
    outputs: tuple[str, ...]
    amounts: Mapping[str, float]
    temporary: bool = False
    group: str = ""

    def side_files(self, run: str) -> tuple[str, str]:
        """Paths of its log and of its benchmark file in run `run`."""
        name = "/".join((self.rule, *self.wildcards))
        return f"results/{run}/logs/{name}.log", f"results/{run}/benchmarks/{name}.tsv"


@dataclass(frozen=True)
class Training:
    """Upper limit of the work of one training.

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


@dataclass(frozen=True)
class Work:
    """Amounts of work of the jobs of a run, by stage.

    Methods are named after the stages and take the wildcards of a job.
    """

    run: Run

    @property
    def configuration(self) -> RunConfiguration:
        """Configuration of the run."""
        return self.run.configuration

    def amounts(self, job: Job) -> dict[str, float]:
        """Return the amounts of work of a job; every job counts as one ``job``."""
        method = getattr(self, job.stage, None)
        return {"job": 1.0, **(method(**job.wildcards) if method else {})}

    # ------------------------------------------------------------ events and images
    def _image(self, image: str) -> ImageSpecification:
        return self.configuration.images[image]

    def _image_amounts(self, image: str, n_images: float, events: float) -> dict[str, float]:
        specification = self._image(image)
        return {
            "events": events,
            "chunk_events": min(events, CHUNK),
            "images": n_images,
            "cells": n_images * specification.bins**3,
            "voxels": n_images * occupied_voxels(specification),
        }

    def image_information(self, image: str) -> dict[str, float]:
        """Events per voxel, summed over binnings and points, that are convolved."""
        specification = self._image(image)
        bins = {specification.bins, *COMPARED_BINS}
        means = sum(1 + specification.events_per_image / number**3 for number in bins)
        return {"convolutions": len(self.configuration.shown_labels()) * means}

    def generate_events(self, split: str, point: str, campaign: str) -> dict[str, float]:
        """Events of a campaign."""
        events = self.configuration.campaign_events(point, split, campaign)
        return {"events": events, "chunk_events": min(events, CHUNK)}

    def voxelize(self, image: str, split: str, point: str, campaign: str) -> dict[str, float]:
        """Events, images and voxels of a campaign."""
        n_images = self.configuration.images_in_campaign(image, point, split, campaign)
        events = self.configuration.campaign_events(point, split, campaign)
        return self._image_amounts(image, n_images, events)

    def _sample_bytes(self, sample: str) -> int:
        return sum(Path(path).stat().st_size for path in self.run.samples[sample].files())

    def _sample_events(self, sample: str) -> float:
        return self._sample_bytes(sample) / EXTERNAL_EVENT_BYTES

    def _sample_images(self, image: str, sample: str) -> float:
        return max(self._sample_events(sample) // self._image(image).events_per_image, 1)

    def ingest_events(self, sample: str) -> dict[str, float]:
        """Bytes and events of the files of a sample."""
        return {"input_bytes": self._sample_bytes(sample), "events": self._sample_events(sample)}

    def voxelize_sample(self, image: str, sample: str) -> dict[str, float]:
        """Events, images and voxels of a sample."""
        n_images, events = self._sample_images(image, sample), self._sample_events(sample)
        return self._image_amounts(image, n_images, events)

    # ------------------------------------------------------------ estimators
    @cached_property
    def _n_outputs(self) -> int:
        shifts = [
            row
            for group in self.configuration.points
            for row in group.points()
            if "train" in group.n_images
        ]
        names = {name for row in shifts for name in row}
        return sum(len({row.get(name, 0.0) for row in shifts}) > 1 for name in names)

    def network(self, image: str, estimator: str) -> NetworkSize:
        """Return the size of an estimator that reads images."""
        specification = self._image(image)
        settings = self.configuration.image_estimators()[estimator]
        if isinstance(settings, VoxelSumEstimatorConfig):
            return voxel_sum_size(
                specification.bins,
                occupied_voxels(specification),
                voxels_with_two(specification),
                len(self.configuration.labels("train")),
                self._n_outputs,
                settings,
            )
        return network_size(
            settings.architecture, specification.bins, self._n_outputs, settings.network
        )

    def n_images(self, image: str, split: str, points: Iterable[str] | None = None) -> int:
        """Return the number of images of a split, at all points or at some."""
        return sum(
            self.configuration.images_in_campaign(image, point, split, campaign)
            for point in points or self.configuration.labels(split)
            for campaign in self.configuration.campaigns(point, split)
        )

    def training(self, image: str, estimator: str) -> Training:
        """Return the amounts of work of a network's training."""
        training = self.configuration.trained_estimators()[estimator].training
        return Training(
            image,
            estimator,
            self.n_images(image, "train"),
            self.n_images(image, "validation"),
            training.batch_size,
            training.max_epochs,
            min(training.max_epochs, training.early_stopping_patience + 1),
            self.network(image, estimator),
        )

    def _shard_voxels(self, image: str) -> float:
        """Voxels of the largest shard that a training reads."""
        largest = max(
            self.configuration.images_in_campaign(image, point, split, campaign)
            for split in ("train", "validation")
            for point in self.configuration.labels(split)
            for campaign in self.configuration.campaigns(point, split)
        )
        return largest * occupied_voxels(self._image(image))

    def train(self, image: str, estimator: str) -> dict[str, float]:
        """Passes through a network in all epochs."""
        training = self.training(image, estimator)
        network, epochs = training.network, training.epochs
        return {
            "images": training.images + training.validation_images,
            "shard_voxels": self._shard_voxels(image),
            "element_passes": epochs * training.passes * network.elements,
            "multiply_accumulates": epochs * training.passes * network.multiply_accumulates,
            "epochs": epochs,
            "parameters": network.parameters,
            "parameter_epochs": epochs * network.parameters,
            "batch_elements": min(training.batch_size, training.images) * network.elements,
        }

    def train_voxel_sum(self, image: str, estimator: str) -> dict[str, float]:
        """Voxels of all images, and elements of the network."""
        n_images, validated = self.n_images(image, "train"), self.n_images(image, "validation")
        network = self.network(image, estimator)
        return {
            "images": n_images + validated,
            "voxels": n_images * occupied_voxels(self._image(image)),
            "shard_voxels": self._shard_voxels(image),
            "voxel_elements": (n_images + validated) * network.elements,
            "batch_elements": IMAGES_PER_BATCH * network.elements,
            "parameters": network.parameters,
        }

    def _fit_amounts(self, events: float, estimator: str) -> dict[str, float]:
        """Terms of the polynomials of some events, under the name of the fit's architecture."""
        settings = self.configuration.event_estimators()[estimator]
        n = len(settings.coefficients)
        terms = events * (n + 1) * (n + 2) / 2
        return {
            f"{name.replace('-', '_')}_terms": terms if name == settings.architecture else 0.0
            for name in EVENT_ARCHITECTURES
        }

    def prepare_estimator(self, image: str, estimator: str) -> dict[str, float]:  # noqa: ARG002
        """Terms of the polynomials of each bin."""
        settings = self.configuration.event_estimators()[estimator]
        bins = len(settings.q2_bins_gev2) if isinstance(settings, AngularLikelihoodSettings) else 1
        return self._fit_amounts(bins, estimator)

    def _prediction_amounts(self, n_images: float, image: str, estimator: str) -> dict[str, float]:
        network = self.network(image, estimator)
        # a cheap operation on a voxel costs more than one on a dense array
        sums = estimator in self.configuration.voxel_sums()
        batch = IMAGES_PER_BATCH if sums else PREDICTION_BATCH
        return {
            "images": n_images,
            "voxels": n_images * occupied_voxels(self._image(image)),
            "element_passes": 0.0 if sums else n_images * network.elements,
            "multiply_accumulates": 0.0 if sums else n_images * network.multiply_accumulates,
            "voxel_elements": n_images * network.elements if sums else 0.0,
            "parameters": network.parameters,
            "batch_elements": min(n_images, batch) * network.elements,
        }

    def evaluate(self, image: str, estimator: str, split: str, point: str) -> dict[str, float]:
        """Passes of a point's images through a network."""
        return self._prediction_amounts(self.n_images(image, split, [point]), image, estimator)

    def evaluate_events(
        self, image: str, estimator: str, split: str, point: str
    ) -> dict[str, float]:
        """Events of a point, and terms of their polynomials."""
        specification = self._image(image)
        n_images = self.n_images(image, split, [point])
        events = sum(
            self.configuration.campaign_events(point, split, campaign)
            for campaign in self.configuration.campaigns(point, split)
        )
        return {
            "images": n_images,
            "voxels": n_images * occupied_voxels(specification),
            "events": events,
            "chunk_events": min(events, CHUNK),
            **self._fit_amounts(n_images * specification.events_per_image, estimator),
        }

    def _ensembles(self, image: str) -> dict[str, float]:
        return {
            "points": sum(len(self.configuration.labels(split)) for split in EVALUATED_SPLITS),
            "predictions": sum(self.n_images(image, split) for split in EVALUATED_SPLITS),
        }

    def summarize(self, image: str, estimator: str) -> dict[str, float]:  # noqa: ARG002
        """Points and predictions."""
        return self._ensembles(image)

    def measure(self, image: str, estimator: str, sample: str) -> dict[str, float]:
        """Predictions of all ensembles and of the sample's images."""
        n_images = self._sample_images(image, sample)
        return self._ensembles(image) | self._prediction_amounts(n_images, image, estimator)

    def measure_events(self, image: str, estimator: str, sample: str) -> dict[str, float]:
        """Predictions of all ensembles, and terms of the sample's events."""
        n_images = self._sample_images(image, sample)
        fitted = n_images * self._image(image).events_per_image
        return (
            self._ensembles(image)
            | self._image_amounts(image, n_images, self._sample_events(sample))
            | self._fit_amounts(fitted, estimator)
        )

    # ------------------------------------------------------------ figures
    def plot_distributions(self) -> dict[str, float]:
        """Events of the shown campaigns."""
        points = self.configuration.shown_labels()
        files = (self.configuration.campaign_events(point, "test", "000") for point in points)
        return {"events": sum(files)}

    def plot_luminosity(self) -> dict[str, float]:
        """Estimators and images that are compared."""
        return {"estimators": len(self.configuration.luminosity_scan())}

    def plot_voxels(self, image: str) -> dict[str, float]:
        """Voxels of the shown shards, and those that are drawn."""
        points = self.configuration.shown_labels()
        occupied = occupied_voxels(self._image(image))
        n_images = sum(
            self.configuration.images_in_campaign(image, point, "test", "000") for point in points
        )
        return {"voxels": n_images * occupied, "drawn_voxels": len(points) * occupied}

    def plot_sensitivity(self, image: str) -> dict[str, float]:
        """Estimators that are compared."""
        return {"estimators": len(self.configuration.estimators_for(image))}

    def plot_corner(self, image: str, sample: str) -> dict[str, float]:  # noqa: ARG002
        """Estimators that are compared."""
        return {"estimators": len(self.configuration.joint_estimators(image))}

    def plot_network(self, image: str, estimator: str) -> dict[str, float]:
        """Parameters of a network."""
        return {"parameters": self.network(image, estimator).parameters}

    def plot_training(self, image: str, estimator: str) -> dict[str, float]:  # noqa: ARG002
        """Points and predictions."""
        return self._ensembles(image)

    plot_histograms = plot_training
    plot_linearity = plot_training
    plot_linearity_unscaled = plot_training


def planned(configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> list[PlannedJob]:
    """Return all jobs of a run from an empty folder, those of the target `all`.

    Args:
        configuration: of the run.
        samples: rows of its samples by name; the sizes of their files count.
    """
    run = Run(configuration, samples)
    work = Work(run)
    order = list(STAGES)
    jobs = sorted(jobs_behind(run, jobs_of_all(run)), key=lambda job: order.index(job.stage))
    return [_planned(run, work, job) for job in jobs]


def _planned(run: Run, work: Work, job: Job) -> PlannedJob:
    stage = STAGES[job.stage]
    return PlannedJob(
        rule=job.stage,
        wildcards=tuple(job.wildcards[name] for name in stage.wildcards),
        outputs=tuple(f"{run.folder}/{path}" for path in job_paths(job)),
        amounts=work.amounts(job),
        temporary=stage.temporary is not None and stage.temporary(run),
        group=stage.folder,
    )


def trainings(configuration: RunConfiguration, samples: Mapping[str, SampleRow]) -> list[Training]:
    """Return the trainings of a run, in the order of its images and estimators."""
    run = Run(configuration, samples)
    work = Work(run)
    return [work.training(image, name) for image, name in run.image_estimators("networks")]
