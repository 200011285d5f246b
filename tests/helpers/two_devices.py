"""Trainings on two logical devices of one CPU, which must be set up before TensorFlow starts.

A program for `test_training_replicas.py`, which prints its results as JSON. Its arguments are a
folder for checkpoints, the number of epochs, and the positions to stop at (epoch and batch).
"""

import json
import logging
import signal
import sys
from pathlib import Path

import numpy as np

from tests.helpers.toy_shards import toy_network, toy_shard
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training.loop import train
from wilsonvox.training.signals import TrainingStopped
from wilsonvox.voxels.specification import VoxelScaling

TWO = ("CPU:0", "CPU:1")
NETWORK = toy_network(dropout=0.0)
TRAINING = TrainingSettings(batch_size=4, learning_rate=0.15, reduce_patience=1, reduce_factor=0.5)
POINTS = (-1.0, 0.0, 1.0)
TRAIN = {f"train{c9}.npz": toy_shard(c9) for c9 in POINTS}
# nine images in batches of four: one is left, for two devices
VALIDATION = {f"val{c9}.npz": toy_shard(c9, 3, "validation") for c9 in POINTS}


def run(max_epochs, devices=None, state=None, dropout=0.0, train_shards=TRAIN, **changes):
    changes["max_epochs"] = max_epochs
    return train(
        train_shards,
        VALIDATION,
        architecture="resnet",
        network=NETWORK.model_copy(update={"dropout": dropout}),
        training=TRAINING.model_copy(update=changes),
        normalisation=VoxelScaling(),
        seed=9,
        threads=1,
        state=state,
        devices=devices,
    )


def stop_at(places):
    """Signal this process once after each batch of `places` (epoch, batch), both from 1."""
    from wilsonvox.training.callbacks import StopWhenNotFinite

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG001
        place = [self.batches.epoch + 1, self.batches.first_batch + batch + 1]
        if place in places:
            places.remove(place)
            signal.raise_signal(signal.SIGTERM)

    StopWhenNotFinite.on_train_batch_end = on_train_batch_end


def contents(path):
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def refusal(**options):
    try:
        run(1, TWO, **options)
    except UserError as error:
        return str(error)
    return None


def main(folder, max_epochs, *places):
    prepare_backend(1)
    import tensorflow as tf

    logging.getLogger("wilsonvox").setLevel(logging.WARNING)
    (cpu,) = tf.config.list_physical_devices("CPU")
    part = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [part, part])
    results = {}

    one, two = run(max_epochs), run(max_epochs, TWO)
    scales = [max(1.0, float(np.abs(w).max())) for w in one.model.get_weights()]
    pairs = zip(one.model.get_weights(), two.model.get_weights(), strict=True)
    results["weights"] = max(
        float(np.abs(a - b).max()) / scale for (a, b), scale in zip(pairs, scales, strict=True)
    )
    for name in ("loss", "val_loss"):
        results[name] = max(
            abs(a[name] - b[name]) for a, b in zip(one.history, two.history, strict=True)
        )
    results["configurations equal"] = one.model.get_config() == two.model.get_config()

    whole, state = folder / "whole.npz", folder / "stopped.npz"
    undisturbed = run(max_epochs, TWO, whole, dropout=0.3)
    left = [[int(number) for number in place.split(":")] for place in places]
    stop_at(left)
    results["counts"] = []
    for _ in places:
        try:
            run(max_epochs, TWO, state, dropout=0.3)
        except TrainingStopped:
            results["counts"].append(contents(state)["metrics_00001"].tolist())
    resumed = run(max_epochs, TWO, state, dropout=0.3)
    results["places left"] = left
    results["resumed equal"] = (
        resumed.history_csv() == undisturbed.history_csv()
        and all(
            a.tobytes() == b.tobytes()
            for a, b in zip(
                resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True
            )
        )
        and [(n, a.tobytes()) for n, a in contents(state).items()]
        == [(n, a.tobytes()) for n, a in contents(whole).items()]
    )

    results["refusal"] = refusal(batch_size=3)
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
