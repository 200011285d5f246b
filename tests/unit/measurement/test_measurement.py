"""Measurements: values, intervals, warnings, and errors in one line."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import uproot

from wilsonvox.cli import run
from wilsonvox.cli.measure import report_lines
from wilsonvox.ensembles.calibration import Calibration
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, TableMetadata, write_table
from wilsonvox.estimators.metadata import EstimatorMetadata
from wilsonvox.estimators.settings import NetworkSettings, TrainingSettings
from wilsonvox.events.event_file import EventMetadata, Events, read_metadata, write_events
from wilsonvox.measurement.intervals import CoefficientMeasurement, measure_coefficient
from wilsonvox.measurement.sample import Measurement
from wilsonvox.provenance.lineage_graph import LineageGraph, Places
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.points import point_label, shift_vector
from wilsonvox.voxels.shards import Shard, ShardMetadata
from wilsonvox.voxels.specification import ImageSpecification, VoxelScaling

IMAGE = ImageSpecification(bins=2, events_per_image=100)
INPUTS = "evtgen-btosllnpr"
POINTS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0)
WIDTH = 0.05


def response(shift):
    return 0.8 * shift - 0.1


def write_model(folder: Path, image=IMAGE, weights=b"weights", coefficients=("c9",)):
    folder.mkdir(parents=True)
    metadata = EstimatorMetadata(
        estimator=folder.name,
        architecture="resnet",
        image=image,
        normalisation=VoxelScaling(),
        coefficients=coefficients,
        network=NetworkSettings(),
        training=TrainingSettings(),
        physics_inputs=INPUTS,
        training_points={"c9_+0.00": 10},
        n_parameters=1,
        best_epoch=1,
        best_validation_loss=0.1,
    )
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("model.weights.h5", weights)
        archive.writestr("estimator.json", metadata.model_dump_json())
    return folder / "model.keras"


def write_ensembles(folder: Path, model: Path, n_images=60, image=IMAGE, points=POINTS):
    rng = np.random.default_rng(11)
    for i, true in enumerate(points):
        split = "interpolation" if i == 3 else "test"
        frame = pd.DataFrame(
            {
                "point": point_label({"c9": true}),
                "split": split,
                "campaign": "000",
                "image_index": np.arange(n_images),
                "coefficient": "c9",
                "true": true,
                "predicted": response(true) + WIDTH * rng.normal(size=n_images),
                "error": np.nan,
            }
        )
        metadata = TableMetadata(estimator=folder.name, image=image, physics_inputs=INPUTS)
        record = make_record("evaluate", "out.file", {}, [model])
        path = folder / split / f"{point_label({'c9': true})}.parquet"
        write_table(path, frame, PREDICTION_COLUMNS, metadata, record)


def make_run(folder: Path, estimator="resnet-small", image="b2", **ensembles):
    model = write_model(folder / "models" / image / estimator)
    write_ensembles(folder / "evaluation" / image / estimator, model, **ensembles)
    return folder


def make_shard(n_images=2, image=IMAGE, true=-0.9, left_over=7, **metadata):
    shifts = shift_vector({"c9": true}) if true is not None else np.full(6, np.nan + 0j)
    return Shard(
        metadata=ShardMetadata(
            image=image,
            origin="ingested",
            n_events_in_file=100 * n_images + left_over + 5,
            n_events_cut={"outside the q2 range": 5},
            n_events_used=100 * n_images,
            n_events_left_over=left_over,
            **metadata,
        ),
        voxel=np.zeros(n_images, np.int32),
        mean_q2=np.ones(n_images, np.float32),
        count=np.full(n_images, 100, np.uint16),
        offsets=np.arange(n_images + 1, dtype=np.int64),
        shifts=np.tile(shifts, (n_images, 1)),
        n_events=np.full(n_images, 100, np.int64),
        source_range=np.zeros((n_images, 2), np.int64),
    )


@pytest.fixture
def predicts(monkeypatch):
    """Set the predictions of the fake network."""

    def set_predictions(values):
        class Fake:
            def predict(self, shard):
                return np.resize(np.asarray(values, dtype=float), (len(shard), 1))

        monkeypatch.setattr("wilsonvox.estimators.model_file.load_estimator", lambda _path: Fake())

    return set_predictions


@pytest.fixture
def measure(tmp_path, predicts):
    """Run the command on a shard in a fresh run and return the JSON."""
    make_run(tmp_path / "run")

    def run_command(values, shard=None, *words):
        predicts(values)
        shard = make_shard(len(values)) if shard is None else shard
        shard.save(tmp_path / "s.npz", make_record("voxelize", "out.file", {}))
        given = ["--run", str(tmp_path / "run"), "--estimator", "resnet-small", *words]
        output = ["--shard", str(tmp_path / "s.npz"), "--json", str(tmp_path / "m.json")]
        assert run(["measure", *given, *output]) == 0
        return json.loads((tmp_path / "m.json").read_text())

    return run_command


def events(n, flavour=1, seed=3):
    rng = np.random.default_rng(seed)
    return Events.from_columns(
        {
            "q2": rng.uniform(0.1, 19, n),
            "cos_theta_mu": rng.uniform(-1, 1, n),
            "cos_theta_k": rng.uniform(-1, 1, n),
            "chi": rng.uniform(0, 6.28, n),
            "m_kpi": np.full(n, 0.8955),
            "flavour": np.full(n, flavour),
        }
    )


def event_file(path, n, flavour=1, dropped=None):
    metadata = EventMetadata(
        origin="ingested", shifts={"c9": -0.9}, n_read=n, n_dropped=dropped or {}
    )
    write_events(path, [events(n, flavour)], metadata, make_record("ingest_events", "out.file", {}))
    return path


def test_value_and_intervals_match_the_calibration(measure, capsys):
    actual = measure([response(-0.9) + 0.02, response(-0.9) - 0.02])
    c9 = actual["coefficients"]["c9"]
    assert c9["value"] == pytest.approx(-0.9, abs=0.02)
    half = WIDTH / 0.8 / np.sqrt(2)
    for name, factor in (("interval_68", 0.994), ("interval_95", 1.96)):
        low, high = c9[name]
        assert low < c9["value"] < high
        assert (high - low) / 2 == pytest.approx(factor * half, rel=0.2)
    assert c9["per_image"] == pytest.approx([-0.875, -0.925], abs=0.03)
    assert actual["n_images"] == 2
    assert actual["n_events_used"] == 200
    assert actual["n_events_dropped"] == 12
    assert actual["n_events_dropped_by_reason"] == {
        "outside the q2 range": 5,
        "fill no whole image": 7,
    }
    assert actual["estimator"] == "resnet-small"
    assert actual["image"] == "b2"
    assert actual["image_specification"]["bins"] == 2
    assert actual["physics_inputs"] == INPUTS
    assert actual["true_shifts"] == {"c9": -0.9}
    assert "statistical" in actual["interval_type"]
    assert "generator level" in actual["interval_type"]
    (remainder,) = actual["warnings"]
    assert remainder.startswith("7 selected events fill no whole image of 100")
    result, used, warning = capsys.readouterr().out.splitlines()
    assert result.startswith("δC9 = −0.9")
    assert "(68 % CL; 95 %: −" in result
    assert "statistical only; 2 images of 100 events" in result
    assert used.startswith("events: 200 used, 12 dropped (5 outside the q2 range, 7 fill no")
    assert "physics inputs evtgen-btosllnpr" in used
    assert "detector effects not corrected for" in used
    assert warning == f"warning: {remainder}"


def test_pulls_are_in_units_of_the_width_at_the_true_shift(measure):
    result = measure([response(-0.9) + 2 * WIDTH, response(-0.9) - WIDTH])
    assert result["coefficients"]["c9"]["pulls"] == pytest.approx([2, -1], abs=0.2)
    unknown = measure([response(-0.9)], make_shard(1, true=None))
    assert unknown["coefficients"]["c9"]["pulls"] is None
    outside = measure([response(-0.9)], make_shard(1, true=-7.0))
    assert outside["coefficients"]["c9"]["pulls"] is None


def test_the_only_estimator_of_a_run_need_not_be_named(measure, tmp_path, capsys):
    expected = measure([response(0.0)])
    words = ["--run", str(tmp_path / "run"), "--shard", str(tmp_path / "s.npz")]
    assert run(["measure", *words, "--json", str(tmp_path / "again.json")]) == 0
    assert (
        json.loads((tmp_path / "again.json").read_text())["coefficients"]
        == (expected["coefficients"])
    )
    make_run(tmp_path / "run", estimator="other")
    capsys.readouterr()
    assert run(["measure", *words]) == 1
    assert "add --estimator, one of other, resnet-small" in capsys.readouterr().err


def test_record_names_model_predictions_and_images(measure, tmp_path):
    measure([response(0.0)])
    record = read_record(tmp_path / "m.json")
    assert record.rule == "measure"
    assert record.settings == {"estimator": "resnet-small", "image": "b2"}
    names = [Path(entry.path).name for entry in record.inputs]
    assert names[0] == "model.keras"
    assert names[-1] == "s.npz"
    assert len(names) == 2 + len(POINTS)


def test_earlier_fit_of_the_same_name_is_not_used(measure, tmp_path):
    (tmp_path / "run/models/b2/resnet-small/estimator.npz").write_bytes(b"left over")
    assert measure([response(0.0)])["n_images"] == 1


def test_equal_runs_give_equal_files(measure, tmp_path):
    measure([response(0.0)])
    first = (tmp_path / "m.json").read_bytes()
    measure([response(0.0)])
    assert (tmp_path / "m.json").read_bytes() == first


def test_prediction_outside_the_response_has_no_value(measure, capsys):
    result = measure([response(3.0)])
    c9 = result["coefficients"]["c9"]
    assert c9["value"] is None
    assert c9["interval_68"] == [None, None]
    assert c9["per_image"] == [None]
    assert c9["levels_without_shift"] == [68, 95]
    text = " ".join(result["warnings"])
    assert "outside the calibrated response" in text
    assert "95 % interval: no shift in the calibrated range −2.00 … 1.00 agrees" in text
    assert capsys.readouterr().out.startswith("δC9 = no value (68 % CL: none; 95 %: none)")


def test_interval_beyond_the_calibrated_range_is_open(measure, capsys):
    result = measure([response(-1.99)])
    c9 = result["coefficients"]["c9"]
    assert c9["value"] == pytest.approx(-1.99, abs=0.03)
    assert c9["interval_68"][0] is None
    assert c9["interval_68"][1] > -1.99
    assert any(
        "68 % interval: lower end open: beyond the calibrated range (it ends at −2.00)" in text
        for text in result["warnings"]
    )
    assert "(68 % CL: below −2.00" in capsys.readouterr().out
    upper = measure([response(0.99)])["coefficients"]["c9"]
    assert upper["interval_95"][1] is None


def test_unusual_scatter_of_images_gives_a_warning(measure):
    spread = np.array([-0.3, 0.3]) + response(-0.5)
    assert any("differs from the training" in w for w in measure(spread)["warnings"])
    same = np.full(8, response(-0.5))
    assert any("same events in several images" in w for w in measure(same)["warnings"])
    outside = np.array([-0.3, 0.3]) + response(3.0)
    assert any("differs from the training" in w for w in measure(outside)["warnings"])


def test_sample_with_other_inputs_or_shifts_gives_warnings(measure):
    shard = make_shard(1, true=None, left_over=0, sample="mine", physics_inputs="flavio")
    result = measure([response(0.0)], shard)
    assert result["true_shifts"] is None
    assert result["sample"] == "mine"
    (warning,) = result["warnings"]
    assert "physics inputs flavio, the estimator assumes evtgen-btosllnpr" in warning
    shard = make_shard(1, left_over=0)
    shard.shifts[:, 0] = 0.05
    result = measure([response(0.0)], shard)
    assert result["true_shifts"] == {"c7": 0.05, "c9": -0.9}
    assert "δC7 = 0.05, which the estimator assumes to be 0" in result["warnings"][0]
    shard.shifts[:, 0] = 0.05j
    result = measure([response(0.0)], shard)
    assert result["true_shifts"] == {"c7_imaginary": 0.05, "c9": -0.9}
    assert "Im δC7 = 0.05, which the estimator assumes to be 0" in result["warnings"][0]


def test_small_ensembles_and_non_monotonic_response_give_warnings():
    rng = np.random.default_rng(1)
    turned = Calibration.of(POINTS, [-((p + 1) ** 2) + rng.normal(0, 0.02, 20) for p in POINTS])
    result, warnings = measure_coefficient("c9", turned, np.array([-0.5]))
    text = " ".join(warnings)
    assert result.value is None
    assert "smallest ensemble has 20 images" in text
    assert "does not rise everywhere" in text
    assert "corresponds to 2 shifts" in text
    assert "consists of several ranges" in text


def test_predictions_of_an_earlier_model_are_left_out(measure, tmp_path):
    other = write_model(tmp_path / "elsewhere", weights=b"other")
    evaluation = tmp_path / "run" / "evaluation" / "b2" / "resnet-small"
    write_ensembles(evaluation, other, points=(1.5,))
    result = measure([response(0.0)])
    assert any("by another model are excluded" in text for text in result["warnings"])
    assert result["coefficients"]["c9"]["calibrated_range"] == [-2.0, 1.0]


def test_a_root_file_is_read_binned_and_measured(tmp_path, predicts, capsys):
    make_run(tmp_path / "run")
    predicts([response(-0.9)])
    path = event_file(tmp_path / "mine.root", 250, dropped={"b_mass": 3})
    words = ["--run", str(tmp_path / "run"), "--estimator", "resnet-small", "--events", str(path)]
    assert run(["measure", *words, "--json", str(tmp_path / "m.json")]) == 0
    result = json.loads((tmp_path / "m.json").read_text())
    assert result["n_images"] == 2
    assert result["n_events_dropped_by_reason"] == {"b_mass": 3, "fill no whole image": 50}
    assert result["true_shifts"] == {"c9": -0.9}
    assert "50 selected events" in capsys.readouterr().out
    assert read_metadata(path).n_read == 250


def test_external_file_is_ingested_and_its_warnings_are_kept(tmp_path, predicts):
    make_run(tmp_path / "run")
    predicts([response(-0.9)])
    columns = events(300).columns()
    del columns["flavour"]
    with uproot.recreate(tmp_path / "foreign.root") as file:
        file["decays"] = columns
    words = ["--run", str(tmp_path / "run"), "--estimator", "resnet-small", "--tree", "decays"]
    files = ["--events", str(tmp_path / "foreign.root"), "--json", str(tmp_path / "m.json")]
    assert run(["measure", *words, *files]) == 0
    result = json.loads((tmp_path / "m.json").read_text())
    assert any(
        text.startswith("foreign.root: no branch contains the flavour")
        for text in result["warnings"]
    )
    assert result["n_events_used"] + result["n_events_dropped"] == 300
    assert result["true_shifts"] is None
    assert result["provenance"]["settings"]["tree"] == "decays"


BAD_INPUTS = {}


def bad_input(expected):
    """Register a case: it damages the files of a folder and returns the options to use there."""

    def register(case):
        BAD_INPUTS[case.__name__] = expected, case
        return case

    return register


def replace_model(folder, **settings):
    model = folder / "run/models/b2/resnet-small/model.keras"
    model.unlink()
    model.parent.rmdir()
    write_model(model.parent, **settings)


@bad_input("no such folder")
def no_run(folder):
    return {"--run": folder / "none"}


@bad_input("contains no estimator")
def empty_run(folder):
    (folder / "empty").mkdir()
    return {"--run": folder / "empty"}


@bad_input("did you mean 'resnet-small'?")
def unknown_estimator(_folder):
    return {"--estimator": "resnet-smal"}


@bad_input("did you mean 'b2'?")
def unknown_image(_folder):
    return {"--image": "b20"}


@bad_input("add --image, one of b2, b3")
def several_images(folder):
    make_run(folder / "run", image="b3")
    return {}


@bad_input("no predictions of test images")
def no_predictions(folder):
    for path in folder.glob("run/evaluation/*/*/*/*.parquet"):
        path.unlink()
    return {}


@bad_input("made by a model other than")
def trained_again(folder):
    replace_model(folder, weights=b"new")
    return {}


@bad_input("estimates c9, c10; evaluate it again")
def other_coefficients(folder):
    replace_model(folder, coefficients=("c9", "c10"))
    run = folder / "run"
    model = run / "models/b2/resnet-small/model.keras"
    write_ensembles(run / "evaluation/b2/resnet-small", model)
    return {}


@bad_input("not those of estimator resnet-small: events_per_image 50 instead of 100")
def other_image(folder):
    other = IMAGE.model_copy(update={"events_per_image": 50})
    make_shard(image=other).save(folder / "s.npz", make_record("voxelize", "out.file", {}))
    return {}


@bad_input("s.npz: its images are not those of estimator resnet-small: bins 3 instead of 2")
def other_bins(folder):
    other = IMAGE.model_copy(update={"bins": 3})
    make_shard(image=other).save(folder / "s.npz", make_record("voxelize", "out.file", {}))
    return {}


@bad_input("s.npz: not a readable shard")
def truncated_shard(folder):
    content = (folder / "s.npz").read_bytes()
    (folder / "s.npz").write_bytes(content[: len(content) // 2])
    return {}


@bad_input("s.npz: not a readable shard")
def flipped_shard(folder):
    content = bytearray((folder / "s.npz").read_bytes())
    content[content.index(np.ones(2, np.float32).tobytes())] ^= 1  # a mean q2
    (folder / "s.npz").write_bytes(content)
    return {}


@bad_input("does not exist")
def no_shard(folder):
    return {"--shard": folder / "none.npz"}


@bad_input("either --events or --shard")
def both(folder):
    return {"--events": folder / "x.root"}


@bad_input("either --events or --shard")
def neither(_folder):
    return {"--shard": None}


@bad_input("does not exist")
def no_events(folder):
    return {"--shard": None, "--events": folder / "x.root"}


@bad_input("x.root")
def not_root(folder):
    (folder / "x.root").write_text("no")
    return {"--shard": None, "--events": folder / "x.root"}


@bad_input("99 of 99 events pass the selection, but one image needs 100")
def too_few(folder):
    return {"--shard": None, "--events": event_file(folder / "x.root", 99)}


@bad_input("all 300 events are B0bar, but the estimator reads images of B0")
def only_anti_b0(folder):
    return {"--shard": None, "--events": event_file(folder / "x.root", 300, -1)}


@bad_input("predicts values that are not finite")
def diverged(_folder):
    return {}


@pytest.mark.parametrize("name", list(BAD_INPUTS))
def test_bad_input_is_a_one_line_error_without_output(tmp_path, predicts, capsys, name):
    expected, case = BAD_INPUTS[name]
    predicts([np.nan] if name == "diverged" else [0.0])
    make_run(tmp_path / "run")
    make_shard().save(tmp_path / "s.npz", make_record("voxelize", "out.file", {}))
    options = {
        "--run": tmp_path / "run",
        "--estimator": "resnet-small",
        "--shard": tmp_path / "s.npz",
        "--json": tmp_path / "m.json",
    } | case(tmp_path)
    words = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    assert run(["measure", *words]) == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "wilsonvox: error:" in line]
    assert len(lines) == 1
    assert expected in lines[0]
    assert captured.out == ""
    assert not (tmp_path / "m.json").exists()


def test_interval_end_of_zero_is_not_an_open_end(measure):
    result = Measurement.model_validate(measure([response(0.0)]) | {"provenance": None})
    c9 = CoefficientMeasurement(
        value=-0.03,
        interval_68=(-0.08, 0.0),
        interval_95=(None, 0.05),
        per_image=[-0.03],
        mean_prediction=0.0,
        calibrated_range=(-0.1, 1.0),
    )
    line = report_lines(result.model_copy(update={"coefficients": {"c9p": c9}}))[0]
    assert line.startswith("δC9′ = −0.030 +0.030 −0.050 (68 % CL; 95 %: below −0.100 … 0.050)")


def test_a_measurement_made_elsewhere_can_be_audited(measure, tmp_path, monkeypatch):
    """Neither the run nor the output is in the working folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    measure([-0.9, -1.0])
    record = read_record(tmp_path / "m.json")
    assert record.run == "run"
    assert "models/b2/resnet-small/model.keras" in {entry.path for entry in record.inputs}
    assert str(tmp_path) not in record.to_json()
    graph = LineageGraph(Places(run=tmp_path / "run", search=(tmp_path,)))
    result = graph.add(tmp_path / "m.json").inputs
    assert len(result) == len(record.inputs) > 2
    assert all(node.exists for node in result)


def test_a_measurement_in_another_run_belongs_to_that_run(measure, tmp_path, monkeypatch):
    """The same holds for a global fit, whose crate contains it and refers to the other run."""
    monkeypatch.chdir(tmp_path)
    measure([-0.9, -1.0])
    output = "results/mine/global_fit/measurement.json"
    words = ["--run", "run", "--estimator", "resnet-small", "--shard", "s.npz", "--json", output]
    assert run(["measure", *words]) == 0
    record = read_record(tmp_path / output)
    assert (record.run, record.output) == ("results/mine", "global_fit/measurement.json")
    names = {entry.path for entry in record.inputs}
    assert "../../run/models/b2/resnet-small/model.keras" in names
    nodes = LineageGraph().add(tmp_path / output).inputs
    assert len(nodes) == len(names) > 2
    assert all(node.exists for node in nodes)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "resources").rglob("*.root")))
def test_shipped_files_have_a_readable_record_or_none(path):
    record = read_record(path)
    assert record is None or record.rule == "ingest_events"
