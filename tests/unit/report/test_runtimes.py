"""Benchmark files of Snakemake and runtimes by rule."""

import math

import pytest

from wilsonvox.core.errors import UserError
from wilsonvox.report.runtimes import JobRuntime, read_benchmark, read_benchmarks, runtimes_by_rule

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "".join("\t".join(row.split()) + "\n" for row in rows))
    return path


@pytest.fixture
def benchmarks(tmp_path):
    write(tmp_path / "train/b50/net.tsv", "215.26 0:03:35 1603.61 1 1 1 1 1 121.57 262.23")
    write(tmp_path / "voxelize/b50/train/c9_-1.00/000.tsv", "1.5 0:00:01 300.5 1 1 1 1 1 40 0.9")
    write(tmp_path / "voxelize/b50/test/c9_-1.00/000.tsv", "0.5 0:00:00 NA NA NA NA NA NA NA NA")
    write(tmp_path / "plot_topology.tsv", "0.0201 0:00:00 - - - - - - - -")
    return tmp_path


def test_runtimes_are_summed_by_rule_in_descending_order(benchmarks):
    train, voxelize, topology = runtimes_by_rule(read_benchmarks(benchmarks))
    assert (train.rule, train.jobs, train.total_seconds) == ("train", 1, 215.26)
    assert (train.cpu_seconds, train.memory_mib) == (262.23, 1603.61)
    assert (voxelize.rule, voxelize.jobs) == ("voxelize", 2)
    assert voxelize.total_seconds == 2.0
    assert voxelize.mean_seconds == 1.0
    assert voxelize.longest_seconds == 1.5
    # only the wall time of the second job is known
    assert (voxelize.cpu_seconds, voxelize.memory_mib) == (0.9, 300.5)
    assert (topology.rule, topology.total_seconds) == ("plot_topology", 0.0201)
    assert math.isnan(topology.cpu_seconds)
    assert math.isnan(topology.memory_mib)


def test_repeated_benchmarks_have_several_rows(tmp_path):
    path = write(tmp_path / "a.tsv", "1 0:00:01 5 1 1 1 1 1 1 2", "3 0:00:03 4 1 1 1 1 1 1 2")
    assert [job.seconds for job in read_benchmark(path, "a")] == [1.0, 3.0]


def test_rules_without_known_times_are_last():
    jobs = [JobRuntime("a", math.nan, math.nan, math.nan), JobRuntime("b", 1.0, 1.0, 1.0)]
    last = runtimes_by_rule(jobs)[-1]
    assert (last.rule, last.jobs) == ("a", 1)
    assert math.isnan(last.longest_seconds)


def test_missing_and_empty_benchmarks(tmp_path):
    assert read_benchmarks(tmp_path / "absent") == []
    assert read_benchmark(write(tmp_path / "killed.tsv"), "killed") == []


@pytest.mark.parametrize("content", [b"", b"epoch\tloss\n1\t2\n", b"\xff\xfe\x00"])
def test_other_files_are_rejected(tmp_path, content):
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tsv: not a benchmark file"):
        read_benchmark(path, "a")
