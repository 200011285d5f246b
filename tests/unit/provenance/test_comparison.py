"""`wilsonvox audit --compare`: all kinds of causes are reported once, and nothing else."""

import subprocess

import numpy as np
import pytest
from tests.helpers.toy_lineage import write, write_run

from wilsonvox.cli import run
from wilsonvox.provenance import comparison, environment, recording


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, False))
    return tmp_path


@pytest.fixture
def compare(capsys):
    """Compare two files and return exit code, first line and causes."""

    def compared(first, second):
        code = run(["audit", "--compare", str(first), str(second)])
        captured = capsys.readouterr()
        assert captured.err == ""
        lines = captured.out.splitlines()
        return code, lines[0], [line.strip() for line in lines[1:]]

    return compared


def test_equal_runs_have_no_difference(compare):
    files = write_run("results/a"), write_run("results/b")
    code, first, causes = compare(*files)
    assert (code, causes) == (0, [])
    assert first == f"{files[0]} and {files[1]}: the same content"


def test_a_setting(compare):
    code, first, causes = compare(write_run("results/a"), write_run("results/b", learning_rate=0.1))
    assert code == 1
    assert first.endswith("content differs")
    assert causes == [
        "setting  training.learning_rate: 0.01 → 0.1  (train: models/model.npz)"
    ]  # fmt: skip


def test_the_seed_once_for_all_files_that_drew_with_it(compare):
    _, _, causes = compare(write_run("results/a"), write_run("results/b", seed=8))
    assert causes == [
        "seed     7 → 8  (train, generate_events: 3 files, such as models/model.npz)"
    ]  # fmt: skip


def test_an_input_more(compare):
    more = write_run("results/b", campaigns=("000", "001", "002", "003"))
    _, _, causes = compare(write_run("results/a"), more)
    assert causes == [
        "input    voxels/002.npz and 1 more read by the second only  (train: models/model.npz)"
    ]


def test_a_renamed_input_is_looked_into(compare):
    files = []
    for name, point in (("one", -1.0), ("two", -2.0)):
        events = write(f"results/a/events/{name}.npz", [point], "generate_events", {"c9": point})
        files.append(write(f"results/a/voxels/{name}.npz", [point], "voxelize", {}, [events]))
    _, _, causes = compare(*files)
    assert causes == ["setting  c9: -1.0 → -2.0  (generate_events: events/one.npz)"]


def test_the_content_of_an_external_file(compare, folder):
    files = []
    external = folder / "mine.dat"
    for name, text in (("a", "one"), ("b", "two")):
        external.write_text(text)
        files.append(
            write(f"results/{name}/samples/mine.npz", [len(files)], "ingest_events",
                  {"sample": "mine"}, [external])
        )  # fmt: skip
    _, _, causes = compare(*files)
    assert len(causes) == 1
    assert causes[0].startswith("input    ../../mine.dat: other content, SHA-256 ")
    assert causes[0].endswith("(external file: ../../mine.dat)")


def test_threads(compare):
    _, _, causes = compare(write_run("results/a"), write_run("results/b", threads=4))
    assert causes == ["command  --threads: 2 → 4  (train: models/model.npz)"]


def test_a_package(compare, monkeypatch):
    def values(name):
        return write(f"results/{name}/x.npz", [ord(name)], "voxelize", {})

    first, real = values("a"), environment.installed_version
    monkeypatch.setattr(
        environment, "installed_version", lambda name: "9.9" if name == "numpy" else real(name)
    )
    _, _, causes = compare(first, values("b"))
    assert causes == [f"package  numpy: {np.__version__} → 9.9  (voxelize: x.npz)"]


def git(folder, *words):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_code_of_two_commits_names_the_file(compare, folder, monkeypatch):
    checkout = folder / "checkout"
    source = checkout / "workflow/src/wilsonvox"
    for room in ("voxels", "training"):
        (source / room).mkdir(parents=True)
    git(checkout, "init", "-q")
    files, commits = [], []
    for name in ("a", "b"):
        (source / "voxels/binning.py").write_text(f"x = {name!r}\n")
        (source / "training/loop.py").write_text(f"x = {name!r}\n")  # not of the stage
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", name)
        commits.append(git(checkout, "rev-parse", "HEAD"))
        monkeypatch.setattr(recording, "git_state", lambda: (commits[-1], False))
        monkeypatch.setattr(recording, "own_digest", lambda *_: commits[-1])
        files.append(write(f"results/{name}/x.npz", [len(files)], "voxelize", {}))
    monkeypatch.setattr(comparison, "checkout", lambda: checkout)
    _, _, causes = compare(*files)
    short = " → ".join(commit[:7] for commit in commits)
    assert causes == [f"code     {short}: voxels/binning.py  (voxelize: x.npz)"]
    monkeypatch.setattr(comparison, "checkout", lambda: folder)
    _, _, causes = compare(*files)
    assert causes == [
        f"code     {short} (this checkout does not have both)  (voxelize: x.npz)"
    ]  # fmt: skip


def test_a_dirty_tree_is_reported(compare, monkeypatch):
    first = write("results/a/x.npz", [1], "voxelize", {})
    monkeypatch.setattr(recording, "git_state", lambda: ("a" * 40, True))
    monkeypatch.setattr(recording, "own_digest", lambda *_: "other")
    _, _, causes = compare(first, write("results/b/x.npz", [2], "voxelize", {}))
    assert causes == ["code     aaaaaaa → aaaaaaa with uncommitted changes  (voxelize: x.npz)"]


def test_a_commit_alone_is_no_difference(compare, monkeypatch):
    first = write_run("results/a")
    monkeypatch.setattr(recording, "git_state", lambda: ("b" * 40, False))
    assert compare(first, write_run("results/b"))[2] == []


def tampered(path):
    with np.load(path) as content:
        arrays = dict(content)
    arrays["values"] = arrays["values"] + 1
    np.savez(path, **arrays)


def test_a_tampered_file(compare):
    files = write_run("results/a"), write_run("results/b")
    tampered(files[1])
    code, _, causes = compare(*files)
    assert code == 1
    assert causes == [f"changed  model.npz since it was made  (train: {files[1].absolute()})"]


def test_an_input_that_was_made_again_is_not_taken_for_what_was_read(compare):
    files = write_run("results/a"), write_run("results/b", seed=8)
    write_run("results/c", seed=9)
    shard = write("results/b/voxels/000.npz", [5], "voxelize", {"image": {"bins": 9}})
    _, _, causes = compare(*files)
    assert f"changed  voxels/000.npz since it was read  (voxelize: {shard.absolute()})" in causes
    assert not any("bins" in cause for cause in causes)


def test_a_lost_input_is_reported(compare, folder):
    files = write_run("results/a"), write_run("results/b", seed=8)
    lost = folder / "results/b/voxels/000.npz"
    lost.unlink()
    _, _, causes = compare(*files)
    assert f"lost     voxels/000.npz and its record  (unknown stage: {lost})" in causes


def test_a_difference_without_recorded_cause(compare):
    files = [write(f"results/{name}/x.npz", [ord(name)], "voxelize", {}) for name in "ab"]
    _, _, causes = compare(*files)
    assert len(causes) == 1
    assert causes[0].startswith("unknown  made from the same inputs by the same code")


def test_the_same_content_made_differently(compare):
    other = write_run("results/b", learning_rate=0.1, settings_in_content=False)
    code, first, causes = compare(write_run("results/a", settings_in_content=False), other)
    assert code == 0
    assert first.endswith("the same content")
    assert causes == [
        "although they were made differently:",
        "setting  training.learning_rate: 0.01 → 0.1  (train: models/model.npz)",
    ]


def test_only_causes_of_the_difference_are_reported(compare):
    """Inputs with different settings but equal content are not reported."""
    files = []
    for name, note, rate in (("a", 1, 0.1), ("b", 2, 0.2)):
        events = write(f"results/{name}/events/0.npz", [1], "generate_events", {"note": note})
        files.append(write(f"results/{name}/m.npz", [rate], "train", {"rate": rate}, [events]))
    assert compare(*files)[2] == ["setting  rate: 0.1 → 0.2  (train: m.npz)"]


def test_paths_are_no_differing_options(compare):
    files = [
        write(f"results/{name}/x.npz", [ord(name)], "voxelize", {}, options=options)
        for name, options in (
            ("a", ["--bins=8", "12", "--state=x/y.npz", "--fast"]),
            ("b", ["--bins=9", "12", "--state=z/y.npz"]),
        )
    ]
    assert compare(*files)[2] == [
        "command  --bins: 8 12 → 9 12  (voxelize: x.npz)",
        "command  --fast: given → not given  (voxelize: x.npz)",
    ]
