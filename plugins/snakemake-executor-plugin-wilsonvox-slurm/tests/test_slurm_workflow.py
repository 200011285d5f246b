"""Snakemake itself runs a workflow with the executor, on a cluster of scripts."""

import subprocess
import sys
from pathlib import Path

import pytest
from fake_slurm import Slurm, wait_for

SNAKEFILE = """
rule all:
    input: "b.txt"

rule first:
    output: "a.txt"
    shell: "until [ -e go ]; do sleep 0.1; done; echo {config[word]} > {output}"

rule second:
    input: "a.txt"
    output: "b.txt"
    shell: "cat {input} {input} > {output}"
"""

COMMAND = [
    *(sys.executable, "-m", "snakemake", "--executor", "wilsonvox-slurm", "--jobs", "2"),
    *("--scheduler", "greedy", "--rerun-incomplete", "--latency-wait", "10"),
    *("--wilsonvox-slurm-init-seconds-before-status-checks", "1"),
]


class Snakemake:
    """Processes of Snakemake in one folder, and what the latest of them has printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = folder / "printed.txt"
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def output(self) -> str:
        return self.printed.read_text()

    def start(self, *arguments: str, word: str = "one") -> subprocess.Popen[bytes]:
        command = [*COMMAND, *arguments, "--config", f"word={word}"]
        with self.printed.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out)
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> None:
        assert self.start(*arguments).wait(120) == 0, self.output


@pytest.fixture
def snakemake(tmp_path, slurm):
    """Snakemake in the folder of a small workflow, on a cluster that executes its jobs."""
    slurm.execute_jobs()
    folder = tmp_path / "workflow"
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE)
    made = Snakemake(folder)
    yield made
    (folder / "go").touch()
    for process in made.processes:
        process.kill()
        process.wait()


def kill_during_the_first_job(snakemake: Snakemake, slurm: Slurm) -> None:
    process = snakemake.start()
    first = slurm.folder / "queue/100"
    wait_for(lambda: first.exists() and "|RUNNING|" in first.read_text(), "a job", seconds=60)
    process.kill()
    process.wait()
    snakemake.run("--unlock")


def test_a_workflow(snakemake, slurm):
    (snakemake.folder / "go").touch()
    snakemake.run()
    assert (snakemake.folder / "b.txt").read_text() == "one\none\n"
    assert len(slurm.lines("submitted")) == 2
    assert list((snakemake.folder / ".snakemake").glob("tmp.*")) == []


def test_jobs_of_a_killed_snakemake(snakemake, slurm):
    kill_during_the_first_job(snakemake, slurm)
    again = snakemake.start()
    wait_for(lambda: "taken over" in snakemake.output, "the job", seconds=60)
    (snakemake.folder / "go").touch()
    assert again.wait(120) == 0, snakemake.output
    assert (snakemake.folder / "b.txt").read_text() == "one\none\n"
    assert len(slurm.lines("submitted")) == 2
    assert slurm.lines("cancelled") == []


def test_jobs_of_a_killed_snakemake_with_another_configuration(snakemake, slurm):
    kill_during_the_first_job(snakemake, slurm)
    snakemake.start(word="two")
    wait_for(lambda: slurm.lines("cancelled"), "the end of the other job", seconds=60)
    wait_for(lambda: len(slurm.lines("submitted")) == 2, "its successor", seconds=60)
    assert "cancelling jobs 100 of this run" in snakemake.output
    assert "taken over" not in snakemake.output
