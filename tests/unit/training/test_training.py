"""Batches, training, and model files."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from tests.helpers.toy_shards import IMAGE, save, toy_network, toy_shard

from wilsonvox.cli import run
from wilsonvox.cli.options import model_from, options_from
from wilsonvox.config.option_words import option_words
from wilsonvox.config.points import PointGroup
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.model_file import (
    METADATA_ENTRY,
    load_estimator,
    read_estimator_metadata,
    save_estimator,
)
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.training.loop import check_shards, describe, labels, train, varying_coefficients
from wilsonvox.voxels.specification import VoxelScaling

NETWORK = toy_network(dropout=0.1)
TRAINING = TrainingSettings(batch_size=4, learning_rate=0.02, max_epochs=3)
SETTINGS = {
    "architecture": "resnet",
    "network": NETWORK,
    "training": TRAINING,
    "normalisation": VoxelScaling(),
}
POINTS = (-1.0, 0.0, 1.0)


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


def _train_shards():
    return {f"train{c9}.npz": toy_shard(c9) for c9 in POINTS}


def _validation_shards():
    return {f"val{c9}.npz": toy_shard(c9, 3, "validation") for c9 in POINTS}


@pytest.fixture(scope="module")
def trained():
    settings = SETTINGS | {"training": TRAINING.model_copy(update={"max_epochs": 30})}
    return train(_train_shards(), _validation_shards(), seed=5, **settings)


@pytest.fixture(scope="module")
def model_file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    metadata = describe(trained, _train_shards(), estimator="toy", history_digest="0", **SETTINGS)
    save_estimator(
        path, trained.model, metadata, make_record("train", "out.file", settings={}, seed=5)
    )
    return path


# ---------------------------------------------------------------- batches
def _batches(shards, **options):
    from wilsonvox.estimators.networks.image_batches import ImageBatches

    options = {"normalisation": VoxelScaling(), "batch_size": 4} | options
    return ImageBatches(shards, **options)


def test_batches_contain_dense_images_and_labels_by_number():
    shards = [toy_shard(-1.0, 3), toy_shard(0.5, 4)]
    numbers = np.array([6, 0, 3, 2])
    truth = np.arange(7.0)[:, None]
    batches = _batches(shards, labels=truth)
    images = batches.images(numbers)
    every = np.concatenate([s.dense(np.arange(len(s)), VoxelScaling()) for s in shards])
    np.testing.assert_array_equal(images, every[numbers])
    assert images.shape == (4, 8, 8, 8, 1)
    assert images.dtype == np.float32
    assert np.count_nonzero(images[1]) == shards[0].offsets[1]
    first, labels_of_first = batches[0]
    np.testing.assert_array_equal(first, every[:4])
    np.testing.assert_array_equal(labels_of_first, truth[:4])


def test_min_max_scaling_is_per_shard():
    shards = [toy_shard(-1.0, 2), toy_shard(1.0, 2)]
    batches = _batches(shards, normalisation=VoxelScaling(method="min-max"))
    images = batches.images(np.array([0, 3]))
    for shard, number, image in ((shards[0], 0, images[0]), (shards[1], 1, images[1])):
        low, high = shard.mean_q2.min(), shard.mean_q2.max()
        part = slice(shard.offsets[number], shard.offsets[number + 1])
        expected = (shard.mean_q2[part] - low) / (high - low)
        np.testing.assert_allclose(image.ravel()[shard.voxel[part]], expected, rtol=1e-6)


def test_order_depends_on_seed_and_epoch():
    shards = [toy_shard(0.0, 6), toy_shard(1.0, 5)]
    orders = {}
    for seed in (1, 2):
        batches = _batches(shards, seed=seed)
        for epoch in (3, 0, 1):
            batches.epoch = epoch
            orders[seed, epoch] = batches.order().tolist()
            assert sorted(orders[seed, epoch]) == list(range(11))
    assert len({tuple(order) for order in orders.values()}) == 6
    again = _batches(shards, seed=1)
    again.epoch = 1
    assert again.order().tolist() == orders[1, 1]
    assert _batches(shards).order().tolist() == list(range(11))


def test_remainder_is_dropped_in_training_and_kept_in_prediction():
    shards = [toy_shard(0.0, 6), toy_shard(1.0, 5)]
    training = _batches(shards, drop_remainder=True)
    assert [len(training[i][0]) for i in range(training.num_batches)] == [4, 4]
    prediction = _batches(shards)
    assert [len(prediction[i][0]) for i in range(prediction.num_batches)] == [4, 4, 3]
    few = _batches(shards, batch_size=128, drop_remainder=True)
    assert [len(few[i][0]) for i in range(few.num_batches)] == [11]


def test_each_epoch_of_a_fit_has_its_own_order(monkeypatch):
    from wilsonvox.estimators.networks.image_batches import ImageBatches

    asked = []
    plain = ImageBatches.__getitem__

    def spy(self, index):
        if self.seed is not None:
            asked.append((self.epoch, index))
        return plain(self, index)

    monkeypatch.setattr(ImageBatches, "__getitem__", spy)
    train(_train_shards(), _validation_shards(), seed=5, **SETTINGS)
    # several threads read ahead, but never into the next epoch
    assert [epoch for epoch, _ in asked] == sorted(epoch for epoch, _ in asked)
    assert sorted(asked) == [(epoch, index) for epoch in range(3) for index in range(4)]


# ---------------------------------------------------------------- labels and checks
def test_labels_are_the_shifts_that_vary():
    shards = {
        "a": toy_shard(-1.0, 2, shifts=(0.05, -1.0, 0.3, 0, 0, 0)),
        "b": toy_shard(0.5, 1, shifts=(0.05, 0.5, -0.2, 0, 0, 0)),
    }
    assert varying_coefficients(shards) == ("c9", "c10")
    expected = [[-1.0, 0.3], [-1.0, 0.3], [0.5, -0.2]]
    np.testing.assert_array_equal(labels(shards, ("c9", "c10")), expected)
    with pytest.raises(UserError, match="nothing to learn"):
        varying_coefficients({"a": shards["a"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "test"}, "bad.npz: its images are of split 'test'"),
        ({"split": "interpolation"}, "of split 'interpolation'"),
        ({"split": "train"}, "of split 'train'; --validation takes"),
        ({"physics_inputs": "other"}, "bad.npz: was made with physics inputs other"),
        (
            {"lepton": "electron"},
            "bad.npz: contains decays to electrons, not to muons as train-1",
        ),
        (
            {"image": IMAGE.model_copy(update={"bins": 9, "flavour": "B0bar"})},
            "bad.npz: .* differ from those of train-1.0.npz: bins 9 instead of 8, flavour B0bar",
        ),
        ({"shifts": [np.nan] * 6}, "bad.npz: its true shifts are not known"),
        ({"shifts": [0, 1j, 0, 0, 0, 0]}, "bad.npz: .* imaginary"),
    ],
)
def test_shards_that_do_not_match_are_refused_by_name(changes, message):
    bad = toy_shard(0.0, **({"split": "validation"} | changes))
    with pytest.raises(UserError, match=message):
        check_shards(_train_shards(), _validation_shards() | {"bad.npz": bad})


def test_no_images_and_nan_voxels_are_refused():
    with pytest.raises(UserError, match="--validation: there are no images in no shard"):
        check_shards(_train_shards(), {})
    bad = toy_shard(0.0)
    bad.mean_q2[7] = np.nan
    with pytest.raises(UserError, match=r"bad.npz: has voxels whose mean q2 is not a finite"):
        check_shards(_train_shards() | {"bad.npz": bad}, _validation_shards())


# ---------------------------------------------------------------- training
def test_a_small_network_learns(trained):
    losses = [row["val_loss"] for row in trained.history]
    assert trained.best["val_loss"] == min(losses) < 0.25  # untrained: 2/3
    assert trained.coefficients == ("c9",)
    assert [row["epoch"] for row in trained.history] == list(range(1, len(losses) + 1))


def test_model_has_the_weights_of_the_best_epoch(model_file, trained):
    shards = _validation_shards()
    estimator = load_estimator(model_file)
    errors = [np.abs(estimator.predict(s) - s.shifts.real[:, 1:2]) for s in shards.values()]
    assert np.mean(errors) == pytest.approx(trained.best["val_loss"], rel=1e-5)


def test_learning_rate_is_reduced_at_a_plateau_and_training_stops():
    # a learning rate without effect: no epoch is better than the first
    slow = TRAINING.model_copy(
        update={
            "learning_rate": 1e-30,
            "minimum_learning_rate": 1e-33,
            "reduce_patience": 2,
            "early_stopping_patience": 5,
            "max_epochs": 50,
        }
    )
    still = NETWORK.model_copy(update={"batch_normalisation_momentum": 0.999999999})
    settings = SETTINGS | {"training": slow, "network": still}
    result = train(_train_shards(), _validation_shards(), seed=5, **settings)
    rates = [row["learning_rate"] for row in result.history]
    # two epochs without improvement after the first one, then again
    np.testing.assert_allclose(rates, [1e-30] * 3 + [2e-31] * 2 + [4e-32], rtol=1e-5)


def test_non_finite_loss_stops_with_a_one_line_error():
    wild = TRAINING.model_copy(update={"learning_rate": 1e30, "loss": "mse"})
    with pytest.raises(UserError, match=r"training: the (validation )?loss is not finite in epoch"):
        train(_train_shards(), _validation_shards(), seed=5, **(SETTINGS | {"training": wild}))


def test_mixed_precision_is_ignored_on_a_cpu(caplog):
    import keras

    changes = {"max_epochs": 1, "mixed_precision": True}
    settings = SETTINGS | {"training": TRAINING.model_copy(update=changes)}
    result = train(_train_shards(), _validation_shards(), seed=5, **settings)
    assert "this CPU computes in float32" in caplog.text
    assert result.model.get_layer("conv1_conv").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_mixed_precision_keeps_weights_and_shifts_in_float32(monkeypatch):
    import tensorflow as tf

    from wilsonvox.estimators.networks.resnet import build
    from wilsonvox.training.loop import _precision

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: ["a GPU"])
    with _precision(mixed=True):
        model = build((8, 8, 8, 1), 1, NETWORK)
    assert model.get_layer("conv1_conv").compute_dtype == "float16"
    assert model.get_layer("predictions").compute_dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


# ---------------------------------------------------------------- files
def test_model_file_round_trip(model_file, trained):
    metadata = read_estimator_metadata(model_file)
    assert metadata.estimator == "toy"
    assert metadata.image == IMAGE
    assert metadata.coefficients == ("c9",)
    assert metadata.training_points == {"c9_-1.00": 6, "c9_+0.00": 6, "c9_+1.00": 6}
    assert metadata.physics_inputs == "toy"
    assert (metadata.lepton, metadata.antiparticle_shifts) == ("muon", "equal")
    assert metadata.best_epoch == trained.best["epoch"]
    shard = toy_shard(0.3, 40, "test")  # more than a batch
    estimator = load_estimator(model_file)
    assert estimator.metadata == metadata
    predicted = estimator.predict(shard)
    assert (predicted.shape, predicted.dtype) == ((40, 1), np.float64)
    images = shard.dense(np.arange(40), metadata.normalisation)
    np.testing.assert_allclose(predicted, trained.model(images), atol=1e-6)
    assert estimator.predict(toy_shard(0.3, 0, "test")).shape == (0, 1)


def test_metadata_is_read_without_tensorflow(model_file):
    code = (
        "import sys\n"
        "from wilsonvox.estimators.model_file import read_estimator_metadata as read\n"
        f"print(read({str(model_file)!r}).estimator, 'tensorflow' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert output.stdout.split() == [b"toy", b"False"]


def test_record_contains_the_digest_of_the_weights(model_file):
    record = read_record(model_file)
    assert record is not None
    assert record.seed == 5
    assert record.content_digest == content_digest(model_file)


def test_optimizer_is_not_stored(model_file):
    import h5py

    with zipfile.ZipFile(model_file) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    assert "optimizer" not in weights


def test_images_of_another_kind_are_refused(model_file):
    other = toy_shard(0.3, image=IMAGE.model_copy(update={"events_per_image": 50}))
    with pytest.raises(
        UserError, match=r"s\.npz: .*model\.keras: events_per_image 50 instead of 100"
    ):
        load_estimator(model_file).predict(other, "s.npz")


def _flip(path, target, entry):
    """Copy a model file with one byte of `entry` changed and a correct zip checksum."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = bytearray(source.read(name))
            if name == entry:
                content[-1] ^= 1
            copy.writestr(name, bytes(content))


def test_damaged_files_are_a_user_error(model_file, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_estimator(tmp_path / "none.keras")
    truncated = tmp_path / "truncated.keras"
    truncated.write_bytes(model_file.read_bytes()[:2000])
    flipped = tmp_path / "flipped.keras"
    _flip(model_file, flipped, "model.weights.h5")
    foreign = tmp_path / "foreign.keras"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("config.json", "{}")
    broken = tmp_path / "broken.keras"
    _flip(model_file, broken, "config.json")
    for path, reason in (
        (truncated, "not a zip file"),
        (flipped, "content differs from its recorded digest"),
        (foreign, "not written by `wilsonvox train`"),
        (broken, ""),
    ):
        with pytest.raises(UserError, match=rf"{path.name}: not a readable estimator.*{reason}"):
            load_estimator(path)


def test_failed_write_leaves_no_file(model_file, trained, tmp_path):
    class Full:
        def save(self, path):
            Path(path).write_bytes(b"half of it")
            raise OSError(28, "No space left on device")

    metadata = read_estimator_metadata(model_file)
    with pytest.raises(OSError, match="No space left"):
        save_estimator(
            tmp_path / "m.keras", Full(), metadata, make_record("train", "out.file", settings={})
        )
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"m\.h5: .* must end in \.keras"):
        save_estimator(
            tmp_path / "m.h5", trained.model, metadata, make_record("train", "out.file", {})
        )


# ---------------------------------------------------------------- command line
def test_options_round_trip_to_settings():
    models = (NETWORK, TRAINING, VoxelScaling(method="min-max", scale_gev2=19.0))
    names = [name for model in models for name in option_words(model)[::2]]
    assert len(set(names)) == len(names)
    assert {"--normalisation", "--normalisation-scale-gev2"} < set(names)
    parsed = {}

    @click.command()
    @options_from(NetworkSettings)
    @options_from(TrainingSettings)
    @options_from(VoxelScaling)
    def command(**options):
        parsed.update(options)

    words = [word for model in models for word in option_words(model)]
    assert CliRunner().invoke(command, words).exit_code == 0
    assert tuple(model_from(type(model), parsed) for model in models) == models


def test_errors_of_settings_name_the_option():
    with pytest.raises(UserError, match=r"--normalisation-scale-gev2: .*greater than 0"):
        model_from(VoxelScaling, {"normalisation_scale_gev2": "-1"})
    with pytest.raises(UserError, match=r"^options: filters and blocks must have the same length"):
        model_from(NetworkSettings, {"filters": "4,8", "blocks": "1"})
    assert model_from(PointGroup.__base__, {}) is not None


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    words = []
    for option, shards in (("--train", _train_shards()), ("--validation", _validation_shards())):
        for name, shard in shards.items():
            save(shard, folder / name)
            words += [option, name]
    for settings in (NETWORK, TRAINING, VoxelScaling()):
        words += option_words(settings)
    return folder, words


def _command(folder, options, seed=5):
    """Run `wilsonvox train` in a process of its own, with one thread."""
    out = f"m{len(list(folder.glob('*.keras')))}-{seed}"
    history = f"{out}.csv"
    arguments = ["train", *options, "--estimator", "toy", "--seed", str(seed), "--threads", "1"]
    arguments += ["--history", history, "--out", f"{out}.keras"]
    code = "from wilsonvox.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log, _ = process.communicate(timeout=120)
    assert process.returncode == 0, log
    return folder / f"{out}.keras", folder / history, log


@pytest.fixture(scope="module")
def two_runs(files):
    return _command(*files), _command(*files)


def test_equal_trainings_give_equal_weights_and_losses(two_runs):
    (one, history_one, _), (two, history_two, _) = two_runs
    weights = []
    for path in (one, two):
        with zipfile.ZipFile(path) as archive:
            weights.append(archive.read("model.weights.h5"))
    assert weights[0] == weights[1]
    assert content_digest(one) == content_digest(two)
    assert history_one.read_bytes() == history_two.read_bytes()


def test_history_is_csv_of_every_epoch_and_its_digest_is_in_the_model(two_runs):
    model, history, _ = two_runs[0]
    rows = list(csv.DictReader(history.read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "learning_rate"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    metadata = read_estimator_metadata(model)
    assert metadata.history_digest == content_digest(history)
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert metadata.best_validation_loss == float(best["val_loss"])


def test_log_has_one_line_per_epoch(two_runs):
    lines = two_runs[0][2].splitlines()
    assert lines[0].endswith(": this TensorFlow is built for CPUs; computing on 1 thread")
    assert lines[1].startswith("training resnet (")
    assert "on CPU, 1 thread: 18 images to train, 9 to validate" in lines[1]
    assert [line.split(":")[0] for line in lines[2:5]] == [
        f"epoch {number} of at most 3" for number in (1, 2, 3)
    ]
    assert lines[5].startswith("best epoch ")
    assert len(lines) == 6


def test_model_file_contains_command_settings_and_inputs(two_runs):
    record = read_record(two_runs[0][0])
    assert record is not None
    assert (record.rule, record.seed) == ("train", 5)
    assert record.settings["network"]["filters"] == [4]
    assert record.settings["training"]["learning_rate"] == 0.02
    assert record.command[:3] == ("wilsonvox", "train", "--train")
    assert [entry.path for entry in record.inputs] == [*_train_shards(), *_validation_shards()]
    with zipfile.ZipFile(two_runs[0][0]) as archive:
        assert json.loads(archive.read(METADATA_ENTRY))["architecture"] == "resnet"


def test_another_seed_gives_another_network(files, two_runs, monkeypatch, capfd):
    folder, words = files
    monkeypatch.chdir(folder)
    arguments = ["--estimator", "toy", "--seed", "6", "--threads", "1"]
    arguments += ["--history", "h.csv", "--out", "other.keras"]
    assert run(["train", *words, *arguments]) == 0
    assert content_digest("other.keras") != content_digest(two_runs[0][0])
    assert "\r" not in capfd.readouterr().out  # no progress bar


def test_command_line_mistakes_are_one_line_errors(files, monkeypatch, capsys):
    folder, words = files
    monkeypatch.chdir(folder)
    rest = ["--estimator", "toy", "--seed", "6", "--history", "x.csv", "--out", "x.keras"]
    assert run(["train", *words, *words[:2], *rest]) == 1
    assert "--train: train-1.0.npz is given twice" in capsys.readouterr().err
    assert run(["train", *words, *rest, "--filters", "8,16"]) == 1
    assert "filters and blocks must have the same length" in capsys.readouterr().err
    assert run(["train", *words, *rest, "--train", "none.npz"]) == 1
    assert "none.npz: does not exist" in capsys.readouterr().err
    assert not Path("x.csv").exists()
    assert not Path("x.keras").exists()


def test_model_files_contain_no_clock_times(model_file):
    import zipfile

    with zipfile.ZipFile(model_file) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"date_saved" not in archive.read("metadata.json")
