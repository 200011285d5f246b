"""States of jobs: records that refer to another run, and damaged copies."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from pydantic import BaseModel

from wilsonvox.figures import saving
from wilsonvox.provenance.digest_cache import DigestCache
from wilsonvox.provenance.recording import make_record
from wilsonvox.records.json_files import save_recorded
from wilsonvox.records.record import Record
from wilsonvox.workflow.status.engine import PlannedJob
from wilsonvox.workflow.status.staleness import Need, classify_jobs

OUT = "results/fit/global_fit/measurement.json"
SUMMARY = "shipped/voxel-sum/evaluation/summary.json"


class Result(BaseModel):
    value: float
    provenance: Record | None = None


def write(path: str, value: float, **record) -> None:
    words = ("wilsonvox", "measure", "--run", "shipped/voxel-sum", "--json", path)
    made = make_record("measure", path, {}, command=words, **record)
    save_recorded(Result(value=value), path, made)


@pytest.fixture
def job(tmp_path, monkeypatch) -> PlannedJob:
    """Return the job of a measurement in one run with an estimator of another run."""
    monkeypatch.chdir(tmp_path)
    write(SUMMARY, 1.0)
    write(OUT, 2.0, inputs=[SUMMARY], run="shipped/voxel-sum")
    command = ("wilsonvox", "measure", "--run", "shipped/voxel-sum", "--json", OUT)
    return PlannedJob(
        "measure_for_global_fit", "measure_for_global_fit", "", (SUMMARY,), (OUT,), command,
        (), would_run=False, reasons=(), newer=(), noted=(), temporary=False,
    )  # fmt: skip


def need(job: PlannedJob) -> tuple[Need, tuple[str, ...]]:
    (state,) = classify_jobs([job], DigestCache(None)).values()
    return state.need, state.reasons


def test_a_measurement_by_another_runs_estimator_is_up_to_date(job):
    assert need(job) == (Need.NO, ())


def test_another_content_of_that_run_is_seen(job):
    write(SUMMARY, 3.0)
    assert need(job) == (Need.CHANGE, (f"{SUMMARY} differs from the content it read",))
    Path(OUT).unlink()
    assert need(job)[0] is Need.RESTORE


def test_a_damaged_pdf_is_restored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(saving.logger, "disabled", True)
    outputs = tuple(f"results/run/figures/topology.{suffix}" for suffix in ("pdf", "png"))
    Path(outputs[0]).parent.mkdir(parents=True)
    command = ("wilsonvox", "plot", "topology", "--pdf", outputs[0], "--png", outputs[1])
    record = make_record("plot_topology", outputs[1], {}, command=command)
    saving.save_figure(Figure((1, 1)), *outputs, record)
    plot = PlannedJob(
        "plot_topology", "plot_topology", "", (), outputs, command,
        (), would_run=False, reasons=(), newer=(), noted=(), temporary=False,
    )  # fmt: skip
    assert need(plot) == (Need.NO, ())
    Path(outputs[0]).write_bytes(Path(outputs[0]).read_bytes()[:-1])
    assert need(plot) == (Need.RESTORE, (f"{outputs[0]} is damaged",))
    Path(outputs[0]).unlink()
    assert need(plot) == (Need.RESTORE, (f"{outputs[0]} is missing",))
