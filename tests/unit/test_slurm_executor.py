"""The executor's decisions, with a Slurm that says what each test wants."""

import asyncio
import logging
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from wilsonvox.slurm import executor as module
from wilsonvox.slurm.executor import FORGOTTEN_CHECKS, Executor
from wilsonvox.slurm.names import JobNames
from wilsonvox.slurm.queue import ControllerAwayError, QueuedJob
from wilsonvox.workflow.started import StartedWith

STARTED = StartedWith("demo", "c" * 64, "d" * 64)


class Job(SimpleNamespace):
    """What the executor looks at of a job."""

    def __init__(self, name="generate_events", wildcards=("train", "c9_-0.90", "000"), **more):
        super().__init__(
            name=name,
            rule=SimpleNamespace(name=name),
            jobid=1,
            wildcards=list(wildcards),
            resources=more.get("resources", {}),
            log=[],
            is_local=False,
            noted=more.get("noted", []),
            jobs=more.get("jobs", []),
        )

    def is_group(self):
        return False


class Slurm:
    """What Slurm's commands say; `away` counts questions without an answer."""

    def __init__(self):
        self.jobs: dict[str, QueuedJob] = {}
        self.accounted: dict[str, str] = {}
        self.away = 0
        self.cancelled: list[str] = []

    def own_jobs(self):
        if self.away:
            self.away -= 1
            raise ControllerAwayError("no answer")
        return list(self.jobs.values())

    def run_command(self, words):
        assert words[0] == "scancel"
        self.cancelled += words[1:]
        for job_id in words[1:]:
            job = self.jobs[job_id]
            self.jobs[job_id] = QueuedJob(job_id, "CANCELLED", job.name, job.comment)
        return ""


@pytest.fixture
def slurm(monkeypatch):
    found = Slurm()
    monkeypatch.setattr(module, "own_jobs", found.own_jobs)
    monkeypatch.setattr(module, "run_command", found.run_command)
    monkeypatch.setattr(module, "describe_job", lambda _: {})
    for name in ("ASKING_AGAIN_SECONDS", "SETTLING_SECONDS", "LIMITED_SECONDS"):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(
        module,
        "accounted_states",
        lambda ids: {each: found.accounted[each] for each in ids if each in found.accounted},
    )
    return found


@pytest.fixture
def executor(tmp_path, slurm):  # noqa: ARG001
    made = Executor.__new__(Executor)
    made.names = JobNames.of(STARTED, tmp_path)
    made.run_uuid = f"{made.names.prefix}_uuid"
    made.logger = logging.getLogger("test")
    made.lock = threading.Lock()
    made.active_jobs = []
    made.reported = []
    settings = SimpleNamespace(
        init_seconds_before_status_checks=7, requeue=False, keep_successful_logs=False
    )
    persistence = SimpleNamespace(external_jobids=lambda job: job.noted)
    scheduler = SimpleNamespace(executor_error_callback=lambda e: made.reported.append(str(e)))
    made.workflow = SimpleNamespace(
        executor_settings=settings, persistence=persistence, scheduler=scheduler
    )
    made._left, made._forgotten, made._taken_over = None, {}, set()
    made._away_since, made._stopping = None, threading.Event()
    made._submission = threading.local()
    made._warned, made._away_told, made._cancelling = set(), 0.0, False
    made._partitions = None
    made.needed = []
    made.dag = SimpleNamespace(needrun_jobs=lambda: made.needed)
    made._watch = SimpleNamespace(changed=lambda: False)
    made.report_job_success = lambda info: made.reported.append((info.external_jobid, "done"))
    made.report_job_error = lambda info, msg=None, **_: made.reported.append(
        (info.external_jobid, msg)
    )
    made.report_job_submission = made.active_jobs.append
    made.run_job_pre = lambda _: None
    return made


def check(executor, *infos):
    """Jobs that are waited for after one look."""

    async def look():
        return [info async for info in executor.check_active_jobs(list(infos))]

    return asyncio.run(look())


def info(job_id, log: Path | None = None):
    return SubmittedJobInfo(Job(), external_jobid=job_id, aux={"slurm_logfile": log})


# ---------------------------------------------------------------- running jobs
def test_nobody_is_forgotten_while_the_controller_is_away(executor, slurm, caplog):
    slurm.jobs["1"] = QueuedJob("1", "COMPLETED", "", "")
    one, two = info("1"), info("2")
    slurm.away = 7
    for _ in range(7):
        assert check(executor, one, two) == [one, two]
    assert executor.reported == []
    assert caplog.text.count("does not answer") == 1
    slurm.jobs["2"] = QueuedJob("2", "RUNNING", "", "")
    assert check(executor, one, two) == [two]
    assert executor.reported == [("1", "done")]
    assert "answers again" in caplog.text


def test_squeue_that_fails_otherwise_forgets_nobody_either(executor, monkeypatch, caplog):
    def fail():
        raise subprocess.CalledProcessError(1, ["squeue"], stderr="squeue: error: Invalid user")

    monkeypatch.setattr(module, "own_jobs", fail)
    one = info("1")
    assert check(executor, one) == [one]
    assert "does not answer" in caplog.text


def test_ends(executor, slurm, tmp_path):
    log = tmp_path / "1.log"
    log.write_text("all is well")
    slurm.jobs = {
        "1": QueuedJob("1", "COMPLETED", "", ""),
        "2": QueuedJob("2", "PENDING", "", ""),
        "3": QueuedJob("3", "TIMEOUT", "", ""),
    }
    two = info("2")
    assert check(executor, info("1", log), two, info("3")) == [two]
    assert executor.reported[0] == ("1", "done")
    assert executor.reported[1][0] == "3"
    assert "ended as TIMEOUT" in executor.reported[1][1]
    assert not log.exists()
    assert executor.next_seconds_between_status_checks == 7


def test_a_job_that_the_queue_has_forgotten(executor, slurm):
    slurm.accounted = {"1": "COMPLETED", "2": "FAILED"}
    assert check(executor, info("1"), info("2")) == []
    assert [job_id for job_id, _ in executor.reported] == ["1", "2"]
    assert "ended as FAILED" in executor.reported[1][1]


def test_a_job_that_runs_for_accounts_alone_has_ended(executor, slurm):
    slurm.accounted = {"1": "RUNNING"}
    for _ in range(FORGOTTEN_CHECKS):
        left = check(executor, info("1"))
    assert left == []


def test_a_job_that_may_never_start_is_told_once(executor, slurm, caplog):
    slurm.jobs["1"] = QueuedJob("1", "PENDING", "", "", "PartitionTimeLimit")
    one = info("1")
    assert check(executor, one) == check(executor, one) == [one]
    assert caplog.text.count("waits with reason PartitionTimeLimit: it may never start") == 1


def test_a_job_that_nobody_knows_has_ended_after_some_checks(executor):
    one = info("1")
    for _ in range(FORGOTTEN_CHECKS - 1):
        assert check(executor, one) == [one]
    assert check(executor, one) == []
    # Snakemake then looks for its outputs
    assert executor.reported == [("1", "done")]


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_what_slurm_may_start_again(executor, slurm, state):
    slurm.jobs["1"] = QueuedJob("1", state, "", "")
    assert check(executor, info("1")) == []
    executor.reported.clear()
    executor.workflow.executor_settings.requeue = True
    one = info("2")
    slurm.jobs["2"] = QueuedJob("2", state, "", "")
    for _ in range(FORGOTTEN_CHECKS - 1):
        assert check(executor, one) == [one]
    slurm.jobs["2"] = QueuedJob("2", "PENDING", "", "")
    assert check(executor, one) == [one]
    assert executor.reported == []


def test_another_configuration_stops_everything(executor, slurm, tmp_path):
    log = tmp_path / "1.log"
    line = "the configuration changed under the running workflow, which was started with 0 …"
    log.write_text(f"WorkflowError:\nwilsonvox: {line}\n")
    slurm.jobs["1"] = QueuedJob("1", "FAILED", "", "")
    assert check(executor, info("1", log)) == []
    assert executor.reported[0] == f"wilsonvox: {line}"
    executor.run_job(Job())  # nothing is submitted: Slurm of this test has no sbatch


# ---------------------------------------------------------------- jobs of an earlier Snakemake
COMMENT = "rule_generate_events_wildcards_train_c9_-0.90_000"


def queued(executor, job_id, comment="", state="RUNNING", started=True, uuid="old", end=""):
    names = executor.names
    prefix = names.prefix if started else f"{names.run}-00000000"
    return QueuedJob(job_id, state, f"{prefix}_{uuid}", comment, end=end)


def test_taken_over_by_the_noted_number(executor, slurm):
    slurm.jobs = {
        "5": queued(executor, "5", COMMENT),
        "6": queued(executor, "6", COMMENT, state="COMPLETED", end="2020-01-01T00:00:00"),
        "7": queued(executor, "7", COMMENT, state="FAILED", end="2099-01-01T00:00:00"),
    }
    executor._left = executor._find_left_jobs()
    assert set(executor._left) == {"5"}
    job = Job(noted=["5"])
    executor.run_jobs([job])
    assert [each.external_jobid for each in executor.active_jobs] == ["5"]
    assert executor._left == {}


def test_taken_over_by_rule_and_wildcards(executor, slurm):
    slurm.jobs = {"5": queued(executor, "5", COMMENT), "6": queued(executor, "6", "rule_train")}
    executor._left = executor._find_left_jobs()
    executor.run_jobs([Job()])
    assert [each.external_jobid for each in executor.active_jobs] == ["5"]
    assert set(executor._left) == {"6"}


def test_a_job_that_ended_while_this_snakemake_chose_its_jobs(executor, slurm):
    slurm.jobs = {"5": queued(executor, "5", COMMENT, "COMPLETED", end="2099-01-01T00:00:00")}
    executor._left = executor._find_left_jobs()
    executor.run_jobs([Job()])
    assert [each.external_jobid for each in executor.active_jobs] == ["5"]


def test_a_job_of_a_group_is_not_taken_over_alone(executor, slurm):
    slurm.jobs = {"5": queued(executor, "5", "rule_group")}
    executor._left = executor._find_left_jobs()
    assert executor._left_job(Job(noted=["5"])) is None
    assert slurm.cancelled == ["5"]


@pytest.mark.parametrize(
    ("noted", "taken", "cancelled"),
    [
        ([["5"], ["5"]], ["5"], []),
        ([["5"], ["6"]], [], ["5", "6"]),
        ([["5"], []], [], ["5"]),
        ([[], []], [], []),
    ],
)
def test_groups_of_jobs(executor, slurm, noted, taken, cancelled):
    slurm.jobs = {"5": queued(executor, "5"), "6": queued(executor, "6")}
    executor._left = executor._find_left_jobs()
    group = Job(name="both", jobs=[Job(noted=each) for each in noted])
    group.is_group = lambda: True
    left = executor._left_job(group)
    assert ([left.job_id] if left else []) == taken
    assert slurm.cancelled == cancelled


def test_jobs_of_another_start_are_cancelled_and_nobody_elses(executor, slurm):
    slurm.jobs = {
        "4": queued(executor, "4", "by its number", started=False),
        "5": queued(executor, "5", COMMENT, started=False),
        # of the same run, and nothing that this Snakemake is to make: another one's
        "6": queued(executor, "6", "rule_train", started=False),
        "7": QueuedJob("7", "RUNNING", "wilsonvox-paper-12345678-12345678_u", COMMENT),
        "8": QueuedJob("8", "RUNNING", "wrap", COMMENT),
    }
    executor.needed = [Job(), Job(name="other", noted=["4"])]
    assert executor._find_left_jobs() == {}
    assert slurm.cancelled == ["4", "5"]


def test_jobs_that_do_not_end_when_cancelled(executor, slurm, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 0)
    monkeypatch.setattr(module, "run_command", lambda _: "")
    slurm.jobs = {"5": queued(executor, "5", COMMENT, started=False)}
    executor.needed = [Job()]
    with pytest.raises(WorkflowError, match="jobs 5 of this run were cancelled and do not end"):
        executor._find_left_jobs()


# ---------------------------------------------------------------- submission
def submissions(monkeypatch, *outcomes):
    """What becomes of each submission: None, or the words of sbatch."""
    left = list(outcomes)

    def run_job(self, job):
        words = left.pop(0)
        if words is None:
            self.active_jobs.append(SubmittedJobInfo(job, external_jobid="9"))
        else:
            self._report_job_error_threadsafe(SubmittedJobInfo(job), words)

    monkeypatch.setattr(module.SlurmExecutor, "run_job", run_job)
    return left


AWAY = "SLURM sbatch failed. The error message was 'Unable to contact slurm controller'"


def test_submission_waits_for_the_controller(executor, slurm, monkeypatch):
    left = submissions(monkeypatch, AWAY, AWAY, None)
    slurm.away = 3
    executor.run_job(Job())
    assert left == []
    assert [each.external_jobid for each in executor.active_jobs] == ["9"]
    assert executor.reported == []


def test_a_submission_whose_answer_was_lost_is_not_repeated(executor, slurm, monkeypatch):
    comment = "rule_generate_events_wildcards_train_c9_-0.90_000"
    slurm.jobs["4"] = QueuedJob("4", "PENDING", executor.run_uuid, comment)
    left = submissions(monkeypatch, AWAY, None)
    executor.run_job(Job())
    assert len(left) == 1
    assert [each.external_jobid for each in executor.active_jobs] == ["4"]


def test_a_refused_submission_is_reported(executor, monkeypatch):
    submissions(monkeypatch, "SLURM sbatch failed. The error message was 'Invalid account'")
    executor.run_job(Job())
    assert "Invalid account" in executor.reported[0][1]


def test_a_full_queue_is_waited_for(executor, slurm, monkeypatch, caplog):
    full = (
        "SLURM sbatch failed. The error message was 'sbatch: error: Batch job submission failed: "
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)'.\n"
    )
    left = submissions(monkeypatch, full, full, None, full)
    slurm.jobs["3"] = QueuedJob("3", "RUNNING", "wrap", "")
    executor.run_job(Job())
    assert len(left) == 1
    assert executor.reported == []
    assert caplog.text.count("jobs wait until it takes more") == 1
    # with an empty queue it is the job itself that is too large
    del slurm.jobs["3"]
    executor.run_job(Job())
    assert "violates accounting/QOS policy" in executor.reported[0][1]


def test_a_submission_that_goes_wrong_is_no_silence(executor):
    def fail():
        raise RuntimeError("something new")

    executor._watch = SimpleNamespace(changed=fail)
    executor.run_job(Job())
    assert "something new" in executor.reported[0][1]


def test_nothing_is_submitted_from_edited_code(executor, monkeypatch):
    left = submissions(monkeypatch, None)
    executor._watch = SimpleNamespace(changed=lambda: True)
    executor.run_job(Job())
    assert len(left) == 1
    assert "the code of the checkout changed under the running workflow" in executor.reported[0]


def test_a_refused_rule_stops_before_the_first_job(executor, monkeypatch):
    executor._refusal = lambda: "rule train: sbatch refuses its job: no"
    left = submissions(monkeypatch, None)
    executor.run_jobs([Job()])
    assert len(left) == 1
    assert executor.reported == ["wilsonvox: rule train: sbatch refuses its job: no"]


def test_several_clusters_are_refused(executor):
    executor.needed = [Job(resources={"clusters": "a,b"})]
    assert "follows jobs of one cluster only" in executor._refusal()


@pytest.mark.parametrize(
    ("script", "refused"),
    [
        ("exit 0", ""),
        # sbatch of Slurm 22.05.8
        (
            "echo 'allocation failure: Requested node configuration is not available' >&2; exit 1",
            "allocation failure: Requested node configuration is not available",
        ),
        (
            (
                "echo 'allocation failure: Required node not available (down, drained or reserved)'"
                " >&2; exit 1"
            ),
            "",
        ),
    ],
)
def test_what_sbatch_refuses(executor, script, refused):
    assert executor._test(f"sh -c {script!r}" if "'" not in script else script) == refused


# ---------------------------------------------------------------- the end
def test_cancel_ends_own_jobs_and_those_taken_over(executor, slurm):
    executor.shutdown = lambda: None
    executor._cancelling = False
    executor._taken_over = {"5"}
    slurm.jobs = {
        "5": queued(executor, "5"),
        "6": queued(executor, "6", uuid="uuid"),
        "7": queued(executor, "7", uuid="another"),
        "8": queued(executor, "8", uuid="uuid", state="COMPLETED"),
    }
    executor.cancel()
    assert slurm.cancelled == ["5", "6"]
    assert executor._stopping.is_set()


def test_cancel_without_a_controller_says_so(executor, slurm, caplog):
    executor.shutdown = lambda: None
    slurm.away = 2
    executor.cancel()
    assert "could not be cancelled" in caplog.text


def test_without_slurm_there_is_nothing_to_cancel(executor, monkeypatch, caplog):
    def missing():
        raise FileNotFoundError("squeue")

    monkeypatch.setattr(module, "own_jobs", missing)
    executor.shutdown = lambda: None
    executor.cancel()
    assert caplog.text == ""
    with pytest.raises(WorkflowError, match="there is no squeue here"):
        executor._own_jobs()


@pytest.mark.parametrize(("away", "kept"), [(0, False), (9, True)])
def test_jobs_that_go_on_keep_their_folder(executor, slurm, monkeypatch, tmp_path, away, kept):
    folder = tmp_path / "tmp"
    folder.mkdir()
    executor._tmpdir = str(folder)
    executor._job_submission_executor = SimpleNamespace(shutdown=lambda wait: None)  # noqa: ARG005
    monkeypatch.setattr(
        module.SlurmExecutor, "shutdown", lambda self: self._tmpdir and folder.rmdir()
    )
    slurm.away = away
    executor.cancel()
    assert folder.exists() is kept


def test_only_for_this_workflow(monkeypatch):
    monkeypatch.delenv("WILSONVOX_STARTED_WITH", raising=False)
    with pytest.raises(WorkflowError, match="runs the workflow of wilsonvox only"):
        Executor.__new__(Executor).__post_init__()
