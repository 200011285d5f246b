"""Reports and requests of the executor while jobs and the controller fail."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fake_slurm import AWAY, Job, wait_for
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_wilsonvox_slurm import executor as module
from snakemake_executor_plugin_wilsonvox_slurm.executor import FORGOTTEN_CHECKS


class StoppingGuard:
    """Guard of a workflow whose state a test changes."""

    name, digest = "analysis", "0123456789abcdef"
    reason: str | None = None

    def changed(self):
        return self.reason

    def stop_reason(self, log):
        return "another configuration" if "CHANGED" in log else None

    def failure_message(self, log):
        return next((line for line in log.splitlines() if line.startswith("error: ")), None)


GUARD = f"{__name__}:StoppingGuard"


# ---------------------------------------------------------------- submission
def test_a_job_from_submission_to_end(run, slurm):
    job = Job("simulate", "a/b", "1", resources={"mem_mb": 1500, "runtime": 30, "gres": "gpu:1"})
    (number,) = run.start(job)
    (call,) = slurm.lines("submitted")
    assert f"--job-name {run.executor.names.prefix}_" in call
    assert "--comment rule_simulate_wildcards_a_b_1" in call
    assert "--mem 1500" in call
    assert "-t 30" in call
    assert "--gres=gpu:1" in call
    assert "-m snakemake --snakefile" in call
    assert not {"-A", "-p"} & set(call.partition("--wrap")[0].split())
    assert job.announced == 1
    slurm.set_state(number, "RUNNING")
    run.wait_for_checks()
    assert run.scheduler.finished == []
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [job])
    assert run.scheduler.failed == []


def test_a_command_on_standard_input(make_run, slurm):
    run = make_run(pass_command_as_script=True)
    run.start(Job())
    assert "--wrap" not in slurm.lines("submitted")[0]
    script = slurm.lines("script")
    assert script[0] == "#!/bin/sh"
    assert "-m snakemake" in script[1]


def test_account_partition_and_excluded_nodes(make_run, slurm):
    run = make_run(exclude_failed_nodes="node1, node2")
    run.start(Job(resources={"slurm_partition": "long"}))
    (call,) = slurm.lines("submitted")
    assert "-p long" in call
    assert "--exclude=node1,node2" in call


def test_submission_waits_for_the_controller(run, slurm):
    slurm.answer_submissions(f"sbatch: error: {AWAY}", AWAY)
    job = Job()
    run.start(job)
    assert len(slurm.lines("submitted")) == 3
    assert run.scheduler.failed == []
    assert job.announced == 1


def test_a_submission_whose_answer_was_lost_is_not_repeated(run, slurm):
    slurm.answer_submissions(f"lost: {AWAY}")
    job = Job()
    (number,) = run.start(job)
    assert len(slurm.lines("submitted")) == 1
    assert job.announced == 1
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [job])


def test_a_refused_submission_fails(run, slurm):
    slurm.answer_submissions("sbatch: error: Invalid account")
    job = Job()
    run.executor.run_jobs([job])
    wait_for(lambda: run.scheduler.failed == [job])
    assert "submission failed: Invalid account" in job.errors[0]
    assert len(slurm.lines("submitted")) == 1


FULL = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)"
)


def test_a_full_queue_is_waited_for(run, slurm, caplog):
    slurm.queue("3", "RUNNING", "wrap")
    slurm.answer_submissions(FULL, FULL)
    run.start(Job())
    assert len(slurm.lines("submitted")) == 3
    assert caplog.text.count("jobs wait until it takes more") == 1


def test_a_job_that_an_empty_queue_does_not_take_fails(run, slurm):
    slurm.answer_submissions(FULL)
    job = Job()
    run.executor.run_jobs([job])
    wait_for(lambda: run.scheduler.failed == [job])
    assert "violates accounting/QOS policy" in job.errors[0]


def test_an_unexpected_error_of_a_submission_is_reported(make_run, monkeypatch):
    def fail(_):
        raise RuntimeError("something new")

    run = make_run(guard=GUARD)
    monkeypatch.setattr(StoppingGuard, "changed", fail)
    job = Job()
    run.executor.run_jobs([job])
    wait_for(lambda: run.scheduler.failed == [job])
    assert "submission failed: something new" in job.errors[0]


def test_options_that_the_executor_sets_itself_are_refused(run):
    run.jobs = [Job(resources={"slurm_extra": "--comment=mine"})]
    with pytest.raises(WorkflowError, match="comment"):
        run.executor.run_jobs(run.jobs)


def test_a_refused_rule_stops_before_the_first_job(run, slurm):
    slurm.write("refusal", "allocation failure: Requested node configuration is not available")
    run.jobs = [Job("train", str(number), resources={"runtime": 9}) for number in range(3)]
    run.executor.run_jobs(run.jobs)
    (reason,) = run.scheduler.stopped
    assert "rule train: sbatch refuses its job: allocation failure: Requested node" in reason
    assert "runtime=9" in reason
    assert slurm.lines("submitted") == []


def test_rules_that_ask_for_the_same_are_checked_once(run, slurm):
    run.start(Job("train", "1"), Job("train", "2"), Job("evaluate"), Job("report"))
    checks = [line for line in slurm.lines("calls") if line.startswith("test")]
    assert checks == ["test rule_train_wildcards_1"]


def test_nodes_that_are_down_refuse_nothing(run, slurm):
    # sbatch of Slurm 22.05.8
    slurm.write(
        "refusal",
        "allocation failure: Required node not available (down, drained or reserved)",
    )
    run.start(Job())
    assert run.scheduler.stopped == []


def test_the_first_check_waits_for_the_controller(run, slurm, caplog):
    slurm.leave_unanswered(3)
    run.start(Job())
    assert caplog.text.count("does not answer") == 1
    assert "answers again" in caplog.text


def test_several_clusters_are_refused(run):
    run.jobs = [Job(resources={"clusters": "a,b"})]
    run.executor.run_jobs(run.jobs)
    assert "follows jobs of one cluster only" in run.scheduler.stopped[0]


def test_job_arrays_are_refused(make_run):
    with pytest.raises(WorkflowError, match="submits no job arrays"):
        make_run(array_jobs="all")


def test_a_machine_without_slurm(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkflowError, match="there is no squeue here"):
        run.executor.run_jobs([Job()])


# ---------------------------------------------------------------- running jobs
def test_no_job_is_forgotten_while_the_controller_is_away(run, slurm, caplog):
    one, two = Job("one"), Job("two")
    first, second = run.start(one, two)
    slurm.leave_unanswered(7)
    wait_for(lambda: slurm.unanswered() < 7)  # a query may have been on its way
    slurm.set_state(first, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [one])
    assert slurm.unanswered() == 0
    assert caplog.text.count("does not answer") == 1
    assert "answers again" in caplog.text
    slurm.set_state(second, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [one, two])


def test_no_job_is_forgotten_when_squeue_fails_otherwise(run, slurm, caplog):
    job = Job()
    (number,) = run.start(job)
    slurm.leave_unanswered(FORGOTTEN_CHECKS + 2, "Invalid user")
    wait_for(lambda: slurm.unanswered() < FORGOTTEN_CHECKS + 2)
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [job])
    assert "does not answer" in caplog.text


def test_a_failed_job_is_explained(run, slurm):
    job = Job()
    (number,) = run.start(job)
    slurm.write(f"shown/{number}", "NodeList=node7 RunTime=01:00:03 TimeLimit=01:00:00\n")
    slurm.set_state(number, "TIMEOUT")
    wait_for(lambda: run.scheduler.failed == [job])
    assert f"SLURM job {number} ended as TIMEOUT on node7 after 01:00:03" in job.errors[0]
    assert "its time limit was 01:00:00" in job.errors[0]
    assert "message" not in job.errors[0]


def slurm_log(number: str, name: str = "simulate") -> Path:
    return Path(f".snakemake/slurm_logs/rule_{name}/{number}.log")


@pytest.mark.parametrize("kept", [False, True])
def test_the_log_of_a_job_that_succeeded(make_run, slurm, kept):
    run = make_run(keep_successful_logs=kept)
    (number,) = run.start(Job())
    slurm_log(number).write_text("all is well")
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished)
    assert slurm_log(number).exists() is kept


def test_jobs_that_left_the_queue_are_looked_up_in_accounting(run, slurm):
    one, two = Job("one"), Job("two")
    first, second = run.start(one, two)
    slurm.account(**{f"_{first}": "COMPLETED", f"_{second}": "FAILED"})
    slurm.forget(first)
    slurm.forget(second)
    wait_for(lambda: run.scheduler.finished == [one] and run.scheduler.failed == [two])
    assert "ended as FAILED" in two.errors[0]


@pytest.mark.parametrize("accounted", [True, False])
def test_a_job_that_left_the_queue_without_a_trace_has_ended(run, slurm, accounted):
    job = Job()
    (number,) = run.start(job)
    if accounted:  # accounting was not updated when the job ended
        slurm.account(**{f"_{number}": "RUNNING"})
    before = slurm.queries()
    slurm.forget(number)
    # Snakemake then checks its outputs
    wait_for(lambda: run.scheduler.finished == [job])
    # one query may have been on its way
    assert slurm.queries() >= before + FORGOTTEN_CHECKS - 1


def test_a_job_that_may_never_start_is_reported_once(run, slurm, caplog):
    (number,) = run.start(Job())
    slurm.set_state(number, "PENDING", "PartitionTimeLimit")
    run.wait_for_checks(5)
    assert caplog.text.count("waits with reason PartitionTimeLimit: it may never start") == 1


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_a_job_on_a_failed_node_fails(run, slurm, state):
    job = Job()
    (number,) = run.start(job)
    slurm.set_state(number, state)
    wait_for(lambda: run.scheduler.failed == [job])


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_a_job_that_slurm_starts_again_is_waited_for(make_run, slurm, state, monkeypatch):
    monkeypatch.setattr(module, "FORGOTTEN_CHECKS", 10**6)
    run = make_run(requeue=True)
    job = Job()
    (number,) = run.start(job)
    slurm.set_state(number, state)
    run.wait_for_checks()
    slurm.set_state(number, "PENDING")
    run.wait_for_checks()
    assert run.scheduler.failed == []
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [job])


def test_a_job_that_slurm_does_not_start_again_fails(make_run, slurm):
    run = make_run(requeue=True)
    job = Job()
    (number,) = run.start(job)
    slurm.set_state(number, "NODE_FAIL")
    wait_for(lambda: run.scheduler.failed == [job])


# ---------------------------------------------------------------- the guard
def test_nothing_is_submitted_after_a_change(make_run, slurm, monkeypatch):
    run = make_run(guard=GUARD)
    run.start(Job("one"))
    monkeypatch.setattr(StoppingGuard, "reason", "the code has changed")
    run.executor.run_jobs([Job("two")])
    wait_for(lambda: run.scheduler.stopped)
    assert run.scheduler.stopped == ["wilsonvox-slurm: the code has changed"]
    run.executor.run_jobs([Job("three")])
    assert len(slurm.lines("submitted")) == 1


def test_a_job_that_found_a_change_stops_the_run(make_run, slurm, tmp_path):
    run = make_run(guard=GUARD)
    log = tmp_path / "rule.log"
    log.write_text("CHANGED\nerror: it is not what it was\n")
    job = Job(log=[str(log)])
    (number,) = run.start(job)
    slurm.set_state(number, "FAILED")
    wait_for(lambda: run.scheduler.failed == [job])
    assert run.scheduler.stopped == ["wilsonvox-slurm: another configuration"]
    assert "message: error: it is not what it was" in job.errors[0]
    run.executor.run_jobs([Job("two")])
    assert len(slurm.lines("submitted")) == 1


# ---------------------------------------------------------------- jobs of an earlier Snakemake
def test_taken_over_by_the_recorded_number(run, slurm, caplog):
    slurm.queue("5", "RUNNING", run.left_name(), "rule_group")
    one, two = Job("one"), Job("two")
    group = Job("both", jobs=[one, two])
    one.recorded = two.recorded = ["5"]
    run.executor.run_jobs([group])
    assert run.scheduler.submitted == [group]
    assert "is SLURM job 5 of an earlier Snakemake, RUNNING: taken over" in caplog.text
    assert group.announced == 1
    slurm.set_state("5", "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [group])
    assert slurm.lines("submitted") == []


def test_taken_over_by_rule_and_wildcards(run, slurm):
    slurm.queue("5", "RUNNING", run.left_name(), "rule_simulate_wildcards_a")
    slurm.queue("6", "RUNNING", run.left_name(), "rule_simulate_wildcards_b")
    job, other = Job("simulate", "a"), Job("simulate", "c")
    run.start(job, other)
    assert job.recorded == ["5"]
    assert len(slurm.lines("submitted")) == 1
    assert slurm.lines("cancelled") == []
    slurm.set_state("5", "COMPLETED")
    wait_for(lambda: run.scheduler.finished == [job])


@pytest.mark.parametrize(
    ("state", "end", "taken"),
    [
        ("COMPLETED", "2099-01-01T00:00:00", True),  # while this Snakemake chose its jobs
        ("COMPLETED", "2020-01-01T00:00:00", False),
        ("FAILED", "2099-01-01T00:00:00", False),
    ],
)
def test_jobs_that_ended_before_they_could_be_taken_over(run, slurm, state, end, taken):
    slurm.queue("5", state, run.left_name(), "rule_simulate", end=end)
    job = Job()
    run.start(job)
    assert (job.recorded == ["5"]) is taken
    assert (slurm.lines("submitted") == []) is taken


def test_a_job_of_a_group_is_not_taken_over_alone(run, slurm):
    slurm.queue("5", "RUNNING", run.left_name(), "rule_group")
    run.start(Job(recorded=["5"]))
    assert slurm.lines("cancelled") == ["5"]
    assert len(slurm.lines("submitted")) == 1


@pytest.mark.parametrize(
    ("recorded", "taken", "cancelled"),
    [
        ([["5"], ["5"]], True, []),
        ([["5"], ["6"]], False, ["5", "6"]),
        ([["5"], []], False, ["5"]),
        ([[], []], False, []),
    ],
)
def test_groups_of_jobs(run, slurm, recorded, taken, cancelled):
    for number in ("5", "6"):
        slurm.queue(number, "RUNNING", run.left_name())
    run.start(Job("both", jobs=[Job(recorded=numbers) for numbers in recorded]))
    assert (slurm.lines("submitted") == []) is taken
    assert slurm.lines("cancelled") == cancelled


def test_jobs_of_other_code_are_cancelled_and_no_others(run, slurm):
    name = run.left_name(other_state=True)
    slurm.queue("4", "RUNNING", name, "known by its number")
    slurm.queue("5", "RUNNING", name, "rule_simulate")
    # not needed by this Snakemake: another one's of the same run
    slurm.queue("6", "RUNNING", name, "rule_train")
    slurm.queue("7", "RUNNING", "run-12345678-12345678_uuid", "rule_simulate")
    slurm.queue("8", "RUNNING", "wrap", "rule_simulate")
    job = Job()
    run.start(job, Job("other", recorded=["4"]))
    assert slurm.lines("cancelled") == ["4", "5"]
    assert len(slurm.lines("submitted")) == 2


def test_jobs_that_do_not_end_when_cancelled(run, slurm, monkeypatch):
    monkeypatch.setattr(module, "GONE_SECONDS", 0)
    slurm.write("stubborn", "")
    slurm.queue("5", "RUNNING", run.left_name(other_state=True), "rule_simulate")
    run.jobs = [Job()]
    with pytest.raises(WorkflowError, match="jobs 5 of this run were cancelled and do not end"):
        run.executor.run_jobs(run.jobs)


# ---------------------------------------------------------------- the end
def test_cancel_ends_own_jobs_and_those_taken_over(run, slurm):
    slurm.queue("5", "RUNNING", run.left_name(), "rule_simulate")
    slurm.queue("7", "RUNNING", run.left_name(), "rule_train")
    _, own, ended = run.start(Job(), Job("own"), Job("ended"))
    slurm.set_state(ended, "COMPLETED")
    run.executor.cancel()
    assert set(slurm.lines("cancelled")) == {"5", own}
    run.executor.run_jobs([Job("late")])
    assert len(slurm.lines("submitted")) == 2


def test_cancel_during_a_submission(run, slurm):
    slurm.write("hold", "")
    run.executor.run_jobs([Job()])
    wait_for(lambda: slurm.lines("submitted"))
    queries = slurm.queries()
    cancelling = threading.Thread(target=run.executor.cancel)
    cancelling.start()
    wait_for(lambda: slurm.queries() > queries)
    (slurm.folder / "hold").unlink()
    cancelling.join()
    (path,) = (slurm.folder / "queue").iterdir()
    assert "|CANCELLED|" in path.read_text()


def test_cancel_while_the_answer_of_a_submission_is_lost(run, slurm, monkeypatch):
    monkeypatch.setattr(module, "SETTLING_SECONDS", 60)
    slurm.answer_submissions(f"lost: {AWAY}")
    run.executor.run_jobs([Job()])
    wait_for(lambda: list((slurm.folder / "queue").iterdir()))
    run.executor.cancel()
    (path,) = (slurm.folder / "queue").iterdir()
    assert "|CANCELLED|" in path.read_text()


@pytest.mark.parametrize(("unanswered", "kept"), [(0, False), (10**6, True)])
def test_jobs_that_go_on_keep_their_folder(run, slurm, caplog, unanswered, kept):
    run.start(Job())
    (folder,) = Path(".snakemake").glob("tmp.*")
    assert str(folder.absolute()) in slurm.lines("submitted")[0]
    slurm.leave_unanswered(unanswered)
    run.executor.cancel()
    assert ("could not be cancelled" in caplog.text) is kept
    assert folder.exists() is kept


def test_the_folder_goes_at_a_normal_end(run, slurm):
    (number,) = run.start(Job())
    slurm.set_state(number, "COMPLETED")
    wait_for(lambda: run.scheduler.finished)
    run.executor.shutdown()
    assert list(Path(".snakemake").glob("tmp.*")) == []


def test_without_slurm_there_is_nothing_to_cancel(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    run.executor.cancel()
    assert "could not be cancelled" not in caplog.text


# ---------------------------------------------------------------- as Snakemake finds it
def test_snakemake_finds_the_plugin_without_the_workflow():
    code = (
        "import sys\n"
        "from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry\n"
        "plugin = ExecutorPluginRegistry().get_plugin('wilsonvox-slurm')\n"
        "print(plugin.executor.__module__, 'wilsonvox' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "snakemake_executor_plugin_wilsonvox_slurm.executor False\n"
