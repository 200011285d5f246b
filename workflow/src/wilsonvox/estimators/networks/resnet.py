"""3D residual networks: the papers' ResNet-34 and smaller members of its family.

The architecture is that of K. He et al., "Deep Residual Learning for Image Recognition"
(arXiv:1512.03385, table 1, the column of 34 layers), with convolutions in three dimensions and
the papers' head: global average pooling, flatten, a dense layer, dropout and a dense linear layer.
What the papers leave open is a named choice in docs/physics/networks.md.
"""

import math
from typing import Any

from wilsonvox.estimators.settings import NetworkSettings


def _convolution(x: Any, filters: int, kernel: int, stride: int, momentum: float, name: str) -> Any:
    """A convolution ``{name}_conv`` and its batch normalisation ``{name}_bn``."""
    from keras import layers

    # no bias: the batch normalisation shifts
    x = layers.Conv3D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def with_coordinates(image: Any) -> Any:
    """An image with the centres of its occupied voxels as further channels.

    Args:
        image: Keras tensor of shape (batch, bins, bins, bins, 1), 0 where no event is.

    Returns:
        Keras tensor of shape (batch, bins, bins, bins, 5): `image`, then cos θ_μ, cos θ_K, cos χ
        and sin χ where a voxel is occupied, else 0. χ is a circle: its two ends are neighbours.
    """
    from keras import layers, ops

    bins = image.shape[1]
    occupied = ops.cast(ops.not_equal(image, 0.0), image.dtype)
    # of one image: all have the same places. No constant array: it would fill the model's file
    one = ops.ones_like(image[:1, ...])
    along = [(ops.cumsum(one, axis=axis) - 0.5) / bins for axis in (1, 2, 3)]
    chi = 2 * math.pi * along[2]
    places = ops.concatenate(
        [2 * along[0] - 1, 2 * along[1] - 1, ops.cos(chi), ops.sin(chi)], axis=-1
    )
    return layers.Concatenate(name="coordinates")([image, ops.multiply(occupied, places)])


def basic_block(x: Any, filters: int, stride: int, momentum: float, name: str) -> Any:
    """Two 3×3×3 convolutions and a shortcut around them (arXiv:1512.03385, figure 5, left).

    The shortcut is the identity, or a projection (1×1×1 convolution and batch normalisation)
    where the block changes the shape.

    Args:
        x: Keras tensor of shape (batch, d, d, d, channels).
        filters: channels of the output.
        stride: of the first convolution and the projection; the output has ceil(d / stride).
        momentum: of the batch normalisations.
        name: first part of the layers' names, such as ``conv2_block1``.
    """
    from keras import layers

    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, stride, momentum, f"{name}_0")
    x = _convolution(x, filters, 3, stride, momentum, f"{name}_1")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, 3, 1, momentum, f"{name}_2")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def stack(x: Any, filters: int, blocks: int, stride: int, momentum: float, name: str) -> Any:
    """`blocks` basic blocks, the first of them with `stride`; arguments as in `basic_block`."""
    x = basic_block(x, filters, stride, momentum, f"{name}_block1")
    for number in range(2, blocks + 1):
        x = basic_block(x, filters, 1, momentum, f"{name}_block{number}")
    return x


def build(shape: tuple[int, int, int, int], n_outputs: int, settings: NetworkSettings) -> Any:
    """A 3D residual network that maps images to shifts; its defaults are the papers' ResNet-34.

    A first convolution, batch normalisation, ReLU, pooling (the papers': max), stacks of basic
    blocks of which each but the first halves the image, global average pooling, flatten, dense,
    dropout, dense.

    What it can represent: any smooth function of the image whose features lie within the receptive
    field. What it cannot, or hardly: *where* in angle a feature lies. Convolutions know the place
    of a voxel only by way of the zeros that `same` padding adds at the faces, and the average over
    the last feature map forgets it, unless the stacks shrink that map to a single cell. χ is a
    circle, but its two ends are faces like any other. It sees the mean q² alone, not the counts,
    and cannot tell an empty voxel from one at q² = 0. With `settings.coordinates` the place of each
    occupied voxel is among its inputs (`with_coordinates`), χ as a point of a circle, so that the
    sums over the image may depend on it; the counts stay unseen.

    Args:
        shape: (bins, bins, bins, 1) of one image; axes cos_theta_mu, cos_theta_k, chi.
        n_outputs: number of shifts to predict.
        settings: all sizes. A `pool_size` of 1 leaves the pooling out.

    Returns:
        keras.Model: not compiled, made of Keras's own layers only, float32 in and out. Its name is
        ``resnet``; layers are named as in keras.applications.resnet.
    """
    import keras
    from keras import layers

    momentum = settings.batch_normalisation_momentum
    image = keras.Input(shape, name="image")
    x = _convolution(
        with_coordinates(image) if settings.coordinates else image,
        settings.stem_filters,
        settings.stem_kernel,
        settings.stem_stride,
        momentum,
        "conv1",
    )
    x = layers.Activation("relu", name="conv1_relu")(x)
    if settings.pool_size > 1:
        pooling = {"max": layers.MaxPooling3D, "average": layers.AveragePooling3D}
        x = pooling[settings.pooling](
            settings.pool_size, strides=settings.pool_stride, padding="same", name="pool1_pool"
        )(x)
    sizes = zip(settings.filters, settings.blocks, strict=True)
    for number, (filters, blocks) in enumerate(sizes, start=2):
        x = stack(x, filters, blocks, 1 if number == 2 else 2, momentum, f"conv{number}")
    x = layers.GlobalAveragePooling3D(name="avg_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(
        settings.dense_units,
        activation=settings.dense_activation,
        kernel_initializer="he_normal",
        name="dense",
    )(x)
    x = layers.Dropout(settings.dropout, name="dropout")(x)
    # float32 also where the rest computes in float16
    x = layers.Dense(n_outputs, dtype="float32", name="predictions")(x)
    return keras.Model(image, x, name="resnet")
