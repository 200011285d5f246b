"""Faults: shards that are damaged, of another specification, or of events already in use."""

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wilsonvox.records.embedded import read_record
from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification

from .conftest import RUN, Run, error_lines
from .test_killed import HISTORY, MODEL

pytestmark = pytest.mark.faults

IMAGES = "voxels/b8_n300"
TRAINED = f"{IMAGES}/train/c9_-2.00/000.npz"
SAMPLE = f"{IMAGES}/samples/ntuple.npz"
EVALUATION = "evaluation/b8_n300/tiny"
PLACES = ("test/c9_-2.00", "test/c9_+0.00", "interpolation/c9_-1.00", "interpolation/c9_-0.50")
MEASUREMENT = "measurements/b8_n300/tiny/ntuple.json"


def flipped(path: Path) -> None:
    """Change bytes of the largest array such that the archive stays valid."""
    with zipfile.ZipFile(path) as archive:
        content = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    content["mean_q2.npy"][-8:] = bytes(each ^ 0x55 for each in content["mean_q2.npy"][-8:])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), bytes(data))


def _save(shard: Shard, path: Path) -> None:
    """Write a shard with the record of the original one."""
    record = read_record(path)
    assert record is not None
    shard.save(path, record)


def flipped_in_place(path: Path) -> None:
    """Change bytes in the middle of the file."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 16] = bytes(each ^ 0xFF for each in data[middle : middle + 16])
    path.write_bytes(data)


def truncated(path: Path) -> None:
    """Remove the last third of the file."""
    data = path.read_bytes()
    path.write_bytes(data[: 2 * len(data) // 3])


def _save(shard: Shard, path: Path) -> None:
    """Write a shard with the record of the previous one."""
    record = read_record(path)
    assert record is not None
    shard.save(path, record)


def _run_folder(path: Path) -> Path:
    return next(each for each in path.parents if each.name == RUN.name)


def coarser(path: Path) -> None:
    """Make the same images with different bins."""
    place = path.relative_to(_run_folder(path) / IMAGES).with_suffix(".root")
    kind = "" if place.parts[0] == "samples" else "events"
    image = ImageSpecification(bins=4, events_per_image=300)
    made = voxelize_file(_run_folder(path) / kind / place, image, len(Shard.load(path)))
    _save(made, path)


def of_the_training(path: Path) -> None:
    """Copy a training shard to this path."""
    shutil.copy(_run_folder(path) / TRAINED, path)


def relabelled(path: Path) -> None:
    """Write training images with the labels of the original images."""
    labels = Shard.load(path).metadata
    trained = Shard.load(_run_folder(path) / TRAINED)
    about = trained.metadata.model_copy(
        update={"point": labels.point, "split": labels.split, "campaign": labels.campaign}
    )
    _save(replace(trained, metadata=about), path)


def refused(run: Run, damaged: dict[str, Callable[[Path], None]], *targets: str) -> None:
    """Damage shards, and check that Snakemake names all of them and makes no output from them."""
    before = {name: each for name, each in run.digests().items() if name not in damaged}
    for name, damage in damaged.items():
        damage(run.results / name)
    printed = run.snakemake(*targets, code=1)
    lines = error_lines(printed)
    run.show(f"shards that are {', '.join(each.__name__ for each in damaged.values())}", *lines)
    assert len(lines) == len(damaged), printed
    for name in damaged:
        assert sum(f" {RUN / name}: " in line for line in lines) == 1, f"{name}: {lines}"
    assert not set(targets) & set(run.sound(before, ignoring=set(damaged)))
    for name in damaged:
        (run.results / name).unlink()


def test_training_refuses_them(run):
    run.without("models", "evaluation", "measurements", "figures/b8_n300")
    refused(run, {f"{IMAGES}/train/c9_+0.00/000.npz": flipped}, MODEL)
    refused(run, {f"{IMAGES}/train/c9_-2.00/000.npz": flipped_in_place}, MODEL)
    refused(run, {f"{IMAGES}/validation/c9_-2.00/000.npz": truncated}, MODEL)
    refused(run, {f"{IMAGES}/validation/c9_+0.00/000.npz": coarser}, MODEL)
    refused(run, {f"{IMAGES}/validation/c9_-2.00/000.npz": of_the_training}, MODEL)
    # each run repaired what the previous one refused
    refused(run, {f"{IMAGES}/validation/c9_+0.00/000.npz": relabelled}, MODEL)
    run.complete(MODEL, HISTORY)


def test_evaluation_refuses_them(run):
    run.without("evaluation", "measurements")
    damaged = {
        f"{IMAGES}/test/c9_-2.00/000.npz": flipped,
        f"{IMAGES}/test/c9_+0.00/000.npz": relabelled,
        f"{IMAGES}/interpolation/c9_-1.00/000.npz": coarser,
        f"{IMAGES}/interpolation/c9_-0.50/000.npz": of_the_training,
    }
    refused(run, damaged, *(f"{EVALUATION}/{place}.parquet" for place in PLACES))
    run.complete()


def test_measurement_refuses_them(run):
    run.without("measurements")
    for damage in (flipped, truncated, coarser):
        refused(run, {SAMPLE: damage}, MEASUREMENT)
        run.complete(SAMPLE)
    run.complete(MEASUREMENT)
