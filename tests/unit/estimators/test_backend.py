"""Determinism of TensorFlow's operations."""

from types import SimpleNamespace

import pytest
from tests.helpers.toy_shards import toy_shard

from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.training.loop import train
from wilsonvox.voxels.specification import VoxelScaling


@pytest.fixture
def determinism(monkeypatch):
    """Record the calls that make operations deterministic, on a machine with a number of GPUs."""
    prepare_backend()
    import tensorflow as tf

    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append("on"))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda _gpu, _on: None)

    def on(n_gpus, **options):
        gpus = [SimpleNamespace(name=f"GPU:{i}") for i in range(n_gpus)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda _kind: gpus)
        calls.clear()
        prepare_backend(**options)
        return calls

    return on


@pytest.mark.parametrize(
    ("n_gpus", "options", "expected"),
    [
        (0, {}, ["on"]),
        (0, {"deterministic_on_gpu": True}, ["on"]),
        (1, {}, []),
        (2, {"deterministic_on_gpu": True}, ["on"]),
        (1, {"deterministic_on_gpu": False}, []),
    ],
)
def test_operations_are_deterministic_on_a_cpu_and_on_demand_on_gpus(
    determinism, n_gpus, options, expected
):
    assert determinism(n_gpus, **options) == expected


@pytest.mark.parametrize("wanted", [True, False])
def test_training_requests_determinism_by_its_settings(monkeypatch, wanted):
    asked = []

    class Enough(Exception):
        pass

    def backend(*arguments):
        asked.append(arguments)
        raise Enough

    monkeypatch.setattr("wilsonvox.training.loop.prepare_backend", backend)
    shards = {str(c9): toy_shard(c9) for c9 in (0.0, 1.0)}
    with pytest.raises(Enough):
        train(
            shards,
            {"val": toy_shard(0.0, split="validation")},
            architecture="resnet",
            network=NetworkSettings(),
            training=TrainingSettings(deterministic_on_gpu=wanted),
            normalisation=VoxelScaling(),
            seed=1,
            threads=3,
        )
    assert asked == [(3, wanted)]
