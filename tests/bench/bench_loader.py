"""How fast images come from their files to the network, without the network.

    .venv/bin/python tests/bench/bench_loader.py --folder /a/disk

Writes shards of images of 24,000 events (0.2 MB each) and reads them in the order of a training,
over all shards, in batches. Wall time and processor time are of this process on as many cores as
it may use; a cold cache is one from which the files were dropped (`posix_fadvise`).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from decays import record, write_decays
from machine import machine

from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.lazy_shards import open_shard
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling

IMAGES_PER_SHARD, BATCH = 50, 128


def write_shards(folder: Path, n_shards: int, bins: int) -> list[str]:
    """So many files of the same images; what they hold does not matter to who reads them."""
    events = folder / "events.root"
    write_decays(events, int(1.01 * IMAGES_PER_SHARD * 24_000))
    shard = voxelize_file(events, ImageSpecification(bins=bins), IMAGES_PER_SHARD)
    events.unlink()
    paths = [str(folder / f"{number:03d}.npz") for number in range(n_shards)]
    for path in paths:
        shard.save(path, record())
    return paths


def drop_from_cache(paths: list[str]) -> None:
    """Let the system forget what it holds of these files."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def timed(what: str, n_images: int, run: Callable[[], Any], rounds: int = 3) -> None:
    """Print the rate of the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        begin, begin_processor = time.perf_counter(), time.process_time()
        run()
        found.append((time.perf_counter() - begin, time.process_time() - begin_processor))
    wall, processor = min(found)
    print(
        f"{what:58} {n_images / wall:8.0f} images/s  {1e3 * processor / n_images:6.3f} ms of "
        "processor time an image",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write the shards")
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--bins", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from wilsonvox.estimators.networks.backend import prepare_backend

    prepare_backend(options.threads)
    import tensorflow as tf

    from wilsonvox.estimators.networks.image_batches import DenseImages, ImageBatches

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = write_shards(Path(folder), options.shards, options.bins)
        size = sum(Path(path).stat().st_size for path in paths)
        shards = [open_shard(path) for path in paths]
        n_images = sum(map(len, shards))
        described = machine()
        print(f"{described['processor']}, {len(os.sched_getaffinity(0))} cores, load ", end="")
        print(f"{described['load_average']}; {n_images} images, {size / 1e6:.0f} MB, ", end="")
        print(f"{options.bins}³ voxels, batches of {BATCH}")
        truth = np.zeros((n_images, 1))

        def batches(from_shards: list[Shard], sparse: bool) -> Any:
            return ImageBatches(
                from_shards,
                VoxelScaling(),
                BATCH,
                truth,
                seed=1,
                drop_remainder=True,
                sparse=sparse,
            )

        stored = batches(shards, True)
        read_images = stored.num_batches * BATCH
        dense = tf.function(DenseImages(options.bins, BATCH))

        def read(then: Callable[[Any], Any] = id) -> None:
            for images, _ in stored.dataset():
                then(images)

        def read_cold(then: Callable[[Any], Any] = id) -> None:
            drop_from_cache(paths)
            read(then)

        (one, _) = next(iter(stored.dataset()))
        dense(one)
        timed("read, cold cache", read_images, read_cold)
        timed("read, warm cache", read_images, read)
        timed(
            "make dense, as the device of the network does",
            20 * BATCH,
            lambda: [dense(one) for _ in range(20)],
        )
        timed("read and make dense, cold cache", read_images, lambda: read_cold(dense))
        timed("read and make dense, warm cache", read_images, lambda: read(dense))
        loaded = batches([Shard.load(paths[0])] * len(paths), False)
        timed(
            "for comparison: dense by NumPy, from memory, one thread",
            read_images,
            lambda: [loaded[number] for number in range(loaded.num_batches)],
            rounds=1,
        )


if __name__ == "__main__":
    main()
