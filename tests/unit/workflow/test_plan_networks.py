"""Computed sizes of networks, compared with networks built by Keras."""

import math

import pytest

from wilsonvox.config.reading import load_configuration
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.settings import NetworkSettings, VoxelSumSettings
from wilsonvox.workflow.planning.networks import network_size, voxel_sum_size

DEMO = load_configuration("config/demo.yaml").estimators["resnet-small"].network
SETTINGS = {
    "demo": (50, 1, DEMO),
    "pooling": (13, 2, NetworkSettings(stem_filters=3, filters=(4, 6), blocks=(2, 1))),
    "coordinates": (8, 1, NetworkSettings(coordinates=True, filters=(4,), blocks=(1,))),
    "no pooling": (
        9,
        3,
        NetworkSettings(
            stem_filters=4, stem_kernel=3, stem_stride=1, pool_size=1, filters=(4,), blocks=(3,),
            dense_units=7,
        ),
    ),
}  # fmt: skip


def _multiply_accumulates(model):
    """Return the sizes of all layers with a kernel, from the shapes in Keras."""
    found = 0
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            places = math.prod(layer.output.shape[1:-1])
            found += math.prod(layer.kernel.shape) * places
    return found


@pytest.mark.parametrize("name", SETTINGS)
def test_size_is_that_of_the_network_that_keras_builds(name):
    from wilsonvox.estimators.networks.resnet import build

    bins, n_outputs, settings = SETTINGS[name]
    model = build((bins, bins, bins, 1), n_outputs, settings)
    size = network_size("resnet", bins, n_outputs, settings)
    assert size.parameters == model.count_params()
    assert size.multiply_accumulates == _multiply_accumulates(model)
    assert size.elements == sum(math.prod(layer.output.shape[1:]) for layer in model.layers)


def test_an_unknown_architecture_is_named():
    with pytest.raises(UserError, match="'other': its size is not known; known are resnet"):
        network_size("other", 50, 1, NetworkSettings())


@pytest.mark.parametrize(("n_outputs", "degree", "counts"), [(1, 3, False), (3, 2, True)])
def test_size_of_a_voxel_sum_is_that_of_the_network_that_keras_builds(n_outputs, degree, counts):
    import numpy as np

    from wilsonvox.estimators.voxel_sum.limits import max_anchors
    from wilsonvox.estimators.voxel_sum.network import build
    from wilsonvox.estimators.voxel_sum.voxel_density import VoxelDensity

    settings = VoxelSumSettings(q2_knots=9, density_degree=degree, use_counts=counts)
    terms = math.comb(n_outputs + degree, degree)
    density = VoxelDensity(
        np.arange(9.0),
        np.ones((9, 11, terms)),
        np.zeros(n_outputs),
        np.ones(n_outputs),
        degree,
        q2_moments=np.ones((3, 11, terms)),
        pairs=VoxelDensity(
            np.arange(9.0),
            np.ones((9, 66, math.comb(n_outputs + 2 * degree, n_outputs))),
            np.zeros(n_outputs),
            np.ones(n_outputs),
            2 * degree,
        ),
    )
    anchors = 5 if n_outputs == 1 else max_anchors(n_outputs)
    model = build(7, density, np.zeros((anchors, n_outputs)), counts)
    size = voxel_sum_size(7, 80, 10, 5, n_outputs, settings)
    assert size.parameters == model.count_params()
    kernels = {layer.name: layer.kernel for layer in model.layers if hasattr(layer, "kernel")}

    def products(*names):
        return sum(math.prod(kernels[name].shape) for name in names)

    single = products("knots", "angular_coefficients", "density") + 11 * terms
    if not counts:
        assert size.multiply_accumulates == 80 * single
        return
    both = products(
        "first_of_pair", "second_of_pair", "pair_knots", "pair_angular_coefficients", "pair_density"
    )
    both += 66 * math.comb(n_outputs + 2 * degree, n_outputs)
    assert size.multiply_accumulates == 70 * single + 10 * both
