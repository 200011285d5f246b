"""Fixtures for fault tests: a run, its files, its processes, and a disk of a given size."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.workflow.conftest import ROOT, make_folder
from wilsonvox.provenance.lineage_graph import COPY_SUFFIXES
from wilsonvox.records.digests import content_digest, digest_arrays
from wilsonvox.records.embedded import read_record

RUN = Path("results/tiny")
SUFFIXES = {".root", ".npz", ".keras", ".parquet", ".json", ".png", ".pdf", ".csv"}
NO_OUTPUTS = {"logs", "benchmarks", "training_state"}
TIMEOUT = 600
"""Timeout of waiting for a condition [s]."""


def wait_for(condition: Callable[[], object], what: str, pause: float = 0.02) -> None:
    """Wait until `condition` is true, or fail with the message `what`."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {TIMEOUT} s for {what}")
        time.sleep(pause)


def runs(process: psutil.Process) -> bool:
    """Return True if a process exists and has not ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Running:
    """Snakemake in its own process group, as started by a terminal."""

    process: subprocess.Popen[bytes]
    printed: Path
    seen: list[psutil.Process] = field(default_factory=list)

    @property
    def output(self) -> str:
        """Return the output so far."""
        return self.printed.read_text()

    def jobs(self) -> list[psutil.Process]:
        """Return its running `wilsonvox` child processes."""
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = each.cmdline()
            except psutil.Error:
                continue
            if len(words) > 2 and Path(words[1]).name == "wilsonvox":
                found.append(each)
        self.seen += found
        return found

    def job(self, stage: str, *words: str) -> psutil.Process:
        """Wait for the process `wilsonvox STAGE` with all `words` on its command line."""
        found: list[psutil.Process] = []

        def is_there() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"Snakemake ended without a job {stage} {words}:\n{self.output}")
            for each in self.jobs():
                try:
                    given = each.cmdline()
                except psutil.Error:
                    continue
                if given[2:3] == [stage] and all(
                    any(part in word for word in given) for part in words
                ):
                    found.append(each)
            return bool(found)

        wait_for(is_there, f"a process wilsonvox {stage} {' '.join(words)}")
        return found[0]

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        try:
            return self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Snakemake did not end in {TIMEOUT} s:\n{self.output}")

    def stop(self) -> None:
        """Kill it and all its known child processes."""
        found = list(self.seen)
        if self.process.poll() is None:
            own = psutil.Process(self.process.pid)
            found += [own, *own.children(recursive=True)]
        for each in found:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()


def start_process(command: Sequence[str], folder: Path, printed: Path) -> Running:
    """Start a command in `folder` in its own process group, with its output in a file."""
    with printed.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": os.defpath},
            start_new_session=True,
            # background processes of a shell ignore SIGINT
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
    return Running(process, printed)


@dataclass
class Run:
    """Folder with a run of the configuration for fault tests."""

    path: Path
    expected: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """Folder of the run."""
        return self.path / RUN

    # ------------------------------------------------------------ running
    def command(self, *arguments: str | Path) -> list[str]:
        """Return the Snakemake command line for this run."""
        # --configfile takes all arguments that follow it
        words = [Path(sys.executable).with_name("snakemake"), *arguments]
        words += ["--snakefile", ROOT / "Snakefile", "--profile", ROOT / "profiles/local"]
        return [str(word) for word in [*words, "--cores", "2", "--configfile", "faults.yaml"]]

    def snakemake(self, *targets: str | Path, code: int = 0) -> str:
        """Run Snakemake, check its exit code and return its output."""
        running = self.start(*targets)
        found = running.end()
        assert found == code, running.output
        return running.output

    def start(self, *targets: str | Path) -> Running:
        """Start Snakemake for `targets` (paths relative to the run folder, or options)."""
        words = [str(each) if str(each).startswith("-") else str(RUN / each) for each in targets]
        printed = self.path / f"printed.{len(self.started)}.txt"
        self.started.append(start_process(self.command(*words), self.path, printed))
        return self.started[-1]

    # ------------------------------------------------------------ what is on disk
    def files(self) -> dict[str, Path]:
        """Return the visible output files by path in the run folder."""
        return {
            str(path.relative_to(self.results)): path
            for path in sorted(self.results.rglob("*"))
            if path.suffix in SUFFIXES
            and not path.name.startswith(".")
            and path.relative_to(self.results).parts[0] not in NO_OUTPUTS
            and path.is_file()
        }

    def hidden(self) -> list[Path]:
        """Return hidden files, left by interrupted atomic writes."""
        return sorted(each for each in self.results.rglob(".*") if each.is_file())

    def digests(self, ignoring: Set[str] = frozenset()) -> dict[str, str]:
        """Return the content digests of all output files, and check that they are complete.

        Every file must be readable and agree with its record. The bytes of a copy must agree with
        the record of its original.

        Args:
            ignoring: files damaged by the test.
        """
        found: dict[str, str] = {}
        copies: dict[str, str] = {}
        files = {name: path for name, path in self.files().items() if name not in ignoring}
        for name, path in files.items():
            found[name] = content_digest(path)
            if path.suffix in COPY_SUFFIXES:
                continue
            record = read_record(path)
            assert record is not None, f"{name} has no record"
            assert record.content_digest == found[name], f"{name} differs from its record"
            copies |= record.copies
        for name in files:
            if name.endswith(COPY_SUFFIXES):
                assert copies.get(name, found[name]) == found[name], f"{name} is another copy"
        self._check_states()
        return found

    def states(self) -> list[Path]:
        """Return the checkpoints of unfinished trainings."""
        return sorted(self.results.glob("training_state/**/[!.]*.npz"))

    def _check_states(self) -> None:
        import numpy as np

        for path in self.states():
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            recorded = str(arrays.pop("digest"))
            assert digest_arrays(arrays.items()) == recorded, f"{path} is no whole state"

    def sound(
        self, before: dict[str, str], *, left: int = 0, ignoring: Set[str] = frozenset()
    ) -> dict[str, str]:
        """Check the files after a fault: all are complete, and none is lost.

        Args:
            before: digests of the files that were complete before the fault.
            left: maximum number of hidden, unfinished files.
            ignoring: files damaged by the test.

        Returns:
            The digests of the complete files.
        """
        after = self.digests(ignoring)
        lost = {name for name, digest in before.items() if after.get(name) != digest}
        assert not lost, f"lost or changed: {sorted(lost)}"
        assert len(self.hidden()) <= left, self.hidden()
        wrong = {name for name in after if after[name] != self.expected.get(name)}
        assert not wrong, f"differ from the undisturbed run: {sorted(wrong)}"
        return after

    def complete(self, *targets: str) -> str:
        """Resume the run, and check that all files agree with those of the undisturbed run.

        Args:
            targets: paths to make; by default everything.
        """
        printed = self.snakemake(*targets)
        after = self.digests()
        missing = set(targets or self.expected) - set(after)
        assert not missing, missing
        wrong = {name for name in after if after[name] != self.expected.get(name)}
        assert not wrong, f"differ from the undisturbed run: {sorted(wrong)}"
        assert self.hidden() == []
        assert self.states() == []
        return printed

    def without(self, *patterns: str) -> dict[str, str]:
        """Delete outputs by pattern, and return the digests of the remaining files."""
        for pattern in patterns:
            found = list(self.results.glob(pattern))
            assert found, f"there is no {pattern}"
            for path in found:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return self.digests()

    def show(self, title: str, *more: str) -> None:
        """Print the state of the disk for the test report."""
        kinds = Counter(name.split("/", maxsplit=1)[0] for name in self.files())
        whole = Counter(name.split("/", maxsplit=1)[0] for name in self.expected)
        lines = [f"right after {title}:"]
        lines.append(
            "  finished: " + ", ".join(f"{kinds[kind]}/{whole[kind]} {kind}" for kind in whole)
        )
        lines += [
            f"  unfinished: {path.relative_to(self.results)} ({path.stat().st_size:,} bytes)"
            for path in (*self.hidden(), *self.states())
        ]
        lines += [f"  {line}" for text in more for line in text.splitlines()]
        text = "\n".join(lines)
        print(text)
        listing = os.environ.get("WILSONVOX_FAULTS_LISTING")
        if listing:
            with Path(listing).open("a") as out:
                out.write(text + "\n")


def lines_with(text: str, *words: str) -> list[str]:
    """Return the unique lines of `text` with one of `words`, stripped of white space."""
    found = (line.strip() for line in text.splitlines() if any(word in line for word in words))
    return list(dict.fromkeys(found))


def error_lines(text: str) -> list[str]:
    """Return the error lines of failed jobs."""
    assert "Traceback" not in text, text
    return lines_with(text, "wilsonvox: error:")


# ---------------------------------------------------------------- fixtures
@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Provide the undisturbed run, which tests may only read and copy."""
    path = tmp_path_factory.mktemp("undisturbed")
    make_folder(path)
    (path / "tiny.yaml").unlink()
    shutil.copy(ROOT / "tests/faults/faults.yaml", path)
    run = Run(path)
    run.snakemake()
    run.expected = run.digests()
    return run


@pytest.fixture
def run(undisturbed: Run, tmp_path: Path) -> Iterator[Run]:
    """Provide a copy of the undisturbed run, and kill its processes at the end."""
    path = tmp_path / "run"
    subprocess.run(["cp", "-a", undisturbed.path, path], check=True)
    copy = Run(path, dict(undisturbed.expected))
    yield copy
    for each in copy.started:
        each.stop()
    shutil.rmtree(path)


@dataclass
class Disk:
    """Separate disk mounted at the folder `results` of a run."""

    mounted: Path

    def _remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.mounted)], check=True)

    def leave(self, kilobytes: int) -> None:
        """Shrink the disk until `kilobytes` (a multiple of 4) are free."""
        found = os.statvfs(self.mounted)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        self._remount(f"size={used + kilobytes}k")

    def enlarge(self) -> None:
        """Free disk space."""
        self._remount("size=1g")

    def read_only(self, yes: bool) -> None:
        """Forbid writing, also for the superuser, or allow it again."""
        self._remount("ro" if yes else "rw")


@pytest.fixture
def disk(run: Run) -> Iterator[Disk]:
    """Provide a small disk with the results of the run."""
    results = run.path / "results"
    kept = results.rename(run.path / "kept")
    results.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", str(results)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        pytest.skip(f"a disk of a given size needs the right to mount one: {reason.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(results)], check=True)
        shutil.rmtree(kept)
        yield Disk(results)
    finally:
        for each in run.started:
            each.stop()
        subprocess.run(["umount", "--lazy", str(results)], check=True)
