"""Trainings with and without XLA, with operations that may be nondeterministic.

A program for `test_training_switches.py`: determinism cannot be switched off within a process, and
Keras does not compile deterministic operations. Prints its results as JSON.
"""

import json
import sys

import numpy as np

from tests.helpers.toy_shards import toy_network, toy_shard
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training import loop as training
from wilsonvox.voxels.specification import VoxelScaling

POINTS = (-1.0, 0.0, 1.0)


def main():
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism = lambda: None
    prepare_backend(1)
    import keras

    training._on_gpu = lambda: True
    compiled = []
    compile_plain = keras.Model.compile

    def spy(self, *arguments, **options):
        compile_plain(self, *arguments, **options)
        compiled.append(self.jit_compile)

    keras.Model.compile = spy
    networks = [
        training.train(
            {f"train{c9}": toy_shard(c9) for c9 in POINTS},
            {f"validation{c9}": toy_shard(c9, 3, "validation") for c9 in POINTS},
            architecture="resnet",
            network=toy_network(dropout=0.0),
            training=TrainingSettings(
                batch_size=4, learning_rate=0.15, max_epochs=3, jit_compile=jit_compile
            ),
            normalisation=VoxelScaling(),
            seed=2,
            threads=1,
        ).model.get_weights()
        for jit_compile in (False, True)
    ]
    difference = max(
        float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))
        for one, other in zip(*networks, strict=True)
    )
    json.dump({"compiled": compiled, "difference": difference}, sys.stdout)


if __name__ == "__main__":
    main()
