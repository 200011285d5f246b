"""Prediction tables."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.helpers.toy_shards import IMAGE, save, toy_shard

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, read_table
from wilsonvox.estimators.evaluation import check_labels, check_one_point, evaluate
from wilsonvox.estimators.metadata import EstimatorMetadata
from wilsonvox.estimators.model_file import save_estimator
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.embedded import read_record
from wilsonvox.voxels.specification import VoxelScaling

SMALL = NetworkSettings(stem_filters=2, stem_kernel=3, filters=(2,), blocks=(1,), dense_units=3)


@dataclass
class Constant:
    """Estimator of two coefficients that predicts the number of the image."""

    metadata = SimpleNamespace(coefficients=("c9", "c10"))

    def predict(self, shard, _source):
        number = np.arange(len(shard), dtype=float)
        return np.stack([number, -number], axis=1)


def test_table_has_one_row_per_image_and_coefficient():
    shifts = (0, -0.9, 0.4, 0, 0, 0)
    shards = {
        "a": toy_shard(-0.9, 2, "test", "000", shifts=shifts),
        "b": toy_shard(-0.9, 3, "test", "001", shifts=shifts),
    }
    frame = evaluate(Constant(), shards)
    assert list(frame.columns) == list(PREDICTION_COLUMNS)
    assert len(frame) == 10
    assert set(frame["point"]) == {"c9_-0.90"}
    assert set(frame["split"]) == {"test"}
    assert frame["campaign"].tolist() == ["000"] * 4 + ["001"] * 6
    assert frame["image_index"].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 2, 2]
    assert frame["coefficient"].tolist() == ["c9", "c10"] * 5
    assert frame["true"].tolist() == [-0.9, 0.4] * 5
    assert frame["predicted"].tolist() == [0, 0, 1, -1, 0, 0, 1, -1, 2, -2]
    assert frame["error"].isna().all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (toy_shard(0.5, split="test", campaign="001"), r"b: holds test images of c9_\+0.50"),
        (toy_shard(0.0, split="train", campaign="001"), "b: holds train images"),
        (toy_shard(0.0, split="test"), "b: is campaign 000, the same as a"),
        (toy_shard(0.0, point=None, sample="data"), "b: is not a campaign of a point"),
    ],
)
def test_shards_of_more_than_one_point_are_refused(other, message):
    with pytest.raises(UserError, match=message):
        check_one_point({"a": toy_shard(0.0, split="test"), "b": other})


@pytest.mark.parametrize(
    ("point", "split", "message"),
    [
        ("c9_+0.50", "test", "a: holds test images of c9_.*, not test images of c9_.0.50; delete"),
        (None, "interpolation", "a: holds test images of (c9_.*), not interpolation images of"),
    ],
)
def test_shards_with_unexpected_labels_are_refused(point, split, message):
    shards = {"a": toy_shard(0.0, split="test")}
    label = shards["a"].metadata.point
    check_labels(shards, label, "test")
    check_labels(shards, None, None)
    with pytest.raises(UserError, match=message):
        check_labels(shards, point, split)


def test_no_shards_are_refused():
    with pytest.raises(UserError, match="no shards"):
        check_one_point({})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import keras

    from wilsonvox.estimators.networks.backend import prepare_backend
    from wilsonvox.estimators.networks.resnet import build

    prepare_backend()
    keras.utils.set_random_seed(1)  # with other seeds its few rectified units may all be zero
    path = tmp_path_factory.mktemp("model") / "model.keras"
    metadata = EstimatorMetadata(
        estimator="toy",
        architecture="resnet",
        image=IMAGE,
        normalisation=VoxelScaling(),
        coefficients=("c9",),
        network=SMALL,
        training=TrainingSettings(),
        physics_inputs="toy",
        training_points={},
        n_parameters=1,
        best_epoch=1,
        best_validation_loss=0.5,
    )
    network = build((8, 8, 8, 1), 1, SMALL)
    save_estimator(path, network, metadata, make_record("train", "out.file", settings={}))
    return path


def test_command_writes_a_prediction_table(model, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words = []
    for campaign in ("000", "001"):
        shard = toy_shard(0.5, 3, "interpolation", campaign)
        words += ["--shard", save(shard, Path(f"{campaign}.npz"))]
    arguments = ["evaluate", "--model", str(model), *words, "--out", "p.parquet"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert run(arguments) == 0
    stderr = capfd.readouterr().err
    assert "\nCUDA_VISIBLE_DEVICES=-1: this TensorFlow is built for CPUs; comput" in f"\n{stderr}"
    assert "toy: 6 interpolation images of c9_+0.50 predicted" in stderr
    frame, metadata = read_table("p.parquet", PREDICTION_COLUMNS)
    assert (metadata.estimator, metadata.image, metadata.physics_inputs) == ("toy", IMAGE, "toy")
    assert frame["image_index"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.isfinite(frame["predicted"]).all()
    assert frame["predicted"].nunique() == 6
    record = read_record("p.parquet")
    assert record is not None
    assert record.rule == "evaluate"
    assert [entry.path for entry in record.inputs] == ["model.keras", "000.npz", "001.npz"]
    first = Path("p.parquet").read_bytes()
    assert run(arguments) == 0
    assert Path("p.parquet").read_bytes() == first


def test_missing_gpus_are_not_reported_as_a_damaged_model(model, tmp_path, monkeypatch, capfd):
    import tensorflow as tf

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    shard = save(toy_shard(0.5, 3, "interpolation"), Path("s.npz"))
    arguments = ["evaluate", "--model", str(model), "--shard", shard, "--out", "p.parquet"]
    assert run(arguments) == 1
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("wilsonvox: error: CUDA_VISIBLE_DEVICES=0 names 1 GPU, but TensorFlow")
    assert not Path("p.parquet").exists()


def test_command_warns_of_other_physics_and_refuses_other_images(
    model, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    save(toy_shard(0.5, 2, "test", physics_inputs="flavio"), Path("f.npz"))
    arguments = ["evaluate", "--model", str(model), "--out", "p.parquet", "--shard"]
    assert run([*arguments, "f.npz"]) == 0
    assert "physics inputs flavio, but the estimator is for toy" in capfd.readouterr().err
    Path("p.parquet").unlink()
    save(toy_shard(0.5, 2, "test", image=IMAGE.model_copy(update={"bins": 9})), Path("n.npz"))
    assert run([*arguments, "n.npz"]) == 1
    assert "n.npz: its images do not fit the estimator" in capfd.readouterr().err
    assert not Path("p.parquet").exists()
