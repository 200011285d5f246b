"""Ensembles are summarized as the design says, and only what belongs together is."""

import hashlib
import io

import numpy as np
import pandas as pd
import pytest

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.calibration import fit_response
from wilsonvox.ensembles.summary import (
    coefficients_in,
    gaussian_fit,
    make_ensembles,
    read_predictions,
    summarize,
    summary_csv,
)
from wilsonvox.ensembles.tables import (
    PREDICTION_COLUMNS,
    SUMMARY_COLUMNS,
    TableMetadata,
    read_table,
    write_table,
)
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.angular import NAMES
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.fisher import cramer_rao_bound
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import point_label
from wilsonvox.voxels.specification import ImageSpecification

TEST = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0)
INTERPOLATION = (-1.2, -0.2)
METADATA = TableMetadata(
    estimator="toy", image=ImageSpecification(), physics_inputs="evtgen-btosllnpr"
)


def predictions(n_images=400, slope=0.8, width=0.05, seed=1, coefficient="c9"):
    rng = np.random.default_rng(seed)
    frames = []
    for split, values in (("test", TEST), ("interpolation", INTERPOLATION)):
        for true in values:
            frame = pd.DataFrame(
                {
                    "point": point_label({coefficient: true}),
                    "split": split,
                    "campaign": "000",
                    "image_index": np.arange(n_images),
                    "coefficient": coefficient,
                    "true": true,
                    "predicted": slope * true - 0.1 + width * rng.normal(size=n_images),
                    "error": np.nan,
                }
            )
            frames.append(frame)
    return pd.concat(frames, ignore_index=True).astype(PREDICTION_COLUMNS)


def constant_bound(shifts, names):
    assert set(names) <= set(shifts)
    return dict.fromkeys(names, 0.05)


def test_summary_says_what_the_toy_does():
    frame = predictions()
    summary = summarize(frame, constant_bound)
    assert list(summary.columns) == list(SUMMARY_COLUMNS)
    assert {name: str(kind) for name, kind in summary.dtypes.items()} == SUMMARY_COLUMNS
    assert sorted(TEST + INTERPOLATION) == summary["true"].to_list()
    seen = summary.set_index("true")["seen_in_training"]
    assert seen[list(TEST)].all()
    assert not seen[list(INTERPOLATION)].any()
    assert (summary["n_images"] == 400).all()
    error = 0.05 / np.sqrt(400)
    np.testing.assert_allclose(summary["bias"], -0.2 * summary["true"] - 0.1, atol=4 * error)
    np.testing.assert_allclose(summary["mean"], summary["bias"] + summary["true"])
    for name in ("sigma", "sigma_left", "sigma_right", "gauss_sigma"):
        np.testing.assert_allclose(summary[name], 0.05, rtol=0.25)
    np.testing.assert_allclose(summary["gauss_mean"], summary["mean"], atol=4 * error)
    np.testing.assert_allclose(summary["response_slope"], 0.8, rtol=0.02)
    # shrinking by 0.8 does not make an estimator better
    np.testing.assert_allclose(summary["sigma_over_bound"], 1.25, rtol=0.15)


def test_sigma_is_the_sample_standard_deviation_and_quantiles_are_pandas_own():
    frame = predictions(30)
    row = summarize(frame, constant_bound).iloc[0]
    predicted = frame[frame["point"] == row["point"]]["predicted"]
    assert row["sigma"] == pytest.approx(predicted.std())
    assert row["sigma_left"] == pytest.approx(predicted.mean() - predicted.quantile(0.16))
    assert row["sigma_right"] == pytest.approx(predicted.quantile(0.84) - predicted.mean())


def test_slope_is_that_of_the_calibration():
    frame = predictions(60)
    summary = summarize(frame, constant_bound)
    ensembles = make_ensembles(frame)
    response = fit_response(
        [each.true for each in ensembles], [each.predicted for each in ensembles]
    )
    np.testing.assert_array_equal(summary["response_slope"], response.derivative(summary["true"]))


def test_bound_is_asked_at_all_shifts_of_the_point():
    c7 = predictions(20, coefficient="c9")
    c7["point"] = "c7_+0.05__" + c7["point"]
    asked = {}

    def bound(shifts, names):
        asked[shifts["c9"]] = dict(shifts), names
        return {"c9": 1.0}

    summarize(c7, bound)
    assert asked[-1.5] == ({"c7": 0.05, "c9": -1.5}, ("c9",))


def test_several_coefficients_have_a_row_each():
    both = predictions(20, coefficient="c9")
    other = both.assign(coefficient="c7", true=both["true"] / 10, predicted=both["predicted"] / 10)
    both["point"] = other["point"] = both["point"].str.replace("c9_", "sobol_")
    frame = pd.concat([both, other], ignore_index=True)
    summary = summarize(frame, constant_bound)
    assert summary["coefficient"].to_list() == ["c7"] * 9 + ["c9"] * 9
    np.testing.assert_allclose(summary["response_slope"], 0.8, rtol=0.1)


def test_a_response_that_does_not_rise_has_no_sigma_over_bound():
    summary = summarize(predictions(slope=-0.5), constant_bound)
    assert summary["sigma_over_bound"].isna().all()


def test_a_dead_estimator_is_summarized_without_a_crash():
    summary = summarize(predictions(slope=0.0, width=0.0), constant_bound)
    assert (summary["sigma"] == 0).all()
    assert summary["gauss_sigma"].isna().all()


def test_gaussian_fit_is_unbiased_and_not_pulled_by_outliers():
    rng = np.random.default_rng(2)
    fits = np.array([gaussian_fit(rng.normal(-0.9, 0.05, 100)) for _ in range(100)])
    assert np.mean(fits[:, 0]) == pytest.approx(-0.9, abs=4 * 1.2 * 0.05 / np.sqrt(100 * 100))
    assert np.mean(fits[:, 1]) == pytest.approx(0.05, rel=0.03)
    sample = rng.normal(0, 1, 900)
    clean = gaussian_fit(sample)
    spoiled = gaussian_fit(np.concatenate([sample, np.full(9, 30.0)]))
    assert spoiled[1] == pytest.approx(clean[1], rel=0.05)
    assert np.std(np.concatenate([sample, np.full(9, 30.0)])) > 2.5


@pytest.mark.parametrize(
    "sample",
    [np.arange(9.0), np.zeros(50)],
    ids=["few", "equal"],
)
def test_gaussian_fit_says_nan_where_there_is_no_gaussian(sample):
    assert np.isnan(gaussian_fit(sample)).all()


def spoiled(kind):
    frame = predictions(10)
    return {
        "twice": lambda: pd.concat([frame, frame.iloc[:3]]),
        "split": lambda: frame.assign(split="train"),
        "both": lambda: pd.concat([frame, frame.iloc[:10].assign(split="interpolation")]),
        "not finite": lambda: frame.assign(
            predicted=frame["predicted"].where(frame["image_index"] != 2)
        ),
        "true": lambda: frame.assign(true=np.arange(len(frame)) / 7),
        "one": lambda: frame[frame["image_index"] == 0],
        "unknown": lambda: frame.assign(coefficient="c8"),
        "few points": lambda: frame[frame["true"] > 0.0],
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("twice", "c9_-2.00, campaign 000, image 0, c9 stand there twice"),
        ("split", "only test and interpolation images"),
        ("both", "c9_-2.00, split interpolation, c9: the point is also in split test"),
        ("not finite", "1 of 10 are not finite"),
        ("true", "the true shift is not one finite number"),
        ("one", "one image; an ensemble needs at least 2"),
        ("unknown", "unknown coefficient 'c8'"),
        ("few points", "ensembles at 2 true values; the response needs at least 4"),
    ],
)
def test_what_does_not_belong_together_is_refused(kind, message):
    with pytest.raises(UserError, match=message):
        summarize(spoiled(kind), constant_bound)


def test_csv_has_the_same_rows_with_a_readable_number_of_digits():
    summary = summarize(predictions(20), constant_bound)
    copy = pd.read_csv(io.StringIO(summary_csv(summary)))
    assert list(copy.columns) == list(SUMMARY_COLUMNS)
    np.testing.assert_allclose(copy["sigma"], summary["sigma"], rtol=1e-5)
    assert max(len(word) for word in summary_csv(summary).splitlines()[1].split(",")) <= 12


def write_predictions(folder, frame, metadata=METADATA, prefix=""):
    paths = []
    for (split, point), group in frame.groupby(["split", "point"]):
        path = folder / f"{prefix}{split}_{point}.parquet"
        write_table(
            path, group, PREDICTION_COLUMNS, metadata, make_record("evaluate", "out.file", {})
        )
        paths.append(path)
    return paths


def test_tables_of_one_estimator_are_read_as_one(tmp_path):
    frame = predictions(5)
    read, metadata = read_predictions(write_predictions(tmp_path, frame))
    assert metadata == METADATA
    assert len(read) == len(frame)
    assert coefficients_in(read) == ("c9",)
    with pytest.raises(UserError, match="no prediction tables"):
        read_predictions([])


def test_a_summary_of_a_fit_has_seen_no_point_in_training():
    summary = summarize(predictions(20), constant_bound, trained=False)
    assert summary["seen_in_training"].dtype == bool
    assert not summary["seen_in_training"].any()


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"estimator": "other"}, r"its estimator \(other\) is not that of .* \(toy\)"),
        ({"image": ImageSpecification(bins=25)}, "its image .*bins=25"),
        ({"physics_inputs": None}, r"its physics_inputs \(None\)"),
    ],
)
def test_tables_of_several_estimators_are_refused(tmp_path, update, message):
    first = write_predictions(tmp_path, predictions(5))
    others = METADATA.model_copy(update=update)
    second = write_predictions(tmp_path, predictions(5, seed=2), others, "b_")
    with pytest.raises(UserError, match=message):
        read_predictions([*first, *second])


@pytest.fixture(scope="module")
def coefficients(tmp_path_factory):
    path = tmp_path_factory.mktemp("theory") / "angular_coefficients.npz"
    table = AngularCoefficients.tabulate(DecayModel(load_inputs("evtgen-btosllnpr")))
    table.save(path, make_record("angular_coefficients", "out.file", {}))
    return path


def command_line(tmp_path, tables, coefficients):
    words = ["summarize"]
    for path in tables:
        words += ["--predictions", str(path)]
    words += ["--coefficients", str(coefficients)]
    return [*words, "--out", str(tmp_path / "s.parquet"), "--csv", str(tmp_path / "s.csv")]


def test_command_knows_a_fit_and_refuses_a_table_of_another_lepton(tmp_path, coefficients, capsys):
    frame = predictions(30)
    chosen = frame[frame["true"].isin([-1.2, -0.5, 0.0, 0.5])]
    fit = METADATA.model_copy(update={"trained": False, "lepton": "muon"})
    assert run(command_line(tmp_path, write_predictions(tmp_path, chosen, fit), coefficients)) == 0
    summary, _ = read_table(tmp_path / "s.parquet", SUMMARY_COLUMNS)
    assert not summary["seen_in_training"].any()
    (tmp_path / "s.parquet").unlink()
    other = fit.model_copy(update={"lepton": "electron"})
    tables = write_predictions(tmp_path, chosen, other)
    assert run(command_line(tmp_path, tables, coefficients)) == 1
    error = capsys.readouterr().err
    assert "is of decays to muons, the predictions are of decays to electrons" in error
    assert not (tmp_path / "s.parquet").exists()


def test_command_writes_both_files_and_the_bound_of_the_theory(tmp_path, coefficients):
    frame = predictions(30)
    tables = write_predictions(tmp_path, frame[frame["true"].isin([-1.2, -0.5, 0.0, 0.5])])
    assert run(command_line(tmp_path, tables, coefficients)) == 0
    summary, metadata = read_table(tmp_path / "s.parquet", SUMMARY_COLUMNS)
    assert metadata == METADATA
    image = METADATA.image
    table = AngularCoefficients.load(coefficients)
    expected = cramer_rao_bound(
        table.model,
        {"c9": 0.5},
        ("c9",),
        image.events_per_image,
        image.q2_min_gev2,
        image.q2_max_gev2,
    )
    assert summary.set_index("true")["bound"][0.5] == pytest.approx(expected["c9"], rel=1e-12)
    csv = (tmp_path / "s.csv").read_bytes()
    record = read_record(tmp_path / "s.parquet")
    assert next(iter(record.copies.values())) == hashlib.sha256(csv).hexdigest()
    assert record.rule == "summarize"
    assert {each.content_digest for each in record.inputs} >= {content_digest(coefficients)}
    assert len(record.inputs) == len(tables) + 1
    assert not list(tmp_path.glob(".*"))


def test_command_warns_of_a_response_that_does_not_rise(
    tmp_path, coefficients, capsys, monkeypatch
):
    def bound(_table, _shifts, names, *_cuts):
        return 0.05**2 * np.eye(len(names))

    monkeypatch.setattr("wilsonvox.theory.fisher.covariance_bound", bound)
    tables = write_predictions(tmp_path, predictions(30, slope=-1.0))
    assert run(command_line(tmp_path, tables, coefficients)) == 0
    assert "c9_-2.00, c9: the response does not increase" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flavour", "angles", "number", "factor"),
    [
        ("B0", "conjugate", 1, 1),
        ("B0bar", "conjugate", -1, 1),
        ("B0bar", "positive-lepton", -1, -1),
        ("both", "positive-lepton", 1, 0),
    ],
)
def test_the_bound_is_that_of_the_images_flavour(
    tmp_path, coefficients, monkeypatch, flavour, angles, number, factor
):
    asked = []

    def bound(_table, _shifts, names, *cuts):
        asked.append(cuts)
        return 0.05**2 * np.eye(len(names))

    monkeypatch.setattr("wilsonvox.theory.fisher.covariance_bound", bound)
    image = ImageSpecification(
        flavour=flavour, antiparticle_angles=angles, q2_min_gev2=1, vetoes_gev2=((8, 11),)
    )
    metadata = METADATA.model_copy(update={"image": image})
    tables = write_predictions(tmp_path, predictions(30), metadata)
    assert run(command_line(tmp_path, tables, coefficients)) == 0
    assert {each[:-1] for each in asked} == {(24_000.0, 1.0, 20.0, ((8.0, 11.0),), number)}
    # of J_6s, which tells the leptons apart
    assert {float(each[-1][NAMES.index("6s")]) for each in asked} == {factor}


@pytest.mark.parametrize("kind", ["missing", "few", "inputs", "coefficients"])
def test_command_refuses_bad_input_in_one_line(tmp_path, coefficients, capsys, kind):
    tables = write_predictions(tmp_path, predictions(5))
    if kind == "missing":
        tables[0].unlink()
    if kind == "few":
        tables = tables[:3]
    if kind == "inputs":
        other = METADATA.model_copy(update={"physics_inputs": "flavio"})
        tables = write_predictions(tmp_path, predictions(5), other)
    if kind == "coefficients":
        coefficients = tmp_path / "none.npz"
    assert run(command_line(tmp_path, tables, coefficients)) == 1
    error = capsys.readouterr().err
    assert error.startswith("wilsonvox: error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "s.parquet").exists()
    assert not (tmp_path / "s.csv").exists()
