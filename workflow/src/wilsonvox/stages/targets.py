"""Files that the targets of the workflow ask for, as paths relative to the folder of the run."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from wilsonvox.core.errors import UserError
from wilsonvox.stages import global_fit
from wilsonvox.stages.estimators import campaign_files, trained_model
from wilsonvox.stages.figures import (
    FIGURE_STAGES,
    GLOBAL_FIT_FIGURE_STAGES,
    SCAN_FIGURE_STAGES,
)
from wilsonvox.stages.graph import File, Job, output_of
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import figure_jobs, job_paths, path_of
from wilsonvox.theory.points import SPLITS


def _paths(files: Iterable[File]) -> list[str]:
    return [path_of(file) for file in files]


def _events(run: Run) -> list[File]:
    generated = [
        file
        for split in SPLITS
        for file in campaign_files(
            run, "generate_events", "events", split, run.configuration.labels(split)
        )
    ]
    return generated + [output_of("ingest_events", "events", sample=name) for name in run.samples]


def _shards(run: Run) -> list[File]:
    campaigns = [
        file
        for image in run.configuration.images
        for split in SPLITS
        for file in campaign_files(
            run, "voxelize", "shard", split, run.configuration.labels(split), image=image
        )
    ]
    return campaigns + [
        output_of("voxelize_sample", "shard", image=image, sample=name)
        for image in run.configuration.images
        for name in run.samples
    ]


def _models(run: Run) -> list[File]:
    trained = [trained_model(run, name, image) for image, name in run.image_estimators("images")]
    return trained + [
        output_of("prepare_estimator", "model", image=image, estimator=name)
        for image, name in run.image_estimators("events")
    ]


def _summaries(run: Run, output: str) -> list[File]:
    return [
        output_of("summarize", output, image=image, estimator=name)
        for image, name in run.image_estimators()
    ]


def _measurements(run: Run) -> list[File]:
    fits = run.configuration.event_estimators()
    return [
        output_of(
            "measure_events" if name in fits else "measure",
            "measurement",
            image=image,
            estimator=name,
            sample=sample,
        )
        for image, name in run.image_estimators()
        for sample in run.samples
    ]


def _figure_paths(run: Run, stages: Iterable[str]) -> list[str]:
    return [path for job in figure_jobs(run, stages) for path in job_paths(job)]


def event_files(run: Run) -> list[str]:
    """Return the event files of all campaigns and samples."""
    return _paths(_events(run))


def shard_files(run: Run) -> list[str]:
    """Return the voxel images of all campaigns and samples."""
    return _paths(_shards(run))


def model_files(run: Run) -> list[str]:
    """Return the trained and prepared estimators."""
    return _paths(_models(run))


def summary_files(run: Run) -> list[str]:
    """Return the summaries of all estimators, as Parquet."""
    return _paths(_summaries(run, "parquet"))


def summary_tables(run: Run) -> list[str]:
    """Return the summaries of all estimators as CSV, copies for people."""
    return _paths(_summaries(run, "csv"))


def measurement_files(run: Run) -> list[str]:
    """Return the measured shifts of all samples by every estimator."""
    return _paths(_measurements(run))


def figure_files(run: Run) -> list[str]:
    """Return all figures, without those of scans and of a global fit.

    Raises:
        UserError: the configuration has a global fit alone.
    """
    if not run.configuration.has_images:
        raise UserError(
            f"{run.configuration.run}: the configuration has a global fit alone; ask for it: "
            "snakemake global_fit"
        )
    return _figure_paths(run, FIGURE_STAGES)


def scan_files(run: Run) -> list[str]:
    """Return table, study and figure of every scan.

    Raises:
        UserError: the configuration has no scan.
    """
    if not run.configuration.scan:
        raise UserError(
            "scan: the configuration has no hyperparameter scan; add `scan:` as in config/scan.yaml"
        )
    scanned = [
        output_of("collect_trials", output, image=image, estimator=name)
        for output in ("json", "csv", "study")
        for image, name in run.image_estimators("images")
        if name in run.configuration.scan
    ]
    return _paths(scanned) + _figure_paths(run, SCAN_FIGURE_STAGES)


def fit_files(run: Run) -> list[str]:
    """Return the fits of all sets of observables, in the order of the configuration."""
    sets = run.global_fit.observable_sets()
    return _paths(file for name in sets for file in global_fit.fit_files(run, name))


def network_files(run: Run) -> list[str]:
    """Return the results of all networks that learn the global fit."""
    learned = run.global_fit.learned_set()
    names = run.global_fit.networks
    return _paths(global_fit.learned_model(run, learned, name) for name in names)


def gan_files(run: Run) -> list[str]:
    """Return the results of all GANs that learn the global fit."""
    learned = run.global_fit.learned_set()
    return _paths(global_fit.learned_model(run, learned, name) for name in run.global_fit.gans)


def shown_measurement_files(run: Run) -> list[str]:
    """Return the measurement that a global fit is compared with, if there is one."""
    shown = run.global_fit.measurement
    return _paths([output_of("measure_for_global_fit", "measurement")] if shown else [])


def global_fit_figures(run: Run) -> list[str]:
    """Return the figures of the global fit."""
    return _figure_paths(run, GLOBAL_FIT_FIGURE_STAGES)


def global_fit_files(run: Run) -> list[str]:
    """Return all files of the global fit: fits, results of networks and GANs, figures.

    Raises:
        UserError: the configuration has no global fit.
    """
    if run.configuration.global_fit is None:
        raise UserError(
            "global_fit: the configuration has no global fit; add `global_fit:` as in "
            "config/global-fit.yaml"
        )
    return [
        *fit_files(run),
        *network_files(run),
        *gan_files(run),
        *shown_measurement_files(run),
        *global_fit_figures(run),
    ]


def includes_global_fit(run: Run, folder: Path) -> bool:
    """Return whether report and crate of the run in a folder include its global fit.

    They always include one that stands alone. Next to images, where `all` makes no file of it,
    they include it once its own target has made all of them.
    """
    if run.configuration.global_fit is None:
        return False
    if not run.configuration.has_images:
        return True
    return all((folder / path).is_file() for path in global_fit_files(run))


def reported_files(run: Run, folder: Path) -> list[str]:
    """Return the results that report and crate of the run in a folder include."""
    return [path for paths in results_by_kind(run, folder).values() for path in paths] + (
        summary_tables(run) if run.configuration.has_images else []
    )


def results_by_kind(run: Run, folder: Path) -> Mapping[str, list[str]]:
    """Return summaries, measurements, figures, fits and learned models, without the models."""
    results: dict[str, list[str]] = {"summaries": [], "measurements": [], "figures": []}
    if run.configuration.has_images:
        results["summaries"] += summary_files(run)
        results["measurements"] += measurement_files(run)
        results["figures"] += figure_files(run)
    if includes_global_fit(run, folder):
        results["fits"] = fit_files(run)
        results["answers"] = network_files(run) + gan_files(run)
        results["measurements"] += shown_measurement_files(run)
        results["figures"] += global_fit_figures(run)
    return results


def report_pages(run: Run) -> list[tuple[str, str, str]]:
    """Return name, category and table of the HTML pages in the report of a run."""
    pages = []
    if run.configuration.has_images:
        pages.append(("summary", "Summary", "estimators, every point"))
        pages.append(("measurements", "Summary", "measured samples"))
    if run.configuration.global_fit is not None:
        pages.append(("global_fit", "Summary", "global fit, and what learned it"))
    pages.append(("configuration", "Configuration", "all values, and samples"))
    return [*pages, ("runtimes", "Runtimes", "time and memory by rule")]


def wildcard_values(run: Run) -> dict[str, list[str]]:
    """Return the values that wildcards of the workflow may have, by name."""
    configuration, fit = run.configuration, run.configuration.global_fit
    return {
        "point": list(configuration.point_groups()),
        "split": list(SPLITS),
        "image": list(configuration.images),
        "estimator": list(configuration.estimators),
        "sample": list(run.samples),
        "observables": list(fit.observable_sets()) if fit else [],
        "version": list(fit.versions) if fit else [],
        "hadronic": list(fit.hadronic) if fit else [],
    }


def jobs_of_all(run: Run) -> list[Job]:
    """Return the jobs that the target `all` asks for: figures, summaries and measurements."""
    results = [*_summaries(run, "parquet"), *_measurements(run)]
    return [*figure_jobs(run, FIGURE_STAGES), *(file.job for file in results)]
