"""Shards that stay in their files, and networks trained from them."""

import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.toy_shards import save, toy_network, toy_shard

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.training.loop import train
from wilsonvox.voxels.labelled_shards import check_voxels
from wilsonvox.voxels.lazy_shards import StoredArray, open_shard, stored_arrays
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import VoxelScaling

POINTS = (-1.0, 0.0, 1.0)
SETTINGS = {
    "architecture": "resnet",
    "network": toy_network(dropout=0.1),
    "training": TrainingSettings(batch_size=4, learning_rate=0.02, max_epochs=2),
    "normalisation": VoxelScaling(method="min-max"),
}


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


@pytest.fixture
def path(tmp_path):
    save(toy_shard(-1.0, 7), tmp_path / "shard.npz")
    return tmp_path / "shard.npz"


# ---------------------------------------------------------------- reading
@pytest.mark.parametrize("method", ["fixed", "min-max", "none"])
def test_a_stored_shard_has_the_images_of_the_loaded_one(path, method):
    stored, loaded = open_shard(path), Shard.load(path)
    normalisation = VoxelScaling(method=method)
    assert isinstance(stored.voxel, StoredArray)
    assert stored.metadata == loaded.metadata
    for index in (6, 0, 3):
        for one, other in zip(
            stored.occupied(index, normalisation),
            loaded.occupied(index, normalisation),
            strict=True,
        ):
            assert (one.dtype, len(one) > 0) == (other.dtype, True)
            np.testing.assert_array_equal(one, other)
    for name, array in loaded.arrays().items():
        np.testing.assert_array_equal(np.asarray(stored.arrays()[name]), array)


def test_only_the_requested_image_is_read(path, monkeypatch):
    sizes = []
    plain = os.preadv

    def spy(number, parts, offset):
        sizes.append(sum(map(len, parts)))
        return plain(number, parts, offset)

    shard = open_shard(path)
    monkeypatch.setattr(os, "preadv", spy)
    shard.occupied(2, VoxelScaling())
    n_voxels = int(shard.offsets[3] - shard.offsets[2])
    assert sizes == [4 * n_voxels, 4 * n_voxels]


def test_many_threads_read_more_files_than_are_open_at_a_time(tmp_path, monkeypatch):
    from functools import lru_cache

    from wilsonvox.voxels import lazy_shards as stored_shards

    monkeypatch.setattr(stored_shards, "_open_file", lru_cache(2)(stored_shards._OpenFile))
    paths = [Path(save(toy_shard(c9, 5), tmp_path / f"{c9}.npz")) for c9 in POINTS]
    stored, loaded = [open_shard(p) for p in paths], [Shard.load(p) for p in paths]

    def same(number):
        which, index = number % 3, number % 5
        pairs = zip(
            stored[which].occupied(index, VoxelScaling()),
            loaded[which].occupied(index, VoxelScaling()),
            strict=True,
        )
        return all(np.array_equal(*pair) for pair in pairs)

    before = len(list(Path("/proc/self/fd").iterdir()))
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(same, range(300)))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_an_image_without_voxels(tmp_path):
    shard = toy_shard(0.0, 2)
    half = int(shard.offsets[1])
    arrays = {name: getattr(shard, name)[:half] for name in ("voxel", "mean_q2", "count")}
    empty = type(shard)(**(vars(shard) | arrays | {"offsets": np.array([0, half, half])}))
    save(empty, tmp_path / "s.npz")
    voxel, value = open_shard(tmp_path / "s.npz").occupied(1, VoxelScaling())
    assert (len(voxel), len(value)) == (0, 0)


# ---------------------------------------------------------------- files that are wrong
def test_damaged_files_are_refused_like_loaded_ones(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[content.index(Shard.load(path).mean_q2.tobytes())] ^= 1
    (tmp_path / "flipped.npz").write_bytes(content)
    (tmp_path / "truncated.npz").write_bytes(content[:3000])
    (tmp_path / "text.npz").write_text("no shard")
    (tmp_path / "folder.npz").mkdir()
    for name in ("flipped", "truncated", "text", "folder", "none"):
        messages = []
        for read in (Shard.load, open_shard):
            with pytest.raises(UserError) as raised:
                read(tmp_path / f"{name}.npz")
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


def test_compressed_shards_are_refused(path, tmp_path):
    packed = tmp_path / "packed.npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"packed\.npz: .* one by one \(its .* is compressed\)"):
        open_shard(packed)


def test_stored_arrays_of_other_npz_files(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.arange(3), two=np.zeros((2, 2)), text=np.array("x"))
    arrays = stored_arrays(tmp_path / "a.npz")
    assert list(arrays) == ["one"]
    assert arrays["one"][1:].tolist() == [1, 2]
    with pytest.raises(ValueError, match="in one piece"):
        arrays["one"][::2]


@pytest.mark.parametrize("what", ["shorter", "touched", "gone"])
def test_file_that_changes_in_use_is_a_one_line_error(path, what):
    from wilsonvox.voxels import lazy_shards as stored_shards

    shard = open_shard(path)
    if what == "shorter":
        os.truncate(path, 3000)
    elif what == "touched":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    message = {"gone": "cannot be read any more: No such file"}.get(what, "was changed while it")
    stored_shards._open_file.cache_clear()
    with pytest.raises(UserError, match=rf"shard\.npz: {message}"):
        shard.occupied(6, VoxelScaling())


def test_not_finite_voxels_are_refused_with_their_image(tmp_path):
    shard = toy_shard(0.0)
    shard.mean_q2[shard.offsets[4] - 1 : shard.offsets[4] + 3] = np.nan
    save(shard, tmp_path / "bad.npz")
    with pytest.raises(UserError, match=r"bad\.npz: .* not a finite number, the first in image 3"):
        check_voxels(str(tmp_path / "bad.npz"), open_shard(tmp_path / "bad.npz"))


# ---------------------------------------------------------------- training from files
@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return [
        [save(toy_shard(c9, n_images, split), folder / f"{split}{c9}.npz") for c9 in POINTS]
        for split, n_images in (("train", 6), ("validation", 3))
    ]


def _shards(paths, read):
    return {path: read(path) for path in paths}


def _train(files, read):
    return train(*(_shards(paths, read) for paths in files), seed=5, **SETTINGS)


def test_a_training_from_files_equals_one_from_memory(files):
    one, other = _train(files, open_shard), _train(files, Shard.load)
    assert one.history_csv() == other.history_csv()
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("most_images", [5, 2**31 // 8**3])
def test_sparse_batches_equal_dense_ones(files, most_images):
    from wilsonvox.estimators.networks.image_batches import DenseImages, ImageBatches

    shards = list(_shards(files[0], open_shard).values())
    truth = np.arange(18.0)[:, None]
    sparse, dense = (
        ImageBatches(shards, VoxelScaling(), 5, truth, seed=1, sparse=value)
        for value in (True, False)
    )
    for (images, labels), expected in zip(sparse.dataset(), dense, strict=True):
        layer = DenseImages(8, most_images)
        assert layer.index_dtype == ("int32" if most_images == 5 else "int64")
        actual = layer(images)
        assert actual.dtype == "float32"
        np.testing.assert_array_equal(actual, expected[0])
        np.testing.assert_array_equal(labels, expected[1])


@pytest.mark.parametrize("which", [0, 1])
def test_file_that_vanishes_during_training_is_a_one_line_error(tmp_path, monkeypatch, which):
    from wilsonvox.training.progress import EpochLog
    from wilsonvox.voxels import lazy_shards as stored_shards

    files = [
        [save(toy_shard(c9, 6, split), tmp_path / f"{split}{c9}.npz") for c9 in POINTS]
        for split in ("train", "validation")
    ]
    plain = EpochLog.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        plain(self, epoch, logs)
        Path(files[which][0]).unlink(missing_ok=True)
        stored_shards._open_file.cache_clear()

    monkeypatch.setattr(EpochLog, "on_epoch_end", on_epoch_end)
    with pytest.raises(UserError, match=r"-1\.0\.npz: cannot be read any more: No such file"):
        _train(files, open_shard)


MEMORY = """
import re, sys
from pathlib import Path
from wilsonvox.cli import run
code = run(sys.argv[1:])
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    from wilsonvox.config.option_words import option_words

    peaks = []
    # 12,000 voxels per image: 96 kB of data, 120 kB with the counts
    image = toy_shard(0.0, 1).metadata.image.model_copy(update={"bins": 26})
    shards = {}
    for c9 in POINTS:
        few = toy_shard(c9, 30, image=image)
        n_voxels = 12_000
        voxel = np.tile(np.arange(n_voxels, dtype=np.int32), len(few))
        arrays = {
            "voxel": voxel,
            "mean_q2": np.full(len(voxel), 10 + c9, np.float32),
            "count": np.ones(len(voxel), np.uint16),
            "offsets": np.arange(len(few) + 1, dtype=np.int64) * n_voxels,
        }
        shards[c9] = type(few)(**(vars(few) | arrays))
    for campaigns in (2, 20):
        words = []
        for split in ("train", "validation"):
            for c9, shard in shards.items():
                for number in range(campaigns if split == "train" else 1):
                    labels = {"campaign": f"{number:03d}", "split": split}
                    about = shard.metadata.model_copy(update=labels)
                    file = tmp_path / f"{split}{c9}_{number}.npz"
                    save(type(shard)(**(vars(shard) | {"metadata": about})), file)
                    words += [f"--{split}", str(file)]
        training = TrainingSettings(batch_size=16, learning_rate=0.01, max_epochs=1)
        settings = (toy_network(0.0), training, VoxelScaling())
        words += [word for value in settings for word in option_words(value)]
        words += ["--estimator", "toy", "--seed", "1", "--threads", "1"]
        words += ["--history", str(tmp_path / "h.csv"), "--out", str(tmp_path / "m.keras")]
        process = subprocess.run(
            [sys.executable, "-c", MEMORY, "train", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(process.stdout.split()[-1]) / 1000)
    # 1,620 more images, 194 MB in shards
    assert peaks[1] - peaks[0] < 60, f"{peaks} MB"
