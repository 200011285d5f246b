"""GPUs assigned to a process, and those that TensorFlow sees."""

from types import SimpleNamespace

import pytest
from tests.helpers.toy_shards import toy_shard

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.networks.gpus import check_gpus, describe_device, log_devices, named_gpus
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.training.loop import train
from wilsonvox.voxels.specification import VoxelScaling


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


@pytest.fixture
def machine(monkeypatch):
    """Fake a machine: its GPUs by name, TensorFlow with or without CUDA, and the variable."""
    import tensorflow as tf

    def make(visible, names=(), cuda=True):
        gpus = [SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(len(names))]
        details = {gpu.name: {"device_name": n} for gpu, n in zip(gpus, names, strict=True)}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: gpus)
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details", lambda gpu: details[gpu.name]
        )
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda _gpu, _on: None)
        monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 2)
        monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: cuda)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(
    ("visible", "number"),
    [
        ("0", 1),
        ("1,3", 2),
        ("0, 2", 2),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", 1),
        ("MIG-GPU-8932f937/1/0,MIG-b", 2),
        ("", 0),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("0,-1,1", 1),
    ],
)
def test_number_of_gpus_in_the_variable(visible, number):
    assert named_gpus(visible) == number


A100 = "NVIDIA A100-SXM4-40GB"


@pytest.mark.parametrize(
    ("visible", "names", "cuda", "line"),
    [
        ("1", [A100], True, f"CUDA_VISIBLE_DEVICES=1: 1 GPU, {A100}"),
        ("0,1", [A100] * 2, True, f"CUDA_VISIBLE_DEVICES=0,1: 2 GPUs, {A100}"),
        (None, [A100, "T4"], True, f"CUDA_VISIBLE_DEVICES is not set: 2 GPUs, {A100}, T4"),
        ("-1", [], True, "CUDA_VISIBLE_DEVICES=-1: no GPU; computing on 2 threads"),
        (
            "0",
            [],
            False,
            "CUDA_VISIBLE_DEVICES=0: this TensorFlow is built for CPUs; computing on 2 threads",
        ),
    ],
)
def test_log_line_describes_devices(machine, caplog, visible, names, cuda, line):
    caplog.set_level("INFO")
    machine(visible, names, cuda)
    check_gpus()
    log_devices()
    assert [record.getMessage() for record in caplog.records] == [line]


def test_gpus_without_details_are_named_by_tensorflow(machine, monkeypatch):
    import tensorflow as tf

    machine("0", ["x"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _gpu: {})
    assert describe_device() == "1 GPU, /physical_device:GPU:0"


@pytest.mark.parametrize(
    ("visible", "names", "start"),
    [
        ("0", [], "CUDA_VISIBLE_DEVICES=0 names 1 GPU, but TensorFlow finds 0: "),
        ("0,1", ["a"], "CUDA_VISIBLE_DEVICES=0,1 names 2 GPUs, but TensorFlow finds 1: "),
    ],
)
def test_missing_gpus_are_a_one_line_error(machine, visible, names, start):
    machine(visible, names)
    with pytest.raises(UserError) as error:
        prepare_backend()
    assert str(error.value).startswith(start)
    assert str(error.value).endswith("to compute on the CPU on purpose set CUDA_VISIBLE_DEVICES=-1")
    assert "nvidia-smi" in str(error.value)


@pytest.mark.parametrize(
    ("visible", "names", "cuda"),
    [("0", [], False), ("-1", [], True), ("", [], True), (None, [], True), ("0", ["a"], True)],
)
def test_enough_gpus_are_accepted(machine, visible, names, cuda):
    machine(visible, names, cuda)
    check_gpus()


def test_a_training_without_its_gpu_does_not_begin(machine):
    machine("0")
    with pytest.raises(UserError, match="names 1 GPU, but TensorFlow finds 0"):
        train(
            {str(c9): toy_shard(c9) for c9 in (0.0, 1.0)},
            {"val": toy_shard(0.0, split="validation")},
            architecture="resnet",
            network=NetworkSettings(),
            training=TrainingSettings(),
            normalisation=VoxelScaling(),
            seed=1,
        )
