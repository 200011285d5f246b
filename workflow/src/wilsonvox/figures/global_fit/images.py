"""Samples of a GAN's training set and generated ones, as square images."""

import os

import numpy as np
from matplotlib.figure import Figure

from wilsonvox.core.errors import UserError
from wilsonvox.figures.style import DOUBLE_COLUMN, new_figure, styled
from wilsonvox.global_fit.learning.results import GanResult, Images

SHOWN = 8
"""Images of each kind."""


def read(path: str | os.PathLike[str]) -> GanResult:
    """Read the answers of a GAN that has images.

    Raises:
        UserError: no such file, another one, or one of dense networks.
    """
    result = GanResult.load(path)
    if result.images is None:
        raise UserError(f"{path}: {result.name} has dense networks, without images")
    return result


@styled
def draw(result: GanResult) -> Figure:
    """Draw images of the training set above, generated ones of the first start below.

    Row by row from the top they hold the observables, C9, C10 and the hadronic coefficients, each
    scaled to [0, 1] by the training set.
    """
    images = result.images
    assert isinstance(images, Images)
    figure = new_figure(
        DOUBLE_COLUMN, 2.35, f"{result.name}; {result.observables}, predictions of flavio"
    )
    rows = (("training set", images.training), ("generated", images.generated))
    axes_of = figure.subplots(2, SHOWN, squeeze=False)
    for axes_row, (title, drawn) in zip(axes_of, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, image in zip(axes_row, drawn, strict=False):
            shown = axes.imshow(np.array(image), vmin=0.0, vmax=1.0, cmap="viridis")
        axes_row[0].set_title(title, loc="left")
    figure.colorbar(
        shown, ax=axes_of.ravel().tolist(), label="scaled number", shrink=0.85, extend="both"
    )
    return figure
