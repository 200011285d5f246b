"""The stages of the workflow, and the modules whose code each of them runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from wilsonvox.estimators import ARCHITECTURES, EVENT_ARCHITECTURES, SUM_ARCHITECTURES

FOUR_MOMENTA = "four-momenta"
"""The part of `generate_events` that runs where four-momenta are written."""


@dataclass(frozen=True)
class Stage:
    """Where the import closure of a rule starts, and the stages whose outputs the rule reads.

    `builds` marks a stage that imports an architecture's module, by a name that it looks up.
    `reads` is what the estimators read that the stage is for, or which of those that read images it
    makes; None: it is for all of them.
    `parts` are modules that the stage runs only where it is asked to, by names that are given as
    those of architectures are.
    """

    modules: tuple[str, ...]
    after: tuple[str, ...] = ()
    builds: bool = False
    reads: Literal["images", "events", "networks", "sums"] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, architectures: Iterable[str]) -> list[str]:
        """Those of `architectures` that the stage is for."""
        return [name for name in architectures if self.reads is None or name in _KINDS[self.reads]]


_KINDS: Mapping[str, Mapping[str, str]] = {
    "images": ARCHITECTURES | SUM_ARCHITECTURES,
    "networks": ARCHITECTURES,
    "sums": SUM_ARCHITECTURES,
    "events": EVENT_ARCHITECTURES,
}
"""The modules of architectures by what an estimator of theirs reads."""


def _plot(figure: str, *after: str) -> Stage:
    # not wilsonvox.cli.plot, which leads to every figure
    return Stage((f"wilsonvox.figures.{figure}", "wilsonvox.figures.saving"), after)


STAGES: Mapping[str, Stage] = {
    "angular_coefficients": Stage(("wilsonvox.cli.coefficients",)),
    "generate_events": Stage(
        ("wilsonvox.cli.generate",),
        after=("angular_coefficients",),
        parts={FOUR_MOMENTA: "wilsonvox.events.generation.four_momenta"},
    ),
    "ingest_events": Stage(("wilsonvox.cli.ingest",)),
    "voxelize": Stage(("wilsonvox.cli.voxelize",), after=("generate_events",)),
    "voxelize_sample": Stage(("wilsonvox.cli.voxelize",), after=("ingest_events",)),
    "train": Stage(("wilsonvox.cli.train",), after=("voxelize",), builds=True, reads="networks"),
    "train_voxel_sum": Stage(
        ("wilsonvox.cli.train_voxel_sum",), after=("voxelize",), builds=True, reads="sums"
    ),
    # the trials before a round count in its lineage, job by job
    "suggest_trials": Stage(
        ("wilsonvox.training.scan.study", "wilsonvox.training.scan.space"), reads="images"
    ),
    "train_trial": Stage(
        ("wilsonvox.cli.train", "wilsonvox.training.scan.objective"),
        after=("suggest_trials", "voxelize"),
        builds=True,
        reads="networks",
    ),
    "train_trial_voxel_sum": Stage(
        ("wilsonvox.cli.train_voxel_sum", "wilsonvox.training.scan.objective"),
        after=("suggest_trials", "voxelize"),
        builds=True,
        reads="sums",
    ),
    "collect_trials": Stage(
        ("wilsonvox.training.scan.comparison",),
        after=("train_trial", "train_trial_voxel_sum"),
        reads="images",
    ),
    "prepare_estimator": Stage(
        ("wilsonvox.estimators.fits.prepared",), builds=True, reads="events"
    ),
    # not wilsonvox.cli.evaluate and wilsonvox.cli.measure, which lead to both kinds of estimators
    "evaluate": Stage(
        (
            "wilsonvox.estimators.evaluation",
            "wilsonvox.estimators.model_file",
            "wilsonvox.ensembles.tables",
        ),
        after=("train", "train_voxel_sum", "voxelize"),
        reads="images",
    ),
    "evaluate_events": Stage(
        (
            "wilsonvox.estimators.evaluation",
            "wilsonvox.estimators.fits.prepared",
            "wilsonvox.ensembles.tables",
        ),
        after=("prepare_estimator", "voxelize"),
        builds=True,
        reads="events",
    ),
    "summarize": Stage(
        ("wilsonvox.cli.summarize",), after=("evaluate", "evaluate_events", "angular_coefficients")
    ),
    "measure": Stage(
        ("wilsonvox.measurement.sample", "wilsonvox.estimators.model_file"),
        after=("summarize", "voxelize_sample"),
        reads="images",
    ),
    "measure_events": Stage(
        ("wilsonvox.measurement.sample", "wilsonvox.estimators.fits.prepared"),
        after=("summarize", "ingest_events"),
        builds=True,
        reads="events",
    ),
    "image_information": Stage(("wilsonvox.cli.information",), after=("angular_coefficients",)),
    "plot_topology": _plot("topology"),
    "plot_distributions": _plot("distributions", "generate_events"),
    "plot_voxels": _plot("voxels", "voxelize"),
    "plot_information": _plot("information", "image_information"),
    "plot_network": _plot("network", "train"),
    "plot_training": _plot("training", "train"),
    "plot_histograms": _plot("histograms", "evaluate", "evaluate_events"),
    "plot_linearity": _plot("linearity", "summarize"),
    "plot_linearity_unscaled": _plot("linearity", "summarize"),
    "plot_sensitivity": _plot("sensitivity", "summarize"),
    "plot_luminosity": _plot("luminosity", "summarize"),
    "tabulate_observables": Stage(("wilsonvox.global_fit.tabulation",)),
    "fit_coefficients": Stage(("wilsonvox.global_fit.fits",), after=("tabulate_observables",)),
    # not wilsonvox.cli.global_fit.learning, which leads to both kinds of machines
    "train_inverse_network": Stage(
        ("wilsonvox.global_fit.learning.network_runs", "wilsonvox.estimators.networks.backend"),
        after=("tabulate_observables",),
    ),
    "train_gan": Stage(
        ("wilsonvox.global_fit.learning.gan_runs", "wilsonvox.estimators.networks.backend"),
        after=("tabulate_observables",),
    ),
    # of a finished run, whose files are its inputs; the record is that of `measure`
    "measure_for_global_fit": Stage(
        ("wilsonvox.measurement.sample", "wilsonvox.estimators.model_file"), reads="images"
    ),
    "plot_global_fit_observables": _plot("global_fit.observables", "fit_coefficients"),
    "plot_global_fit_contours": _plot(
        "global_fit.contours",
        "fit_coefficients",
        "measure_for_global_fit",
        "train_inverse_network",
        "train_gan",
    ),
    "plot_global_fit_training_sets": _plot(
        "global_fit.training_sets", "train_inverse_network", "train_gan"
    ),
    "plot_global_fit_best_sample": _plot(
        "global_fit.best_sample", "train_inverse_network", "train_gan"
    ),
    "plot_global_fit_network": _plot("global_fit.network", "train_inverse_network"),
    "plot_global_fit_gan": _plot("global_fit.gan", "train_gan"),
    "plot_global_fit_images": _plot("global_fit.images", "train_gan"),
    "plot_global_fit_posterior": _plot(
        "global_fit.posterior", "train_inverse_network", "fit_coefficients"
    ),
    "plot_scan": _plot("scan", "collect_trials"),
    "plot_corner": _plot("corner", "measure", "measure_events"),
}
"""Every stage by the name of its rule."""
