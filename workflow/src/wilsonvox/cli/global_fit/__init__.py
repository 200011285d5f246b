"""`wilsonvox global-fit`: fit δC9 and δC10 to binned observables, one subcommand per stage."""

import logging
from pathlib import Path

import click

from wilsonvox.cli.global_fit.learning import train_gan, train_network
from wilsonvox.global_fit.chi_squared import VERSIONS, Version
from wilsonvox.global_fit.hadronic import HADRONIC, HALF_WIDTHS, Hadronic

logger = logging.getLogger(__name__)

FILE = click.Path(path_type=Path)


@click.group(no_args_is_help=False)
def command() -> None:
    """Fit the muonic δC9 and δC10 to binned observables of B → K(*)ℓℓ."""


@command.command("tabulate")
@click.option(
    "--observables",
    "name",
    required=True,
    metavar="NAME",
    help="Set of measurements: a name (lhcb-2015, lhcb-2022) or a file (.yaml).",
)
@click.option(
    "--theory-draws",
    type=click.IntRange(min=100),
    default=1000,
    show_default=True,
    help="Draws of the theory parameters, for the covariance of the predictions.",
)
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Seed of the draws.")
@click.option("--out", required=True, type=FILE, help="Table of predictions to write (.npz).")
def tabulate_observables(name: str, theory_draws: int, seed: int, out: Path) -> None:
    """Tabulate predictions of a set of observables, and their theory covariance, with flavio."""
    from wilsonvox.global_fit.observables import load_observables
    from wilsonvox.global_fit.tabulation import tabulate
    from wilsonvox.provenance.recording import make_record

    observables = load_observables(name)
    table = tabulate(observables, theory_draws, seed)
    # the table contains the set of observables, so that no other file is needed later
    settings = {"observables": observables.name, "theory_draws": theory_draws}
    given = [name] if Path(name).is_file() else []
    table.save(out, make_record("tabulate_observables", out, settings, given, seed))
    logger.info("%s: %d observables", observables.name, table.n_observables)


@command.command("fit")
@click.option("--table", required=True, type=FILE, help="Table of predictions (.npz).")
@click.option(
    "--version",
    type=click.Choice(VERSIONS),
    required=True,
    help="Version of the χ²: with experimental errors, with theory errors, with correlations.",
)
@click.option(
    "--hadronic",
    type=click.Choice(HADRONIC),
    default="none",
    show_default=True,
    help="Polynomials in q2 added to the predictions.",
)
@click.option(
    "--half-widths",
    nargs=3,
    type=click.FloatRange(min=0, min_open=True),
    default=HALF_WIDTHS,
    show_default=True,
    help="Largest modulus of the coefficients a0, a1 [1/GeV²] and a2 [1/GeV⁴].",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=(0.68, 0.95),
    show_default=True,
    help="Confidence level of a contour; repeatable.",
)
@click.option(
    "--point",
    "points",
    nargs=2,
    multiple=True,
    type=float,
    help="(δC9, δC10) at which to evaluate the χ², in addition to (0, 0); repeatable.",
)
@click.option("--out", required=True, type=FILE, help="Fit to write (.json).")
def fit(
    table: Path,
    version: Version,
    hadronic: Hadronic,
    half_widths: tuple[float, float, float],
    levels: tuple[float, ...],
    points: tuple[tuple[float, float], ...],
    out: Path,
) -> None:
    """Minimise a χ², and compute errors and contours (Minos) and the pulls."""
    from wilsonvox.global_fit.fits import fit_coefficients
    from wilsonvox.global_fit.predictions import PredictionTable
    from wilsonvox.provenance.recording import make_record

    result = fit_coefficients(
        PredictionTable.load(table), version, hadronic, half_widths, points, levels
    )
    settings = {
        "version": version,
        "hadronic": hadronic,
        "half_widths": list(half_widths),
        "levels": list(levels),
        "points": [list(point) for point in points],
    }
    result.save(out, make_record("fit_coefficients", out, settings, [table]))
    logger.info(
        "%s, %s, hadronic %s: χ² %.2f at (δC9, δC10) = (%.3f, %.3f), %.2f at (0, 0)",
        result.observables, version, hadronic, result.chi_squared, result.c9, result.c10,
        result.points[0].chi_squared,
    )  # fmt: skip


command.add_command(train_network)
command.add_command(train_gan)
