"""Estimators that read events: file, events, predictions and measurements."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.helpers import toy_fit

from wilsonvox.cli import run
from wilsonvox.core.errors import UserError
from wilsonvox.ensembles.summary import make_ensembles, read_predictions
from wilsonvox.ensembles.tables import PREDICTION_COLUMNS, read_table
from wilsonvox.estimators.fits.prepared import (
    Estimate,
    PreparedMetadata,
    events_of_images,
    load_prepared,
    prepare,
    save_prepared,
)
from wilsonvox.estimators.settings import AngularLikelihoodSettings, LikelihoodSettings
from wilsonvox.events.event_file import EventMetadata, Events, write_events
from wilsonvox.provenance.recording import architectures_of, make_record
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import point_label
from wilsonvox.voxels.binning import voxelize_file
from wilsonvox.voxels.shards import Shard
from wilsonvox.voxels.specification import ImageSpecification

IMAGE = ImageSpecification(bins=2, events_per_image=100, q2_min_gev2=1.0)
INPUTS = "evtgen-btosllnpr"
MODEL = DecayModel(load_inputs(INPUTS), "electron", "conjugate")


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    for name in ("unbinned", "angular"):
        monkeypatch.setitem(sys.modules, f"wilsonvox.estimators.fits.{name}", toy_fit)


def metadata(architecture="likelihood", settings=None, coefficients=("c9",), **decay):
    return PreparedMetadata(
        estimator="fit",
        architecture=architecture,
        image=IMAGE,
        coefficients=coefficients,
        physics_inputs=INPUTS,
        settings=settings or LikelihoodSettings(parameter_range=(-2, 3)),
        **decay,
    )


def write_prepared(path, **settings):
    about = metadata(**settings)
    record = make_record("prepare_estimator", path, {"architecture": about.architecture})
    save_prepared(path, about, MODEL, prepare(about, MODEL), record)
    return path


def toy_events(n, c9, seed=1):
    """Events, half of them below the cut on q2; the mean of cos θ_μ is c9 / 10."""
    rng = np.random.default_rng((seed, round(1000 * c9) + 10_000))
    return Events.from_columns(
        {
            "q2": np.where(np.arange(n) % 2, rng.uniform(1.1, 19, n), 0.5),
            "cos_theta_mu": np.clip(rng.normal(c9 / 10, 0.1, n), -1, 1),
            "cos_theta_k": rng.uniform(-1, 1, n),
            "chi": rng.uniform(0, 6.28, n),
            "m_kpi": np.full(n, 0.8955),
            "flavour": np.ones(n),
        }
    )


def write_campaign(folder, c9, n_images=3, split="test", campaign="000", spare=30, **decay):
    """Write an event file and its shard; return their paths."""
    point = point_label({"c9": c9})
    about = EventMetadata(
        origin="generated", point=point, shifts={"c9": c9}, split=split, campaign=campaign,
        physics_inputs=INPUTS, **decay,
    )  # fmt: skip
    n = 2 * IMAGE.events_per_image * n_images + spare
    events = folder / "events" / split / point / f"{campaign}.root"
    chunks = toy_events(n, c9, seed=int(campaign) + 1)
    pieces = (chunks[i : i + 70] for i in range(0, n, 70))  # images across several chunks
    write_events(events, pieces, about, make_record("generate_events", events, {}, seed=3))
    shard = folder / "voxels/b2" / split / point / f"{campaign}.npz"
    made = voxelize_file(events, IMAGE, n_images)
    made.save(shard, make_record("voxelize", shard, {}, [events]))
    return events, shard


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("likelihood", LikelihoodSettings(parameter_range=(-2, 3))),
        ("angular-likelihood", AngularLikelihoodSettings(q2_bins_gev2=((1, 2), (2, 6)))),
    ],
)
def test_prepared_estimator_round_trip(tmp_path, architecture, settings):
    given = {"architecture": architecture, "settings": settings, "coefficients": ("c9", "c10")}
    path = write_prepared(tmp_path / "estimator.npz", **given)
    result = load_prepared(path)
    assert result.metadata == metadata(**given)
    assert type(result.metadata.settings) is type(settings)
    assert result.model == MODEL
    assert result.estimator.scale.tolist() == [settings.parameter_range[1]] * 2
    record = read_record(path)
    assert record.content_digest == content_digest(path)
    assert architectures_of(record) == (architecture,)
    again = write_prepared(tmp_path / "again.npz", **given)
    assert content_digest(again) == record.content_digest


def test_damaged_file_is_a_one_line_error(tmp_path):
    path = write_prepared(tmp_path / "estimator.npz")
    content = bytearray(path.read_bytes())
    place = content.index(np.array([3.0]).tobytes())
    content[place + 6] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"estimator.npz: not a readable prepared estimator"):
        load_prepared(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"estimator.npz: not a readable prepared estimator"):
        load_prepared(path)
    with pytest.raises(UserError, match=r"absent.npz: does not exist"):
        load_prepared(tmp_path / "absent.npz")


def test_changed_values_with_correct_checksum_are_detected(tmp_path):
    path = write_prepared(tmp_path / "estimator.npz")
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(path, **(arrays | {"scale": np.array([4.0])}))
    with pytest.raises(UserError, match="content differs from its recorded digest"):
        load_prepared(path)


def test_shard_is_refused_as_prepared_estimator(tmp_path):
    _, shard = write_campaign(tmp_path, -1.0)
    with pytest.raises(UserError, match="was not written by `wilsonvox prepare`"):
        load_prepared(shard)


def test_command_writes_the_requested_estimator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--architecture", "likelihood", "--coefficients", "c9,c10_imaginary"]
    words += ["--parameter-range", "-2,3", "--bins", "2", "--events-per-image", "100"]
    words += ["--lepton", "electron", "--antiparticle-shifts", "conjugate"]
    assert run(["prepare", "--estimator", "fit", *words, "--out", "e.npz"]) == 0
    result = load_prepared("e.npz")
    assert result.model == MODEL
    assert result.metadata.coefficients == ("c9", "c10_imaginary")
    assert result.metadata.settings == LikelihoodSettings(parameter_range=(-2, 3))
    record = read_record("e.npz")
    assert (record.rule, record.settings["lepton"]) == ("prepare_estimator", "electron")
    assert record.settings["architecture"] == "likelihood"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--architecture", "likelihood", "--q2-bins-gev2", "1:2"],
            "--q2-bins-gev2: not an option",
        ),
        (["--architecture", "likelihood", "--coefficients", "c8"], "--coefficients: 'c8' is unkno"),
        (["--architecture", "likelihood", "--parameter-range", "3,2"], "--parameter-range: range"),
        (["--architecture", "angular-likelihood", "--q2-bins-gev2", "1:3,2:4"], "--q2-bins-gev2: "),
        (["--architecture", "likelihood", "--physics-inputs", "mine"], "'mine': no such set"),
        (["--architecture", "likelihood", "--out", "e.keras"], "e.keras: the name of a prepared"),
    ],
)
def test_wrong_options_are_a_one_line_error(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert run(["prepare", "--estimator", "fit", "--out", "e.npz", *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- events of images


def test_each_image_has_its_own_events(tmp_path, monkeypatch):
    events, path = write_campaign(tmp_path, -1.0)
    monkeypatch.setattr("wilsonvox.events.event_file.CHUNK", 130)
    shard = Shard.load(path)
    whole = toy_events(630, -1.0)
    selected = whole[whole.q2 > 1]
    actual = dict(events_of_images(shard, events))
    assert sorted(actual) == [0, 1, 2]
    for index, chosen in actual.items():
        expected = selected[100 * index : 100 * (index + 1)]
        for name, column in chosen.columns().items():
            assert np.array_equal(column, expected.columns()[name]), name


def test_each_image_is_predicted_from_its_own_events(tmp_path):
    events, path = write_campaign(tmp_path, -1.0)
    estimator = load_prepared(write_prepared(tmp_path / "estimator.npz"))
    values, errors = estimator.predict(Shard.load(path), events)
    whole = toy_events(630, -1.0)
    angle = whole.cos_theta_mu[whole.q2 > 1].astype(float)[:300].reshape(3, 100)
    assert values == pytest.approx(3 * angle.mean(axis=1, keepdims=True))
    assert errors == pytest.approx(3 * angle.std(axis=1, keepdims=True) / 10)


def changed_shard(path, **fields):
    shard = Shard.load(path)
    metadata_fields = {k: v for k, v in fields.items() if k not in shard.arrays()}
    about = shard.metadata.model_copy(update=metadata_fields)
    arrays = shard.arrays() | {k: v for k, v in fields.items() if k in shard.arrays()}
    return Shard(metadata=about, **arrays)


def test_events_that_do_not_belong_to_the_images_are_refused(tmp_path):
    events, path = write_campaign(tmp_path, -1.0)
    other, _ = write_campaign(tmp_path, -0.5)
    estimator = load_prepared(write_prepared(tmp_path / "estimator.npz"))
    shard = Shard.load(path)
    with pytest.raises(UserError, match=r"000.root: is not the file that the images of s.npz"):
        estimator.predict(shard, other, "s.npz")
    unknown = changed_shard(path, events_digest=None)
    with pytest.raises(UserError, match=r"s.npz: has no digest of the events"):
        estimator.predict(unknown, events, "s.npz")
    ranges = shard.source_range.copy()
    ranges[1, 1] -= 20
    moved = changed_shard(path, source_range=ranges)
    with pytest.raises(UserError, match=r"s.npz: image 1 was made from 100 events, but .* 90 at"):
        estimator.predict(moved, events, "s.npz")
    ranges[1] = (10_000, 10_200)
    with pytest.raises(UserError, match=r"s.npz: image 1 .* gives 0 at"):
        estimator.predict(changed_shard(path, source_range=ranges), events, "s.npz")
    image = IMAGE.model_copy(update={"q2_min_gev2": 1.5})
    with pytest.raises(UserError, match=r"s.npz: its images do not fit .*: q2_min_gev2 1.5 ins"):
        estimator.predict(changed_shard(path, image=image), events, "s.npz")


# ---------------------------------------------------------------- evaluation


def test_evaluation_writes_the_same_table_as_for_networks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = str(write_prepared(tmp_path / "estimator.npz"))
    words = ["evaluate", "--model", "estimator.npz", "--out", "p.parquet", "--split", "test"]
    campaigns = [write_campaign(Path(), -0.5, campaign=value) for value in ("000", "001")]
    for events, shard in campaigns:
        words += ["--shard", str(shard), "--events", str(events)]
    assert run(words) == 0
    assert "fit: 6 test images of c9_-0.50 predicted" in capsys.readouterr().err
    frame, about = read_table("p.parquet", PREDICTION_COLUMNS)
    assert (about.estimator, about.image, about.physics_inputs) == ("fit", IMAGE, INPUTS)
    assert frame["campaign"].tolist() == ["000"] * 3 + ["001"] * 3
    assert frame["image_index"].tolist() == [0, 1, 2, 0, 1, 2]
    assert set(frame["true"]) == {-0.5}
    estimator = load_prepared(model)
    parts = [estimator.predict(Shard.load(shard), events) for events, shard in campaigns]
    assert frame["predicted"].tolist() == np.concatenate([part[0] for part in parts])[:, 0].tolist()
    assert frame["error"].tolist() == np.concatenate([part[1] for part in parts])[:, 0].tolist()
    record = read_record("p.parquet")
    assert record.rule == "evaluate_events"
    assert architectures_of(record) == ("likelihood",)
    assert [Path(entry.path).name for entry in record.inputs] == [
        "estimator.npz", "000.npz", "001.npz", "000.root", "001.root",
    ]  # fmt: skip


MUONS = {"lepton": "muon", "antiparticle_shifts": "equal"}


def test_decays_to_another_lepton_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "estimator.npz", **MUONS)
    electrons, shard = write_campaign(Path(), -0.5, lepton="electron")
    assert Shard.load(shard).metadata.lepton == "electron"
    words = ["evaluate", "--model", "estimator.npz", "--shard", str(shard)]
    assert run([*words, "--events", str(electrons), "--out", "p.parquet"]) == 1
    error = capsys.readouterr().err
    assert "of decays to electrons, estimator.npz of decays to muons" in error
    assert error.count("\n") == 1
    assert not Path("p.parquet").exists()
    # nothing is known of a file without this entry
    write_prepared(tmp_path / "estimator.npz")
    assert run([*words, "--events", str(electrons), "--out", "p.parquet"]) == 0


def test_prediction_table_contains_its_decay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "estimator.npz", **MUONS)
    words = ["evaluate", "--model", "estimator.npz", "--out", "p.parquet"]
    events, shard = write_campaign(Path(), -0.5, lepton="muon", antiparticle_shifts="conjugate")
    assert run([*words, "--shard", str(shard), "--events", str(events)]) == 0
    assert "opposite sign" not in capsys.readouterr().err  # no warning for real shifts
    _, about = read_table("p.parquet", PREDICTION_COLUMNS)
    assert (about.lepton, about.antiparticle_shifts) == ("muon", "equal")
    write_prepared(tmp_path / "estimator.npz", coefficients=("c9_imaginary",), **MUONS)
    assert run([*words, "--shard", str(shard), "--events", str(events)]) == 0
    assert (
        "antiparticle shifts 'conjugate', the estimator is for 'equal'" in capsys.readouterr().err
    )


def test_event_files_in_another_order_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "estimator.npz")
    campaigns = [write_campaign(Path(), -0.5, campaign=value) for value in ("000", "001")]
    words = ["evaluate", "--model", "estimator.npz", "--out", "p.parquet"]
    for (events, _), (_, shard) in zip(campaigns, campaigns[::-1], strict=True):
        words += ["--shard", str(shard), "--events", str(events)]
    assert run(words) == 1
    assert "is not the file that the images of" in capsys.readouterr().err
    assert run(words[:-2]) == 1
    assert "give the event file of each of the 2 shard(s)" in capsys.readouterr().err
    assert not Path("p.parquet").exists()


def test_events_option_is_refused_for_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", "--model", "m.keras", "--shard", "s.npz", "--events", "e.root"]
    assert run([*words, "--out", "p.parquet"]) == 1
    assert "--events: m.keras reads images only; omit the option" in capsys.readouterr().err


def fail_on_image(monkeypatch, chosen):
    """Make the fit of the image that is fitted `chosen`-th fail to converge."""
    estimate, calls = toy_fit.Mean.estimate, []

    def failing(self, events):
        calls.append(1)
        if len(calls) == chosen:
            events = Events.from_columns(events.columns() | {"cos_theta_mu": np.zeros(len(events))})
        return estimate(self, events)

    monkeypatch.setattr(toy_fit.Mean, "estimate", failing)


def test_fit_that_does_not_converge_keeps_its_row_and_is_logged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "estimator.npz")
    events, shard = write_campaign(Path(), -0.5)
    fail_on_image(monkeypatch, 2)
    words = ["--model", "estimator.npz", "--shard", str(shard), "--events", str(events)]
    assert run(["evaluate", *words, "--out", "p.parquet"]) == 0
    stderr = capsys.readouterr().err
    assert "000.npz: the fit of 1 of 3 images did not converge (image 1)" in stderr
    frame, _ = read_table("p.parquet", PREDICTION_COLUMNS)
    assert frame["predicted"].isna().tolist() == [False, True, False]
    assert frame["error"].isna().tolist() == [False, True, False]


def test_value_without_an_error_is_nan(tmp_path, monkeypatch):
    estimator = load_prepared(write_prepared(tmp_path / "estimator.npz"))
    events, shard = write_campaign(tmp_path, -0.5)
    estimate = toy_fit.Mean.estimate

    def without_error(self, chosen):
        return Estimate(estimate(self, chosen).values, np.array([np.nan]))

    monkeypatch.setattr(toy_fit.Mean, "estimate", without_error)
    for result in estimator.predict(Shard.load(shard), events):
        assert np.isnan(result).all()


def test_an_ensemble_with_a_fit_that_did_not_converge_is_not_summarized(tmp_path, monkeypatch):
    """Without that image the others would make the estimator look better than it is."""
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "estimator.npz")
    events, shard = write_campaign(Path(), -0.5)
    fail_on_image(monkeypatch, 2)
    words = ["--model", "estimator.npz", "--shard", str(shard), "--events", str(events)]
    assert run(["evaluate", *words, "--out", "p.parquet"]) == 0
    frame, _ = read_predictions(["p.parquet"])
    with pytest.raises(UserError, match=r"1 of 3 are not finite; .* or fits did not converge"):
        make_ensembles(frame)


# ---------------------------------------------------------------- measurement

POINTS = (-2.0, -1.5, -1.0, -0.5, 0.0)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Folder with a run of the stand-in's predictions, and a sample at −0.9."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "wilsonvox.estimators.fits.unbinned", toy_fit)
        patched.chdir(folder)
        results = Path("results/small")
        model = results / "models/b2/fit/estimator.npz"
        write_prepared(model, settings=LikelihoodSettings(parameter_range=(-2, 10)), **MUONS)
        for c9 in POINTS:
            events, shard = write_campaign(results, c9, n_images=50)
            words = ["--model", str(model), "--shard", str(shard), "--events", str(events)]
            out = results / f"evaluation/b2/fit/test/{point_label({'c9': c9})}.parquet"
            assert run(["evaluate", *words, "--out", str(out)]) == 0
        about = EventMetadata(origin="ingested", shifts={"c9": -0.9}, n_read=430)
        record = make_record("ingest_events", "s.root", {})
        write_events("sample.root", [toy_events(430, -0.9, seed=9)], about, record)
    return folder


@pytest.fixture
def _finished(run_folder, tmp_path, monkeypatch):
    """Make a copy of that run the working folder."""
    shutil.copytree(run_folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


MEASURE = ["measure", "--run", "results/small", "--estimator", "fit"]


@pytest.mark.usefixtures("_finished")
def test_a_sample_is_measured_as_with_a_network(capsys):
    assert run([*MEASURE, "--events", "sample.root", "--json", "m.json"]) == 0
    assert "2 images of 100 events" in capsys.readouterr().out
    result = json.loads(Path("m.json").read_text())
    c9 = result["coefficients"]["c9"]
    assert c9["value"] == pytest.approx(-0.9, abs=0.2)
    assert c9["interval_95"][0] < -0.9 < c9["interval_95"][1]
    assert (result["n_images"], result["n_events_used"], result["estimator"]) == (2, 200, "fit")
    assert result["true_shifts"] == {"c9": -0.9}
    record = read_record("m.json")
    assert (record.rule, architectures_of(record)) == ("measure_events", ("likelihood",))
    names = [Path(entry.path).name for entry in record.inputs]
    assert (names[0], names[-1], len(names)) == ("estimator.npz", "sample.root", 2 + len(POINTS))


@pytest.mark.usefixtures("_finished")
@pytest.mark.parametrize("copies", [1, 2])
def test_a_sample_of_another_lepton_is_refused(copies, capsys):
    about = EventMetadata(origin="generated", lepton="electron")
    record = make_record("generate_events", "s.root", {})
    words = []
    for number in range(copies):
        chunk = toy_events(430, -0.9, seed=number)
        write_events(f"electrons{number}.root", [chunk], about, record)
        words += ["--events", f"electrons{number}.root"]
    assert run([*MEASURE, *words, "--json", "m.json"]) == 1
    error = capsys.readouterr().err
    assert "of decays to electrons, estimator fit of decays to muons" in error
    assert not Path("m.json").exists()


@pytest.mark.usefixtures("_finished")
def test_a_flavour_that_contradicts_an_event_file_is_refused(capsys):
    assert run([*MEASURE, "--events", "sample.root", "--flavour", "B0"]) == 0
    assert run([*MEASURE, "--events", "sample.root", "--flavour", "B0bar", "--json", "m.json"]) == 1
    assert "430 events are not B0bar by the file's own codes" in capsys.readouterr().err
    assert not Path("m.json").exists()


@pytest.mark.usefixtures("_finished")
def test_external_file_is_measured():
    import uproot

    columns = toy_events(430, -0.9, seed=9).columns()
    with uproot.recreate("foreign.root") as file:
        file["decays"] = columns
    for name in ("sample", "foreign"):
        assert run([*MEASURE, "--events", f"{name}.root", "--json", f"{name}.json"]) == 0
    ours, foreign = (json.loads(Path(f"{name}.json").read_text()) for name in ("sample", "foreign"))
    values = (value["coefficients"]["c9"]["value"] for value in (ours, foreign))
    assert next(values) == pytest.approx(next(values), abs=1e-5)


@pytest.mark.usefixtures("_finished")
def test_images_without_events_are_refused(capsys):
    shard = "results/small/voxels/b2/test/c9_-1.00/000.npz"
    assert run([*MEASURE, "--shard", shard, "--json", "m.json"]) == 1
    error = capsys.readouterr().err
    assert "fit reads events, not images; give --events" in error
    assert not Path("m.json").exists()


@pytest.mark.usefixtures("_finished")
def test_a_sample_whose_fit_does_not_converge_is_refused(monkeypatch, capsys):
    fail_on_image(monkeypatch, 2)
    assert run([*MEASURE, "--events", "sample.root", "--json", "m.json"]) == 1
    error = capsys.readouterr().err
    assert "the fit of 1 of 2 images of the sample did not converge (image 1)" in error
    assert error.count("\n") == 1
    assert not Path("m.json").exists()


@pytest.mark.usefixtures("_finished")
def test_predictions_of_an_earlier_preparation_are_not_used(capsys):
    model = Path("results/small/models/b2/fit/estimator.npz")
    write_prepared(model, settings=LikelihoodSettings(parameter_range=(-2, 11)))
    assert run([*MEASURE, "--events", "sample.root"]) == 1
    assert "were made by a model other than" in capsys.readouterr().err


@pytest.mark.usefixtures("_finished")
def test_estimator_of_the_predictions_is_chosen_among_two_with_one_name(capsys):
    """The estimator was a network before."""
    Path("results/small/models/b2/fit/model.keras").write_bytes(b"left over")
    assert run([*MEASURE, "--events", "sample.root"]) == 0
    assert "δC9 = −0.8" in capsys.readouterr().out
