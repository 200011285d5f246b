"""Estimators in `resources/estimators` measure EvtGen files as precisely as documented."""

import json
from pathlib import Path

import numpy as np
import pytest

from wilsonvox.cli import run
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, read_table
from wilsonvox.records.embedded import read_record

ROOT = Path(__file__).parents[3]
SHIPPED = sorted(path for path in (ROOT / "resources/estimators").iterdir() if path.is_dir())
EVTGEN = ROOT / "resources/evtgen"


def summary_of(shipped):
    (path,) = shipped.glob("evaluation/*/*/summary.parquet")
    return read_table(path, SUMMARY_COLUMNS)[0]


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
class TestShipped:
    def test_file_is_measured(self, shipped, tmp_path, capsys):
        out = tmp_path / "measured.json"
        words = ["measure", "--run", str(shipped), "--json", str(out)]
        events = EVTGEN / "evtgen_btosllnpr_b0_dc9_-2.00.root"
        assert run([*words, "--events", str(events)]) == 0
        capsys.readouterr()
        content = json.loads(out.read_text())
        assert content["estimator"] == "voxel-sum"
        size = content["image_specification"]["events_per_image"]
        assert content["n_images"] == content["n_events_used"] // size > 0
        result = content["coefficients"]["c9"]
        (low, high), value = result["interval_95"], result["value"]
        assert low < value < high
        # 60,000 events, of which 48,000 fill two images of 24,000: the bound is 0.021 to 0.024
        assert abs(value + 2.0) < 0.08
        assert 0.04 < result["interval_68"][1] - result["interval_68"][0] < 0.065

    def test_precision_and_coverage_match_the_documentation(self, shipped):
        summary = summary_of(shipped)
        assert (summary["n_images"] >= 900).all()
        inside = summary[summary["true"].between(-2.0, 1.1)]
        assert len(inside) == 28
        assert (~inside["seen_in_training"]).sum() == 6
        mean = inside["sigma_over_bound"].mean()
        assert mean < 1.05
        text = (shipped.parent / "README.md").read_text()
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{shipped.name}` |"))
        assert f"| {mean:.3f} ± " in row
        assert (inside["bias"] / inside["sigma"]).abs().max() < 0.15
        for column, level in (("coverage_68", 0.68), ("coverage_95", 0.95)):
            between = inside[~inside["seen_in_training"]]
            error = np.sqrt(level * (1 - level) / between["n_images"].sum())
            assert abs(between[column].mean() - level) < 4 * error

    def test_files_are_small_and_contain_records(self, shipped):
        files = [path for path in shipped.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 1_000_000
        for path in files:
            if path.suffix in {".keras", ".parquet"}:
                record = read_record(path)
                assert record is not None
                assert record.rule in {"train_voxel_sum", "evaluate", "summarize"}
                assert not any(word.startswith("/") for word in record.command)


def test_sigma_scales_with_the_number_of_events_like_the_bound():
    """σ·√N of images of 2,400 and of 24,000 events, at each value."""
    scaled = {}
    for shipped in SHIPPED:
        summary = summary_of(shipped)
        inside = summary[summary["true"].between(-2.0, 1.1)].sort_values("true")
        ratio, error = inside["sigma_over_bound"], 1 / np.sqrt(2 * inside["n_images"])
        scaled[shipped.name] = ratio.to_numpy(), (ratio * error).to_numpy()
    (many, many_error), (few, few_error) = scaled["voxel-sum"], scaled["voxel-sum-2400"]
    # the bound of one image is that of an event over √N
    assert abs(many.mean() / few.mean() - 1) < 0.02
    difference = (many - few) / np.hypot(many_error, few_error)
    assert np.abs(difference).max() < 4
