"""Configurations of the two earlier papers, run at a reduced size."""

import pytest
import yaml

from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, read_table
from wilsonvox.estimators.model_file import load_estimator
from wilsonvox.events.event_file import read_metadata
from wilsonvox.voxels.shards import Shard

from .conftest import ROOT

POINTS = [
    {"shifts": {"c9": [-2.0, 0.0]}, "n_images": {"train": 12, "validation": 4, "test": 10}},
    {"shifts": {"c9": -0.8}, "n_images": {"test": 10}},
    {"shifts": {"c9": -0.4}, "n_images": {"interpolation": 10}},
]
"""Few of the points of a paper, with few images."""

NETWORK = {"stem_filters": 2, "filters": [2], "blocks": [1], "stem_kernel": 3}
"""Sizes of a network that trains in a second; all other settings are those of the paper."""


def reduce(name, folder):
    """Write the configuration of a paper with fewer points, images, events and weights."""
    values = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    values |= {"points": POINTS, "images_per_campaign": {}, "spare_events_fraction": 0.01}
    for image in values["images"].values():
        image |= {"bins": 8, "events_per_image": 1000}
    resnet = values["estimators"]["resnet34"]
    resnet["network"] |= NETWORK
    resnet["training"] |= {"batch_size": 12, "max_epochs": 7}
    values["estimators"] = {"resnet34": resnet}
    values["samples_table"] = None
    (folder.path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return values


@pytest.mark.slow
@pytest.mark.parametrize("name", ["proceedings2023", "preprint2023"])
def test_an_older_paper_end_to_end(folder, name):
    values = reduce(name, folder)
    (image,) = values["estimators"]["resnet34"]["images"]
    run = folder.snakemake(
        "--profile", ROOT / "profiles/local", "--cores", "2", "--configfile", f"{name}.yaml"
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    results = folder.path / "results" / name
    metadata = load_estimator(results / f"models/{image}/resnet34/model.keras").metadata
    assert metadata.normalisation.method == "none"
    history = (results / f"models/{image}/resnet34/history.csv").read_text().splitlines()[1:]
    rates = [float(line.split(",")[-1]) for line in history]
    shard = Shard.load(results / f"voxels/{image}/test/c9_-0.80/000.npz")
    summary, about = read_table(
        results / f"evaluation/{image}/resnet34/summary.parquet", SUMMARY_COLUMNS
    )
    assert len(summary) == 4
    assert summary[["gauss_mean", "gauss_sigma"]].notna().all(axis=None)
    if name == "preprint2023":
        assert rates == pytest.approx([0.01] * 5 + [0.002] * 2, rel=1e-6)
        assert metadata.training.learning_rate_schedule == "step"
        assert metadata.network.dense_units == 1000
        assert shard.metadata.image.flavour == "B0"
    else:
        assert metadata.network.dense_units == 5000
        assert metadata.training.early_stopping_patience == 50
        found = shard.metadata.image
        assert (found.flavour, found.antiparticle_angles) == ("both", "positive-lepton")
        events = read_metadata(results / "events/test/c9_-0.80/000.root")
        assert events.antiparticle_shifts == "equal"
        # the bound is that of events without flavour information
        bound = dict(zip(summary["point"], summary["bound"], strict=True))
        assert bound["c9_-2.00"] == pytest.approx(0.0811 * 24**0.5, rel=0.01)
    assert about.image == shard.metadata.image
    figures = {path.stem for path in (results / "figures").rglob("*.png")}
    assert {"histograms", "linearity", "linearity_unscaled"} <= figures
    assert folder.planned(f"{name}.yaml") == []
