"""Verdicts, digest cache, moved and copied files, and wrong input, for a small lineage."""

import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.helpers.toy_lineage import write, write_run

from wilsonvox.cli import run
from wilsonvox.config.samples import SampleRow
from wilsonvox.figures import saving
from wilsonvox.provenance import digest_cache, environment, recording
from wilsonvox.provenance.audit import Verdict
from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.records import digests, embedded
from wilsonvox.records.digests import content_digest
from wilsonvox.records.record import canonical_json, compute_seal

N_FILES = 5  # two event files, two shards, one model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Provide an empty working folder with its own cache, as in a clean checkout."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, False))
    return work


@pytest.fixture
def audit(capsys):
    """Run an audit and return its exit code, its JSON output and its standard error."""

    def audited(*words):
        code = run(["audit", "--json", *map(str, words)])
        captured = capsys.readouterr()
        return code, json.loads(captured.out), captured.err

    return audited


@pytest.fixture
def verdicts(audit):
    """Run an audit and return the verdicts other than `verified`, by name of the file."""

    def bad(*words):
        code, found, _ = audit(*words)
        assert found["verified"] == (code == 0)
        return {f["name"]: f["verdict"] for f in found["files"] if f["verdict"] != "verified"}

    return bad


@pytest.fixture
def reads(monkeypatch):
    """Record the names of the files whose content is digested, in order."""
    names = []

    def counting(path):
        names.append(Path(path).name)
        return content_digest(path)

    monkeypatch.setattr(digests, "content_digest", counting)
    return names


def edit(path, **changes):
    """Replace entries of an npz file, including its record if given."""
    with np.load(path) as content:
        arrays = dict(content) | {name: np.array(value) for name, value in changes.items()}
    np.savez(path, **arrays)


def record_text(path):
    with np.load(path) as content:
        return str(content["provenance"])


def test_an_untouched_lineage_is_verified(audit):
    code, found, err = audit(write_run("results/a"))
    assert (code, err) == (0, "")
    assert [f["verdict"] for f in found["files"]] == ["verified"] * N_FILES
    assert found["counts"]["verified"] == N_FILES
    assert found["audited"] == ["results/a/models/model.npz"]


def test_the_tree_shows_every_file_once_and_counts(capsys):
    model = write_run("results/a", campaigns=("000",))
    shard = "results/a/voxels/000.npz"
    assert run(["audit", str(model), shard, str(model)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "results/a/models/model.npz  [train, aaaaaaa, seed 7]  verified",
        "└─ voxels/000.npz  [voxelize, aaaaaaa]  verified",
        "   └─ events/000.npz  [generate_events, aaaaaaa, seed 7]  verified",
        "results/a/voxels/000.npz  [voxelize, aaaaaaa]  verified  (see above)",
        "3 files: 3 verified",
    ]


def test_json_is_complete_and_stable(audit):
    model = write_run("results/a")
    code, first, _ = audit(model)
    assert audit(model) == (code, first, "")
    assert set(first) == {"verified", "audited", "counts", "files"}
    assert set(first["counts"]) == set(Verdict)
    paths = [f["path"] for f in first["files"]]
    assert len(paths) == len(set(paths)) == N_FILES
    for each in first["files"]:
        assert each["record"]["content_digest"] == each["content_digest"]
        assert set(each["inputs"]) <= set(paths)
        assert each["inputs"] == [
            os.path.normpath(f"results/a/{i['path']}") for i in each["record"]["inputs"]
        ]


def test_changed_content(verdicts):
    model = write_run("results/a")
    edit("results/a/voxels/000.npz", values=[1.0])
    assert verdicts(model) == {"voxels/000.npz": "changed"}


def resealed(text):
    """Return a record with a valid seal."""
    content = json.loads(text)
    return canonical_json(content | {"seal": compute_seal(content)})


def test_an_edited_record_of_a_file_that_nobody_read(audit):
    model = write_run("results/a")
    edit(model, provenance=record_text(model).replace('"rule": "', '"rule": "x'))
    code, found, _ = audit(model)
    assert code == 1
    assert found["files"][0]["verdict"] == "changed"
    assert found["files"][0]["reasons"] == [
        "it cannot be read: its record was edited or is damaged"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seal", "reason"),
    [
        (str, "it cannot be read: its record was edited or is damaged"),
        (resealed, "voxels/001.npz read the same content with a different record"),
    ],
)
def test_an_edited_record_of_a_file_that_another_read(audit, seal, reason):
    model = write_run("results/a")
    events = "results/a/events/001.npz"
    edit(events, provenance=seal(record_text(events).replace('"seed": 7', '"seed": 8')))
    code, found, _ = audit(model)
    assert code == 1
    bad = [f for f in found["files"] if f["verdict"] != "verified"]
    assert [(f["name"], f["verdict"]) for f in bad] == [("events/001.npz", "changed")]
    assert bad[0]["reasons"] == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not a record", "its record is damaged or of another version (Invalid JSON"),
        ('{"rule": "train"}', "its record is damaged or of another version (version: Field"),
    ],
)
def test_a_damaged_record(audit, text, reason):
    edit(write_run("results/a"), provenance=text)
    code, found, _ = audit("results/a/models/model.npz")
    assert code == 1
    assert found["files"][0]["verdict"] == "changed"
    assert reason in found["files"][0]["reasons"][0]


def test_a_record_without_an_optional_field_keeps_its_digest(audit):
    """The record digest in a reader is that of the record as written in the file."""
    events = write("results/a/events/0.npz", [1], "generate_events", {})
    written = json.loads(record_text(events))
    del written["copies"]  # has a default
    edit(events, provenance=resealed(json.dumps(written)))
    shard = write("results/a/voxels/0.npz", [1], "voxelize", {}, [events])
    text = record_text(shard)
    made = json.loads(text)["inputs"][0]["record_digest"]
    edit(shard, provenance=resealed(text.replace(made, embedded.record_digest(events))))
    assert audit(shard)[0] == 0


def test_a_file_replaced_by_another_of_the_pipeline(audit):
    model = write_run("results/a")
    write("results/a/voxels/000.npz", [5], "voxelize", {"image": {"bins": 9}})
    bad = [f for f in audit(model)[1]["files"] if f["verdict"] != "verified"]
    assert [f["reasons"] for f in bad] == [["models/model.npz read different content"]]


def test_a_missing_file_is_not_an_external_one(audit, capsys):
    model = write_run("results/a")
    Path("results/a/voxels/000.npz").unlink()
    code, found, _ = audit(model)
    assert code == 1
    [bad] = [f for f in found["files"] if f["verdict"] != "verified"]
    assert (bad["name"], bad["verdict"]) == ("voxels/000.npz", "missing")
    assert bad["reasons"] == ["its record is lost"]
    assert not bad["external"]
    assert run(["audit", "--replay", str(model)]) == 1
    assert "# needs voxels/000.npz, which is missing or damaged" in capsys.readouterr().out


def test_other_code(verdicts, monkeypatch):
    model = write_run("results/a")
    monkeypatch.setattr(
        "wilsonvox.provenance.audit.own_digest",
        lambda rule, names: "other" if rule == "voxelize" else recording.own_digest(rule, names),
    )
    assert verdicts(model) == dict.fromkeys(
        ("voxels/000.npz", "voxels/001.npz"), "made by other code"
    )


def test_another_package_is_named(audit, monkeypatch):
    model = write_run("results/a")
    real = environment.installed_version
    monkeypatch.setattr(
        environment, "installed_version", lambda name: "9.9" if name == "keras" else real(name)
    )
    _, found, _ = audit(model)
    bad = [f for f in found["files"] if f["verdict"] != "verified"]
    assert {f["verdict"] for f in bad} == {"made by other code"}
    assert {f["name"] for f in bad} == {"models/model.npz"}
    assert bad[0]["reasons"] == [f"keras {real('keras')}, here 9.9"]


def test_an_unknown_stage(audit):
    path = write("results/a/x.npz", [1], "voxelize", {})
    edit(path, provenance=resealed(record_text(path).replace('"voxelize"', '"old"')))
    [only] = audit(path)[1]["files"]
    assert only["verdict"] == "made by other code"
    assert only["reasons"] == ["there is no stage old in this version"]


def test_a_dirty_tree(audit, monkeypatch):
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, True))
    write("results/a/events/0.npz", [1], "generate_events", {})
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, False))
    shard = write("results/a/voxels/0.npz", [1], "voxelize", {}, ["results/a/events/0.npz"])
    code, found, _ = audit(shard)
    assert code == 1
    assert [f["verdict"] for f in found["files"]] == ["verified", "dirty tree"]
    assert found["files"][1]["reasons"] == ["the code differed from commit aaaaaaa"]


def test_the_most_serious_verdict_counts(verdicts, monkeypatch):
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, True))
    path = write("results/a/x.npz", [1], "voxelize", {})
    assert verdicts(path) == {"x.npz": "dirty tree"}
    edit(path, values=[2.0])
    assert verdicts(path) == {"x.npz": "changed"}


def test_folders_and_several_paths(audit):
    write_run("results/a")
    write_run("results/b")
    assert len(audit("results")[1]["files"]) == 2 * N_FILES
    found = audit("results/a", "results/b/voxels/000.npz")[1]
    assert found["audited"] == ["results/a/models/model.npz", "results/b/voxels/000.npz"]
    assert len(found["files"]) == N_FILES + 2


def test_foreign_and_hidden_files_in_folders_are_ignored(audit):
    write_run("results/a")
    Path("results/a/crate.json").write_text("{}")
    Path("results/a/.hidden").mkdir()
    Path("results/a/.hidden/x.json").write_text("not JSON")
    Path("results/a/table.csv").write_text("a,b\n")
    code, found, err = audit("results/a")
    assert (code, len(found["files"])) == (0, N_FILES)
    assert err == "ignored, without a record: results/a/crate.json\n"


# copies


@pytest.fixture
def figure(monkeypatch):
    """Write a figure as PDF and PNG in a run and return the PDF."""
    monkeypatch.setattr(saving.logger, "disabled", True)
    png = Path("results/a/figures/topology.png")
    png.parent.mkdir(parents=True)
    pdf = png.with_suffix(".pdf")
    saving.save_figure(Figure((1, 1)), pdf, png, recording.make_record("plot_topology", png, {}))
    return pdf


def test_a_pdf_is_a_copy_of_the_png_of_the_same_name(audit, figure):
    write("results/a/figures/other.npz", [1], "voxelize", {})
    code, found, err = audit(figure)
    assert (code, err) == (0, "")
    assert [f["name"] for f in found["files"]] == ["figures/topology.pdf", "figures/topology.png"]
    assert found["files"][0]["inputs"] == [str(figure.with_suffix(".png"))]
    assert found["files"][0]["content_digest"] == content_digest(figure)
    assert len(audit("results/a")[1]["files"]) == 3


def test_a_changed_pdf(audit, figure):
    figure.write_bytes(figure.read_bytes() + b"\n")
    code, found, _ = audit("results/a")
    assert code == 1
    [bad] = [f for f in found["files"] if f["verdict"] != "verified"]
    assert (bad["name"], bad["verdict"]) == ("figures/topology.pdf", "changed")
    assert bad["reasons"] == ["its bytes differ from the copy that was written"]


def test_a_pdf_and_its_png_that_were_copied_out_of_their_run(audit, folder, figure):
    talk = folder.parent / "talk"
    talk.mkdir()
    for path in (figure, figure.with_suffix(".png")):
        shutil.copy(path, talk)
    code, found, _ = audit(talk / figure.name)
    assert code == 0
    assert [Path(f["path"]).name for f in found["files"]] == ["topology.pdf", "topology.png"]
    copied = talk / figure.name
    copied.write_bytes(copied.read_bytes()[:-1])
    assert audit(talk / figure.name)[0] == 1


def test_a_pdf_whose_png_is_damaged(figure, capsys):
    png = figure.with_suffix(".png")
    png.write_bytes(b"no picture")
    assert run(["audit", str(figure)]) == 1
    assert f"error: {png}: damaged: " in capsys.readouterr().err


def test_a_pdf_without_its_png(audit, figure, capsys):
    figure.with_suffix(".png").unlink()
    write_run("results/a")
    code, found, err = audit("results/a")
    assert (code, len(found["files"])) == (0, N_FILES)
    assert err == f"ignored, without a record: {figure}\n"
    assert run(["audit", str(figure)]) == 1
    assert "audit the PNG of the same name" in capsys.readouterr().err


# moved and copied files


def test_a_run_that_was_moved_and_renamed(audit, folder, monkeypatch):
    write_run("results/a")
    shutil.move("results/a", folder.parent / "other name")
    assert audit(folder.parent / "other name")[0] == 0
    monkeypatch.chdir(folder.parent / "other name")
    assert audit("models/model.npz")[0] == 0


def test_a_file_that_was_copied_out_of_its_run(audit, folder, monkeypatch):
    talk = folder.parent / "talk"
    talk.mkdir()
    shutil.copy(write_run("results/a"), talk / "model.npz")
    assert audit(talk / "model.npz")[0] == 0  # its record contains results/a, which exists here
    monkeypatch.chdir(talk)
    code, found, err = audit("model.npz")
    assert code == 1
    assert found["counts"] == dict.fromkeys(Verdict, 0) | {"verified": 1, "missing": 2}
    assert err == (
        f"the run's folder is not at {talk / 'results/a'}: give it with --run DIR\n"
    )  # fmt: skip
    assert audit("model.npz", "--run", folder / "results/a")[0] == 0


def test_a_file_that_was_renamed_in_its_run(audit, folder, monkeypatch):
    model = write_run("results/a")
    model.rename("results/a/models/final.npz")
    monkeypatch.chdir(folder.parent)
    assert audit("work/results/a/models/final.npz")[0] == 0


def test_links(audit, folder, monkeypatch):
    model = write_run("results/a")
    link = folder.parent / "link.npz"
    link.symlink_to(model.absolute())
    (folder.parent / "latest").symlink_to(folder / "results/a")
    monkeypatch.chdir(folder.parent)
    assert audit("link.npz")[0] == 0
    assert audit("latest/models/model.npz")[0] == 0
    assert audit("latest")[0] == 0


def external(folder, text="events"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mine.dat"
    path.write_text(text)
    return path


def test_an_external_file_elsewhere(audit, folder):
    path = external(folder.parent / "data")
    sample = write("results/a/samples/mine.npz", [1], "ingest_events", {"sample": "mine"}, [path])
    code, found, err = audit(sample)
    assert code == 1
    assert [(f["name"], f["verdict"]) for f in found["files"]] == [
        ("samples/mine.npz", "verified"), ("mine.dat", "missing")
    ]  # fmt: skip
    assert err == "external file mine.dat not found: give its folder with --search DIR\n"
    assert audit(sample, "--search", path.parent)[0] == 0
    path.write_text("other")
    found = audit(sample, "--search", path.parent)[1]["files"]
    assert [f["verdict"] for f in found] == ["verified", "changed"]
    assert found[1]["external"]


def test_an_external_file_in_the_table_of_samples(audit, folder):
    path = external(folder.parent / "data")
    sample = write("results/a/samples/mine.npz", [1], "ingest_events", {"sample": "mine"}, [path])
    Path("config").mkdir()
    header = list(SampleRow.model_fields)[:2]
    Path("config/samples.tsv").write_text("\t".join(header) + f"\nmine\t{path}\n")
    assert audit(sample)[0] == 0


def test_external_files_of_one_name(audit, folder):
    paths = [external(folder.parent / name, name) for name in ("one", "two")]
    sample = write("results/a/samples/mine.npz", [1], "ingest_events", {"sample": "mine"}, paths)
    searched = [word for path in paths for word in ("--search", path.parent)]
    code, found, _ = audit(sample, *searched)
    assert code == 0
    assert len(found["files"]) == 3


def test_a_run_with_its_external_file_in_the_checkout(audit, folder, monkeypatch):
    path = external(folder / "resources")
    write("results/a/samples/mine.npz", [1], "ingest_events", {"sample": "mine"}, [path])
    shutil.copytree("results/a", folder.parent / "moved/deep/a")
    assert audit(folder.parent / "moved/deep/a")[0] == 0  # the working folder has it
    monkeypatch.chdir(folder.parent)
    assert audit("moved/deep/a")[0] == 1
    assert audit("moved/deep/a", "--search", path.parent)[0] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_run(audit):
    write_run("results/a")
    for path in (Path("results/a"), *Path("results/a").rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    assert audit("results/a")[0] == 0


def test_an_audit_writes_nothing_but_its_cache(audit, folder):
    write_run("results/a")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert audit("results/a")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in (folder.parent / "cache").rglob("*.*")] == ["digests.json"]


# the cache


def test_a_second_audit_reads_nothing(audit, reads):
    model = write_run("results/a")
    reads.clear()
    audit(model)
    assert len(reads) == N_FILES
    reads.clear()
    assert audit(model)[0] == 0
    assert reads == []
    os.utime(model)
    audit(model)
    assert reads == ["model.npz"]
    reads.clear()
    audit(model, "--full")
    assert len(reads) == N_FILES


def test_content_that_changed_behind_its_time_is_found(verdicts):
    model = write_run("results/a")
    assert verdicts(model) == {}
    before = model.stat()
    edit(model, values=[1.0, 2.0, 3.0, 4.0])
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert model.stat().st_size == before.st_size
    assert verdicts(model) == {"models/model.npz": "changed"}


def test_bit_rot_is_found_with_full_only(verdicts, monkeypatch):
    monkeypatch.setattr(digest_cache, "_stamp", lambda _: (1,))  # as if nothing had been written
    model = write_run("results/a")
    assert verdicts(model) == {}
    edit(model, values=[1.0])
    assert verdicts(model) == {}
    assert verdicts(model, "--full") == {"models/model.npz": "changed"}


def test_another_file_of_the_same_size_and_time_is_read(folder):
    file, path, other = (folder / name for name in ("digests.json", "x.csv", "y.csv"))
    path.write_text("one")
    cache = DigestCache(file)
    first = cache.digest(path)
    cache.save()
    other.write_text("two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    again = DigestCache(file)
    assert again.digest(path) == content_digest(path) != first
    assert again.n_read == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"7", b'{"format": FORMAT}',
     b'{"format": FORMAT, "digests": 3}',
     b'{"format": FORMAT, "digests": [["PATH", 3, 4]]}', b'{"format": FORMAT, "digests": [[1]]}',
     b'{"format": "old", "digests": [["PATH", STAMP, "0"]]}',
     b'{"format": FORMAT, "digests": [["PATH", STAMP, "0"]]}'],
)  # fmt: skip
def test_a_damaged_cache_does_no_harm(audit, folder, content):
    model = write_run("results/a")
    stamp = json.dumps(list(digest_cache._stamp(model)))
    words = {"FORMAT": json.dumps(digest_cache.FORMAT), "PATH": str(model.absolute())}
    for word, text in (words | {"STAMP": stamp}).items():
        content = content.replace(word.encode(), text.encode())
    file = folder.parent / "cache/wilsonvox/digests.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert audit(model)[0] == 0
    assert len(json.loads(file.read_text())["digests"]) == N_FILES


def test_digests_of_other_code_are_not_taken_up(folder, monkeypatch):
    file, path = folder / "digests.json", folder / "x.csv"
    path.write_text("one")
    cache = DigestCache(file)
    cache.digest(path)
    cache.save()
    monkeypatch.setattr(digest_cache, "FORMAT", "other")
    again = DigestCache(file)
    again.digest(path)
    assert again.n_read == 1


def test_a_cache_that_cannot_be_written_is_fine(audit, folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    model = write_run("results/a")
    assert audit(model)[0] == 0
    assert audit(model)[0] == 0


def test_the_cache_forgets_files_that_are_gone(folder):
    file, paths = folder / "digests.json", [folder / "a.csv", folder / "b.csv"]
    for path in paths:
        path.write_text(path.name)
    cache = DigestCache(file)
    cache.fill(paths)
    paths[0].unlink()
    cache.save()
    assert [entry[0] for entry in json.loads(file.read_text())["digests"]] == [str(paths[1])]


# replay


def test_replay_lines(capsys, folder, monkeypatch):
    path = external(folder / "resources")
    monkeypatch.setattr(recording, "git_state", lambda: (None, None))
    sample = write("results/a/samples/mine.npz", [1], "ingest_events", {"sample": "mine"}, [path])
    monkeypatch.setattr(recording, "git_state", lambda: ("b" * 40, True))
    shard = write("results/a/voxels/a b.npz", [1], "voxelize", {}, [sample])
    assert run(["audit", "--replay", str(shard), str(shard)]) == 0
    lines = capsys.readouterr().out.splitlines()
    differed = "the code had uncommitted changes"
    assert lines[1:] == [
        f"# needs the external file resources/mine.dat, SHA-256 {content_digest(path)}",
        f"# code: unknown commit, wilsonvox {version('wilsonvox')}",
        "wilsonvox ingest_events --out results/a/samples/mine.npz",
        f"# code: git checkout {'b' * 40} && make setup; {differed}",
        "wilsonvox voxelize --out 'results/a/voxels/a b.npz'",
    ]


# errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.npz"], "none.npz: does not exist; expected a file made by wilsonvox"),
        (["empty"], "empty: contains no file made by wilsonvox"),
        (["README.md"], "README.md: has no provenance record; it was not made by wilsonvox"),
        (["foreign.json"], "foreign.json: has no provenance record; it was not made by wilsonvox"),
        (["foreign.npz"], "foreign.npz: has no provenance record; it was not made by wilsonvox"),
        (["a.csv"], "a.csv: CSV files have no provenance record; audit it next to the original"),
        (["--compare", "x.npz"], "--compare: takes two files, not 1"),
        (["--compare", "x.npz", "x.npz", "x.npz"], "--compare: takes two files, not 3"),
        (["--compare", "x.npz", "foreign.json"], "x.npz and foreign.json are of different formats"),
        (["--compare", "x.npz", "damaged.npz"], "damaged.npz: cannot be read"),
        (["--compare", "x.npz", "empty"], "are of different formats"),
        (["--json", "--replay", "x.npz"], "--json, --replay and --compare exclude each other"),
        (["--run", "nowhere", "x.npz"], "'nowhere' does not exist"),
        (["--search", "x.npz", "x.npz"], "'x.npz' is a file"),
        ([], "Missing argument"),
    ],
)
def test_errors_are_one_line(capsys, words, message):
    Path("empty").mkdir()
    Path("README.md").write_text("# Read me")
    Path("foreign.json").write_text('{"a": 1}')
    Path("a.csv").write_text("a,b\n")
    np.savez("foreign.npz", a=np.arange(3))
    write("x.npz", [1], "voxelize", {})
    Path("damaged.npz").write_bytes(Path("x.npz").read_bytes()[:-30])
    assert run(["audit", *words]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("wilsonvox: error: ")
    assert message in captured.err


def test_a_damaged_file_is_changed(audit):
    model = write_run("results/a")
    model.write_bytes(model.read_bytes()[:-30])
    code, found, _ = audit(model)
    assert code == 1
    assert [f["verdict"] for f in found["files"]] == ["changed"]
    assert found["files"][0]["reasons"] == ["it cannot be read: File is not a zip file"]


def test_a_cycle_of_records_ends(audit, capsys):
    first = write("results/a/a.npz", [1], "voxelize", {})
    second = write("results/a/b.npz", [1], "voxelize", {}, [first])
    edit(first, provenance=record_text(
        write("results/a/a.npz", [1], "voxelize", {}, [second])))  # fmt: skip
    assert audit(second)[0] == 1
    assert run(["audit", "--replay", str(second)]) == 0
    assert capsys.readouterr().out.count("wilsonvox voxelize") == 2
