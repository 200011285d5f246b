"""A training is stopped by a warning signal, by its time limit and by another job's priority."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wilsonvox.records.digests import content_digest
from wilsonvox.records.embedded import read_record

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
    # a suspended training is sure to be there when the signal comes, however quick the machine
    for number, epoch in enumerate((30, 60, 90), 1):
        wait_for(lambda epoch=epoch: reached(epoch), f"epoch {epoch}")
        if number == 3:
            other = ["sbatch", "--parsable", "--partition=cpu", "--nodes=2", "--exclusive"]
            command = [*other, "--output=/dev/null", "--wrap=sleep 5"]
            subprocess.run(command, cwd=run.path, check=True)
        else:
            run.process("train").suspend()  # Slurm wakes what it sends a signal to
        note_stop()
        wait_for(lambda n=number: len(run.jobs("train")) > n, "another attempt")
        wait_for(lambda: not stopped(), "the next attempt's log")
    assert running.end() == 0, running.output
    jobs = run.jobs("train")
    run.show(
        "a training that is stopped three times",
        *(job.line() for job in jobs),
        *stops,
        *lines_with(running.output, "SLURM job "),
        *lines_with(log.read_text(), "resuming"),
    )
    # a training that ends within the time that a preempted job is left has failed, for Slurm
    states = [job["JobState"] for job in jobs]
    assert states[2] in ("FAILED", "PREEMPTED")
    assert [*states[:2], states[3]] == ["FAILED", "TIMEOUT", "COMPLETED"]
    assert running.output.count("message: stopped by SIGTERM") == 3
    assert [job.minutes for job in jobs] == [3, 1, 30, 30]
    assert len(lines_with("\n".join(stops), "stopped by SIGTERM")) == 3
    assert "resuming" in log.read_text()
    model = undisturbed(run)
    assert content_digest(run.path / MODEL) == content_digest(model)
    history = (run.path / MODEL).with_name("history.csv")
    assert history.read_text() == (run.path / "undisturbed.csv").read_text()
    assert not list(run.results.glob("training_state/**/*.npz"))
    assert run.unfinished_files() == []
