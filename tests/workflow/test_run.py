"""One small run of all rules, shared by all tests of this module, which must not change it."""

import json

import pytest

from wilsonvox.cli import run
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, SUMMARY_COLUMNS, read_table
from wilsonvox.events.event_file import iterate_events
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.voxels.shards import Shard

from .conftest import ROOT, make_folder


def test_a_second_run_does_nothing(finished):
    assert finished.planned("tiny.yaml") == []
    run = finished.snakemake("--cores", "1", "--configfile", "tiny.yaml")
    assert run.returncode == 0
    assert "Nothing to be done" in run.stdout + run.stderr


def test_every_output_carries_the_record_of_its_stage(finished):
    results = finished.path / "results/tiny"
    suffixes = {".root", ".npz", ".keras", ".parquet", ".json", ".png"}
    outputs = [path for path in results.rglob("*") if path.suffix in suffixes]
    assert len(outputs) == 53
    for path in outputs:
        record = read_record(path)
        assert record is not None, path
        assert record.command[0] == "wilsonvox"
        assert str(finished.path) not in record.to_json(), path


def test_figures_are_there_twice_and_belong_to_the_report(finished):
    figures = finished.path / "results/tiny/figures"
    pdf = {path.relative_to(figures).with_suffix("") for path in figures.rglob("*.pdf")}
    png = {path.relative_to(figures).with_suffix("") for path in figures.rglob("*.png")}
    assert pdf == png
    assert len(pdf) == 13
    run = finished.snakemake("--configfile", "tiny.yaml", "--report", "report.html")
    assert run.returncode == 0, run.stdout + run.stderr
    html = (finished.path / "report.html").read_text()
    for path in png:
        assert f"{path.name}.png" in html


def test_shards_have_the_configured_images(finished):
    shard = Shard.load(finished.path / "results/tiny/voxels/b8_n300/train/c9_-1.00/001.npz")
    assert len(shard) == 6
    assert shard.metadata.image.bins == 8
    assert (shard.metadata.point, shard.metadata.campaign) == ("c9_-1.00", "001")


def test_campaigns_of_one_point_differ(finished):
    folder = finished.path / "results/tiny/events/train/c9_-1.00"
    first, second = (next(iter(iterate_events(folder / f"{name}.root"))) for name in ("000", "001"))
    assert not (first.q2[:100] == second.q2[:100]).any()


def test_predictions_and_summary_follow_the_contract(finished):
    folder = finished.path / "results/tiny/evaluation/b8_n300/tiny"
    frame, metadata = read_table(folder / "interpolation/c9_-0.50.parquet", PREDICTION_COLUMNS)
    assert metadata.estimator == "tiny"
    assert len(frame) == 10
    summary, _ = read_table(folder / "summary.parquet", SUMMARY_COLUMNS)
    seen = dict(zip(summary["point"], summary["seen_in_training"], strict=True))
    assert seen == {"c9_-2.00": True, "c9_-1.00": True, "c9_-0.50": False, "c9_+0.00": True}
    assert (folder / "summary.csv").read_text().startswith("point,coefficient,true,")


def test_measurement_of_the_external_file(finished):
    path = finished.path / "results/tiny/measurements/b8_n300/tiny/ntuple.json"
    content = json.loads(path.read_text())
    assert content["n_images"] == 6
    assert content["true_shifts"] == {"c9": -0.9}
    assert content["estimator"] == "tiny"
    assert {"value", "interval_68", "interval_95", "per_image"} <= set(
        content["coefficients"]["c9"]
    )


def test_a_fit_writes_what_a_network_writes(finished):
    for folder in ("tiny", "likelihood"):
        path = finished.path / "results/tiny/evaluation/b8_n300" / folder
        frame, metadata = read_table(path / "test/c9_-2.00.parquet", PREDICTION_COLUMNS)
        assert (metadata.estimator, metadata.trained) == (folder, folder == "tiny")
        assert frame["error"].isna().all() == (folder == "tiny")
        summary, _ = read_table(path / "summary.parquet", SUMMARY_COLUMNS)
        assert len(summary) == 4
    # 300 events distinguish -2 from 0
    mean = summary.set_index("point")["mean"]
    assert mean["c9_-2.00"] < mean["c9_+0.00"] - 1
    text = (finished.path / "results/tiny/measurements/b8_n300/likelihood/ntuple.json").read_text()
    content = json.loads(text)
    low, high = content["coefficients"]["c9"]["interval_95"]
    assert low is None or low < -0.9
    assert high is None or high > -0.9
    assert (content["n_images"], content["estimator"]) == (6, "likelihood")


def test_an_exported_estimator_measures_as_it_does_in_its_run(finished, tmp_path, capsys):
    results = finished.path / "results/tiny"
    for estimator in ("tiny", "likelihood"):
        folder = tmp_path / estimator
        words = ["export", "--run", str(results), "--estimator", estimator, "--out", str(folder)]
        assert run(words) == 0
        assert (folder / f"evaluation/b8_n300/{estimator}/summary.csv").is_file()
        measured = tmp_path / f"{estimator}.json"
        sample = str(results / "samples/ntuple.root")
        words = ["measure", "--run", str(folder), "--events", sample, "--json", str(measured)]
        assert run(words) == 0
        original = results / f"measurements/b8_n300/{estimator}/ntuple.json"
        found, expected = (json.loads(path.read_text()) for path in (measured, original))
        assert found["coefficients"] == expected["coefficients"]
    capsys.readouterr()
    assert run(["export", *words[1:2], str(results), "--out", str(tmp_path / "other")]) == 1
    assert "add --estimator, one of likelihood, tiny" in capsys.readouterr().err
    again = ["--run", str(results), "--estimator", "tiny", "--out", str(tmp_path / "tiny")]
    assert run(["export", *again]) == 1
    assert "already exists" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))


def test_logs_and_times_of_every_job_are_kept(finished):
    results = finished.path / "results/tiny"
    logs = {path.relative_to(results / "logs").with_suffix("") for path in results.rglob("*.log")}
    times = {
        path.relative_to(results / "benchmarks").with_suffix("") for path in results.rglob("*.tsv")
    }
    assert logs == times
    assert len(logs) == 53


def test_the_same_campaign_again_has_the_same_content(finished, tmp_path):
    folder = make_folder(tmp_path)
    target = "results/tiny/events/train/c9_-1.00/001.root"
    run = folder.snakemake(target, "--cores", "1", "--configfile", "tiny.yaml")
    assert run.returncode == 0, run.stdout + run.stderr
    assert content_digest(tmp_path / target) == content_digest(finished.path / target)


@pytest.mark.slow
def test_two_runs_from_clean_folders_are_equal_bit_for_bit(finished, tmp_path):
    folder = make_folder(tmp_path)
    run = folder.snakemake(
        "--profile", ROOT / "profiles/local", "--cores", "2", "--configfile", "tiny.yaml"
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    suffixes = {".root", ".npz", ".keras", ".parquet", ".json", ".csv", ".pdf", ".png"}
    first, second = (
        {
            path.relative_to(each).as_posix(): content_digest(path)
            for path in (each / "results/tiny").rglob("*")
            if path.suffix in suffixes
        }
        for each in (finished.path, tmp_path)
    )
    assert len(first) == 66 + 3
    assert first == second
    for name in first:
        if not name.endswith((".root", ".csv")):  # ROOT files carry dates
            assert (finished.path / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_scheduler_sleeps_while_jobs_run(folder):
    campaigns = [f"results/tiny/events/train/{name}/000.root" for name in ("c9_-1.00", "c9_+0.00")]
    run = folder.snakemake("--cores", "1", "--configfile", "tiny.yaml", "--verbose", *campaigns)
    log = run.stdout + run.stderr
    assert run.returncode == 0, log
    # jobs run one after the other: the scheduler is called once per job and once at each end
    assert log.count("Ready jobs: ") <= 4
