"""Sizes of networks by arithmetic on their settings, without Keras."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.settings import NetworkSettings, VoxelSumSettings
from wilsonvox.estimators.voxel_sum.limits import max_anchors


@dataclass(frozen=True)
class NetworkSize:
    """Cost of one image in a network.

    multiply_accumulates: of all convolutions and dense layers, forward
    elements: numbers in the outputs of all layers, the image among them; what the cheap layers
        (batch normalisation, activation, pooling) read and write
    parameters: weights and moving averages, as Keras counts them
    """

    multiply_accumulates: int
    elements: int
    parameters: int


@dataclass
class _Layers:
    """Sums over layers that are added one after the other; `side` is that of the last output."""

    side: int
    channels: int
    multiply_accumulates: int = 0
    elements: int = 0
    parameters: int = 0

    def pointwise(self, count: int = 1) -> None:
        """`count` layers without weights whose outputs have the shape of the last one."""
        self.elements += count * self.side**3 * self.channels

    def convolution(self, filters: int, kernel: int, stride: int) -> None:
        """A convolution without bias and its batch normalisation, padding `same`."""
        self.side = math.ceil(self.side / stride)
        weights = kernel**3 * self.channels * filters
        self.channels = filters
        self.multiply_accumulates += weights * self.side**3
        self.parameters += weights + 4 * filters
        self.pointwise(2)

    def dense(self, units: int) -> None:
        """A dense layer on as many numbers as there are channels."""
        self.multiply_accumulates += self.channels * units
        self.parameters += (self.channels + 1) * units
        self.elements += units
        self.channels = units

    def block(self, filters: int, stride: int) -> None:
        """A basic block, see `wilsonvox.estimators.networks.resnet.basic_block`."""
        side, channels = self.side, self.channels
        projected = stride != 1 or channels != filters
        if projected:
            self.convolution(filters, 1, stride)
            self.side, self.channels = side, channels
        self.convolution(filters, 3, stride)
        self.pointwise()
        self.convolution(filters, 3, 1)
        self.pointwise(2)  # the sum with the shortcut, and its activation


def resnet_size(bins: int, n_outputs: int, settings: NetworkSettings) -> NetworkSize:
    """Size of `wilsonvox.estimators.networks.resnet.build`.

    Args:
        bins: of an image, in each of its three axes.
        n_outputs: shifts to predict.
        settings: all sizes of the network.
    """
    layers = _Layers(side=bins, channels=1)
    layers.pointwise()  # the image
    if settings.coordinates:
        layers.channels += 4
        layers.pointwise()
    layers.convolution(settings.stem_filters, settings.stem_kernel, settings.stem_stride)
    layers.pointwise()
    if settings.pool_size > 1:
        layers.side = math.ceil(layers.side / settings.pool_stride)
        layers.pointwise()
    for stack, (filters, blocks) in enumerate(zip(settings.filters, settings.blocks, strict=True)):
        for block in range(blocks):
            layers.block(filters, 2 if stack and not block else 1)
    layers.side = 1
    layers.pointwise(2)  # the average over the last feature map, flattened
    layers.dense(settings.dense_units)
    layers.pointwise()  # dropout
    layers.dense(n_outputs)
    return NetworkSize(layers.multiply_accumulates, layers.elements, layers.parameters)


def voxel_sum_size(
    bins: int,
    voxels: float,
    pairs: float,
    n_points: int,
    n_outputs: int,
    settings: VoxelSumSettings,
) -> NetworkSize:
    """Return the size of a `voxel-sum` network without its head, which has no voxels.

    Where counts are used, voxels with more than two events, which are few, are reckoned like those
    with one.

    Args:
        bins: of an image, in each of its three axes.
        voxels: that are occupied in it.
        pairs: of these, voxels with two events.
        n_points: training points.
        n_outputs: shifts to predict.
        settings: all sizes of the network.
    """
    functions, anchors = 11, max_anchors(n_outputs)
    if n_outputs == 1:
        anchors = min(n_points, anchors)
    knots, terms = settings.q2_knots - 1, math.comb(n_outputs + settings.density_degree, n_outputs)

    def density(functions: int, terms: int) -> tuple[int, int, int]:
        """Products and elements of a voxel, and parameters."""
        return (
            knots * (1 + functions * terms) + functions * terms + terms * anchors,
            knots + 2 * functions * terms + terms + 3 * anchors,
            2 * knots + (knots + 1) * functions * terms + terms * anchors,
        )

    products, elements, parameters = density(functions, terms)
    elements += 4 * functions
    parameters += 3 * bins * functions
    if not settings.use_counts:
        return NetworkSize(round(voxels * products), round(voxels * elements), parameters)
    products_of_two = functions * (functions + 1) // 2
    selecting = 2 * functions * products_of_two
    of_pairs = density(
        products_of_two, math.comb(n_outputs + 2 * settings.density_degree, n_outputs)
    )
    single = voxels - pairs
    return NetworkSize(
        round(single * products + pairs * (selecting + of_pairs[0])),
        round(single * elements + pairs * (4 * functions + 3 * products_of_two + of_pairs[1])),
        parameters + selecting + of_pairs[2] + 3 * functions * terms,
    )


_SIZES: dict[str, Callable[[int, int, NetworkSettings], NetworkSize]] = {"resnet": resnet_size}


def network_size(
    architecture: str, bins: int, n_outputs: int, settings: NetworkSettings
) -> NetworkSize:
    """Size of a network of any architecture; arguments as in `resnet_size`.

    Raises:
        UserError: the size of this architecture is not known.
    """
    if architecture not in _SIZES:
        raise UserError(
            f"architecture {architecture!r}: its size is not known; known are {', '.join(_SIZES)}"
        )
    return _SIZES[architecture](bins, n_outputs, settings)
