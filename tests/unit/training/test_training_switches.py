"""Options of a training: each agrees with the default, or has its documented effect."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError
from tests.helpers.toy_shards import toy_network, toy_shard

from wilsonvox.cli.options import model_from
from wilsonvox.config.option_words import option_words
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training.loop import optimizer_of, train
from wilsonvox.training.replicas import Replicas
from wilsonvox.training.signals import TrainingStopped
from wilsonvox.voxels.specification import VoxelScaling

NETWORK = toy_network(dropout=0.0)
TRAINING = TrainingSettings(batch_size=4, learning_rate=0.02, max_epochs=3)
POINTS = (-1.0, 0.0, 1.0)
TRAIN = {f"train{c9}.npz": toy_shard(c9) for c9 in POINTS}
VALIDATION = {f"val{c9}.npz": toy_shard(c9, 3, "validation") for c9 in POINTS}
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


def _train(network=NETWORK, train_shards=TRAIN, state=None, tensorboard=None, **changes):
    return train(
        train_shards,
        VALIDATION,
        architecture="resnet",
        network=network,
        training=TRAINING.model_copy(update=changes),
        normalisation=VoxelScaling(),
        seed=9,
        state=state,
        tensorboard=tensorboard,
    )


def _difference(one, other, trainable=False):
    """Largest difference of two networks' weights, relative to the largest weight of each array."""
    arrays = [
        [w.numpy() for w in (m.model.trainable_weights if trainable else m.model.weights)]
        for m in (one, other)
    ]
    return max(
        float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))
        for a, b in zip(*arrays, strict=True)
        if a.dtype.kind == "f"
    )


@pytest.fixture(scope="module")
def plain():
    return _train()


# ---------------------------------------------------------------- gradient accumulation
def test_accumulated_gradients_are_those_of_the_whole_batch():
    # equal images, so that the batch normalisation of half a batch is that of the whole
    shards = {}
    for c9 in (-1.0, 1.0):
        shard = toy_shard(c9, 16)
        one, cells = toy_shard(0.0, 1), len(toy_shard(0.0, 1).voxel)
        arrays = {name: np.tile(getattr(one, name), 16) for name in ("voxel", "mean_q2", "count")}
        arrays["offsets"] = np.arange(17, dtype=np.int64) * cells
        shards[f"{c9}"] = type(shard)(**(vars(shard) | arrays))
    whole = _train(train_shards=shards, batch_size=8, max_epochs=1)
    parts = _train(train_shards=shards, batch_size=4, gradient_accumulation_steps=2, max_epochs=1)
    # four steps in float32
    assert _difference(whole, parts, trainable=True) < 1e-5
    alone = _train(train_shards=shards, batch_size=4, max_epochs=1)
    assert _difference(whole, alone, trainable=True) > 1e-3


# ---------------------------------------------------------------- clipping
def test_gradients_below_the_clip_norm_are_unchanged(plain):
    assert _difference(plain, _train(clip_norm=1e6)) < 1e-5


def test_step_length_is_limited_by_the_clip_norm():
    import keras

    settings = TRAINING.model_copy(update={"clip_norm": 0.25, "momentum": 0.0})
    for length, expected in ((40.0, 0.25), (0.1, 0.1)):
        optimizer = optimizer_of(settings)
        weights = [keras.Variable(np.zeros(shape, np.float32)) for shape in ((3,), (2, 2))]
        gradients = [np.array([3.0, 0, 0]) / 5, np.array([[0, 0], [4.0, 0]]) / 5]
        optimizer.apply(
            [keras.ops.convert_to_tensor(length * g, "float32") for g in gradients], weights
        )
        moved = np.sqrt(sum(np.sum(weight.numpy() ** 2) for weight in weights))
        assert moved == pytest.approx(0.02 * expected, rel=1e-5)


# ---------------------------------------------------------------- warm-up
def test_warm_up_raises_the_learning_rate_per_batch_before_reductions(monkeypatch):
    from wilsonvox.training.callbacks import StopWhenNotFinite

    seen = []

    def spy(self, batch, logs=None):  # noqa: ARG001
        seen.append(float(self.model.optimizer.learning_rate.numpy()))

    monkeypatch.setattr(StopWhenNotFinite, "on_train_batch_end", spy)
    # a learning rate without effect: no epoch after the warm-up is better than the first
    still = NETWORK.model_copy(update={"batch_normalisation_momentum": 0.999999999})
    result = _train(
        still,
        learning_rate=1e-30,
        minimum_learning_rate=1e-33,
        warmup_epochs=2,
        reduce_patience=1,
        max_epochs=5,
    )
    expected = [1e-30 * number / 8 for number in range(1, 9)]
    expected += 8 * [1e-30] + 4 * [2e-31]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    rates = [row["learning_rate"] for row in result.history]
    np.testing.assert_allclose(rates, [5e-31, 1e-30, 1e-30, 1e-30, 2e-31], rtol=1e-6)


def test_batch_halfway_through_warm_up_has_half_the_learning_rate():
    rising = _train(batch_size=18, warmup_epochs=2, max_epochs=1)
    half = _train(batch_size=18, learning_rate=0.01, max_epochs=1)
    assert _difference(rising, half) == 0.0


# ---------------------------------------------------------------- mixed precision and XLA
def test_mixed_precision_agrees_with_float32(monkeypatch):
    # TensorFlow has no pooling in float16 on a CPU, so there is none here
    network = NETWORK.model_copy(update={"pool_size": 1})
    single = _train(network)
    monkeypatch.setattr("wilsonvox.training.loop._on_gpu", lambda: True)
    mixed = _train(network, mixed_precision=True)
    assert mixed.model.get_layer("conv1_conv").compute_dtype == "float16"
    # float16 has 5e-4; after twelve steps the largest relative difference was 2e-4
    assert 0.0 < _difference(single, mixed) < 2e-3
    for one, other in zip(single.history, mixed.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-3)


@pytest.mark.slow
def test_compiled_trainings_agree_with_plain_ones():
    words = [sys.executable, "-m", "tests.helpers.compiled_training"]
    process = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["compiled"] == [False, True]
    # float32 has 1.2e-7; after twelve steps the largest relative difference was 6e-7
    assert 0.0 < result["difference"] < 1e-5


def test_cpu_ignores_xla_with_a_warning(plain, caplog):
    compiled = _train(jit_compile=True)
    assert "on this CPU XLA is not used" in caplog.text
    assert _difference(plain, compiled) == 0.0


def test_compiled_and_deterministic_exclude_each_other():
    with pytest.raises(ValidationError, match="exclude each other"):
        TrainingSettings(jit_compile=True, deterministic_on_gpu=True)
    words = {"jit_compile": "true", "deterministic_on_gpu": "true"}
    with pytest.raises(UserError, match="options: jit_compile and deterministic_on_gpu exclude"):
        model_from(TrainingSettings, words)


# ---------------------------------------------------------------- several devices, options
@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"jit_compile": True}, "jit-compile"),
        ({"gradient_accumulation_steps": 2}, "gradient-accumulation-steps"),
        ({"clip_norm": 1.0}, "clip-norm"),
    ],
)
def test_single_device_settings_are_refused_on_several(changes, option):
    replicas = Replicas()
    settings = TRAINING.model_copy(update=changes)
    replicas.check_settings(settings)
    replicas.number = 2
    replicas.check_settings(TRAINING)
    with pytest.raises(UserError, match=f"--{option}: is for one GPU, but this job has 2: "):
        replicas.check_settings(settings)


def test_clip_norm_of_none_is_omitted_from_options():
    assert "--clip-norm" not in option_words(TRAINING)
    words = option_words(TRAINING.model_copy(update={"clip_norm": 0.5}))
    assert words[words.index("--clip-norm") + 1] == "0.5"
    assert model_from(TrainingSettings, {"clip_norm": None}).clip_norm is None
    with pytest.raises(UserError, match=r"--clip-norm: .* greater than 0"):
        model_from(TrainingSettings, {"clip_norm": "0"})


# ---------------------------------------------------------------- all of them, and resume
ALL = {
    "learning_rate": 1.0,
    "warmup_epochs": 2,
    "clip_norm": 0.5,
    # does not divide the four batches of an epoch
    "gradient_accumulation_steps": 3,
    "mixed_precision": True,
    "reduce_patience": 1,
    "reduce_factor": 0.5,
    "max_epochs": 6,
}


def _contents(path):
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name].tobytes() for name in content.files}


@pytest.mark.slow
def test_stopped_training_with_all_options_resumes_bit_by_bit(tmp_path, monkeypatch):
    from wilsonvox.training.callbacks import StopWhenNotFinite

    monkeypatch.setattr("wilsonvox.training.loop._on_gpu", lambda: True)
    network = toy_network(dropout=0.3).model_copy(update={"pool_size": 1})
    whole, state = tmp_path / "whole.npz", tmp_path / "state.npz"
    undisturbed = _train(network, state=whole, **ALL)
    rates = [row["learning_rate"] for row in undisturbed.history]
    assert rates[0] < rates[1] > rates[-1], "no rise or no cut that could go wrong"
    places = [(0, 2), (1, 3), (3, 1)]

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG001
        place = (self.batches.epoch, self.batches.first_batch + batch + 1)
        if places and place == places[0]:
            places.pop(0)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(StopWhenNotFinite, "on_train_batch_end", on_train_batch_end)
    for _ in range(3):
        with pytest.raises(TrainingStopped):
            _train(network, state=state, **ALL)
    resumed = _train(network, state=state, **ALL)
    assert resumed.history_csv() == undisturbed.history_csv()
    assert _contents(state) == _contents(whole)


# ---------------------------------------------------------------- progress
@pytest.fixture
def clock(monkeypatch):
    """Clock that advances by `seconds` with each training batch."""
    from wilsonvox.training.callbacks import StopWhenNotFinite

    now = SimpleNamespace(now=0.0, seconds=0.0)

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG001
        now.now += now.seconds

    monkeypatch.setattr(StopWhenNotFinite, "on_train_batch_end", on_train_batch_end)
    monkeypatch.setattr("wilsonvox.training.progress.time.monotonic", lambda: now.now)
    return now


def test_long_epochs_log_progress(clock, caplog):
    caplog.set_level("INFO")
    clock.seconds = 40.0
    _train(max_epochs=2)
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch")]
    # four batches per epoch, one line per minute: after the second and the fourth
    starts = ["epoch 1, batch 2", "epoch 1, batch 4", "epoch 1 of"]
    starts += [start.replace("epoch 1", "epoch 2") for start in starts]
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)
    left = [line.rsplit(", ", 1)[1] for line in lines]
    times = ("0:04:00", "0:02:40", "0:02:40", "0:01:20", "0:00:00", "0:00:00")
    assert left == [f"at most {time} left" for time in times]
    assert lines[0].startswith("epoch 1, batch 2 of 4: loss ")
    assert lines[0].split(", ")[2] == "0 images/s"  # a tenth
    clock.seconds = 0.1
    caplog.clear()
    _train(max_epochs=1)
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("epoch")]
    assert ", learning rate 0.02, 40 images/s, at most 0:00:00 left" in line


def test_tensorboard_files_contain_every_epoch(tmp_path):
    import tensorflow as tf

    trained = _train(max_epochs=2, tensorboard=tmp_path / "board")
    actual = {}
    for file in sorted((tmp_path / "board").rglob("events.*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                actual[file.parent.name, value.tag, event.step] = value.simple_value
    expected = {}
    for row in trained.history:
        step = row["epoch"] - 1
        expected["train", "epoch_loss", step] = row["loss"]
        expected["train", "epoch_learning_rate", step] = row["learning_rate"]
        expected["validation", "epoch_loss", step] = row["val_loss"]
    assert actual == pytest.approx(expected)


def test_invalid_tensorboard_folder_is_a_one_line_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"--tensorboard: .*file/board: cannot be created: Not a dir"
    ):
        _train(max_epochs=1, tensorboard=tmp_path / "file" / "board")
