"""The figures of a global fit, subcommands of `wilsonvox plot`."""

from pathlib import Path

import click

from wilsonvox.cli.plot.outputs import FILE, outputs, write

_fits = click.option(
    "--fit",
    "fits",
    required=True,
    multiple=True,
    type=FILE,
    help="Fit of δC9 and δC10 (.json); give all that are to be shown.",
)


@click.command("global-fit-observables")
@click.option("--table", required=True, type=FILE, help="Table of predictions (.npz).")
@click.option("--fit", required=True, type=FILE, help="Fit whose minimum is shown (.json).")
@outputs
def observables(table: Path, fit: Path, pdf: Path, png: Path) -> None:
    """Observables by bin of q2: measured, without shifts, and at the minimum of a fit."""
    from wilsonvox.figures.global_fit.observables import draw
    from wilsonvox.global_fit.fits import CoefficientFit
    from wilsonvox.global_fit.predictions import PredictionTable

    write(
        "global_fit_observables",
        pdf,
        png,
        lambda: draw(PredictionTable.load(table), CoefficientFit.load(fit)),
        [table, fit],
    )


@click.command("global-fit-contours")
@_fits
@click.option(
    "--answers",
    multiple=True,
    type=FILE,
    help="Answers of a learning machine (.json); give all that are to be shown.",
)
@click.option(
    "--measurement", type=FILE, default=None, help="Measurement of δC9 to show beside (.json)."
)
@outputs
def contours(
    fits: tuple[Path, ...],
    answers: tuple[Path, ...],
    measurement: Path | None,
    pdf: Path,
    png: Path,
) -> None:
    """Contours in the plane of δC9 and δC10, and answers of learning machines."""
    from wilsonvox.figures.global_fit.contours import draw, read_measurement
    from wilsonvox.global_fit.fits import CoefficientFit
    from wilsonvox.global_fit.learning.model_summary import ModelSummary

    others = [] if measurement is None else [measurement]
    write(
        "global_fit_contours",
        pdf,
        png,
        lambda: draw(
            [CoefficientFit.load(path) for path in fits],
            [ModelSummary.load(path) for path in answers],
            None if measurement is None else read_measurement(measurement),
        ),
        [*fits, *answers, *others],
    )


_answers = click.option(
    "--answers",
    "answers_path",
    required=True,
    type=FILE,
    help="Answers of a learning machine (.json).",
)


@click.command("global-fit-training-sets")
@click.option(
    "--answers",
    "paths",
    required=True,
    multiple=True,
    type=FILE,
    help="Answers of a learning machine (.json); give those of all.",
)
@outputs
def training_sets(paths: tuple[Path, ...], pdf: Path, png: Path) -> None:
    """Distributions of χ² in the training sets of learning machines."""
    from wilsonvox.figures.global_fit.training_sets import draw
    from wilsonvox.global_fit.learning.results import load_model_result

    write(
        "global_fit_training_sets",
        pdf,
        png,
        lambda: draw([load_model_result(path) for path in paths]),
        paths,
    )


@click.command("global-fit-best-sample")
@click.option("--table", required=True, type=FILE, help="Table of predictions (.npz).")
@_answers
@outputs
def best_sample(table: Path, answers_path: Path, pdf: Path, png: Path) -> None:
    """Observables by bin of q2: measured, and the best samples of a learning machine."""
    from wilsonvox.figures.global_fit.best_sample import draw
    from wilsonvox.global_fit.learning.results import load_model_result
    from wilsonvox.global_fit.predictions import PredictionTable

    write(
        "global_fit_best_sample",
        pdf,
        png,
        lambda: draw(PredictionTable.load(table), load_model_result(answers_path)),
        [table, answers_path],
    )


@click.command("global-fit-network")
@_answers
@outputs
def network(answers_path: Path, pdf: Path, png: Path) -> None:
    """Losses of a network from all its starts, and their answers."""
    from wilsonvox.figures.global_fit.network import draw
    from wilsonvox.global_fit.learning.results import NetworkResult

    write(
        "global_fit_network",
        pdf,
        png,
        lambda: draw(NetworkResult.load(answers_path)),
        [answers_path],
    )


@click.command("global-fit-gan")
@_answers
@outputs
def gan(answers_path: Path, pdf: Path, png: Path) -> None:
    """Losses, discriminator's accuracy and samples of a GAN from all its starts."""
    from wilsonvox.figures.global_fit.gan import draw
    from wilsonvox.global_fit.learning.results import GanResult

    write("global_fit_gan", pdf, png, lambda: draw(GanResult.load(answers_path)), [answers_path])


@click.command("global-fit-images")
@_answers
@outputs
def images(answers_path: Path, pdf: Path, png: Path) -> None:
    """Training samples and generated ones of a convolutional GAN, as images."""
    from wilsonvox.figures.global_fit.images import draw, read

    write("global_fit_images", pdf, png, lambda: draw(read(answers_path)), [answers_path])


@click.command("global-fit-posterior")
@_answers
@click.option("--fit", required=True, type=FILE, help="Fit with the same χ² (.json).")
@outputs
def posterior(answers_path: Path, fit: Path, pdf: Path, png: Path) -> None:
    """Density of δC9 and δC10 that a mixture network predicts, beside contours of the χ²."""
    from wilsonvox.figures.global_fit.posterior import draw, read
    from wilsonvox.global_fit.fits import CoefficientFit

    write(
        "global_fit_posterior",
        pdf,
        png,
        lambda: draw(read(answers_path), CoefficientFit.load(fit)),
        [answers_path, fit],
    )


GLOBAL_FIT_FIGURES: tuple[click.Command, ...] = (
    observables,
    contours,
    training_sets,
    best_sample,
    network,
    gan,
    images,
    posterior,
)
"""Every figure of a global fit; `wilsonvox plot` takes them up."""
