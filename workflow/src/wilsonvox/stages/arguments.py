"""Command-line arguments that several stages share."""

from typing import Any

from wilsonvox.config.option_words import option_words
from wilsonvox.stages.graph import Wildcards
from wilsonvox.stages.run import Run
from wilsonvox.theory.points import point_label


def decay_arguments(run: Run, wildcards: Wildcards) -> list[str]:
    """Return the options of the decay: its inputs, and what differs from the defaults."""
    generation = run.configuration.generation
    arguments = ["--physics-inputs", run.configuration.physics_inputs]
    if generation.lepton != "muon":
        arguments += ["--lepton", generation.lepton]
    if generation.antiparticle_shifts != "equal":
        arguments += ["--antiparticle-shifts", generation.antiparticle_shifts]
    return arguments


def image_arguments(run: Run, wildcards: Wildcards) -> list[str]:
    """Return the options of an image specification."""
    return option_words(run.configuration.images[wildcards["image"]].specification)


def coefficient_arguments(name: str) -> list[str]:
    """Return the option for the shift that a figure shows, unless it is the default."""
    return [] if name == "c9" else ["--coefficient", name]


def shown_point_arguments(run: Run) -> list[str]:
    """Return the shown points by their shifts, which labels of sampled points do not contain."""
    configuration = run.configuration
    labels = [point_label(configuration.point_shifts(p)) for p in configuration.shown_labels()]
    return [argument for label in labels for argument in ("--point", label)]


def options(name: str, values: list[Any]) -> list[Any]:
    """Repeat an option for each of its values.

    >>> options("level", [0.68, 0.95])
    ['--level', 0.68, '--level', 0.95]
    """
    return [argument for value in values for argument in (f"--{name}", value)]
