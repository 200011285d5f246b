"""`wilsonvox information`: Fisher information on a shift in voxel images and in events."""

import logging
from pathlib import Path
from typing import Any

import click

from wilsonvox.cli.options import model_from, options_from
from wilsonvox.theory.points import PARAMETERS
from wilsonvox.voxels.specification import ImageSpecification


@click.command()
@click.option(
    "--coefficients",
    required=True,
    type=click.Path(path_type=Path),
    help="Angular coefficients of the decay (.npz).",
)
@click.option(
    "--point",
    "points",
    required=True,
    multiple=True,
    help="Shifts as a point label, such as c9_-0.90; repeatable.",
)
@click.option(
    "--coefficient",
    type=click.Choice(PARAMETERS),
    default="c9",
    show_default=True,
    help="Shift δC_i (dimensionless).",
)
@options_from(ImageSpecification)
@click.option(
    "--compare-bins",
    "compared",
    multiple=True,
    type=click.IntRange(2, 400),
    default=(25, 50, 100),
    show_default=True,
    help="Number of bins per angle to compare with --bins; repeatable.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Table to write (.json)."
)
def command(
    coefficients: Path,
    points: tuple[str, ...],
    coefficient: str,
    compared: tuple[int, ...],
    out: Path,
    **values: Any,
) -> None:
    """Compare the Fisher information on one shift in images with that of the events.

    For descriptions from full events (m_Kpi, q2 and the angles) to voxel counts alone, computes the
    smallest possible σ of an estimate in units of the Cramér–Rao bound (dimensionless).
    """
    from wilsonvox.provenance.recording import make_record
    from wilsonvox.theory.coefficient_table import AngularCoefficients
    from wilsonvox.theory.points import parse_point
    from wilsonvox.voxels.information import compare_images

    image = model_from(ImageSpecification, values)
    shifts = [parse_point(label) for label in points]
    table = AngularCoefficients.load(coefficients)
    bins = [image.bins, *compared]
    comparison = compare_images(table.model, shifts, image, bins, coefficient)
    settings = {
        "points": list(points),
        "coefficient": coefficient,
        "image": image.model_dump(mode="json"),
        "compare_bins": list(compared),
    }
    comparison.save(out, make_record("image_information", out, settings, [coefficients]))
    for row in comparison.rows:
        kept = ", ".join(f"{name} {ratio:.3f}" for name, ratio in row.sigma_over_bound.items())
        logging.info("%s, %d bins: σ/bound of %s", row.shifts, row.bins, kept)
