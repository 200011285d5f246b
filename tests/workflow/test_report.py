"""Report of a run: contents and updates."""

import os
import time

import pytest

from .conftest import by_rule, make_report


@pytest.fixture
def report(reported):
    return reported.path / "results/tiny/report.html"


def made_again(folder, report):
    before = report.stat().st_mtime_ns
    run = make_report(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return report.stat().st_mtime_ns != before


def test_report_is_made_again_only_when_something_behind_it_is_newer(reported, report):
    assert not made_again(reported, report)
    now = time.time() + 1
    os.utime(reported.path / "results/tiny/benchmarks/plot_topology.tsv", (now, now))
    time.sleep(1.1)
    assert made_again(reported, report)
    assert not made_again(reported, report)


def test_report_has_every_figure_and_table(reported, report):
    html = report.read_text()
    folder = reported.path / "results/tiny"
    results = {path for name in ("figures", "report") for path in (folder / name).rglob("*")}
    names = {path.name for path in results if path.suffix in {".png", ".html"}}
    assert len(names) == 10 + 4
    for name in names:
        assert f'"name": "{name}"' in html


def test_tables_of_the_report_are_no_part_of_the_run(folder):
    assert "report_pages" not in by_rule(folder.planned("tiny.yaml"))
    assert by_rule(folder.planned("tiny.yaml", targets=("report_pages",)))["report_pages"] == 1


def test_captions_name_defaults_too(report):
    """The tiny configuration does not name the range of q2."""
    html = report.read_text()
    assert "8\\u00b3 voxels, 300 events per\\nimage, q\\u00b2 from 0 to 20 GeV\\u00b2" in html
