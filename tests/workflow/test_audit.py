"""`wilsonvox audit` on a finished run: verdicts for all formats, replay, contents of records."""

import getpass
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from wilsonvox.cli import run
from wilsonvox.provenance import code, lineage_graph
from wilsonvox.provenance.code import SourceTree
from wilsonvox.provenance.environment import lock_file
from wilsonvox.records import embedded as formats
from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record

from .conftest import ROOT

RUN = Path("results/tiny")
EVENTS = "events/train/c9_-1.00/001.root"
SHARD = "voxels/b8_n300/train/c9_-1.00/001.npz"
PREDICTIONS = "evaluation/b8_n300/tiny/test/c9_+0.00.parquet"
MODEL = "models/b8_n300/tiny/model.keras"
HISTORY = "models/b8_n300/tiny/history.csv"
SUMMARY = "evaluation/b8_n300/tiny/summary.parquet"
MEASUREMENT = "measurements/b8_n300/tiny/ntuple.json"
FIGURE = "figures/b8_n300/tiny/linearity"
EXTERNAL = "basf2_ntuple_b0_dc9_-0.90.root"
N_FILES = 70  # 69 of the run and the external one


def clean(record):
    """Return a record as written in a clean checkout, because tests also run in dirty ones."""
    inputs = [
        each.model_copy(update={"record": clean(each.record)}) if each.record else each
        for each in record.inputs
    ]
    return record.model_copy(update={"git_dirty": False, "inputs": tuple(inputs)})


@dataclass
class Copy:
    """Copy of the finished run, restored after each test."""

    path: Path
    kept: dict[Path, bytes]

    def file(self, name):
        """Return the path of a file of the run, and save its bytes."""
        path = self.path / RUN / name
        self.kept.setdefault(path, path.read_bytes())
        return path

    def restore(self):
        """Restore all saved files."""
        for path, content in self.kept.items():
            path.write_bytes(content)
        self.kept.clear()


@pytest.fixture(scope="module")
def whole(finished, tmp_path_factory):
    path = tmp_path_factory.mktemp("audited") / "tiny run"
    path.mkdir()
    shutil.copytree(finished.path / "results", path / "results", symlinks=True)
    (path / "resources").symlink_to(ROOT / "resources")
    return Copy(path, {})


@pytest.fixture
def copy(whole, monkeypatch):
    """Provide the copy as working folder, with records of a clean checkout and a shared cache."""
    parse = lineage_graph.parse_record
    monkeypatch.setattr(lineage_graph, "parse_record", lambda text: clean(parse(text)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(whole.path.parent / "cache"))
    monkeypatch.chdir(whole.path)
    yield whole
    whole.restore()


@pytest.fixture
def audit(capsys):
    """Audit paths in the run and return the exit code and the files by name."""

    def audited(*names, words=()):
        code = run(["audit", "--json", *words, *(str(RUN / name) for name in names)])
        captured = capsys.readouterr()
        assert captured.err == ""
        found = json.loads(captured.out)
        assert found["verified"] == (code == 0)
        return code, {each["name"].rpartition("../")[2]: each for each in found["files"]}

    return audited


@pytest.fixture
def bad(audit):
    """Audit the whole run and return the verdicts other than `verified`, by name."""

    def verdicts(*names):
        _, files = audit(*(names or ("",)))
        return {k: f["verdict"] for k, f in files.items() if f["verdict"] != "verified"}

    return verdicts


@pytest.mark.usefixtures("copy")
def test_an_untouched_run_is_verified(audit):
    code, files = audit("")
    assert code == 0
    assert len(files) == N_FILES
    assert {each["verdict"] for each in files.values()} == {"verified"}
    for name in (f"{FIGURE}.pdf", f"{FIGURE}.png", SUMMARY, HISTORY, MODEL, MEASUREMENT,
                 "evaluation/b8_n300/tiny/summary.csv"):  # fmt: skip
        assert name in files
    code, files = audit(MEASUREMENT)
    assert code == 0
    assert files[f"resources/evtgen/{EXTERNAL}"]["external"]
    assert EVENTS in files


@pytest.mark.usefixtures("copy")
def test_the_command_line_prints_the_lineage_and_its_exit_code():
    """The command runs in a separate process with the actual records."""
    command = [Path(sys.executable).with_name("wilsonvox"), "audit", RUN / f"{FIGURE}.pdf"]
    audited = subprocess.run(command, capture_output=True, text=True, check=False)
    dirty = "  dirty tree: " in audited.stdout
    assert audited.returncode == (1 if dirty else 0), audited.stdout
    assert audited.stderr == ""
    assert "Traceback" not in audited.stdout
    assert "│  ├─ models/b8_n300/tiny/model.keras  [train, " in audited.stdout
    assert f"└─ {EVENTS}  [generate_events, " in audited.stdout
    assert audited.stdout.splitlines()[-1].startswith("31 files: ")


def middle(content):
    return len(content) // 2


def in_parquet(content):
    """Return the position of the last byte of the first column's values."""
    path = Path("x.parquet")
    path.write_bytes(content)
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    path.unlink()
    return column.data_page_offset + column.total_compressed_size - 1


def in_json(content):
    return content.index(b'"n_images": 6') + len('"n_images": ')


@pytest.mark.parametrize(
    ("name", "place"),
    [(EVENTS, middle), (SHARD, middle), ("theory/angular_coefficients.npz", middle),
     (PREDICTIONS, in_parquet), (MODEL, middle), (f"{FIGURE}.png", middle),
     (f"{FIGURE}.pdf", middle), (MEASUREMENT, in_json), (HISTORY, middle),
     ("evaluation/b8_n300/tiny/summary.csv", middle)],
)  # fmt: skip
def test_a_flipped_bit_is_found_in_its_file(copy, bad, name, place):
    path = copy.file(name)
    content = bytearray(path.read_bytes())
    content[place(content)] ^= 1
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bad() == {name: "changed"}


@pytest.mark.parametrize("name", [EVENTS, SHARD, PREDICTIONS, MODEL, f"{FIGURE}.png",
                                  f"{FIGURE}.pdf", MEASUREMENT, HISTORY])  # fmt: skip
@pytest.mark.parametrize("n_bytes", [10, 0])
def test_a_truncated_file_is_found(copy, bad, name, n_bytes):
    path = copy.file(name)
    content = path.read_bytes()
    path.write_bytes(content[: -n_bytes or len(content) // 2])
    # a file without its path in a record is identified by its name
    [(found, verdict)] = bad(name).items()
    assert (Path(found).name, verdict) == (Path(name).name, "changed")


def test_changed_values_with_the_old_record_are_found(copy, audit):
    """The files are valid as such."""
    shard, predictions, png = (copy.file(name) for name in (SHARD, PREDICTIONS, f"{FIGURE}.png"))
    with np.load(shard) as content:
        arrays = dict(content)
    arrays["count"] = arrays["count"] + 1
    np.savez(shard, **arrays)
    table = pq.read_table(predictions)
    i = table.column_names.index("predicted")
    pq.write_table(table.set_column(i, "predicted", table["true"]), predictions)
    with Image.open(png) as image:
        pixels, record = np.array(image), image.info["provenance"]
    pixels[0, 0] ^= 1
    text = PngInfo()
    text.add_text("provenance", record)
    Image.fromarray(pixels).save(png, pnginfo=text)
    _, files = audit("")
    found = {name: each for name, each in files.items() if each["verdict"] != "verified"}
    assert set(found) == {SHARD, PREDICTIONS, f"{FIGURE}.png"}
    for each in found.values():
        assert each["verdict"] == "changed"
        assert each["reasons"][0] == "its content differs from its own record"


def test_an_edited_record_is_found_by_what_its_readers_remember(copy, audit):
    shard, model, predictions = (copy.file(name) for name in (SHARD, MODEL, PREDICTIONS))
    with np.load(shard) as content:
        arrays = dict(content)
    edited = str(arrays["provenance"]).replace('"bins": 8', '"bins": 9')
    assert edited != str(arrays["provenance"])
    np.savez(shard, **arrays | {"provenance": np.array(edited)})
    with zipfile.ZipFile(model) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["provenance.json"] = entries["provenance.json"].replace(b'"seed": 7', b'"seed": 8')
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    table = pq.read_table(predictions)
    metadata = dict(table.schema.metadata)
    metadata[b"provenance"] = metadata[b"provenance"].replace(
        b'"--threads", "1"', b'"--threads", "2"'
    )
    pq.write_table(table.replace_schema_metadata(metadata), predictions)
    _, files = audit("")
    found = {name: each for name, each in files.items() if each["verdict"] != "verified"}
    names = {Path(name).name for name in (SHARD, MODEL, PREDICTIONS)}
    assert {Path(each["path"]).name for each in found.values()} == names
    for each in found.values():
        assert each["verdict"] == "changed"
        assert each["reasons"] == ["it cannot be read: its record was edited or is damaged"]


def test_the_lineage_of_a_deleted_event_file_is_kept(copy, audit):
    copy.file(EVENTS).unlink()
    code, files = audit(f"{FIGURE}.png")
    assert code == 1
    assert files[EVENTS]["verdict"] == "missing"
    assert files[EVENTS]["record"]["seed"] == 7
    assert files[EVENTS]["inputs"] == [str(RUN / "theory/angular_coefficients.npz")]
    assert {f["verdict"] for name, f in files.items() if name != EVENTS} == {"verified"}


def test_deleted_shards_and_copies_are_missing(copy, audit):
    for name in (SHARD, HISTORY):
        copy.file(name).unlink()
    code, files = audit("figures")
    assert code == 1
    found = {name: each for name, each in files.items() if each["verdict"] != "verified"}
    assert {name: each["verdict"] for name, each in found.items()} == {
        SHARD: "missing", HISTORY: "missing"
    }  # fmt: skip
    assert not found[SHARD]["external"]
    assert found[HISTORY]["inputs"] == [str(RUN / MODEL)]


@pytest.fixture
def edit_source(copy, tmp_path, monkeypatch):
    """Edit one file of a copy of the package, which replaces the installed one in audits."""
    monkeypatch.chdir(copy.path)
    source = tmp_path / "src"
    shutil.copytree(ROOT / "workflow/src", source, ignore=shutil.ignore_patterns("__pycache__"))

    def edited(path, text):
        file = source / "wilsonvox" / path
        file.write_text(file.read_text() + text)
        tree = SourceTree(source, lock_file())
        monkeypatch.setattr(code, "installed_tree", lambda: tree)
        return tree

    return edited


@pytest.mark.parametrize("module", ["figures.linearity", "voxels.binning", "theory.amplitudes",
                                    "estimators.networks.resnet"])  # fmt: skip
def test_edited_code_is_reported_only_for_files_of_its_stages(edit_source, audit, module):
    tree = edit_source(f"{module.replace('.', '/')}.py", "\n_NEW = 1\n")
    _, files = audit("")
    expected, found = set(), set()
    for name, each in files.items():
        if each["verdict"] != "verified":
            rule = each["record"]["rule"]
            assert each["verdict"] == "made by other code"
            assert each["reasons"] == [f"the code of {rule} has changed"]
            found.add(name)
        if each["record"]:
            names = ["resnet"] if each["record"]["rule"] == "train" else []
            if f"wilsonvox.{module}" in tree.stage_modules(each["record"]["rule"], names):
                expected.add(name)
    assert found == expected
    assert found


def test_a_comment_or_docstring_is_no_other_code(edit_source, audit):
    for path in ("voxels/binning.py", "figures/linearity.py", "training/loop.py"):
        edit_source(path, '\n\n# a comment\n"""A text."""\n')
    assert audit("")[0] == 0


def test_a_run_that_was_moved_alone(copy, tmp_path, monkeypatch, capsys):
    moved = tmp_path / "archive/renamed"
    shutil.copytree(copy.path / RUN, moved, copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    assert run(["audit", str(moved)]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"{N_FILES} files: {N_FILES - 1} verified, 1 missing"
    assert (
        captured.err == f"external file {EXTERNAL} not found: give its folder with --search DIR\n"
    )
    assert run(["audit", str(moved), "--search", str(ROOT / "resources/evtgen")]) == 0
    figure = shutil.copy(copy.path / RUN / f"{FIGURE}.png", tmp_path / "talk.png")
    assert run(["audit", str(figure)]) == 1
    assert run(["audit", str(figure), "--run", str(moved)]) == 0


@pytest.mark.usefixtures("copy")
def test_comparing_two_points(capsys):
    first, second = (
        str(RUN / PREDICTIONS.replace("c9_+0.00", p)) for p in ("c9_+0.00", "c9_-1.00")
    )
    assert run(["audit", "--compare", first, second]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(
        "  setting  point: c9_+0.00 → c9_-1.00  (evaluate, generate_events: "
    )


def replayed(capsys, folder, name):
    """Replay the lineage of a file in an empty folder and return its content digest."""
    assert run(["audit", "--replay", str(RUN / name)]) == 0
    script = capsys.readouterr().out
    (folder / "resources").symlink_to(ROOT / "resources")
    binaries = Path(sys.executable).parent
    made = subprocess.run(
        ["sh", "-e"],
        input=script,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{binaries}:{os.defpath}"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return content_digest(folder / RUN / name)


@pytest.mark.usefixtures("copy")
def test_replay_gives_every_command_once(capsys):
    assert run(["audit", "--replay", str(RUN / f"{FIGURE}.pdf"), str(RUN / f"{FIGURE}.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if not line.startswith("#")]
    assert len(commands) == len(set(commands))
    assert commands[-1].startswith("wilsonvox plot linearity ")


@pytest.mark.parametrize("name", [SHARD, "voxels/b8_n300/samples/ntuple.npz"])
@pytest.mark.usefixtures("copy")
def test_replay_makes_a_shard_again(capsys, tmp_path, name):
    assert replayed(capsys, tmp_path, name) == content_digest(RUN / name)


@pytest.mark.slow
@pytest.mark.usefixtures("copy")
def test_replay_makes_predictions_again(capsys, tmp_path):
    digest = replayed(capsys, tmp_path, PREDICTIONS)
    assert digest == content_digest(RUN / PREDICTIONS)
    assert content_digest(tmp_path / RUN / MODEL) == content_digest(RUN / MODEL)


SUFFIXES = {".root", ".npz", ".keras", ".parquet", ".json", ".png"}


@pytest.fixture(scope="module")
def outputs(finished):
    return [path for path in (finished.path / RUN).rglob("*") if path.suffix in SUFFIXES]


def test_every_record_holds_the_digest_of_its_content(outputs):
    assert {path.suffix for path in outputs} == SUFFIXES
    for path in outputs:
        assert read_record(path).content_digest == content_digest(path), path


NOT_IN_RECORDS = {
    "an absolute path": r'["= ,]/\w|[A-Z]:\\\\',
    "a date": r"\b20\d\d-[01]\d-[0-3]\d|\b20\d\d[01]\d[0-3]\d\b",
    "a clock time": r"\b[0-2]\d:[0-5]\d:[0-5]\d\b",
    "seconds since 1970": r"\b1[6-9]\d{8}(\.\d+)?\b",
}


def test_records_hold_no_place_person_or_time(outputs, finished):
    own = {
        "the host": rf"\b{re.escape(socket.gethostname())}\b",
        # `.root` is not a user
        "the user": rf"(?<![\w.]){re.escape(getpass.getuser())}\b",
        "the folder": re.escape(finished.path.name),
    }
    for path in outputs:
        text = formats.record_text(path)
        for what, pattern in (NOT_IN_RECORDS | own).items():
            found = re.search(pattern, text)
            assert not found, f"{path.name}: {what}: {text[max(0, found.start() - 30) :][:80]}"


def pieces(path):
    """Yield the bytes of a file, and those of the members of an archive."""
    yield path.read_bytes()
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())


def test_files_hold_no_place_anywhere(outputs, finished):
    """Also outside of the records, because formats have their own metadata."""
    host = socket.gethostname()
    places = [
        str(finished.path),
        str(ROOT),
        str(Path.home()) + "/",
        *([host] if len(host) > 3 else []),
    ]
    for path in [*outputs, *(finished.path / RUN).rglob("*.pdf")]:
        for content in pieces(path):
            for place in places:
                assert place.encode() not in content, (path.name, place)


def test_metadata_of_figures(finished):
    figure = finished.path / RUN / FIGURE
    pdf = figure.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    for name in (b"/CreationDate", b"/ModDate", b"/Author", b"/Keywords"):
        assert name not in pdf
    with Image.open(figure.with_suffix(".png")) as image:
        assert set(image.info) == {"provenance", "dpi"}
        record = json.loads(image.info["provenance"])
    assert record["output"] == f"{FIGURE}.png"
    assert record["copies"] == {f"{FIGURE}.pdf": hashlib.sha256(pdf).hexdigest()}
