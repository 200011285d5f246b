"""Faults: the process of a job is killed, for example by the kernel or a batch system."""

import re
import signal

import pytest

from .conftest import Run, Running, lines_with, runs, wait_for

pytestmark = pytest.mark.faults

LARGE = "c9_-0.50/000"
EVENTS = f"events/interpolation/{LARGE}.root"
SHARD = f"voxels/b8_n300/interpolation/{LARGE}.npz"
MODEL = "models/b8_n300/tiny/model.keras"
HISTORY = "models/b8_n300/tiny/history.csv"
STATE = "training_state/b8_n300/tiny.npz"
PREDICTIONS = "evaluation/b8_n300/tiny/test/c9_-2.00.parquet"
FIGURE = "figures/b8_n300/voxels"
MADE_OF_IMAGES = ("models", "evaluation", "measurements", "figures")


def kill_while_it_writes(run: Run, running: Running, stage: str, target: str, size: int) -> None:
    """Kill the job that makes `target` when its unfinished file has `size` bytes."""
    job = running.job(stage, target)
    final = run.results / target
    pattern = f".{final.stem}.*.part{final.suffix}"

    def writes() -> bool:
        if not runs(job) or running.process.poll() is not None:
            pytest.fail(f"{stage} ended before it was hit; a larger job is needed")
        return any(path.stat().st_size >= size for path in final.parent.glob(pattern))

    wait_for(writes, f"{target} being written", pause=0)
    job.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("stage", "target", "size", "gone"),
    [
        ("generate", EVENTS, 10_000_000, (EVENTS, SHARD, *MADE_OF_IMAGES)),
        ("voxelize", SHARD, 1, (SHARD, *MADE_OF_IMAGES)),
        ("plot", f"{FIGURE}.png", 1, (f"{FIGURE}.*",)),
    ],
)
def test_killed_while_it_writes(run, stage, target, size, gone):
    before = run.without(*gone)
    running = run.start(target)
    kill_while_it_writes(run, running, stage, target, size)
    assert running.end() == 1
    run.show(f"SIGKILL of a writing {stage} job", *lines_with(running.output, "wilsonvox:"))
    after = run.sound(before, left=2)
    assert after == before
    assert run.hidden(), "the job was not hit while it was writing"
    run.complete(target)


def test_killed_while_it_reads(run):
    before = run.without(SHARD, *MADE_OF_IMAGES)
    running = run.start(SHARD)
    job = running.job("voxelize", SHARD)

    def reads() -> bool:
        return any(each.path.endswith(EVENTS) for each in job.open_files())

    wait_for(reads, "voxelize reading its events", pause=0)
    job.kill()
    assert running.end() == 1
    run.show("SIGKILL of a reading voxelize job")
    assert run.sound(before) == before
    run.complete(SHARD)


def test_killed_in_the_middle_of_a_training(run):
    before = run.without("models", "evaluation", "measurements", "figures/b8_n300")
    running = run.start(PREDICTIONS)
    job = running.job("train")
    log = run.results / "logs/train/b8_n300/tiny.log"
    wait_for(lambda: "epoch 3 of" in log.read_text(), "epoch 3 of the training", pause=0)
    job.kill()
    assert running.end() == 1
    killed = log.read_text()
    assert "best epoch" not in killed, "the training ended before it was hit"
    done = max(map(int, re.findall(r"^epoch (\d+) of", killed, re.MULTILINE)))
    run.show("SIGKILL of a training", f"epochs in the log: {done}")
    assert run.sound(before, left=1) == before
    assert run.states() == [run.results / STATE]

    printed = run.complete(MODEL, HISTORY, PREDICTIONS)
    resumed = re.search(r"resuming at epoch (\d+) of", log.read_text())
    assert resumed, log.read_text()
    # the last epoch in the log may have been killed before its checkpoint was written
    assert int(resumed[1]) in (done, done + 1)
    assert "wilsonvox: results/tiny is complete" in printed
    assert log.read_text().count("\nepoch ") == 30 - int(resumed[1]) + 1
