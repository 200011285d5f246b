"""RO-Crates of a small artificial run: contents and errors."""

import hashlib
import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from tests.helpers.crate_run import CONFIGURATION, NAMES, RUN, make_run
from tests.helpers.crate_validation import ACCEPTED, findings, metadata_findings

from wilsonvox.cli import run as run_command
from wilsonvox.config.reading import load_configuration, parse_configuration
from wilsonvox.config.samples import SampleRow, load_samples
from wilsonvox.core.errors import UserError
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.embedded import read_record
from wilsonvox.records.record import compute_seal
from wilsonvox.stages import targets
from wilsonvox.stages.run import Run
from wilsonvox.workflow.crates import contents
from wilsonvox.workflow.crates.entities import RunEntities
from wilsonvox.workflow.crates.history import Job, RunFile, RunHistory, read_history
from wilsonvox.workflow.crates.tools import tool_id

OUT = Path("small.crate.zip")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_run()
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """Copy the run to a working folder that the test may change."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return RUN


@pytest.fixture
def pack(run):
    """Return a function that packs the run with further options and returns the exit code."""
    words = ["crate", "--run", str(run), "--configuration", "config.yaml", "--out", str(OUT)]
    return lambda *more: run_command([*words, *more])


def metadata(path=OUT):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("ro-crate-metadata.json"))


def entities(path=OUT):
    return {each["@id"]: each for each in metadata(path)["@graph"]}


def references(value):
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def test_crate_follows_the_profile(pack, tmp_path):
    assert pack() == 0
    found = findings(OUT, tmp_path / "cache")
    assert {each for each in found if each[0] == "REQUIRED"} == set()
    assert set(found) <= ACCEPTED


def _without(graph, identifier, name):
    del next(each for each in graph if each["@id"] == identifier)[name]


BROKEN = {
    "Action instrument": lambda graph: _without(
        graph, next(each["@id"] for each in graph if each["@id"].startswith("#job-")), "instrument"
    ),
    "ComputationalWorkflow hasPart": lambda graph: _without(graph, "workflow/Snakefile", "hasPart"),
    "OrganizeAction result": lambda graph: _without(graph, "#engine-run", "result"),
    "FormalParameter additionalType": lambda graph: _without(
        graph, "#wilsonvox-generate/point", "additionalType"
    ),
    "Root Data Entity conformsTo": lambda graph: _without(graph, "./", "conformsTo"),
}


def test_the_validator_finds_what_is_broken(pack, tmp_path):
    assert pack() == 0
    content = metadata()
    for harm in BROKEN.values():
        harm(content["@graph"])
    found = metadata_findings(content, tmp_path / "cache")
    assert {("REQUIRED", name) for name in BROKEN} <= set(found)


def test_the_validator_finds_a_missing_file(pack, tmp_path):
    assert pack() == 0
    with zipfile.ZipFile(OUT) as archive, zipfile.ZipFile("less.zip", "w") as less:
        for name in archive.namelist():
            if name != "results/small/figures/topology.png":
                less.writestr(name, archive.read(name))
    found = findings(Path("less.zip"), tmp_path / "cache")
    assert ("REQUIRED", "Data Entity: REQUIRED resource availability") in found


def test_every_file_is_there_with_its_digest(run, pack):
    assert pack() == 0
    with zipfile.ZipFile(OUT) as archive:
        names = set(archive.namelist())
        files = {
            unquote(name): each
            for name, each in entities().items()
            if "File" in each["@type"] and not name.startswith("#")
        }
        assert set(files) == names - {"ro-crate-metadata.json"}
        for name, entity in files.items():
            data = archive.read(name)
            assert entity["sha256"] == hashlib.sha256(data).hexdigest(), name
            assert entity["contentSize"] == str(len(data)), name
            original = Path(name)
            if name.startswith("results/"):
                assert data == original.read_bytes()
    assert {name for name in names if name.startswith("results/")} == {
        str(path)
        for path in run.rglob("*")
        if path.is_file() and path.suffix not in (".root", ".npz")
    }


def test_events_and_images_are_described_by_the_digest_of_their_content(run, pack):
    assert pack() == 0
    shard = run / "voxels/b8_n100/train/c9_+0.00/000.npz"
    entity = entities()["#results/small/voxels/b8_n100/train/c9_%2B0.00/000.npz"]
    record = read_record(shard)
    assert record is not None
    assert entity["identifier"] == f"content-sha256:{record.content_digest}"
    assert "not of its bytes" in entity["description"]
    assert "sha256" not in entity
    assert entity["alternateName"] == str(shard)
    assert entity["contentSize"] == str(shard.stat().st_size)
    # the digest of an external file is over its bytes
    external = entities()["#data/mine.root"]
    assert "sha256" in external
    assert "identifier" not in external


def test_jobs_are_linked_by_their_files(pack):
    assert pack() == 0
    graph = entities()
    actions = {each["name"].partition(":")[0]: each for name, each in graph.items()
               if name.startswith("#job-")}  # fmt: skip
    assert set(actions) == {
        "generate_events", "voxelize", "train", "summarize", "ingest_events", "measure",
        *(f"plot_{name}" for name in FIGURES),
    }  # fmt: skip
    train = actions["train"]
    folder = f"results/small/models/{NAMES}"
    assert references(train["result"]) == [f"{folder}/history.csv", f"{folder}/model.keras"]
    assert references(actions["voxelize"]["result"])[0] in references(train["object"])
    assert f"{folder}/history.csv" in references(actions["plot_training"]["object"])
    assert train["description"].startswith("wilsonvox train --train results/small/voxels/")
    assert train["instrument"] == {"@id": "#wilsonvox-train"}
    assert train["endTime"].endswith("+00:00")
    settings = [graph[name] for name in references(train["object"]) if "wilsonvox-train/" in name]
    assert {each["name"]: each["value"] for each in settings} == {
        "architecture": "resnet", "estimator": "net", "seed": 7,
    }  # fmt: skip
    steps = {each["name"]: int(each["position"]) for name, each in graph.items()
             if name.startswith("#step-")}  # fmt: skip
    assert steps["generate_events"] < steps["voxelize"] < steps["train"] < steps["summarize"]


def test_packing_twice_gives_the_same_bytes(pack):
    assert pack() == 0
    first = OUT.read_bytes()
    assert pack() == 0
    assert OUT.read_bytes() == first


def test_records_are_those_of_the_files(run, pack):
    assert pack() == 0
    with zipfile.ZipFile(OUT) as archive:
        records = json.loads(archive.read("records.json"))
    assert len(records) == 6 + len(FIGURES)  # of a figure, the PNG has one
    for path, record in records.items():
        stored = read_record(run / path)
        assert stored is not None
        assert record == stored.model_dump(mode="json")


def test_configuration_and_samples_can_be_used_again(pack):
    assert pack() == 0
    with zipfile.ZipFile(OUT) as archive:
        archive.extractall("unpacked")
    again = load_configuration("unpacked/configuration.yaml")
    expected = parse_configuration(CONFIGURATION | {"samples_table": "samples.tsv"})
    assert again == expected
    values = yaml.safe_load(Path("unpacked/configuration.yaml").read_text())
    assert values["estimators"]["net"]["training"]["batch_size"] == 128  # a default value
    assert load_samples("unpacked/samples.tsv") == load_samples("table.tsv")


def test_no_person_host_or_folder_is_named(pack, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "someone_here")
    monkeypatch.setenv("LOGNAME", "someone_here")
    monkeypatch.setattr("platform.node", lambda: "some-host-here")
    monkeypatch.setattr("socket.gethostname", lambda: "some-host-here")
    here, empty = Path.cwd(), tmp_path / "elsewhere.root"
    empty.touch()
    Path("table.tsv").write_text(f"sample\tpath\nmine\t{here}/data/mine.root, {empty}\n")
    assert pack() == 0
    words = ("someone_here", "some-host-here", str(here.parent), str(contents.checkout()))
    with zipfile.ZipFile(OUT) as archive:
        assert "data/mine.root,elsewhere.root" in archive.read("samples.tsv").decode()
        for name in archive.namelist():
            data = archive.read(name)
            for word in words:
                assert word.encode() not in data, (name, word)


def test_large_results_are_described_only(pack):
    model = f"results/small/models/{NAMES}/model.keras"
    limit = (Path(model).stat().st_size - 1) / 1e6
    assert pack("--largest-mb", str(limit)) == 0
    with zipfile.ZipFile(OUT) as archive:
        assert model not in archive.namelist()
    entity = entities()[f"#{model}"]
    assert entity["identifier"].startswith("content-sha256:")
    assert entity["description"].startswith("Not in this crate.")


def test_temporary_events_are_known_by_the_record_that_their_images_keep(run, pack):
    (run / "events/train/c9_+0.00/000.root").unlink()
    assert pack() == 0
    entity = entities()["#results/small/events/train/c9_%2B0.00/000.root"]
    assert "deleted after its use" in entity["description"]
    generated = [each for name, each in entities().items() if "job-generate_events" in name]
    assert len(generated) == 1


def test_report_goes_in_where_there_is_one(pack):
    Path("report.html").write_text("<html>")
    assert pack("--report", "report.html") == 0
    assert entities()["report.html"]["encodingFormat"] == "text/html"
    with zipfile.ZipFile(OUT) as archive:
        assert "report.html" in archive.read("README.md").decode()


def test_files_of_another_configuration_stay_out(run, pack):
    other = run / "figures/b8_n100/other"
    shutil.copytree(run / "figures" / NAMES, other)
    assert pack() == 0
    assert not [name for name in entities() if "/other/" in name]


FIGURE = RUN / "figures/topology.png"
SHARD = RUN / "voxels/b8_n100/train/c9_+0.00/000.npz"
HISTORY = RUN / "models" / NAMES / "history.csv"
MEASUREMENT = RUN / "measurements" / NAMES / "mine.json"


def _replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _relabel(path):
    """Replace the output path in the record of a measurement, with a valid seal."""
    content = json.loads(path.read_text())
    found = content["provenance"] | {"output": "measurements/other.json"}
    content["provenance"] = found | {"seal": compute_seal(found)}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda: shutil.rmtree(RUN), "results/small: no such run"),
        (MEASUREMENT.unlink, "is not finished: there is no measurements/"),
        (lambda: shutil.rmtree(RUN / "figures/b8_n100/net"), "there is no figures/b8_n100/net"),
        (SHARD.unlink, "000.npz: does not exist; run the workflow again"),
        (lambda: SHARD.write_bytes(SHARD.read_bytes()[:100]), "000.npz: damaged: "),
        (lambda: FIGURE.write_bytes(b"no picture"), "topology.png: damaged: "),
        (lambda: MEASUREMENT.write_text("{}"), "mine.json: has no provenance record"),
        (lambda: _replace(MEASUREMENT, "-0.9", "-0.8"), "its content differs from its record"),
        (lambda: _replace(MEASUREMENT, '"output": "meas', '"output": "x/meas'), "was edited"),
        (lambda: _relabel(MEASUREMENT), "was moved from measurements/other.json"),
        (HISTORY.unlink, "history.csv: does not exist"),
        (lambda: HISTORY.write_text("x"), "history.csv: "),
        (lambda: Path("config.yaml").unlink(), "config.yaml: cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_packed_is_one_clear_line(pack, capsys, harm, message):
    harm()
    assert pack() == 1
    captured = capsys.readouterr().err
    assert captured.startswith("wilsonvox: error: ")
    assert message in captured
    assert captured.count("\n") == 1
    assert not list(Path().glob("*.zip"))
    assert not list(Path().glob(".*.part*"))


def test_a_file_made_again_since_is_found(run, pack, capsys):
    history = read_history(run, [f"evaluation/{NAMES}/summary.parquet"])
    summary = history.files[f"evaluation/{NAMES}/summary.parquet"].record
    assert summary is not None
    model = run / "models" / NAMES / "model.keras"
    record = read_record(model)
    assert record is not None
    newer = record.model_copy(update={"seed": 8})
    with zipfile.ZipFile(model) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(model, "w") as archive:
        for name, data in (parts | {"provenance.json": newer.to_json().encode()}).items():
            archive.writestr(name, data)
    assert pack() == 1
    assert (
        "model.keras: is not the file from which later results were made" in capsys.readouterr().err
    )


def test_other_code_than_that_of_the_results_is_refused(pack, capsys, monkeypatch):
    monkeypatch.setattr(contents, "own_digest", lambda rule, _: f"edited {rule}")
    assert pack() == 1
    assert "has changed since it was made" in capsys.readouterr().err


def test_an_older_crate_stays_when_packing_fails(pack):
    OUT.write_text("older")
    FIGURE.write_bytes(b"no picture")
    assert pack() == 1
    assert OUT.read_text() == "older"


def test_name_of_the_crate_must_be_that_of_a_zip(run, capsys):
    words = ["--run", str(run), "--configuration", "config.yaml", "--out", "crate.json"]
    assert run_command(["crate", *words]) == 1
    assert "crate.json does not end in .zip" in capsys.readouterr().err


def test_configuration_is_written_as_yaml(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--configuration", json.dumps(CONFIGURATION), "--out", "values.yaml"]
    assert run_command(["configuration", *words]) == 0
    assert yaml.safe_load(Path("values.yaml").read_text()) == CONFIGURATION
    assert run_command(["configuration", "--configuration", "{", "--out", "other.yaml"]) == 1
    assert "not JSON" in capsys.readouterr().err
    assert not Path("other.yaml").exists()


FIGURES = (
    "topology", "distributions", "voxels", "information", "network", "training", "histograms",
    "linearity", "linearity_unscaled", "sensitivity",
)  # fmt: skip

MINE = {"mine": SampleRow(sample="mine", path="data/mine.root")}

FITTED = {
    "run": "fitted",
    "seed": 1,
    "global_fit": {"observables": ["lhcb-2015"], "gans": {"gan": {}}},
}


def test_a_global_fit_alone_is_all_that_is_packed(tmp_path):
    configuration = parse_configuration(FITTED)
    files = targets.global_fit_files(Run(configuration, {}))
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = contents.result_files(tmp_path, configuration, {})
    assert sorted(path for paths in found.values() for path in paths) == sorted(files)
    assert len(found["fits"]) == 9
    assert found["answers"] == ["global_fit/lhcb-2015/gans/gan.json"]
    # the default table of samples is not an input
    assert "samples_table: config/samples.tsv" in contents.configuration_text(configuration)
    assert contents.SAMPLES not in contents.readme_text(configuration, [], report=False)
    (tmp_path / "figures/global_fit/lhcb-2015/contours.png").unlink()
    with pytest.raises(UserError, match="is not finished: there is no figures/global_fit/lhcb"):
        contents.result_files(tmp_path, configuration, {})


def test_beside_images_a_global_fit_is_packed_once_all_of_it_is_there(run):
    configuration = parse_configuration(CONFIGURATION | {"global_fit": FITTED["global_fit"]})
    before = contents.result_files(run, parse_configuration(CONFIGURATION), MINE)
    assert contents.result_files(run, configuration, MINE) == before
    files = targets.global_fit_files(Run(configuration, {}))
    for name in files:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    found = contents.result_files(run, configuration, MINE)
    assert set(files) < {path for paths in found.values() for path in paths}
    (run / files[0]).unlink()
    assert contents.result_files(run, configuration, MINE) == before


def test_tables_of_predictions_are_packed_and_commands_of_groups_are_tools_of_their_own(tmp_path):
    for name, packed in (("predictions.npz", True), ("000.npz", False)):
        (tmp_path / name).touch()
        assert contents.is_packed(RunFile(name, "", tmp_path / name), 1) is packed
    command = ["wilsonvox", "global-fit", "fit", "--table", "F.npz"]
    record = make_record("fit_coefficients", "fit.json", {}, command=command)
    assert tool_id(record) == "#wilsonvox-global-fit-fit"
    history = RunHistory((Job(record, (), ()),), {})
    source = "workflow/src/wilsonvox/cli/global_fit.py"
    (tool, *_) = RunEntities(history, "results/x", frozenset(), frozenset([source])).tools({})
    assert tool["url"] == {"@id": source}


def test_the_code_of_a_crate_has_the_packages_that_setup_installs():
    packed = contents.source_files()
    setup = Path(packed["envs/setup.sh"]).read_text()
    folders = re.findall(r"--editable (plugins/\S+)", setup)
    assert folders
    for folder in folders:
        project = tomllib.loads(packed[f"{folder}/pyproject.toml"].read_text())
        assert f"{folder}/{project['project']['readme']}" in packed
        (package,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        assert f"{folder}/{package}/__init__.py" in packed
