"""Training samples and generated samples of a convolutional GAN as square images."""

import os
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.command import outputs, results_option, write
from wilsonvox.figures.style import DOUBLE_COLUMN, new_figure, styled
from wilsonvox.global_fit.learning.results import GanResult, Images

N_DRAWN = 8
"""Images of each kind that are drawn."""


def read(path: str | os.PathLike[str]) -> GanResult:
    """Read the result of a convolutional GAN.

    Raises:
        UserError: the file does not exist, is not the result of a GAN, or has no images.
    """
    result = GanResult.load(path)
    if result.images is None:
        raise UserError(f"{path}: {result.name} is a GAN of dense networks, without images")
    return result


@styled
def draw(result: GanResult) -> Figure:
    """Draw images of the training set in the first row and images of the first GAN below.

    The pixels, row by row from the top, are the observables, C9, C10 and the hadronic coefficients,
    each scaled to its range in the training set.
    """
    images = result.images
    assert isinstance(images, Images)
    figure = new_figure(
        DOUBLE_COLUMN, 2.35, f"{result.name}; {result.observables}; flavio predictions"
    )
    rows = (("training set", images.training), ("generated", images.generated))
    axes_of = figure.subplots(2, N_DRAWN, squeeze=False)
    for axes_row, (title, pixels) in zip(axes_of, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, image in zip(axes_row, pixels, strict=False):
            drawn = axes.imshow(np.array(image), vmin=0.0, vmax=1.0, cmap="viridis")
        axes_row[0].set_title(title, loc="left")
    figure.colorbar(
        drawn, ax=axes_of.ravel().tolist(), label="scaled value", shrink=0.85, extend="both"
    )
    return figure


@click.command("global-fit-images")
@results_option
@outputs
def command(answers_path: Path, pdf: Path, png: Path) -> None:
    """Training samples and generated ones of a convolutional GAN, as images."""
    write("global_fit_images", pdf, png, lambda: draw(read(answers_path)), [answers_path])
