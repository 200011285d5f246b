"""Cost of deterministic operations in training on the CPU: a ratio of times.

Run it on a quiet machine: ``.venv/bin/python tests/bench/bench_determinism.py [REPETITIONS]``. The
same short training runs in turn with and without them, each in a process of its own, because they
cannot be switched off again. Neighbours in time are compared with each other, so that slow drifts
of the machine cancel.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BINS, N_IMAGES, OCCUPIED = 50, 96, 21_000
EPOCHS = 8


def train_once(deterministic: bool) -> None:
    """Train in this process; print wall and processor seconds of the epochs after the first."""
    import tensorflow as tf

    from wilsonvox.estimators.networks.backend import prepare_backend

    if not deterministic:
        tf.config.experimental.enable_op_determinism = lambda: None
    prepare_backend(2)
    import keras

    from wilsonvox.estimators.networks.image_batches import ImageBatches
    from wilsonvox.estimators.networks.resnet import build
    from wilsonvox.estimators.settings import NetworkSettings
    from wilsonvox.voxels.shards import Shard, ShardMetadata
    from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling

    rng = np.random.default_rng(1)
    voxels = [np.sort(rng.choice(BINS**3, OCCUPIED, replace=False)) for _ in range(N_IMAGES)]
    shard = Shard(
        metadata=ShardMetadata(
            image=ImageSpecification(bins=BINS),
            origin="generated",
            n_events_in_file=0,
            n_events_cut={},
            n_events_used=0,
            n_events_left_over=0,
        ),
        voxel=np.concatenate(voxels).astype(np.int32),
        mean_q2=rng.uniform(0.1, 19, N_IMAGES * OCCUPIED).astype(np.float32),
        count=np.ones(N_IMAGES * OCCUPIED, np.uint16),
        offsets=np.arange(N_IMAGES + 1, dtype=np.int64) * OCCUPIED,
        shifts=np.zeros((N_IMAGES, 6), np.complex128),
        n_events=np.full(N_IMAGES, 24_000, np.int64),
        source_range=np.zeros((N_IMAGES, 2), np.int64),
    )
    labels = rng.uniform(-2, 1, (N_IMAGES, 1))
    batches = ImageBatches([shard], VoxelScaling(), 16, labels, seed=1, drop_remainder=True)
    keras.utils.set_random_seed(1)
    # the parts of the papers' network, dropout too, in less of each
    sizes = NetworkSettings(
        stem_filters=8, filters=(8, 16, 32), blocks=(1, 1, 1), dense_units=100, dropout=0.5
    )
    model = build((BINS, BINS, BINS, 1), 1, sizes)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss="mae", jit_compile=False)
    model.fit(batches, epochs=1, shuffle=False, verbose=0)  # tracing and first touches
    start = np.array([time.perf_counter(), time.process_time()])
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0)
    print(*(np.array([time.perf_counter(), time.process_time()]) - start))


def seconds(deterministic: bool) -> NDArray[np.float64]:
    """Wall and processor seconds of `train_once` in a process of its own, shape (2,)."""
    word = "with" if deterministic else "without"
    command = [sys.executable, str(Path(__file__)), word]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return np.array(output.split()[-2:], dtype=float)


def main(repetitions: int) -> None:
    """Measure and print the ratios of times with to without, and their standard errors."""
    pairs = []
    for i in range(repetitions):
        # the other order each time
        times = {on: seconds(on) for on in ((True, False) if i % 2 else (False, True))}
        pairs.append((times[True], times[False]))
        shown = f"with {times[True].round(2)} s, without {times[False].round(2)} s"
        print(f"{i + 1:3} {shown}", flush=True)
    ratios = np.array([one / other for one, other in pairs])
    errors = ratios.std(axis=0, ddof=1) / np.sqrt(repetitions)
    for name, mean, error in zip(("wall", "processor"), ratios.mean(axis=0), errors, strict=True):
        print(f"{name} time, deterministic / not: {mean:.3f} ± {error:.3f} ({repetitions} pairs)")
    print(json.dumps({"cores": os.cpu_count(), "ratios": ratios.round(4).tolist()}))


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "8"
    if argument in ("with", "without"):
        train_once(argument == "with")
    else:
        main(int(argument))
