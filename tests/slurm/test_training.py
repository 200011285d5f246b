"""A training is stopped by a warning signal, by its time limit and by another job's priority."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from wilsonvox.provenance import content_digest, read_record

from .conftest import Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

MODEL = "results/small/models/b8_n300/tiny/model.keras"


def longer(values):
    """A training of many epochs, whose dropout draws anew in each step."""
    values["estimators"]["tiny"]["network"]["dropout"] = 0.25
    training = {"max_epochs": 400, "early_stopping_patience": 1000}
    values["estimators"]["tiny"]["training"].update(training)


def attempts(profile):
    """Stopped two minutes before a limit of three, then at a limit of one, then preempted."""
    train = profile["set-resources"]["train"]
    assert "--signal=TERM@120" in train["slurm_extra"]
    train["slurm_extra"] = "'--signal=TERM@120' if attempt == 1 else '--open-mode=append'"
    train["runtime"] = "[3, 1, 30, 30][attempt - 1]"
    train["slurm_partition"] = "'preemptible' if attempt == 3 else 'cpu'"
    train.update({"mem_mb": 3000})
    del train["gres"]


def sigterm_waits(process: psutil.Process) -> bool:
    """Whether a suspended process was sent a SIGTERM that it has not seen yet (proc(5), ShdPnd)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", status, re.M)
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def undisturbed(run: Run) -> Path:
    """The same training by the same command, without anything around it."""
    record = read_record(run.path / MODEL)
    assert record is not None
    words = [str(Path(sys.executable).with_name("wilsonvox")), *record.command[1:]]
    for name, value in (
        ("--out", "undisturbed.keras"),
        ("--history", "undisturbed.csv"),
        ("--state", "undisturbed.npz"),
    ):
        words[words.index(name) + 1] = value
    subprocess.run(words, cwd=run.path, check=True, capture_output=True)
    return run.path / "undisturbed.keras"


def test_stopped_three_times(run: Run):
    run.configure(longer)
    run.change_profile(attempts)
    log = run.results / "logs/train/b8_n300/tiny.log"
    stops = []

    def reached(epoch: int) -> bool:
        return log.is_file() and bool(re.search(rf"^epoch {epoch} of", log.read_text(), re.M))

    def stopped() -> bool:
        return log.is_file() and "stopped by" in log.read_text()

    def note_stop() -> None:
        wait_for(stopped, "the training to be stopped")
        stops.extend(lines_with(log.read_text(), "stopped by", "resuming"))

    running = run.start(MODEL)
    # a training in which nothing goes on is sure to be there when the signal comes
    for number, epoch in enumerate((30, 60, 90), 1):
        wait_for(lambda epoch=epoch: reached(epoch), f"epoch {epoch}")
        process = run.process("train")
        if number == 1:
            process.suspend()
            wait_for(lambda one=process: sigterm_waits(one), "Slurm's SIGTERM", pause=0.5)
            process.resume()
        elif number == 2:
            process.suspend()  # Slurm wakes it at the limit
        else:
            other = ["sbatch", "--parsable", "--partition=cpu", "--nodes=2", "--exclusive"]
            subprocess.run(
                [*other, "--output=/dev/null", "--wrap=sleep 5"], cwd=run.path, check=True
            )
        note_stop()
        wait_for(lambda n=number: len(run.jobs("train")) > n, "another attempt")
        wait_for(lambda: not stopped(), "the next attempt's log")
    assert running.end() == 0, running.output
    jobs = run.jobs("train")
    run.show(
        "a training that is stopped three times",
        *(job.line() for job in jobs),
        *stops,
        *lines_with(running.output, "SLURM job"),
        *lines_with(log.read_text(), "resuming"),
    )
    assert [job["JobState"] for job in jobs] == ["FAILED", "TIMEOUT", "PREEMPTED", "COMPLETED"]
    assert [job.minutes for job in jobs] == [3, 1, 30, 30]
    assert len(lines_with("\n".join(stops), "stopped by SIGTERM")) == 3
    assert "resuming" in log.read_text()
    model = undisturbed(run)
    assert content_digest(run.path / MODEL) == content_digest(model)
    history = (run.path / MODEL).with_name("history.csv")
    assert history.read_text() == (run.path / "undisturbed.csv").read_text()
    assert not list(run.results.glob("training_state/**/*.npz"))
    assert run.unfinished_files() == []
