"""Training steps of the demonstration's small network."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from decays import write_decays
from measuring import Row, Way, race

from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling

ROOT = Path(__file__).parents[2]
BATCH, N_BATCHES, BINS = 32, 6, 50


def run() -> list[Row]:
    """All rows of this module."""
    from wilsonvox.estimators.networks.backend import prepare_backend

    prepare_backend(1)
    import keras

    from wilsonvox.estimators.networks.image_batches import ImageBatches
    from wilsonvox.estimators.networks.resnet import build
    from wilsonvox.estimators.settings import NetworkSettings

    keras.utils.set_random_seed(1)
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    settings = NetworkSettings(**demo["estimators"]["resnet-small"]["network"])
    n_images = BATCH * N_BATCHES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.root"
        write_decays(path, int(1.01 * n_images * 24_000))
        shard = voxelize_file(path, ImageSpecification(bins=BINS), n_images)
    dense = shard.dense(np.arange(n_images), VoxelScaling())
    labels = np.full((n_images, 1), -0.9, np.float32)

    def network() -> Any:
        model = build((BINS, BINS, BINS, 1), 1, settings)
        model.compile(optimizer=keras.optimizers.SGD(0.01, momentum=0.9), loss="mae")
        return model

    batches = ImageBatches([shard], VoxelScaling(), BATCH, labels, seed=1, drop_remainder=True)
    own, plain = network(), network()
    return race(
        "train the small network, batches of 32",
        "images",
        {
            "wilsonvox, from sparse shards": Way(
                lambda: own.fit(batches, verbose=0, shuffle=False), n_images, True
            ),
            "keras fit, dense arrays in memory": Way(
                lambda: plain.fit(dense, labels, batch_size=BATCH, verbose=0), n_images
            ),
        },
        rounds=3,
    )
