"""A real Slurm on this machine, and runs of the workflow on it."""

import copy
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
import yte

from tests.faults.conftest import Running, lines_with, start_process, wait_for
from tests.workflow.conftest import ROOT, make_folder

CLUSTER = ROOT / "tests/slurm/cluster"
SMALL = yaml.safe_load((ROOT / "tests/slurm/small.yaml").read_text())

SECONDS_BETWEEN_CHECKS = 2

__all__ = ["SECONDS_BETWEEN_CHECKS", "Cluster", "Run", "SlurmJob", "lines_with", "wait_for"]


@dataclass(frozen=True)
class SlurmJob:
    """One of Slurm's jobs, as `scontrol show job` tells it, by its names."""

    shown: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.shown.get(name, "")

    @property
    def number(self) -> str:
        return self["JobId"]

    @property
    def rule(self) -> str:
        return self["Comment"].removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def memory_mb(self) -> float:
        """Memory that it was given [MB]."""
        found = re.search(r"\bmem=([\d.]+)([MG])", self["TRES"])
        assert found, self["TRES"]
        return float(found[1]) * {"M": 1, "G": 1024}[found[2]]

    @property
    def minutes(self) -> int:
        """Its time limit."""
        days, _, clock = f"0-{self['TimeLimit']}".rpartition("-")
        hours, minutes, _ = map(int, clock.split(":"))
        return 1440 * int(days.rpartition("-")[2]) + 60 * hours + minutes

    def line(self) -> str:
        """What matters of it in one line."""
        names = ("JobId", "Comment", "Partition", "JobState", "RunTime", "TimeLimit", "NodeList")
        return " ".join(f"{name}={self[name]}" for name in (*names, "TRES", "TresPerNode"))


class Cluster:
    """The test's cluster."""

    @staticmethod
    def call(*words: str) -> str:
        """Run the script of the cluster."""
        done = subprocess.run([CLUSTER, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass
class Run:
    """A folder in which a configuration runs on the cluster."""

    path: Path
    name: str = "small"
    profile: Path = ROOT / "profiles/slurm"
    started: list[Running] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.path / "results" / self.name

    def configure(self, change: Callable[[dict[str, Any]], object] | None = None) -> None:
        """Write the small configuration, after `change` was applied to it."""
        values = copy.deepcopy(SMALL)
        if change is not None:
            change(values)
        text = yaml.safe_dump(values, sort_keys=False)
        (self.path / "small.yaml").write_text(text)

    def change_profile(self, change: Callable[[dict[str, Any]], object], **site: str | int) -> None:
        """Take a copy of the profile with other names of the `site`, after `change`."""
        text = (ROOT / "profiles/slurm/config.yaml").read_text()
        for name, value in site.items():
            text, count = re.subn(rf"(?m)^  {name}: \S+", f"  {name}: {value}", text)
            assert count == 1, name
        values = yte.process_yaml(text, require_use_yte=True)
        change(values)
        self.profile = self.path / "profile"
        self.profile.mkdir(exist_ok=True)
        (self.profile / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def command(self, *arguments: str | Path, snakefile: Path = ROOT / "Snakefile") -> list[str]:
        """Snakemake's command line for this run."""
        words = [Path(sys.executable).with_name("snakemake"), *arguments]
        words += ["--snakefile", snakefile, "--profile", self.profile]
        # for quick tests: a cluster is asked less often, and its disks take longer
        words += ["--wilsonvox-slurm-init-seconds-before-status-checks", SECONDS_BETWEEN_CHECKS]
        words += ["--wilsonvox-slurm-keep-successful-logs", "--latency-wait", 10, "--jobs", 4]
        return [str(word) for word in [*words, "--configfile", "small.yaml"]]

    def start(self, *arguments: str | Path, **options: Any) -> Running:
        """Start Snakemake."""
        printed = self.path / f"printed.{len(self.started)}.txt"
        command = self.command(*arguments, **options)
        self.started.append(start_process(command, self.path, printed))
        return self.started[-1]

    def snakemake(self, *arguments: str | Path, code: int = 0, **options: Any) -> str:
        """Run Snakemake to its end, check its exit code and return what it printed."""
        running = self.start(*arguments, **options)
        found = running.end()
        assert found == code, running.output
        assert "Traceback" not in running.output, running.output
        return running.output

    # ------------------------------------------------------------ jobs
    def jobs(self, rule: str | None = None) -> list[SlurmJob]:
        """Jobs that Slurm was given from this folder, in their order; of one rule."""
        text = subprocess.run(
            ["scontrol", "--oneliner", "show", "job"], capture_output=True, text=True, check=False
        ).stdout
        found = [SlurmJob(dict(re.findall(r"(\S+?)=(\S*)", line))) for line in text.splitlines()]
        own = [job for job in found if job["WorkDir"] == str(self.path)]
        own.sort(key=lambda job: int(job.number))
        return [job for job in own if rule in (None, job.rule)]

    def active(self) -> list[SlurmJob]:
        """Jobs that have not ended."""
        return [
            job for job in self.jobs() if job["JobState"] in ("PENDING", "RUNNING", "COMPLETING")
        ]

    def process(self, stage: str, *words: str) -> psutil.Process:
        """The process `wilsonvox STAGE` of a job with `words` on its command line."""
        found: list[psutil.Process] = []

        def is_there() -> bool:
            for each in psutil.process_iter(["cmdline", "cwd"]):
                given = each.info["cmdline"] or []
                command = [Path(word).name for word in given[1:2]] + given[2:3]
                if command != ["wilsonvox", stage] or each.info["cwd"] != str(self.path):
                    continue
                if all(any(part in word for word in given) for part in words):
                    found.append(each)
            if not found and self.started and self.started[-1].process.poll() is not None:
                pytest.fail(f"no process of {stage} came:\n{self.started[-1].output}")
            return bool(found)

        wait_for(is_there, f"a process wilsonvox {stage} {' '.join(words)}", pause=0.1)
        return found[0]

    def overlapping(self) -> list[tuple[str, str]]:
        """Pairs of jobs that made the same outputs at the same time."""
        jobs = [job for job in self.jobs() if job["StartTime"] not in ("", "Unknown")]
        return [
            (one.number, other.number)
            for one in jobs
            for other in jobs
            if int(one.number) < int(other.number)
            and one["Comment"] == other["Comment"]
            and other["StartTime"] < one["EndTime"].replace("Unknown", "9999")
            and one["StartTime"] < other["EndTime"].replace("Unknown", "9999")
        ]

    def unfinished_files(self) -> list[Path]:
        """Hidden files: what atomic writes have left."""
        return sorted(path for path in self.results.rglob(".*") if path.is_file())

    def show(self, title: str, *lines: str) -> None:
        """Tell, for the report of the tests, what was seen."""
        text = "\n".join([f"{title}:", *(f"  {line}" for line in lines)])
        print(text)
        listing = os.environ.get("WILSONVOX_SLURM_LISTING")
        if listing:
            with Path(listing).open("a") as out:
                out.write(text + "\n")

    def stop(self) -> None:
        """End every Snakemake and every job of this folder."""
        for each in self.started:
            each.stop()
        numbers = [job.number for job in self.active()]
        if numbers:
            subprocess.run(["scancel", *numbers], check=False)
            wait_for(lambda: not self.active(), "the end of cancelled jobs", pause=0.5)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, started unless it runs; stopped if it was started here."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM")
    }
    done = subprocess.run(
        [CLUSTER, "up"], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        pytest.exit(f"no Slurm to test with: {done.stderr.strip()}", returncode=1)
    print(done.stdout)
    yield Cluster()
    if not os.environ.get("WILSONVOX_KEEP_CLUSTER"):
        Cluster.call("down")


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Iterator[Run]:  # noqa: ARG001
    """A folder in which the small configuration runs on the cluster."""
    path = tmp_path / "run"
    path.mkdir()
    make_folder(path)
    (path / "tiny.yaml").unlink()
    made = Run(path)
    made.configure()
    began = time.monotonic()
    yield made
    made.show("took", f"{time.monotonic() - began:.0f} s")
    made.stop()
    shutil.rmtree(path)
