"""Largest memory of trainings with ten times as many images, each in a process of its own.

    .venv/bin/python tests/bench/bench_memory.py --folder /a/disk

Images are of 24,000 events in 50³ voxels (0.2 MB each in a file). The network is a very small one,
whose own memory hides nothing; one epoch each. `--loaded` has all shards in memory, as they were
before they stayed in their files, for comparison.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_loader import IMAGES_PER_SHARD, write_shards

from wilsonvox.config.option_words import option_words
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.voxels.shards import Shard

NETWORK = NetworkSettings(
    stem_filters=2,
    stem_kernel=1,
    stem_stride=1,
    pooling="average",
    pool_size=10,
    pool_stride=10,
    filters=(4,),
    blocks=(1,),
    dense_units=8,
    dropout=0.0,
)
TRAINING = TrainingSettings(batch_size=32, max_epochs=1)


def labelled(path: str, number: int, split: str) -> str:
    """Write a shard anew with labels of a campaign of its own; its path."""
    from decays import record

    shard = Shard.load(path)
    about = {
        "point": "c9_-0.90",
        "split": split,
        "campaign": f"{number:03d}",
        "events_digest": None,
    }
    shifts = np.zeros_like(shard.shifts)
    shifts[:, 1] = (-1) ** number
    changed = vars(shard) | {
        "metadata": shard.metadata.model_copy(update=about),
        "shifts": shifts,
    }
    fields = Shard.__dataclass_fields__
    Shard(**{name: changed[name] for name in fields}).save(path, record())
    return path


def train_here(words: list[str], loaded: bool) -> int:
    """Run the command in this process and print its largest memory [kB]."""
    from wilsonvox.cli import run
    from wilsonvox.cli import shards as shard_files

    if loaded:
        shard_files.open_shards = shard_files.load_shards  # type: ignore[assignment]
    code = run(words)
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    print("peak", peak[1])
    return code


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write the shards")
    parser.add_argument("--images", default="300,3000", help="numbers of training images")
    parser.add_argument("--loaded", action="store_true", help="all shards in memory")
    options = parser.parse_args()
    sizes = [int(word) for word in options.images.split(",")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = write_shards(Path(folder), max(sizes) // IMAGES_PER_SHARD + 1, 50)
        validation = labelled(paths.pop(), 0, "validation")
        train = [labelled(path, number, "train") for number, path in enumerate(paths)]
        for size in sizes:
            words = ["train", "--validation", validation, "--estimator", "memory", "--seed", "1"]
            for path in train[: size // IMAGES_PER_SHARD]:
                words += ["--train", path]
            for settings in (NETWORK, TRAINING):
                words += option_words(settings)
            words += ["--history", f"{folder}/h.csv", "--out", f"{folder}/m.keras"]
            begin = time.perf_counter()
            process = subprocess.run(
                [sys.executable, __file__, "--train-here", *["--loaded"] * options.loaded, *words],
                capture_output=True,
                text=True,
                check=False,
            )
            if process.returncode:
                sys.exit(process.stdout + process.stderr)
            peak = int(process.stdout.split()[-1])
            print(
                f"{size} images, {size * 0.213:.0f} MB in shards: {peak / 1000:.0f} MB, "
                f"{time.perf_counter() - begin:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train-here"]:
        loaded = sys.argv[2] == "--loaded"
        sys.exit(train_here(sys.argv[3:] if loaded else sys.argv[2:], loaded))
    main()
