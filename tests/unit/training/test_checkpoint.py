"""Checkpoints: a killed training resumes and gives the same numbers, bit by bit."""

import dataclasses
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.toy_shards import save, toy_network, toy_shard

from wilsonvox.cli import run
from wilsonvox.config.option_words import option_words
from wilsonvox.core.errors import UserError
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.records.digests import content_digest, digest_arrays
from wilsonvox.training.checkpoint import (
    Checkpoint,
    CheckpointFile,
    Plateau,
    Progress,
    Stopping,
    remove_checkpoint,
    training_key,
)
from wilsonvox.training.loop import train
from wilsonvox.voxels.specification import VoxelScaling

NETWORK = toy_network(dropout=0.3)
# with this seed: 15 epochs, the tenth the best; reductions of the learning rate before 4, 6, 13, 15
SEED = 2
TRAINING = TrainingSettings(
    batch_size=4,
    learning_rate=0.15,
    max_epochs=40,
    reduce_patience=2,
    reduce_factor=0.5,
    early_stopping_patience=5,
)
SETTINGS = {
    "architecture": "resnet",
    "network": NETWORK,
    "training": TRAINING,
    "normalisation": VoxelScaling(),
}
POINTS = (-1.0, 0.0, 1.0)
TRAIN = {f"train{c9}.npz": toy_shard(c9) for c9 in POINTS}
VALIDATION = {f"val{c9}.npz": toy_shard(c9, 3, "validation") for c9 in POINTS}


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


@pytest.fixture
def kill_in_epoch(monkeypatch):
    """Interrupt trainings within any of these epochs, counted from 1."""
    from wilsonvox.training.callbacks import StopWhenNotFinite

    def kill(*numbers):
        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG001
            if self.batches.epoch + 1 in numbers and batch == 2:
                raise Killed

        monkeypatch.setattr(StopWhenNotFinite, "on_train_batch_end", on_train_batch_end)

    return kill


def _train(state=None, seed=SEED, **changes):
    settings = SETTINGS | {"training": TRAINING.model_copy(update=changes)}
    return train(TRAIN, VALIDATION, seed=seed, state=state, **settings)


def _contents(path):
    """All entries of a checkpoint file as bytes."""
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name].tobytes() for name in content.files}


def _weights(trained):
    return [weight.tobytes() for weight in trained.model.get_weights()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Uninterrupted training, and its checkpoint after the last epoch."""
    path = tmp_path_factory.mktemp("undisturbed") / "state.npz"
    return _train(path), path


# ---------------------------------------------------------------- the same numbers
def test_reference_training_covers_the_interesting_cases(undisturbed):
    # requirements of the tests below: reductions of the learning rate before and after every
    # interruption, the best epoch before one and after another, and early stopping after all
    trained, path = undisturbed
    rates = [row["learning_rate"] for row in trained.history]
    cuts = [i + 1 for i in range(1, len(rates)) if rates[i] != rates[i - 1]]
    assert (cuts, trained.best["epoch"], len(rates)) == ([4, 6, 13, 15], 10, 15)
    with np.load(path, allow_pickle=False) as content:
        state = {name: content[name] for name in content.files}
    seeds = [v for name, v in state.items() if name.startswith("variables") and v.shape == (2,)]
    assert any(v.dtype.kind in "iu" for v in seeds), "dropout draws nothing that has to be kept"
    iterations = state["optimizer_00000"]
    assert iterations == 15 * 4


@pytest.mark.parametrize("killed_in", [(5,), (9,), (14,), (1, 2, 13)])
def test_resumed_training_equals_uninterrupted_one(
    undisturbed, kill_in_epoch, tmp_path, caplog, killed_in
):
    caplog.set_level("INFO")
    path = tmp_path / "folder" / "state.npz"
    for number in killed_in:
        kill_in_epoch(number)
        with pytest.raises(Killed):
            _train(path)
    kill_in_epoch()
    resumed = _train(path)
    assert f"resuming at epoch {killed_in[-1]} of at most 40 from {path}" in caplog.text
    expected, state = undisturbed
    assert resumed.history_csv() == expected.history_csv()
    assert _weights(resumed) == _weights(expected)
    # the optimizer's variables and the seed generators as well: the best weights alone would hide
    # a difference in the last epochs
    assert _contents(path) == _contents(state)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.npz"]


def test_writing_checkpoints_changes_no_weights(undisturbed):
    assert _weights(_train()) == _weights(undisturbed[0])


@pytest.mark.parametrize("changes", [{}, {"max_epochs": 3}])
def test_after_the_last_epoch_only_the_model_is_written(kill_in_epoch, tmp_path, caplog, changes):
    caplog.set_level("INFO")
    path = tmp_path / "state.npz"
    first = _train(path, **changes)
    before = path.read_bytes()
    epochs = len(first.history)
    kill_in_epoch(*range(1, 41))
    again = _train(path, **changes)
    assert f"training had ended after epoch {epochs}: its best weights from {path}" in caplog.text
    assert _weights(again) == _weights(first)
    assert again.history_csv() == first.history_csv()
    assert path.read_bytes() == before


def test_checkpoint_of_another_training_is_not_used(undisturbed, tmp_path, caplog):
    path = tmp_path / "state.npz"
    _train(path, seed=SEED + 1, max_epochs=1)
    trained = _train(path)
    lines = [record.getMessage() for record in caplog.records if str(path) in record.getMessage()]
    assert lines == [
        (
            f"{path}: checkpoint of another training (different seed, training settings); this one "
            "starts from the beginning"
        )
    ]
    assert _weights(trained) == _weights(undisturbed[0])


# with this schedule: reductions before epochs 4 and 7, whatever the loss
STEPS = {
    "learning_rate_schedule": "step",
    "reduce_patience": 3,
    "max_epochs": 8,
    "early_stopping_patience": 8,
}


def test_step_schedule_does_not_depend_on_the_loss(kill_in_epoch, tmp_path):
    whole, path = tmp_path / "whole.npz", tmp_path / "state.npz"
    expected = _train(whole, **STEPS)
    rates = [row["learning_rate"] for row in expected.history]
    np.testing.assert_allclose(rates, [0.15] * 3 + [0.075] * 3 + [0.0375] * 2, rtol=1e-6)
    for number in (2, 4, 7):
        kill_in_epoch(number)
        with pytest.raises(Killed):
            _train(path, **STEPS)
    kill_in_epoch()
    resumed = _train(path, **STEPS)
    assert resumed.history_csv() == expected.history_csv()
    assert _weights(resumed) == _weights(expected)
    assert _contents(path) == _contents(whole)


def test_step_schedule_begins_after_warm_up_and_ends_at_the_limit():
    changes = STEPS | {"warmup_epochs": 2, "reduce_patience": 2, "minimum_learning_rate": 0.05}
    rates = [row["learning_rate"] for row in _train(**changes).history]
    np.testing.assert_allclose(
        rates, [0.075, 0.15, 0.15, 0.15, 0.075, 0.075, 0.05, 0.05], rtol=1e-6
    )


# ---------------------------------------------------------------- key of a training
KEY_ARGUMENTS = SETTINGS | {
    "seed": 1,
    "threads": 2,
    "replicas": 1,
    "versions": {"keras": "3"},
    "code_digest": "code",
}


def _key(train_shards=TRAIN, validation_shards=VALIDATION, **changes):
    return training_key(train_shards, validation_shards, **(KEY_ARGUMENTS | changes))


def _other_image():
    shard = toy_shard(1.0)
    shard.mean_q2[-1] += 1e-6
    return TRAIN | {"train1.0.npz": shard}


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("training images", {"train_shards": _other_image()}),
        ("training images", {"train_shards": dict(reversed(TRAIN.items()))}),
        ("validation images", {"validation_shards": dict(list(VALIDATION.items())[:2])}),
        ("network", {"network": NETWORK.model_copy(update={"dropout": 0.31})}),
        ("training settings", {"training": TRAINING.model_copy(update={"momentum": 0.8})}),
        ("normalisation", {"normalisation": VoxelScaling(scale_gev2=19.0)}),
        ("seed", {"seed": 3}),
        ("threads", {"threads": 1}),
        ("number of devices", {"replicas": 2}),
        ("package versions", {"versions": {"keras": "4"}}),
    ],
)
def test_key_depends_on_every_input_of_the_training(part, changes):
    first, second = _key(), _key(**changes)
    assert {name for name in first if first[name] != second[name]} == {part}


def test_key_depends_on_code_but_not_on_file_names():
    renamed = {f"elsewhere/{name}": shard for name, shard in TRAIN.items()}
    assert _key(train_shards=renamed) == _key()
    other = _key(code_digest="edited")
    assert {name for name, value in _key().items() if value != other[name]} == {"code"}


# ---------------------------------------------------------------- the file
STATE = Checkpoint(
    Progress(
        next_epoch=3,
        batches_done=2,
        stop_training=False,
        rows=({"epoch": 1, "loss": 0.1 + 0.2, "val_loss": 1e-17, "learning_rate": 0.01},),
        stopping=Stopping(wait=1, best=1 / 3, best_epoch=0, stopped_epoch=0),
        plateau=Plateau(wait=2, cooldown_counter=0, best=None),
    ),
    variables=tuple(np.full(3, i, np.float32) for i in range(12)),
    optimizer=(np.array(7, np.int64), np.array(0.1, np.float32)),
    best_weights=(),
    metrics=(np.array([0.1, 0.3], np.float32), np.array([4, 4], np.float32)),
)


@pytest.fixture
def file(tmp_path):
    return CheckpointFile(tmp_path / "folder" / "small.npz", {"seed": "1"})


def test_checkpoint_round_trip(file):
    assert file.load() is None
    file.save(STATE)
    result = file.load()
    assert result.progress == STATE.progress
    assert isinstance(result.progress.rows[0]["epoch"], int)
    for group in ("variables", "optimizer", "best_weights", "metrics"):
        one, two = getattr(result, group), getattr(STATE, group)
        assert [(a.dtype, a.tolist()) for a in one] == [(a.dtype, a.tolist()) for a in two]


def test_checkpoint_without_number_of_devices_is_refused(file, caplog):
    file.save(STATE)
    with np.load(file.path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files if "metrics" not in name}
    progress = json.loads(str(arrays["progress"]))
    del progress["batches_done"]
    arrays["progress"] = np.array(json.dumps(progress))
    arrays["digest"] = np.array(digest_arrays((n, a) for n, a in arrays.items() if n != "digest"))
    np.savez(file.path, **arrays)
    now = CheckpointFile(file.path, {**file.key, "number of devices": "1"})
    assert now.load() is None
    assert [record.getMessage() for record in caplog.records] == [
        (
            f"{file.path}: checkpoint of another training (different number of devices); "
            "this one starts from the beginning"
        )
    ]


def _pickled(path):
    np.savez(path, progress=np.array([{}], dtype=object))


def _altered(path):
    # the checksums of the archive are correct
    with np.load(path, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    arrays["variables_00003"][0] += 1
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes()[:500]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no state"),
        lambda path: np.savez(path, voxel=np.arange(3)),
        _pickled,
        _altered,
    ],
)
def test_damaged_checkpoint_is_ignored_with_one_log_line(file, caplog, damage):
    file.save(STATE)
    damage(file.path)
    assert file.load() is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{file.path}: not a readable checkpoint (")
    assert line.endswith("; the training starts from the beginning")
    assert "\n" not in line


def test_every_flipped_byte_is_detected_or_harmless(file):
    file.save(STATE)
    whole = file.path.read_bytes()
    result = 0
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        file.path.write_bytes(damaged)
        state = file.load()
        result += state is None
        if state is not None:  # a date or another byte of the archive that is not read
            assert state.progress == STATE.progress
            for one, two in zip(state.variables, STATE.variables, strict=True):
                np.testing.assert_array_equal(one, two)
    assert result > 100


def test_full_disk_is_a_one_line_error_and_keeps_the_previous_checkpoint(file):
    file.save(STATE)
    large = dataclasses.replace(STATE, variables=(np.zeros(200_000),))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(UserError, match=r"small\.npz: the checkpoint cannot be written"):
            file.save(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.load().progress == STATE.progress
    assert [entry.name for entry in file.path.parent.iterdir()] == ["small.npz"]


def test_unwritable_path_is_detected_before_the_first_epoch(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.npz").mkdir()
    for path, message in (
        (tmp_path / "file" / "s.npz", r"s\.npz: the checkpoint cannot be written: "),
        (tmp_path / "folder.npz", r"folder\.npz: is a folder"),
        (tmp_path / "state.txt", r"state\.txt: the name of a --state file must end in \.npz"),
    ):
        with pytest.raises(UserError, match=message):
            _train(path)


KILLED_WRITE = """
import os, signal, sys
from wilsonvox.core.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half a state")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_only_temporary_files_of_killed_writes_are_removed(file):
    file.save(STATE)
    before = file.path.read_bytes()
    others = [file.path.with_name(name) for name in ("small2.npz", ".small.v2.npz", "small.csv")]
    for path in others:
        path.write_text("")
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITE, file.path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(file.path.parent.iterdir())) == 5
    assert file.path.read_bytes() == before
    assert file.load().progress == STATE.progress
    remove_checkpoint(file.path)
    assert sorted(file.path.parent.iterdir()) == sorted(others)
    remove_checkpoint(file.path)  # no file: no effect


# ---------------------------------------------------------------- command line
KILL = """
import os, signal
from wilsonvox.estimators.networks.backend import prepare_backend
prepare_backend(1)
from wilsonvox.training.callbacks import StopWhenNotFinite
def kill(self, batch, logs=None):
    if self.batches.epoch + 1 == 9 and batch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
StopWhenNotFinite.on_train_batch_end = kill
"""
MAIN = "from wilsonvox.cli import main; main()"


def _process(folder, before=""):
    folder.mkdir(exist_ok=True)
    words = []
    for option, shards in (("--train", TRAIN), ("--validation", VALIDATION)):
        for name, shard in shards.items():
            if not (folder / name).exists():
                save(shard, folder / name)
            words += [option, name]
    for settings in (NETWORK, TRAINING, VoxelScaling()):
        words += option_words(settings)
    words += ["--estimator", "toy", "--seed", str(SEED), "--threads", "1"]
    words += ["--state", "state/toy.npz", "--history", "history.csv", "--out", "model.keras"]
    return subprocess.Popen(
        [sys.executable, "-c", before + MAIN, "train", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_killed_command_resumes(tmp_path):
    disturbed = tmp_path / "disturbed"
    killed, whole = _process(disturbed, KILL), _process(tmp_path / "whole")
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert {path.name for path in disturbed.iterdir()} == {*TRAIN, *VALIDATION, "state"}
    again = _process(disturbed)
    log, _ = again.communicate(timeout=300)
    assert again.returncode == 0, log
    assert "resuming at epoch 9 of at most 40 from state/toy.npz" in log.splitlines()
    assert "epoch 8 of" not in log
    log, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, log
    assert "resuming" not in log
    for folder in (disturbed, tmp_path / "whole"):
        assert list((folder / "state").iterdir()) == []
    one, two = (folder / "model.keras" for folder in (disturbed, tmp_path / "whole"))
    assert content_digest(one) == content_digest(two)
    history = (disturbed / "history.csv").read_bytes()
    assert history == (tmp_path / "whole" / "history.csv").read_bytes()
    assert len(history.splitlines()) == 16


def test_unwritable_checkpoint_is_a_one_line_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    words = [word for name, shard in TRAIN.items() for word in ("--train", save(shard, name))]
    words += [w for name, s in VALIDATION.items() for w in ("--validation", save(s, name))]
    words += option_words(NETWORK)
    words += ["--estimator", "toy", "--seed", "1", "--state", "file/state.npz"]
    assert run(["train", *words, "--history", "h.csv", "--out", "m.keras"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("wilsonvox: error: file/state.npz: the checkpoint cannot be ")
    assert not Path("m.keras").exists()
