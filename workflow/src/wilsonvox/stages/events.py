"""Stages that make events and voxel images."""

from typing import Any

from wilsonvox.stages.arguments import (
    coefficient_arguments,
    decay_arguments,
    image_arguments,
    options,
    shown_point_arguments,
)
from wilsonvox.stages.graph import Files, Input, Resources, Stage, Wildcards, output_of
from wilsonvox.stages.run import Run
from wilsonvox.theory.points import is_sampled

FOUR_MOMENTA = "four-momenta"
"""Part of `generate_events` that runs where four-momenta are written."""


def angular_coefficients(run: Run, wildcards: Wildcards) -> Files:
    """Return the table of the angular coefficients."""
    return [output_of("angular_coefficients", "table")]


COEFFICIENTS = Input(angular_coefficients, ("angular_coefficients",), "coefficients")


def _information_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    return [
        *shown_point_arguments(run),
        *coefficient_arguments(run.configuration.displayed_coefficient()),
        *image_arguments(run, wildcards),
    ]


def _generate_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    configuration, generation = run.configuration, run.configuration.generation
    point, split, campaign = (wildcards[name] for name in ("point", "split", "campaign"))
    events = configuration.campaign_events(point, split, campaign)
    arguments: list[Any] = ["--point", point, "--split", split, "--campaign", campaign]
    arguments += ["--events", events, "--seed", configuration.seed]
    if is_sampled(point):
        shifts = configuration.point_shifts(point).items()
        arguments += options("shift", [f"{name}={value!r}" for name, value in shifts])
    if generation.flavour != "B0":
        arguments += ["--flavour", generation.flavour]
    if generation.four_momenta:
        arguments += ["--four-momenta", "--frame", generation.frame]
    return arguments


def _deletes_events(run: Run) -> bool:
    return not run.configuration.keep_event_files


def _external_files(run: Run, wildcards: Wildcards) -> Files:
    return run.samples[wildcards["sample"]].files()


def _ingest_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    row = run.samples[wildcards["sample"]]
    arguments = ["--layout", row.layout, "--flavour", row.flavour, "--sample", row.sample]
    arguments += ["--tree", row.tree] if row.tree else []
    return arguments + (["--true-point", row.true_point] if row.true_point else [])


def _sample_row(run: Run, wildcards: Wildcards) -> Any:
    return run.samples[wildcards["sample"]].model_dump(mode="json")


def _campaign(run: Run, wildcards: Wildcards) -> Files:
    names = {name: wildcards[name] for name in ("point", "split", "campaign")}
    return [output_of("generate_events", "events", **names)]


def _sample(run: Run, wildcards: Wildcards) -> Files:
    return [output_of("ingest_events", "events", sample=wildcards["sample"])]


def _voxelize_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    names = (wildcards[name] for name in ("image", "point", "split", "campaign"))
    n_images = run.configuration.images_in_campaign(*names)
    return [*image_arguments(run, wildcards), "--images", n_images]


SAMPLE_EVENTS = Input(_sample, ("ingest_events",), "events")

EVENT_STAGES = {
    "angular_coefficients": Stage(
        outputs={"table": "theory/angular_coefficients.npz"},
        modules=("wilsonvox.cli.coefficients",),
        arguments=decay_arguments,
        resources=Resources(1000, 15, reason="one small file; 90 MB and 1 s measured"),
    ),
    "image_information": Stage(
        outputs={"information": "theory/{image}/information.json"},
        modules=("wilsonvox.cli.information",),
        inputs={"coefficients": COEFFICIENTS},
        arguments=_information_arguments,
        resources=Resources(
            1500,
            60,
            reason="188 MB and 10 s measured; more with fewer bins, whose voxels hold more events",
        ),
    ),
    "generate_events": Stage(
        outputs={"events": "events/{split}/{point}/{campaign}.root"},
        modules=("wilsonvox.cli.generate",),
        inputs={"coefficients": COEFFICIENTS},
        arguments=_generate_arguments,
        parts={FOUR_MOMENTA: "wilsonvox.events.generation.four_momenta"},
        temporary=_deletes_events,
        resources=Resources(
            1500,
            60,
            reason="359 MB and 40 s measured for 63.5 million events, which are written in pieces",
        ),
    ),
    "ingest_events": Stage(
        outputs={"events": "samples/{sample}.root"},
        modules=("wilsonvox.cli.ingest",),
        inputs={"files": Input(_external_files, option="events")},
        arguments=_ingest_arguments,
        settings=_sample_row,
        resources=Resources(
            2000, 120, reason="any number of external events; 170 MB measured for the shipped ones"
        ),
    ),
    "voxelize": Stage(
        outputs={"shard": "voxels/{image}/{split}/{point}/{campaign}.npz"},
        modules=("wilsonvox.cli.voxelize",),
        inputs={"events": Input(_campaign, ("generate_events",), "events")},
        arguments=_voxelize_arguments,
        resources=Resources(
            3000, 60, reason="1657 MB and 12 s measured for 2,640 images of 24,000 events"
        ),
    ),
    "voxelize_sample": Stage(
        outputs={"shard": "voxels/{image}/samples/{sample}.npz"},
        modules=("wilsonvox.cli.voxelize",),
        inputs={"events": SAMPLE_EVENTS},
        arguments=image_arguments,
        resources=Resources(3000, 60, reason="as voxelize"),
    ),
}
"""Theory, events and images."""
