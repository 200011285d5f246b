"""Result table of a run."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from tests.lint_snakemake import ACCEPTED, other_findings
from wilsonvox.cli import run
from wilsonvox.ensembles.tables import SUMMARY_COLUMNS, TableMetadata, write_table
from wilsonvox.provenance.recording import make_record
from wilsonvox.report.summary_table import pull
from wilsonvox.voxels.specification import ImageSpecification


def write_summary(path, rows, trained=True):
    frame = pd.DataFrame(rows, columns=["true", "seen_in_training", "bias", "sigma_over_bound"])
    frame["point"], frame["coefficient"], frame["n_images"] = "c9_+0.00", "c9", 10
    for column in SUMMARY_COLUMNS:
        if column not in frame:
            frame[column] = 0.0
    frame["coverage_68"], frame["coverage_95"] = 0.6 + 0.1 * frame.index, 0.95
    frame.loc[frame["true"] == 0.0, "coverage_95"] = np.nan
    metadata = TableMetadata(
        estimator="net", image=ImageSpecification(), physics_inputs=None, trained=trained
    )
    write_table(path, frame, SUMMARY_COLUMNS, metadata, make_record("summarize", "out.file", {}))


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/demo"
    write_summary(
        folder / "evaluation/b50/net/summary.parquet",
        [(0.0, True, 0.02, 1.5), (-1.0, True, -0.04, 2.5), (-0.5, False, 0.05, 3.0)],
    )
    measured = folder / "measurements/b50/net/mine.json"
    measured.parent.mkdir(parents=True)
    result = {"value": -0.8, "interval_68": [-0.85, -0.75], "interval_95": [-0.9, -0.7]}
    result["pulls"] = [0.5, 2.5]
    measured.write_text(
        json.dumps({"coefficients": {"c9": result}, "n_images": 2, "true_shifts": {"c9": -0.9}})
    )
    return folder


def show(folder, capsys):
    assert run(["show", "--run", str(folder)]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_means_over_trained_points_those_between_and_all(results, capsys):
    lines = show(results, capsys)
    assert ["net", "δC9", "trained", "2", "-0.0100", "0.0300", "2.00", "65.0", "95.0"] in lines
    assert ["δC9", "between", "1", "+0.0500", "0.0500", "3.00", "80.0", "95.0"] in lines
    assert ["δC9", "all", "3", "+0.0100", "0.0367", "2.33", "70.0", "95.0"] in lines


def test_points_are_all_alike_to_an_estimator_that_is_not_trained(results, capsys):
    rows = [(0.0, True, 0.02, 1.0), (-0.5, False, 0.05, 1.2)]
    write_summary(results / "evaluation/b50/fit/summary.parquet", rows, trained=False)
    lines = show(results, capsys)
    assert ["fit", "δC9", "all", "2", "+0.0350", "0.0350", "1.10", "65.0", "95.0"] in lines
    assert sum(line[:1] == ["fit"] for line in lines) == 1
    assert ["net", "δC9", "trained", "2", "-0.0100", "0.0300", "2.00", "65.0", "95.0"] in lines


def test_every_sample_is_listed_once_with_all_estimators(results, capsys):
    original = (results / "measurements/b50/net/mine.json").read_text()
    for estimator, sample in (("fit", "mine"), ("fit", "a"), ("net", "a")):
        path = results / f"measurements/b50/{estimator}/{sample}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(original)
    lines = show(results, capsys)
    start = lines.index(["Measured", "δC9", "(b50)"])
    rest = ["2", "-0.800", "[-0.850,", "-0.750]", "-0.90", "+2.0σ", "+1.50", "±", "0.71"]
    header = ["sample", "estimator", "N", "measured", "[68", "%]", "true", "pull"]
    header += ["pull/image"]
    assert lines[start + 3 : start + 8] == [
        header, ["a", "fit", *rest], ["net", *rest], ["mine", "fit", *rest], ["net", *rest],
    ]  # fmt: skip


def test_several_shifts_have_a_column(results, capsys):
    path = results / "measurements/b50/net/mine.json"
    content = json.loads(path.read_text())
    content["coefficients"]["c9_imaginary"] = content["coefficients"]["c9"]
    path.write_text(json.dumps(content))
    lines = show(results, capsys)
    assert ["Measured", "shifts", "(b50)"] in lines
    assert ["net", "Im", "δC9", "2"] in [line[:4] for line in lines]


def test_several_image_specifications_have_a_column(results, capsys):
    write_summary(results / "evaluation/b20/net/summary.parquet", [(0.0, True, 0.0, 1.0)])
    lines = show(results, capsys)
    assert ["net", "b20", "δC9", "trained", "1", "+0.0000", "0.0000", "1.00", "60.0", "–"] in lines
    assert [
        "net",
        "b50",
        "δC9",
        "trained",
        "2",
        "-0.0100",
        "0.0300",
        "2.00",
        "65.0",
        "95.0",
    ] in lines


def test_measured_value_stands_beside_the_truth(results, capsys):
    lines = show(results, capsys)
    assert [
        "mine", "net", "2", "-0.800", "[-0.850,", "-0.750]", "-0.90", "+2.0σ", "+1.50", "±", "0.71",
    ] in lines  # fmt: skip
    assert ["report", "not", "made", "yet", "(make", "report)"] in lines


def test_table_fits_a_terminal_and_names_figures_and_report(results, capsys):
    (results / "figures/b50").mkdir(parents=True)
    (results / "figures/topology.pdf").touch()
    (results / "figures/b50/voxels.pdf").touch()
    (results / "report.html").touch()
    assert run(["show", "--run", str(results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "results/demo" not in line) <= 80
    assert f"figures  {results / 'figures'} (2, as PDF and PNG)" in lines
    assert f"report   {results / 'report.html'}" in lines


def test_values_that_are_not_known_are_dashes(results, capsys):
    path = results / "measurements/b50/net/mine.json"
    result = {"value": None, "interval_68": [None, -0.7], "interval_95": [None, None]}
    path.write_text(
        json.dumps({"coefficients": {"c9": result}, "n_images": 1, "true_shifts": None})
    )
    lines = show(results, capsys)
    assert ["mine", "net", "1", "–", "[–,", "-0.700]", "–", "–", "–"] in lines


@pytest.mark.parametrize(
    ("value", "interval", "true", "expected"),
    [
        (0.0, (-1.0, 2.0), 1.0, -0.5),
        (0.0, (-1.0, 2.0), -1.0, 1.0),
        (0.0, (None, 2.0), -1.0, math.nan),
        (0.0, (0.0, 0.0), 1.0, math.nan),
    ],
)
def test_pull_takes_the_error_on_the_side_of_the_truth(value, interval, true, expected):
    assert pull(value, interval, true) == pytest.approx(expected, nan_ok=True)


def test_nothing_to_show_is_one_clear_line(tmp_path, capsys):
    assert run(["show", "--run", str(tmp_path / "absent")]) == 1
    assert "no such run" in capsys.readouterr().err
    assert run(["show", "--run", str(tmp_path)]) == 1
    assert "run the workflow first" in capsys.readouterr().err


def test_broken_measurement_is_named(results, capsys):
    (results / "measurements/b50/net/mine.json").write_text("{}")
    assert run(["show", "--run", str(results)]) == 1
    assert "mine.json: not a measurement" in capsys.readouterr().err


def test_lint_accepts_one_finding_only():
    text = (
        f"Lints for rule a (line 1, rules/a.smk):\n    * {ACCEPTED}:\n      This way, …\n"
        "Lints for rule b (line 9, rules/b.smk):\n    * No log directive defined:\n      Without\n"
    )
    assert other_findings(text) == ["rule b (line 9, rules/b.smk): No log directive defined"]
