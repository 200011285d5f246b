"""A run: its configuration, its samples, and what stages ask of both."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wilsonvox.config.global_fit import GlobalFitSettings
from wilsonvox.config.run import RunConfiguration
from wilsonvox.config.samples import SampleRow

EstimatorKind = Literal["images", "networks", "sums", "events"]
"""Estimators that read images, those of them trained in epochs, the voxel-sums, and the fits."""


@dataclass(frozen=True)
class Run:
    """The configuration of a run, and the rows of the samples that it measures by name."""

    configuration: RunConfiguration
    samples: Mapping[str, SampleRow]

    @property
    def folder(self) -> str:
        """Folder of the run, relative to the working folder."""
        return f"results/{self.configuration.run}"

    @property
    def global_fit(self) -> GlobalFitSettings:
        """Settings of the global fit.

        Raises:
            ValueError: the configuration has none.
        """
        if self.configuration.global_fit is None:
            raise ValueError("the configuration has no global fit")
        return self.configuration.global_fit

    def estimators(self, kind: EstimatorKind | None = None) -> list[str]:
        """Return the names of all estimators, or of those of one kind."""
        configuration = self.configuration
        if kind is None:
            return list(configuration.estimators)
        of_kind: dict[EstimatorKind, Callable[[], Mapping[str, Any]]] = {
            "images": configuration.image_estimators,
            "networks": configuration.trained_estimators,
            "sums": configuration.voxel_sums,
            "events": configuration.event_estimators,
        }
        return list(of_kind[kind]())

    def image_estimators(self, kind: EstimatorKind | None = None) -> Iterator[tuple[str, str]]:
        """Yield each image specification with each of its estimators, all or of one kind."""
        names = self.estimators(kind)
        for image in self.configuration.images:
            for estimator in self.configuration.estimators_for(image):
                if estimator in names:
                    yield image, estimator

    def used_images(self) -> list[str]:
        """Return the image specifications that some estimator is for."""
        images = self.configuration.images
        return [image for image in images if self.configuration.estimators_for(image)]
