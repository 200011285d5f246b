"""Stages of the fit of δC9 and δC10 to binned observables, and of the models that learn it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wilsonvox.config.option_words import option_words
from wilsonvox.global_fit.observables import load_observables
from wilsonvox.stages.arguments import options
from wilsonvox.stages.graph import File, Files, Input, Resources, Stage, Wildcards, output_of
from wilsonvox.stages.run import Run


def _observables_file(run: Run, wildcards: Wildcards) -> Files:
    # a set of the package is no file of the user
    path = run.global_fit.observable_file(wildcards["observables"])
    return [] if path is None else [path]


def _tabulate_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    name = run.global_fit.observable_sets()[wildcards["observables"]]
    draws = run.global_fit.theory_draws
    return ["--observables", name, "--theory-draws", draws, "--seed", run.configuration.seed]


def _observables(run: Run, wildcards: Wildcards) -> Any:
    # a set counts by its content, be it the package's or a user's file
    name = run.global_fit.observable_sets()[wildcards["observables"]]
    return load_observables(name).model_dump(mode="json")


def _table(run: Run, wildcards: Wildcards) -> Files:
    return [output_of("tabulate_observables", "table", observables=wildcards["observables"])]


TABLE = Input(_table, ("tabulate_observables",), "table")


def _fit_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    fit = run.global_fit
    arguments: list[Any] = ["--version", wildcards["version"], "--hadronic", wildcards["hadronic"]]
    arguments += options("level", list(fit.levels))
    arguments += [argument for point in fit.points for argument in ("--point", *point)]
    if wildcards["hadronic"] != "none":
        arguments += ["--half-widths", *fit.half_widths]
    return arguments


def fit_file(observables: str, version: str, hadronic: str) -> File:
    """Return one fit of a set of observables."""
    names = {"observables": observables, "version": version, "hadronic": hadronic}
    return output_of("fit_coefficients", "fit", **names)


def fit_files(run: Run, observables: str) -> list[File]:
    """Return all fits of a set, in the order of the configuration."""
    return [
        fit_file(observables, version, hadronic)
        for version in run.global_fit.versions
        for hadronic in run.global_fit.hadronic
    ]


def learned_model(run: Run, observables: str, machine: str) -> File:
    """Return the results of one network or GAN."""
    stage = "train_inverse_network" if machine in run.global_fit.networks else "train_gan"
    return output_of(stage, "results", observables=observables, machine=machine)


def learned_models(run: Run, observables: str) -> list[File]:
    """Return the results of all networks and GANs of a set; only the first set is learned."""
    if observables != run.global_fit.learned_set():
        return []
    names = [*run.global_fit.networks, *run.global_fit.gans]
    return [learned_model(run, observables, name) for name in names]


LEARNED = ("train_inverse_network", "train_gan")


def _network_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    model = run.global_fit.networks[wildcards["machine"]]
    return [
        *("--name", wildcards["machine"], "--version", model.version),
        *option_words(model.training_set),
        *option_words(model.network),
        *("--seed", run.configuration.seed),
    ]


def _gan_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    model = run.global_fit.gans[wildcards["machine"]]
    return [
        *("--name", wildcards["machine"], "--version", model.version),
        *option_words(model.training_set),
        *option_words(model.gan),
        *("--seed", run.configuration.seed),
    ]


def _network_settings(run: Run, wildcards: Wildcards) -> Any:
    return run.global_fit.networks[wildcards["machine"]].model_dump(mode="json")


def _gan_settings(run: Run, wildcards: Wildcards) -> Any:
    return run.global_fit.gans[wildcards["machine"]].model_dump(mode="json")


def _networks(run: Run) -> Mapping[str, Iterable[str]]:
    fit = run.configuration.global_fit
    return {"machine": fit.networks if fit else ()}


def _gans(run: Run) -> Mapping[str, Iterable[str]]:
    fit = run.configuration.global_fit
    return {"machine": fit.gans if fit else ()}


def _measured_events(run: Run, wildcards: Wildcards) -> Files:
    measurement = run.global_fit.measurement
    return [] if measurement is None else [measurement.events]


def _measuring_run(run: Run, wildcards: Wildcards) -> Files:
    # the files that `wilsonvox measure` reads of the run with the estimator
    measurement = run.global_fit.measurement
    folder = Path(measurement.run if measurement else ".")
    patterns = ("models/*/*/*.keras", "evaluation/**/*.parquet")
    return sorted(path.as_posix() for pattern in patterns for path in folder.glob(pattern))


def _measure_arguments(run: Run, wildcards: Wildcards) -> list[Any]:
    measurement = run.global_fit.measurement
    if measurement is None:
        return []
    arguments = ["--run", measurement.run, "--flavour", measurement.flavour]
    return arguments + (["--estimator", measurement.estimator] if measurement.estimator else [])


def _measurement_settings(run: Run, wildcards: Wildcards) -> Any:
    measurement = run.global_fit.measurement
    return None if measurement is None else measurement.model_dump(mode="json")


GLOBAL_FIT_STAGES = {
    "tabulate_observables": Stage(
        outputs={"table": "global_fit/{observables}/predictions.npz"},
        modules=("wilsonvox.global_fit.tabulation",),
        inputs={"file": Input(_observables_file)},
        arguments=_tabulate_arguments,
        settings=_observables,
        resources=Resources(
            1500,
            60,
            reason="flavio; 825 MB and 65 s measured for 37 observables and 1,000 draws",
        ),
    ),
    "fit_coefficients": Stage(
        outputs={"fit": "global_fit/{observables}/fits/{version}_{hadronic}.json"},
        modules=("wilsonvox.global_fit.fits",),
        inputs={"table": TABLE},
        arguments=_fit_arguments,
        resources=Resources(
            1500, 20, reason="121 MB and 3 s measured, with 24 hadronic coefficients"
        ),
    ),
    # not wilsonvox.cli.global_fit.learning, which imports both kinds of models
    "train_inverse_network": Stage(
        outputs={"results": "global_fit/{observables}/networks/{machine}.json"},
        modules=(
            "wilsonvox.global_fit.learning.network_runs",
            "wilsonvox.estimators.networks.backend",
        ),
        inputs={"table": TABLE},
        arguments=_network_arguments,
        settings=_network_settings,
        constraints=_networks,
        resources=Resources(2000, 60, reason="up to 42 s of a core measured for ten starts"),
    ),
    "train_gan": Stage(
        outputs={"results": "global_fit/{observables}/gans/{machine}.json"},
        modules=("wilsonvox.global_fit.learning.gan_runs", "wilsonvox.estimators.networks.backend"),
        inputs={"table": TABLE},
        arguments=_gan_arguments,
        settings=_gan_settings,
        constraints=_gans,
        resources=Resources(
            2000, 60, reason="up to 115 s of a core and 770 MB measured for ten starts of gan-1"
        ),
    ),
    # with an estimator of a finished run, whose files are inputs; the record is that of `measure`
    "measure_for_global_fit": Stage(
        outputs={"measurement": "global_fit/measurement.json"},
        modules=("wilsonvox.measurement.sample", "wilsonvox.estimators.model_file"),
        inputs={
            "events": Input(_measured_events, option="events"),
            "estimator": Input(_measuring_run),
        },
        arguments=_measure_arguments,
        settings=_measurement_settings,
        estimators="images",
        resources=Resources(3000, 60, gpu_memory_mb=8000, reason="as measure"),
    ),
}
"""Tables of observables, fits, and the networks and GANs that learn them."""
