"""`wilsonvox measure`: measure a shift and its interval from a ROOT file."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wilsonvox.cli.options import estimator_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wilsonvox.measurement.run_folder import EstimatorFiles
    from wilsonvox.measurement.sample import Measurement, OpenedEstimator, Predict
    from wilsonvox.voxels.shards import Shard


def _interval_text(
    ends: tuple[float | None, float | None],
    edges: tuple[float, float],
    decimals: int,
    nowhere: bool,
) -> str:
    from wilsonvox.measurement.intervals import format_number

    if nowhere:
        return "none"
    low = (
        f"below {format_number(edges[0], decimals)}"
        if ends[0] is None
        else format_number(ends[0], decimals)
    )
    high = (
        f"above {format_number(edges[1], decimals)}"
        if ends[1] is None
        else format_number(ends[1], decimals)
    )
    return f"{low} … {high}"


def result_line(measurement: "Measurement", coefficient: str) -> str:
    """Return one readable line: value, errors, 95 % interval and number of images."""
    import numpy as np

    from wilsonvox.measurement.intervals import format_number, symbol

    measured = measurement.coefficients[coefficient]
    name = symbol(coefficient)
    nowhere = measured.levels_without_shift
    low, high = measured.interval_68
    errors = [
        abs(end - measured.value)
        for end in (low, high)
        if end is not None and measured.value is not None
    ]
    smallest = min([error for error in errors if error > 0], default=0.1)
    decimals = int(np.clip(1 - np.floor(np.log10(smallest)), 2, 5))
    wide = _interval_text(measured.interval_95, measured.calibrated_range, decimals, 95 in nowhere)
    if measured.value is not None and low is not None and high is not None:
        result = (
            f"{format_number(measured.value, decimals)} "
            f"+{format_number(high - measured.value, decimals)} "
            f"−{format_number(measured.value - low, decimals)} (68 % CL; 95 %: {wide})"
        )
    else:
        value = "no value" if measured.value is None else format_number(measured.value, decimals)
        narrow = _interval_text(
            measured.interval_68, measured.calibrated_range, decimals, 68 in nowhere
        )
        result = f"{value} (68 % CL: {narrow}; 95 %: {wide})"
    images = f"{measurement.n_images} image{'s' if measurement.n_images != 1 else ''}"
    return (
        f"{name} = {result}, statistical only; {images} of "
        f"{measurement.image_specification.events_per_image:,} events"
    )


def report_lines(measurement: "Measurement") -> list[str]:
    """Return the printed lines: one per coefficient, one about the events, one per warning."""
    lines = [result_line(measurement, name) for name in measurement.coefficients]
    reasons = ", ".join(
        f"{number:,} {reason}" for reason, number in measurement.n_events_dropped_by_reason.items()
    )
    lines.append(
        f"events: {measurement.n_events_used:,} used, {measurement.n_events_dropped:,} dropped"
        f"{f' ({reasons})' if reasons else ''}; estimator {measurement.estimator}, image "
        f"{measurement.image}, physics inputs {measurement.physics_inputs}; generator level, "
        "detector effects not corrected for"
    )
    return lines + [f"warning: {text}" for text in measurement.warnings]


@click.command("measure")
@estimator_options
@click.option(
    "--events",
    multiple=True,
    type=click.Path(path_type=Path),
    help="ROOT file with decays; repeatable.",
)
@click.option(
    "--shard",
    "shard_path",
    default=None,
    type=click.Path(path_type=Path),
    help="Voxel images (.npz) instead of --events, for an estimator that reads images.",
)
@click.option("--tree", default=None, help="Tree in the ROOT file.  [default: the only one]")
@click.option(
    "--layout",
    type=click.Choice(["auto", "variables", "four-momenta", "belle2", "particle-list"]),
    default="auto",
    show_default=True,
    help="Layout of the ROOT file; GeV and MeV are distinguished by the B mass.",
)
@click.option(
    "--flavour",
    type=click.Choice(["auto", "B0", "B0bar"]),
    default="auto",
    show_default=True,
    help="Flavour of the decays, if the file does not contain it.",
)
@click.option(
    "--json",
    "json_path",
    default=None,
    type=click.Path(path_type=Path),
    help="Measurement to write (.json).",
)
def command(
    run_folder: Path,
    estimator: str | None,
    image: str | None,
    events: tuple[Path, ...],
    shard_path: Path | None,
    tree: str | None,
    layout: str,
    flavour: str,
    json_path: Path | None,
) -> None:
    """Measure the shift δC9 (dimensionless) from a ROOT file, with 68 % and 95 % intervals.

    The intervals come from the run's ensembles of test images. They are statistical only and at
    generator level: detector effects are not corrected for.
    """
    from wilsonvox.measurement.run_folder import find_estimator
    from wilsonvox.measurement.sample import measure_sample
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.records.record import run_folder as run_folder_of

    files = find_estimator(run_folder, estimator, image)
    rule, kind, opened = _opened(files)
    result, used = measure_sample(
        opened,
        events,
        shard_path,
        tree,
        layout,
        flavour,
        make_record=partial(make_record, "ingest_events"),
    )
    if json_path is not None:
        given = [*events] if shard_path is None else [shard_path]
        settings = {"estimator": files.estimator, "image": files.image} | kind
        if events:
            settings |= {"tree": tree or "", "layout": layout, "flavour": flavour}
        # a file in the folder of another run belongs to that run; a file outside of all runs names
        # its inputs relative to the run of the estimator
        home = run_folder_of(json_path)
        folder = run_folder if home == Path() else home
        record = make_record(rule, json_path, settings, [*used, *given], run=folder)
        result.save(json_path, record)
    for line in report_lines(result):
        click.echo(line)


def _opened(files: "EstimatorFiles") -> "tuple[str, dict[str, str], OpenedEstimator]":
    """Return the rule that measures with an estimator, settings for its record, and itself."""
    from wilsonvox.measurement.sample import OpenedEstimator

    if files.reads_events:
        from wilsonvox.estimators.fits.prepared import load_prepared

        prepared = load_prepared(files.model)

        def fit(shard: "Shard", events: Path | None) -> "NDArray[np.float64]":
            assert events is not None
            return prepared.predict(shard, events)[0]

        settings = {"architecture": prepared.metadata.architecture}
        opened = OpenedEstimator(files, prepared.metadata, lambda: fit)
        return "measure_events", settings, opened

    from wilsonvox.estimators.model_file import load_estimator, read_estimator_metadata

    def load() -> "Predict":
        network = load_estimator(files.model)
        return lambda shard, _events: network.predict(shard)

    return "measure", {}, OpenedEstimator(files, read_estimator_metadata(files.model), load)
