"""A training on several devices equals that on one, except for the order of summation."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.toy_shards import toy_shard

from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.training.replicas import Replicas
from wilsonvox.voxels.specification import VoxelScaling

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


def _run(folder, max_epochs, *places):
    words = ["tests.helpers.two_devices", str(folder), str(max_epochs), *places]
    process = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.slow
def test_two_devices_equal_one_and_resume_bit_by_bit(tmp_path):
    result = _run(tmp_path, 6, "1:3", "3:2")
    # images per device before the stop: half of each batch of four
    assert result["counts"] == [[6, 6], [4, 4]]
    assert result["places left"] == []
    assert result["resumed equal"]
    # float32 has 1.2e-7; after 24 steps the largest relative difference was 3e-6, and 4 with batch
    # normalisation that is not synchronised
    assert result["weights"] < 2e-5
    assert result["loss"] < 2e-6
    assert result["val_loss"] < 2e-6
    assert result["configurations equal"], "the file tells how many devices there were"
    assert result["refusal"] == (
        "--batch-size: 3 cannot be divided among the 2 GPUs of this job; give a multiple of 2, or "
        "another number of GPUs"
    )


def test_fewer_images_than_devices_are_refused():
    replicas = Replicas()
    assert replicas.number == 1
    replicas.check_batches(3, 1)
    replicas.number = 4
    replicas.check_batches(8, 4)
    with pytest.raises(UserError, match=r"--train: 3 images cannot be divided among the 4 GPUs"):
        replicas.check_batches(8, 3)


def _batches(n_images, batch_size, **options):
    from wilsonvox.estimators.networks.image_batches import ImageBatches

    truth = np.arange(float(n_images))[:, None]
    shards = [toy_shard(0.0, n_images)]
    return ImageBatches(shards, VoxelScaling(), batch_size, truth, **options)


@pytest.mark.parametrize(("n_images", "batch_size"), [(11, 4), (9, 4), (8, 4), (3, 8), (7, 6)])
def test_validation_is_padded_with_images_of_zero_weight(n_images, batch_size):
    batches = _batches(n_images, batch_size, replicas=2)
    every = [batches[index] for index in range(batches.num_batches)]
    assert all(len(images) == len(labels) == len(w) for images, labels, w in every)
    assert all(len(images) % 2 == 0 for images, _, _ in every)
    values = np.concatenate([labels[:, 0] for _, labels, _ in every])
    weights = np.concatenate([w for _, _, w in every])
    assert values[weights > 0].tolist() == list(range(n_images))
    # Keras's loss of an epoch: the sum of weighted losses over the number of all images
    assert np.sum(weights * values) / len(values) == pytest.approx(np.mean(range(n_images)))


def test_training_batches_are_equal_parts_without_weights():
    for n_images, batch_size, sizes in ((11, 4, [4, 4]), (7, 128, [6]), (2, 8, [2])):
        batches = _batches(n_images, batch_size, seed=1, drop_remainder=True, replicas=2)
        every = [batches[index] for index in range(batches.num_batches)]
        assert [[len(part) for part in batch] for batch in every] == [[size] * 2 for size in sizes]
