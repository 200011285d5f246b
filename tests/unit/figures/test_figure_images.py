"""Compare the main figures with baseline images.

After an intended change of a figure, regenerate the baseline images and inspect them:

    .venv/bin/python -m pytest -n 0 tests/unit/figures/test_figure_images.py \
        --mpl-generate-path tests/unit/figures/baseline
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.helpers.toy_figures import (
    FEW_EVENTS,
    FEWER,
    HISTORY,
    POINTS,
    toy_events,
    toy_metadata,
    toy_predictions,
    toy_shard,
    toy_summary,
)
from tests.helpers.toy_global_fit import toy_table

from wilsonvox.figures import (
    corner,
    distributions,
    histograms,
    labels,
    linearity,
    luminosity,
    network,
    sensitivity,
    topology,
    training,
    voxels,
)
from wilsonvox.figures.global_fit import contours as global_fit_contours
from wilsonvox.figures.global_fit import observables as global_fit_observables
from wilsonvox.figures.network import Layer
from wilsonvox.figures.style import figure_style
from wilsonvox.figures.summaries import Summary
from wilsonvox.global_fit.fits import fit_coefficients
from wilsonvox.theory.points import point_label
from wilsonvox.voxels.specification import ImageSpecification

PHYSICS = "evtgen-btosllnpr"
compare_image = pytest.mark.mpl_image_compare(savefig_kwargs={"dpi": 80})


class Styled:
    """Figure that is saved in the style of the package, as by `save_figure`."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def savefig(self, path: str, **options: Any) -> None:
        with figure_style():
            self.figure.savefig(path, **options)


def summary(name: str = "resnet", factor: float = 1.5, few_events: bool = False) -> Summary:
    image = {"image": FEW_EVENTS} if few_events else {}
    frame = toy_summary(factor * (FEWER**0.5 if few_events else 1)).sort_values("true")
    return Summary("c9", frame, toy_metadata(name, **image))


@compare_image
def test_topology():
    return Styled(topology.draw())


@compare_image
def test_distributions():
    filled = [
        distributions.fill([toy_events(c9)], labels.shifts_text({"c9": c9}), (1, 6))
        for c9 in POINTS
    ]
    return Styled(distributions.draw(filled, PHYSICS))


@compare_image
def test_voxels():
    images = [voxels.take_image(toy_shard(c9), 0, labels.shifts_text({"c9": c9})) for c9 in POINTS]
    return Styled(voxels.draw(images, labels.note_text(ImageSpecification(), PHYSICS)))


@compare_image
def test_network():
    cube, channels = (None, 6, 6, 6, 1), (None, 6, 6, 6, 4)
    layers = [
        Layer("image", "InputLayer", (), cube, cube),
        Layer("stem", "Conv3D", ("image",), cube, channels),
        Layer("stem_bn", "BatchNormalization", ("stem",), channels, channels),
        Layer("stem_relu", "ReLU", ("stem_bn",), channels, channels),
        Layer("block_conv", "Conv3D", ("stem_relu",), channels, channels),
        Layer("block_bn", "BatchNormalization", ("block_conv",), channels, channels),
        Layer("block_add", "Add", ("block_bn", "stem_relu"), channels, channels),
        Layer("block_relu", "ReLU", ("block_add",), channels, channels),
        Layer("pool", "GlobalAveragePooling3D", ("block_relu",), channels, (None, 4)),
        Layer("shifts", "Dense", ("pool",), (None, 4), (None, 1)),
    ]
    return Styled(network.draw(layers, title="resnet"))


@compare_image
def test_training():
    return Styled(training.draw(HISTORY, "resnet", "mae"))


@compare_image
def test_histograms():
    ensembles = histograms.make_ensembles(pd.concat([toy_predictions(c9) for c9 in POINTS]))
    return Styled(histograms.draw(ensembles, labels.image_text(ImageSpecification()), PHYSICS))


@compare_image
def test_linearity():
    return Styled(linearity.draw(summary(), scaled=False))


@compare_image
def test_sensitivity():
    return Styled(sensitivity.draw([summary(), summary("likelihood", 1.1)]))


@compare_image
def test_luminosity():
    points = [point_label({"c9": c9}) for c9 in POINTS]
    return Styled(luminosity.draw([summary(), summary(factor=1.4, few_events=True)], points))


@compare_image
def test_corner():
    covariance = np.array([[4.0, 1.0, -0.6], [1.0, 2.0, 0.3], [-0.6, 0.3, 1.0]]) * 1e-3
    results = [
        corner.JointResult(
            estimator=name,
            sample="toy",
            coefficients=("c7", "c9", "c10"),
            value=np.array([0.02, -0.85, 0.4]) + shift,
            covariance=covariance * scale,
            truth=np.array([0.0, -0.9, 0.35]),
            n_images=3,
            image=ImageSpecification(),
            physics_inputs=PHYSICS,
            calibrated=np.array([[-0.2, 0.2], [-2.0, 1.0], [-1.0, 1.0]]),
        )
        for name, shift, scale in (("voxel-sum", 0.0, 1.0), ("likelihood", 0.02, 0.5))
    ]
    return Styled(corner.draw(results))


@pytest.fixture(scope="module")
def table():
    return toy_table()


@pytest.fixture(scope="module")
def fit(table):
    return fit_coefficients(table, "experimental")


@compare_image
def test_global_fit_observables(table, fit):
    return Styled(global_fit_observables.draw(table, fit))


@compare_image
def test_global_fit_contours(fit):
    measured = global_fit_contours.MeasuredC9("voxel-sum", -0.84, -0.88, -0.80)
    return Styled(global_fit_contours.draw([fit], measurement=measured))
