"""Atomic writes on full disks, after killed jobs and next to other processes."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wilsonvox.cli import run
from wilsonvox.core.disk import writing_problem
from wilsonvox.core.files import (
    FOREIGN_LEFTOVERS_DAYS,
    atomic_path,
    name_file_in_errors,
    unfinished_files,
)

WRITE = """
import os, signal, sys
from wilsonvox.core.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit files to `size` bytes, so that writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(path: Path, with_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Run a process that sends itself a signal while it writes `path`."""
    return subprocess.Popen([sys.executable, "-c", WRITE, path, str(int(with_signal))])


def test_full_disk_error_names_the_file_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "table.npz"
    path.write_bytes(b"old")
    with (
        largest_file(1000),
        pytest.raises(OSError, match="too large") as caught,
        atomic_path(path) as temporary,
    ):
        temporary.write_bytes(bytes(2000))
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_not_caused_by_the_disk_are_unchanged():
    with pytest.raises(OSError, match="input") as caught, name_file_in_errors("out.npz"):
        raise OSError(errno.EIO, "input")
    assert caught.value.filename is None


@pytest.mark.parametrize("name", ["topology.pdf", "topology.png"])
def test_full_disk_is_a_one_line_error_of_the_command(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    if name.endswith("pdf"):  # the PNG is written first
        monkeypatch.setattr("PIL.Image.Image.save", lambda _, path, **__: path.write_bytes(b"1"))
    with largest_file(1000):
        code = run(["plot", "topology", "--pdf", "topology.pdf", "--png", "topology.png"])
    assert code == 1
    assert (
        capsys.readouterr().err == f"wilsonvox: error: {name}: cannot be written: File too large\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_killed_process_is_removed_by_the_next_write(tmp_path):
    path = tmp_path / "a.npz"
    assert write(path, signal.SIGKILL).wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"\.a\.[0-9a-f]{8}-\d+\.part\.npz", left.name)
    assert unfinished_files(path) == [left]
    assert unfinished_files(tmp_path / "other.npz") == []
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


def test_concurrent_writers_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "a.npz"
    process = write(path, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    (left,) = tmp_path.iterdir()
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert set(tmp_path.iterdir()) == {path, left}
    process.send_signal(signal.SIGCONT)
    assert process.wait() == 0
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_other_machines_are_kept_for_some_days(tmp_path):
    path = tmp_path / "a.npz"
    young = tmp_path / ".a.00000000-1.part.npz"
    old = tmp_path / ".a.00000000-2.part.npz"
    for leftover in (young, old):
        leftover.touch()
    begin = old.stat().st_mtime - FOREIGN_LEFTOVERS_DAYS * 86400 - 3600
    os.utime(old, (begin, begin))
    assert unfinished_files(path) == [old]


def test_unwritable_folder_is_reported(tmp_path):
    assert writing_problem(tmp_path / "not" / "there" / "yet") is None
    (tmp_path / "file").touch()
    assert writing_problem("/proc/self/results") is not None
    with largest_file(100):
        assert writing_problem(tmp_path) == f"{tmp_path}: cannot be written: File too large"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
