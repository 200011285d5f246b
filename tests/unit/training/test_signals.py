"""A signal stops a training after the current batch; resuming gives the same numbers."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from tests.helpers.toy_shards import save, toy_network, toy_shard

from wilsonvox.cli import run
from wilsonvox.config.option_words import option_words
from wilsonvox.estimators.networks.backend import prepare_backend
from wilsonvox.estimators.settings import TrainingSettings
from wilsonvox.records.digests import content_digest
from wilsonvox.training.loop import train
from wilsonvox.training.signals import (
    STOP_SIGNALS,
    StopRequest,
    TrainingStopped,
    handle_stop_signals,
)
from wilsonvox.voxels.specification import VoxelScaling

NETWORK = toy_network(dropout=0.3)
# with this seed: 6 epochs, the fourth is the best; reductions of the learning rate before 3 and 6
SEED = 9
TRAINING = TrainingSettings(
    batch_size=4,
    learning_rate=0.15,
    max_epochs=20,
    reduce_patience=1,
    reduce_factor=0.5,
    early_stopping_patience=2,
)
POINTS = (-1.0, 0.0, 1.0)
TRAIN = {f"train{c9}.npz": toy_shard(c9) for c9 in POINTS}
VALIDATION = {f"val{c9}.npz": toy_shard(c9, 3, "validation") for c9 in POINTS}
BATCHES = 4
FIRST, MIDDLE, LAST = (f"batch {number}" for number in (1, 2, BATCHES))


@pytest.fixture(scope="module", autouse=True)
def _backend():
    prepare_backend()


@pytest.fixture
def signal_at(monkeypatch):
    """Send a signal to this process at given positions of the next trainings.

    A position is an epoch, from 1, and the last event in it: ``begin``, ``batch 2``,
    ``validation batch 2``, ``end``.
    """
    from wilsonvox.training.callbacks import StopWhenNotFinite

    places = {}

    def reached(callback, what):
        number = places.pop((callback.batches.epoch + 1, what), None)
        if number is not None:
            signal.raise_signal(number)

    def on_epoch_begin(self, _epoch, _logs=None):
        reached(self, "begin")

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG001
        reached(self, f"batch {self.batches.first_batch + batch + 1}")

    def on_test_batch_end(self, batch, logs=None):  # noqa: ARG001
        reached(self, f"validation batch {batch + 1}")

    def on_epoch_end(self, _epoch, _logs=None):
        reached(self, "end")

    for hook in (on_epoch_begin, on_train_batch_end, on_test_batch_end, on_epoch_end):
        monkeypatch.setattr(StopWhenNotFinite, hook.__name__, hook, raising=False)

    def send(epoch, what, number=signal.SIGTERM):
        places[epoch, what] = number

    send.places = places
    return send


def _train(state=None, **changes):
    return train(
        TRAIN,
        VALIDATION,
        architecture="resnet",
        network=NETWORK,
        training=TRAINING.model_copy(update=changes),
        normalisation=VoxelScaling(),
        seed=SEED,
        state=state,
    )


def _contents(path):
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name].tobytes() for name in content.files}


def _progress(path):
    with np.load(path, allow_pickle=False) as content:
        return json.loads(str(content["progress"]))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "state.npz"
    return _train(path), path


def _stop_and_go_on(signal_at, path, stops):
    """Stop once per entry of `stops`, then train to the end; return the log lines of the stops."""
    lines = []
    for epoch, what in stops:
        signal_at(epoch, what)
        with pytest.raises(TrainingStopped) as stopped:
            _train(path)
        assert not signal_at.places, "the place was not reached"
        assert stopped.value.exit_code == 128 + 15
        lines.append(str(stopped.value))
    return lines, _train(path)


def _assert_equal(resumed, path, undisturbed):
    expected, state = undisturbed
    assert resumed.history_csv() == expected.history_csv()
    weights = zip(resumed.model.get_weights(), expected.model.get_weights(), strict=True)
    assert all(one.tobytes() == two.tobytes() for one, two in weights)
    # momenta, learning rate, seed generators, early stopping: everything after the last epoch
    assert _contents(path) == _contents(state)
    assert [entry.name for entry in path.parent.iterdir()] == ["state.npz"]


def test_reference_training_covers_the_interesting_cases(undisturbed):
    trained, _ = undisturbed
    rates = [row["learning_rate"] for row in trained.history]
    cuts = [i + 1 for i in range(1, len(rates)) if rates[i] != rates[i - 1]]
    assert (cuts, trained.best["epoch"], len(rates)) == ([3, 6], 4, 6)


def test_training_stopped_anywhere_equals_uninterrupted_one(
    undisturbed, signal_at, tmp_path, caplog
):
    caplog.set_level("INFO")
    path = tmp_path / "folder" / "state.npz"
    stops = [
        (1, FIRST),
        (2, MIDDLE),
        (2, "batch 3"),
        (3, LAST),
        (3, "validation batch 2"),
        (3, "end"),
    ]
    lines, resumed = _stop_and_go_on(signal_at, path, stops)
    where = [
        "in epoch 1 after batch 1 of 4",
        "in epoch 2 after batch 2 of 4",
        "in epoch 2 after batch 3 of 4",
        "in epoch 3 after batch 4 of 4",
        "in epoch 3 after batch 4 of 4",
        "after epoch 3",
    ]
    assert lines == [
        f"stopped by SIGTERM {place}: the same command resumes from there; checkpoint in {path}"
        for place in where
    ]
    resuming = [r.getMessage() for r in caplog.records if r.getMessage().startswith("resuming")]
    assert resuming == [
        *(f"resuming {place}, of at most 20 epochs, from {path}" for place in where[:-1]),
        f"resuming at epoch 4 of at most 20 from {path}",
    ]
    _assert_equal(resumed, path, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [3, "last"])
@pytest.mark.parametrize(
    "whats",
    [
        (FIRST,),
        (MIDDLE,),
        ("batch 3",),
        (LAST,),
        ("validation batch 1",),
        ("validation batch 3",),
        ("validation batch 1", "validation batch 1"),
        ("end",),
        (FIRST, MIDDLE, LAST, "validation batch 2", "end"),
        (MIDDLE, "begin", "batch 3", "begin"),
    ],
)
def test_stop_at_each_position(undisturbed, signal_at, tmp_path, epoch, whats):
    path = tmp_path / "state.npz"
    number = len(undisturbed[0].history) if epoch == "last" else epoch
    _, resumed = _stop_and_go_on(signal_at, path, [(number, what) for what in whats])
    _assert_equal(resumed, path, undisturbed)


def test_stop_before_the_first_batch_writes_no_checkpoint(signal_at, tmp_path):
    path = tmp_path / "state.npz"
    signal_at(1, "begin")
    with pytest.raises(TrainingStopped, match=r"^stopped by SIGTERM before the first batch$"):
        _train(path)
    assert list(tmp_path.iterdir()) == []


def test_stop_on_resuming_keeps_checkpoint_and_handlers(signal_at, tmp_path):
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    path = tmp_path / "state.npz"
    signal_at(1, MIDDLE, signal.SIGUSR1)
    with pytest.raises(TrainingStopped, match="SIGUSR1 in epoch 1 after batch 2 of 4") as stopped:
        _train(path)
    assert stopped.value.exit_code == 138
    before = path.read_bytes()
    signal_at(1, "begin", signal.SIGUSR2)
    with pytest.raises(TrainingStopped, match="SIGUSR2 in epoch 1 after batch 2 of 4"):
        _train(path)
    assert path.read_bytes() == before
    assert _progress(path)["batches_done"] == 2
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers


def test_without_a_checkpoint_signals_have_their_default_effect(signal_at):
    class Ended(Exception):
        pass

    def end(*_):
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        signal_at(1, FIRST)
        with pytest.raises(Ended):
            _train()
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------- signals alone
def test_outside_the_main_thread_no_handler_is_installed():
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    seen = []

    def use():
        with handle_stop_signals() as request:
            seen.append((request.received, [signal.getsignal(n) for n in STOP_SIGNALS]))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr("wilsonvox.training.signals.time.monotonic", lambda: now.seconds)
    return now


@pytest.fixture
def ended(monkeypatch):
    """Signals that ended the process."""
    numbers = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(signal, "raise_signal", numbers.append)
    return numbers


TERM, USR1 = signal.SIGTERM, signal.SIGUSR1


@pytest.mark.parametrize(
    ("given", "received", "ends"),
    [
        ([(TERM, 0)], TERM, []),
        ([(TERM, 0), (TERM, 0.5)], TERM, []),
        ([(TERM, 0), (TERM, 30)], TERM, [TERM]),
        ([(USR1, 0), (USR1, 30)], USR1, []),
        # a warning, then the final signal: the time is counted from that
        ([(USR1, 0), (TERM, 30)], TERM, []),
        ([(USR1, 0), (TERM, 30), (TERM, 31)], TERM, []),
        ([(USR1, 0), (TERM, 30), (TERM, 60)], TERM, [TERM]),
        ([(TERM, 0), (USR1, 30)], TERM, []),
    ],
)
def test_a_second_request_ends_at_once(clock, ended, given, received, ends):
    request = StopRequest()
    for number, clock.seconds in given:
        request.handle(number, None)
    assert (request.received, ended) == (received, ends)


def test_no_signal_ends_a_process_that_writes_a_checkpoint(clock, ended):
    request = StopRequest()
    request.handle(TERM, None)
    clock.seconds = 30
    with request.writing():
        request.handle(TERM, None)
        assert ended == []
    request.handle(TERM, None)
    assert ended == [TERM]


# ---------------------------------------------------------------- command line
def _words(folder):
    words = []
    for option, shards in (("--train", TRAIN), ("--validation", VALIDATION)):
        for name, shard in shards.items():
            if not (folder / name).exists():
                save(shard, folder / name)
            words += [option, name]
    for settings in (NETWORK, TRAINING, VoxelScaling()):
        words += option_words(settings)
    words += ["--estimator", "toy", "--seed", str(SEED), "--threads", "1"]
    return [*words, "--state", "state/toy.npz", "--history", "history.csv", "--out", "model.keras"]


def test_stopped_command_prints_one_line_and_exits_with_143(
    signal_at, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    words = _words(tmp_path)
    signal_at(2, MIDDLE)
    assert run(["train", *words]) == 143
    assert capfd.readouterr().err.splitlines()[-1] == (
        "stopped by SIGTERM in epoch 2 after batch 2 of 4: the same command resumes from there; "
        "checkpoint in state/toy.npz"
    )
    assert {entry.name for entry in tmp_path.iterdir()} == {*TRAIN, *VALIDATION, "state"}


MAIN = "from wilsonvox.cli import main; main()"


def _process(folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "train", *_words(folder)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_real_signal_to_a_real_process(tmp_path):
    whole = _process(tmp_path / "whole")
    log, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, log
    stopped, folder = _process(tmp_path / "stopped"), tmp_path / "stopped"
    with contextlib.ExitStack() as stack:
        stack.callback(stopped.kill)
        for line in stopped.stdout:
            if line.startswith("epoch 2 of"):
                break
        os.kill(stopped.pid, signal.SIGTERM)
        last = stopped.communicate(timeout=300)[0].splitlines()[-1]
    assert stopped.returncode == 143
    pattern = r"stopped by SIGTERM (in epoch \d after batch \d of 4|after epoch \d): the same comm"
    assert re.match(pattern, last), last
    assert {entry.name for entry in folder.iterdir()} == {*TRAIN, *VALIDATION, "state"}
    again = _process(folder)
    log, _ = again.communicate(timeout=300)
    assert again.returncode == 0, log
    assert "\nresuming " in log
    assert list((folder / "state").iterdir()) == []
    for name in ("model.keras", "history.csv"):
        assert content_digest(folder / name) == content_digest(tmp_path / "whole" / name)
