"""Several coefficients: predictions, summary, measurement, summary table and corner plot."""

import json

import matplotlib.patches
import numpy as np
import pandas as pd
import pytest

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.joint_calibration import JointCalibration
from wilsonvox.ensembles.summary import joint_covariances, joint_ensembles, summarize
from wilsonvox.ensembles.tables import (
    PREDICTION_COLUMNS,
    SUMMARY_COLUMNS,
    TableMetadata,
    write_table,
)
from wilsonvox.ensembles.tables import read_table as read
from wilsonvox.figures import corner
from wilsonvox.measurement.intervals import measure_jointly
from wilsonvox.provenance.recording import make_record
from wilsonvox.report.summary_table import run_table
from wilsonvox.theory.sobol import sampled_label, sobol_points
from wilsonvox.voxels.specification import ImageSpecification

NAMES = ("c7", "c9")
BOX = {"c7": (-0.1, 0.1), "c9": (-2.0, 1.0)}
SIGMA = np.array([0.01, 0.2])
COVARIANCE = np.outer(SIGMA, SIGMA) * [[1, -0.8], [-0.8, 1]]
JACOBIAN = np.array([[0.8, 0.01], [0.0, 0.9]])
LABELS = [sampled_label(n) for n in range(12)]
SHIFTS = np.array([list(point.values()) for point in sobol_points(BOX, 12)])


def predictions(n=100, seed=2):
    rng = np.random.default_rng(seed)
    frames = []
    for label, true in zip(LABELS, SHIFTS, strict=True):
        predicted = rng.multivariate_normal(JACOBIAN @ true, COVARIANCE, n)
        frames.append(
            pd.DataFrame(
                {
                    "point": label,
                    "split": "interpolation",
                    "campaign": "000",
                    "image_index": np.repeat(np.arange(n), 2),
                    "coefficient": np.tile(np.array(NAMES, dtype=object), n),
                    "true": np.tile(true, n),
                    "predicted": predicted.ravel(),
                    "error": np.nan,
                }
            )
        )
    return pd.concat(frames, ignore_index=True).astype(PREDICTION_COLUMNS)


def calibrated():
    inverse = np.linalg.inv(JACOBIAN)
    return inverse @ COVARIANCE @ inverse.T


def sigma_bound(_shifts, names):
    return dict(zip(names, np.sqrt(np.diag(calibrated())) / 2, strict=True))


def covariance_bound(_shifts, _names):
    return calibrated() / 4


def test_joint_ensembles_keep_images_together():
    frame = predictions(5)
    expected = frame[frame["point"] == LABELS[3]]["predicted"].to_numpy().reshape(-1, 2)
    shuffled = frame.sample(frac=1, random_state=4)
    actual = {ensemble.point: ensemble for ensemble in joint_ensembles(shuffled)}
    np.testing.assert_array_equal(actual[LABELS[3]].predicted, expected)
    np.testing.assert_array_equal(actual[LABELS[3]].true, SHIFTS[3])
    with pytest.raises(UserError, match=r"sobol_0000: an image lacks a .* of c7, c9"):
        joint_ensembles(frame.drop(index=0))


def test_sigma_over_bound_and_volume_of_calibrated_shifts():
    frame = predictions()
    summary = summarize(frame, sigma_bound, trained=True)
    for name, slope in zip(NAMES, np.diag(JACOBIAN), strict=True):
        rows = summary[summary["coefficient"] == name]
        np.testing.assert_allclose(rows["response_slope"], slope, atol=0.03)
        assert rows["sigma_over_bound"].mean() == pytest.approx(2, rel=0.04)
    joint = joint_covariances(frame, covariance_bound)
    assert joint.coefficients == NAMES
    assert [point.point for point in joint.points] == LABELS
    # twice the width in each of two directions
    volumes = [point.volume_over_bound for point in joint.points]
    assert np.mean(volumes) == pytest.approx(4, rel=0.07)
    mean = np.mean([point.covariance for point in joint.points], axis=0)
    np.testing.assert_allclose(mean / calibrated(), 1, atol=0.08)


def test_volume_is_unbiased_for_few_images():
    logarithms = [
        np.log(point.volume_over_bound)
        for seed in range(8)
        for point in joint_covariances(predictions(6, seed), covariance_bound).points
    ]
    assert np.mean(logarithms) == pytest.approx(np.log(4), abs=0.25)


def measured(values, seed=2):
    calibration = JointCalibration(
        SHIFTS, tuple(ensemble.predicted for ensemble in joint_ensembles(predictions(100, seed)))
    )
    return measure_jointly(NAMES, calibration, np.atleast_2d(values))


def test_values_and_intervals_of_a_sample():
    true = np.array([0.01, -0.6])
    actual, joint, warnings = measured(JACOBIAN @ true)
    sigma = np.sqrt(np.diag(calibrated()))
    for name, value, error in zip(NAMES, true, sigma, strict=True):
        assert actual[name].value == pytest.approx(value, abs=0.1 * error)
        assert actual[name].per_image == pytest.approx([actual[name].value])
        for interval, factor in (
            (actual[name].interval_68, 0.994),
            (actual[name].interval_95, 1.96),
        ):
            half = (interval[1] - interval[0]) / 2
            assert half == pytest.approx(factor * error, rel=0.12)
    assert joint.coefficients == NAMES
    assert joint.correlation[0][0] == pytest.approx(1)
    expected = calibrated()[0, 1] / sigma.prod()
    assert joint.correlation[0][1] == pytest.approx(expected, abs=0.06)
    assert not warnings


def test_interval_beyond_the_box_is_open_and_value_outside_is_none():
    result, _, warnings = measured(JACOBIAN @ [0.0, 0.5])
    assert result["c9"].interval_95[1] is None
    assert result["c9"].interval_95[0] is not None
    assert any("δC9: 95 % interval: upper end open" in text for text in warnings)
    result, joint, warnings = measured(JACOBIAN @ [0.0, 1.5])
    assert joint is None
    assert {c.value for c in result.values()} == {None}
    assert {end for c in result.values() for end in c.interval_68} == {None}
    assert "δC9 −2.00 … " in warnings[0]
    assert "no values are given" in warnings[0]


def test_excess_scatter_of_images_gives_a_warning():
    centre = JACOBIAN @ [0.0, -0.5]
    apart = np.array([centre + 5 * SIGMA, centre - 5 * SIGMA])
    assert "δC7, δC9: the images' predictions scatter more" in measured(apart)[2][-1]


@pytest.fixture
def results(tmp_path):
    """Run with a summary and with measurements of one sample by two estimators."""
    folder = tmp_path / "results/demo"
    frame = predictions()
    image = ImageSpecification()
    about = TableMetadata(
        estimator="sum", image=image, physics_inputs="toy",
        joint=joint_covariances(frame, covariance_bound),
    )  # fmt: skip
    write_table(
        folder / "evaluation/b50/sum/summary.parquet", summarize(frame, sigma_bound),
        SUMMARY_COLUMNS, about, make_record("summarize", "out.file", {}),
    )  # fmt: skip
    for seed, estimator in enumerate(("sum", "fit")):
        result, joint, _ = measured(JACOBIAN @ [0.01 * seed, -0.6], seed)
        content = {
            "coefficients": {name: c.model_dump() for name, c in result.items()},
            "joint": joint.model_dump(), "n_images": 1, "sample": "mine", "estimator": estimator,
            "true_shifts": {"c7": 0.0, "c9": -0.6}, "physics_inputs": "toy",
            "image_specification": image.model_dump(mode="json"),
        }  # fmt: skip
        path = folder / f"measurements/b50/{estimator}/mine.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content))
    return folder


def test_summary_contains_covariances(results):
    about = read(results / "evaluation/b50/sum/summary.parquet", SUMMARY_COLUMNS)[1]
    assert about.joint == joint_covariances(predictions(), covariance_bound)


def test_summary_table_contains_the_volume(results):
    lines = [line.split() for line in run_table(results).splitlines()]
    volume = next(line for line in lines if line[:1] == ["volume"] and "all" in line)
    assert volume[1:5] == ["all", "12", "–", "–"]
    assert float(volume[5]) == pytest.approx(4, rel=0.07)
    assert any("volume:" in line for line in lines)


def files(results):
    return [results / f"measurements/b50/{name}/mine.json" for name in ("sum", "fit")]


def test_ellipses_contain_their_probability():
    rng = np.random.default_rng(3)
    drawn = rng.multivariate_normal([0, 0], COVARIANCE, 20_000)
    for level in corner.LEVELS:
        width, height, angle = corner.region(COVARIANCE, level)
        ellipse = matplotlib.patches.Ellipse((0, 0), width, height, angle=angle)
        inside = ellipse.get_path().transformed(ellipse.get_patch_transform())
        assert inside.contains_points(drawn).mean() == pytest.approx(level, abs=0.012)


def test_corner_draws_every_estimator_and_the_truth(results):
    result = [corner.read(path) for path in files(results)]
    figure = corner.draw(result)
    pair = figure.axes[2]
    assert len(pair.patches) == 4
    centres = {tuple(np.round(patch.center, 6)) for patch in pair.patches}
    assert centres == {tuple(np.round(estimate.value, 6)) for estimate in result}
    assert "C_{9}" in pair.get_ylabel()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["sum", "fit", "68 %", "95 %", "true shifts"]


def test_corner_names_an_estimator_without_values(results):
    path = files(results)[1]
    content = json.loads(path.read_text())
    content["joint"] = None
    for entry in content["coefficients"].values():
        entry["value"] = None
    path.write_text(json.dumps(content))
    both = corner.draw([corner.read(path) for path in files(results)])
    assert len(both.axes[2].patches) == 2
    assert both.legends[0].get_texts()[1].get_text() == "fit: no estimate"
    alone = corner.draw([corner.read(path)])
    assert not alone.axes[2].patches


def test_corner_command_writes_both_files_or_one_line(results, tmp_path, capsys):
    words = [word for path in files(results) for word in ("--measurement", str(path))]
    out = ["--pdf", str(tmp_path / "c.pdf"), "--png", str(tmp_path / "c.png")]
    assert run(["plot", "corner", *words, *out]) == 0
    assert (tmp_path / "c.pdf").stat().st_size
    path = files(results)[1]
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"sample": "other"}))
    out = ["--pdf", str(tmp_path / "d.pdf"), "--png", str(tmp_path / "d.png")]
    assert run(["plot", "corner", *words, *out]) == 1
    assert "give measurements of the same" in capsys.readouterr().err
    del content["coefficients"]["c7"]
    path.write_text(json.dumps(content))
    assert run(["plot", "corner", *words, *out]) == 1
    assert "measures c9 only; a corner plot needs several shifts" in capsys.readouterr().err
    assert not list(tmp_path.glob("d.*"))
