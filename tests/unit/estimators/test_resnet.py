"""The 3D ResNet-34 of the papers and smaller networks of its kind."""

import numpy as np
import pytest

from wilsonvox.core.errors import UserError
from wilsonvox.estimators import builder
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.networks.resnet import build
from wilsonvox.estimators.settings import NetworkSettings

SMALL = NetworkSettings(
    stem_filters=4, stem_kernel=3, filters=(4, 8), blocks=(2, 1), dense_units=5, dropout=0.1
)


@pytest.fixture(scope="module")
def resnet34():
    prepare_backend()
    return build((50, 50, 50, 1), 1, NetworkSettings())


def _layers(model, kind):
    return [layer for layer in model.layers if type(layer).__name__ == kind]


def test_layer_counts_match_resnet34(resnet34):
    convolutions = [layer.name for layer in _layers(resnet34, "Conv3D")]
    projections = [name for name in convolutions if name.endswith("_0_conv")]
    # 33 in the main path (one in the stem, 16 blocks of two), and one per change of shape
    assert len(convolutions) - len(projections) == 33
    assert projections == ["conv3_block1_0_conv", "conv4_block1_0_conv", "conv5_block1_0_conv"]
    assert len(_layers(resnet34, "Add")) == 3 + 4 + 6 + 3
    assert len(_layers(resnet34, "BatchNormalization")) == 36
    assert len(_layers(resnet34, "Dense")) == 2


def test_shapes_follow_the_papers(resnet34):
    shapes = {
        name: resnet34.get_layer(name).output.shape[1:]
        for name in (
            "image",
            "conv1_conv",
            "pool1_pool",
            "conv2_block3_out",
            "conv3_block4_out",
            "conv4_block6_out",
            "conv5_block3_out",
            "avg_pool",
            "flatten",
            "dense",
            "dropout",
            "predictions",
        )
    }
    assert list(shapes.values()) == [
        (50, 50, 50, 1),
        (25, 25, 25, 64),
        (13, 13, 13, 64),
        (13, 13, 13, 64),
        (7, 7, 7, 128),
        (4, 4, 4, 256),
        (2, 2, 2, 512),
        (512,),
        (512,),
        (1000,),
        (1000,),
        (1,),
    ]
    stem = resnet34.get_layer("conv1_conv")
    assert (stem.kernel_size, stem.strides, stem.padding) == ((7,) * 3, (2,) * 3, "same")
    pool = resnet34.get_layer("pool1_pool")
    assert (pool.pool_size, pool.strides, pool.padding) == ((3,) * 3, (2,) * 3, "same")
    assert resnet34.get_layer("dropout").rate == 0.5
    assert resnet34.get_layer("predictions").activation.__name__ == "linear"


def test_number_of_trainable_parameters_counted_by_hand(resnet34):
    channels = [64] * 3 + [128] * 4 + [256] * 6 + [512] * 3
    inputs = [64, *channels[:-1]]
    weights = 7**3 * 64
    for before, after in zip(inputs, channels, strict=True):
        weights += 27 * before * after + 27 * after * after
        weights += before * after if before != after else 0  # projection
    scales = 2 * (64 + 2 * sum(channels) + 128 + 256 + 512)
    head = 512 * 1000 + 1000 + 1000 + 1
    trainable = sum(int(np.prod(weight.shape)) for weight in resnet34.trainable_weights)
    assert trainable == weights + scales + head


def test_all_layers_are_from_keras_and_named(resnet34):
    for layer in resnet34.layers:
        assert type(layer).__module__.startswith("keras."), layer.name
        kind = type(layer).__name__.lower()
        assert layer.name == kind or not layer.name.startswith(f"{kind}_")  # no automatic names


def test_sizes_are_arguments():
    model = build((8, 8, 8, 1), 3, SMALL)
    assert model.output.shape == (None, 3)
    names = [layer.name for layer in model.layers]
    assert "conv2_block2_1_conv" in names
    assert "conv2_block1_0_conv" not in names  # no change of shape here: the identity
    assert "conv3_block1_0_conv" in names
    assert model.get_layer("conv3_block1_out").output.shape[1:] == (1, 1, 1, 8)
    assert model.get_layer("conv1_bn").momentum == SMALL.batch_normalisation_momentum


def test_pool_size_one_turns_pooling_off():
    model = build((8, 8, 8, 1), 1, SMALL.model_copy(update={"pool_size": 1}))
    assert not _layers(model, "MaxPooling3D")
    assert model.get_layer("conv2_block1_out").output.shape[1:] == (4, 4, 4, 4)


def test_average_pooling_can_be_chosen():
    changes = {"pooling": "average", "pool_size": 4, "pool_stride": 4}
    model = build((8, 8, 8, 1), 1, SMALL.model_copy(update=changes))
    assert not _layers(model, "MaxPooling3D")
    pool = model.get_layer("pool1_pool")
    assert pool.output.shape[1:] == (1, 1, 1, 4)
    images = np.random.default_rng(1).random((1, 4, 4, 4, 4), dtype=np.float32)
    np.testing.assert_allclose(pool(images)[0, 0, 0, 0], images.mean(axis=(0, 1, 2, 3)), rtol=1e-5)


def test_shortcuts_pass_the_input_through():
    model = build((8, 8, 8, 1), 1, SMALL)
    for layer in model.layers:
        if layer.name.endswith("_conv") and layer.name != "conv1_conv":
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    # with zero convolutions, an identity block returns its (positive) input
    import keras

    inner = keras.Model(
        model.input,
        [model.get_layer("pool1_pool").output, model.get_layer("conv2_block2_out").output],
    )
    images = np.random.default_rng(1).random((2, 8, 8, 8, 1), dtype=np.float32)
    before, after = inner(images, training=False)
    np.testing.assert_array_equal(before, after)
    assert np.ptp(before) > 0


def test_unknown_architecture_is_a_user_error():
    with pytest.raises(UserError, match=r"'resnext' is unknown; known are resnet"):
        builder("resnext")


def test_coordinate_channels_are_filled_in_occupied_voxels_only():
    import keras

    from wilsonvox.estimators.networks.resnet import with_coordinates

    prepare_backend()
    bins = 6
    image = keras.Input((bins, bins, bins, 1))
    model = keras.Model(image, with_coordinates(image))
    values = np.zeros((2, bins, bins, bins, 1), np.float32)
    values[0, 1, 4, 2] = 0.3
    values[1, 5, 0, 5] = 0.7
    result = model.predict_on_batch(values)
    assert np.count_nonzero(result.any(axis=-1)) == 2
    for one, (mu, cos_k, chi) in zip(result, ((1, 4, 2), (5, 0, 5)), strict=True):
        angle = 2 * np.pi * (chi + 0.5) / bins
        centre = [2 * (mu + 0.5) / bins - 1, 2 * (cos_k + 0.5) / bins - 1]
        np.testing.assert_allclose(
            one[mu, cos_k, chi, 1:], [*centre, np.cos(angle), np.sin(angle)], atol=1e-6
        )
    np.testing.assert_array_equal(result[..., :1], values)


def test_a_network_with_coordinates_is_saved_without_code(tmp_path):
    import keras

    prepare_backend()
    settings = SMALL.model_copy(update={"coordinates": True})
    model = build((9, 9, 9, 1), 1, settings)
    assert model.get_layer("conv1_conv").kernel.shape[-2] == 5
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    values = np.random.default_rng(1).random((3, 9, 9, 9, 1), np.float32)
    np.testing.assert_array_equal(again.predict_on_batch(values), model.predict_on_batch(values))
