"""A node dies under a job; the controller is away."""

import time

import pytest

from .conftest import Cluster, Run, lines_with, wait_for

pytestmark = pytest.mark.slurm

POINTS = ("c9_-2.00", "c9_+0.00")
EVENTS = [f"results/small/events/train/{point}/000.root" for point in POINTS]
IMAGES = [f"results/small/voxels/b8_n300/train/{point}/000.npz" for point in POINTS]


def test_a_node_dies(run: Run, cluster: Cluster):
    running = run.start(EVENTS[0])
    run.process("generate").suspend()
    (job,) = run.active()
    node = job["NodeList"]
    cluster.call("kill", node)
    try:
        assert running.end() == 0, running.output
    finally:
        cluster.call("start", node)
    first, second = run.jobs("generate_events")
    run.show("a dead node", first.line(), second.line(), *lines_with(running.output, "SLURM job "))
    assert first["JobState"] == "NODE_FAIL"
    assert first["NodeList"] == node
    assert second["JobState"] == "COMPLETED"
    assert second["NodeList"] != node
    assert run.overlapping() == []
    assert "its node failed" in running.output
    assert (run.path / EVENTS[0]).is_file()


def test_the_controller_is_away(run: Run, cluster: Cluster):
    running = run.start(*IMAGES)
    jobs = [run.process("generate", name) for name in EVENTS]
    for job in jobs:
        job.suspend()
    cluster.call("controller", "down")
    try:
        # one of the jobs ends while nobody listens, one goes on
        jobs[0].resume()
        time.sleep(30)
    finally:
        cluster.call("controller", "up")
    jobs[1].resume()
    assert running.end() == 0, running.output
    run.show(
        "30 s without a controller",
        *lines_with(running.output, "does not answer", "answers again"),
        *(job.line() for job in run.jobs()),
    )
    assert "does not answer" in running.output
    assert "answers again" in running.output
    assert [job["JobState"] for job in run.jobs()] == ["COMPLETED"] * 5
    assert all((run.path / name).is_file() for name in IMAGES)


def test_the_controller_is_away_at_submission(run: Run, cluster: Cluster):
    cluster.call("controller", "down")
    try:
        running = run.start(EVENTS[0])
        wait_for(lambda: "does not answer" in running.output, "the controller to be missed")
    finally:
        cluster.call("controller", "up")
    assert running.end() == 0, running.output
    assert [job["JobState"] for job in run.jobs()] == ["COMPLETED"] * 2
    assert (run.path / EVENTS[0]).is_file()
