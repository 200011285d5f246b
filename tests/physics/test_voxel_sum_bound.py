"""The network that sums over voxels against the Cramér–Rao bound, on generated decays."""

from pathlib import Path

import numpy as np
import pytest

from wilsonvox.cli import run
from wilsonvox.estimators.settings import VoxelSumSettings
from wilsonvox.estimators.voxel_sum.fitting import fit_voxel_sum, image_sums
from wilsonvox.theory.fisher import cramer_rao_bound
from wilsonvox.voxels.shards import Shard

N_EVENTS = 2400
TRAINED = np.arange(-2.5, 1.51, 0.5)
TESTED = (-2.0, -0.9, 0.0, 1.0)  # one between trained values
N_TEST = 400


def call(*words: object) -> None:
    assert run(list(map(str, words))) == 0


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return files of images of 2,400 events, by split, in the order of the values."""
    folder = tmp_path_factory.mktemp("images")
    table, events = folder / "coefficients.npz", folder / "events.root"
    call("coefficients", "--out", table)
    result: dict[str, list[str]] = {}
    for split, values, n_images in (
        ("train", TRAINED, 120),
        ("validation", TRAINED, 40),
        ("test", TESTED, N_TEST),
    ):
        result[split] = []
        for c9 in values:
            path: Path = folder / f"{split}_{c9:+.2f}.npz"
            call("generate", "--point", f"c9_{c9:+.2f}", "--split", split, "--seed", 11,
                "--coefficients", table, "--events", n_images * N_EVENTS + 2000, "--out", events,
            )  # fmt: skip
            call("voxelize", "--events", events, "--events-per-image", N_EVENTS,
                "--images", n_images, "--out", path,
            )  # fmt: skip
            result[split].append(str(path))
    return result


@pytest.mark.parametrize("use_counts", [True, False])
def test_estimates_are_unbiased_and_near_the_bound(shards, model, use_counts):
    settings = VoxelSumSettings(use_counts=use_counts)
    network = fit_voxel_sum(shards["train"], shards["validation"], settings).model
    ratios = []
    for c9, path in zip(TESTED, shards["test"], strict=True):
        predicted = image_sums(network, Shard.load(path), use_counts)[:, 0]
        bound = cramer_rao_bound(model, {"c9": c9}, ("c9",), N_EVENTS)["c9"]
        ratios.append(predicted.std(ddof=1) / bound)
        assert abs(predicted.mean() - c9) < 0.25 * bound, c9
        assert 0.9 < ratios[-1] < 1.3, c9
    # standard error of the mean of four values: 1.8 %
    assert np.mean(ratios) < 1.15
