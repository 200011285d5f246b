"""`wilsonvox global-fit train-network` and `train-gan`: networks that learn a global fit."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wilsonvox.cli.options import Function, model_from, options_from
from wilsonvox.global_fit.chi_squared import VERSIONS, Version
from wilsonvox.global_fit.learning.settings import (
    GanSettings,
    InverseNetworkSettings,
    TrainingSetSettings,
)

if TYPE_CHECKING:
    from wilsonvox.global_fit.learning.results import GanResult, NetworkResult

logger = logging.getLogger(__name__)

FILE = click.Path(path_type=Path)


def _machine_options(function: Function) -> Function:
    """Decorate a command with the options shared by networks and GANs."""
    for option in reversed(
        (
            click.option("--table", required=True, type=FILE, help="Table of predictions (.npz)."),
            click.option(
                "--version",
                type=click.Choice(VERSIONS),
                default="experimental",
                show_default=True,
                help="Version of the χ².",
            ),
            click.option(
                "--name", required=True, metavar="NAME", help="Name of the network or GAN."
            ),
            click.option(
                "--seed", type=click.IntRange(min=0), required=True, help="Seed of the run."
            ),
            click.option(
                "--threads",
                type=click.IntRange(min=1),
                default=1,
                show_default=True,
                help="CPU threads; their number changes the weights in the sixth digit.",
            ),
            click.option("--out", required=True, type=FILE, help="Results to write (.json)."),
            options_from(TrainingSetSettings),
        )
    ):
        function = option(function)
    return function


def _log(result: "NetworkResult | GanResult") -> None:
    spread = result.spread
    logger.info(
        "%s: C9 %.3f ± %.3f, C10 %.3f ± %.3f over %d starts, χ² %.2f to %.2f, median %.2f",
        result.name, spread.c9_mean, spread.c9_deviation, spread.c10_mean, spread.c10_deviation,
        len(result.answers), spread.chi_squared_least, spread.chi_squared_greatest,
        spread.chi_squared_median,
    )  # fmt: skip


def _train(
    rule: str,
    settings: type[InverseNetworkSettings] | type[GanSettings],
    answers: Callable[..., "NetworkResult | GanResult"],
    *,
    table: Path,
    version: Version,
    name: str,
    seed: int,
    threads: int,
    out: Path,
    **options: Any,
) -> None:
    training = model_from(TrainingSetSettings, options)
    machine = model_from(settings, options)
    from wilsonvox.estimators.networks.backend import prepare_backend

    prepare_backend(threads)
    from wilsonvox.global_fit.predictions import PredictionTable
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.records.json_files import save_recorded

    result = answers(PredictionTable.load(table), version, training, machine, seed, name)
    recorded = {
        "name": name,
        "version": version,
        "training_set": training.model_dump(mode="json"),
        "machine": machine.model_dump(mode="json"),
        "threads": threads,
    }
    save_recorded(result, out, make_record(rule, out, recorded, [table], seed))
    _log(result)


@click.command("train-network")
@_machine_options
@options_from(InverseNetworkSettings)
def train_network(**options: Any) -> None:
    """Train networks that predict C9 and C10 from observables, with several random weights."""

    def answers(*arguments: Any) -> "NetworkResult":
        # Keras is prepared before it is imported
        from wilsonvox.global_fit.learning.network_runs import train_network_ensemble

        return train_network_ensemble(*arguments)

    _train("train_inverse_network", InverseNetworkSettings, answers, **options)


@click.command("train-gan")
@_machine_options
@options_from(GanSettings)
def train_gan(**options: Any) -> None:
    """Train GANs of observables, C9 and C10, with several random weights, and sample from them."""

    def answers(*arguments: Any) -> "GanResult":
        from wilsonvox.global_fit.learning.gan_runs import train_gan_ensemble

        return train_gan_ensemble(*arguments)

    _train("train_gan", GanSettings, answers, **options)
