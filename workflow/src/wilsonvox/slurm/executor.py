"""Snakemake's Slurm executor, made to survive an absent controller and a killed Snakemake.

It submits as snakemake-executor-plugin-slurm does, whose settings it has, and differs in these:

- An absent controller is waited for, at submission and when jobs are looked for. (Version 2.8 of
  the plugin forgets all jobs when five questions in a row get no answer, and Snakemake then waits
  for ever.)
- Jobs of an earlier Snakemake of the same run, which was killed, are taken over where they were
  submitted with the same code and configuration, and cancelled where not.
- Before the first job, `sbatch --test-only` is asked about each rule: what the site refuses is
  known at once, in its own words.
- A job that the queue has forgotten is looked up in the accounting database; where there is none,
  its outputs decide.

Imports Snakemake: import this module inside the functions that need it.
"""

import re
import signal
import subprocess
import threading
import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import get_job_wildcards, set_gres_string
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from wilsonvox.slurm.names import JobNames
from wilsonvox.slurm.queue import (
    LIMITED,
    NEVER_STARTS,
    NOT_NOW,
    RUNNING_STATES,
    UNREACHABLE,
    ControllerAwayError,
    QueuedJob,
    accounted_states,
    describe_job,
    failure_text,
    own_jobs,
    run_command,
)
from wilsonvox.workflow.started import CHANGED, StartedWith, Watch

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

ASKING_AGAIN_SECONDS = 10
"""Seconds between two questions to a controller that did not answer."""

GONE_SECONDS = 120
"""Seconds that cancelled jobs may take to end."""

TOLD_AGAIN_SECONDS = 600
"""Seconds after which it is told again that the controller is away."""

SETTLING_SECONDS = 20
"""Seconds after which a submission whose answer was lost is in the queue, if it was accepted."""

LIMITED_SECONDS = 60
"""Seconds between two tries where the site takes no more jobs."""

BEGAN = time.time()
"""When this process began, about: Snakemake loads its executors before it chooses jobs."""

FORGOTTEN_CHECKS = 3
"""Checks in a row in which neither queue nor accounting know a job, after which it has ended."""


class Executor(SlurmExecutor):  # type: ignore[misc]
    """Submits jobs to Slurm and follows them, whatever becomes of controller and Snakemake."""

    def __post_init__(self, test_mode: bool = False) -> None:
        started = StartedWith.noted()
        if started is None:
            raise WorkflowError("the executor wilsonvox-slurm runs the workflow of wilsonvox only")
        if self.workflow.executor_settings.array_jobs:
            raise WorkflowError("wilsonvox-slurm-array-jobs: this executor submits no job arrays")
        self.names = JobNames.of(started, Path(self.workflow.workdir_init))
        self.workflow.executor_settings.jobname_prefix = self.names.prefix
        self._watch = Watch()
        self._left: dict[str, QueuedJob] | None = None
        self._forgotten: dict[str, int] = {}
        self._taken_over: set[str] = set()
        self._away_since: float | None = None
        self._away_told = 0.0
        self._cancelling = False
        self._warned: set[str] = set()
        self._stopping = threading.Event()
        self._submission = threading.local()
        super().__post_init__(test_mode)

    # ------------------------------------------------------------ before the first job
    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs, after those of an earlier Snakemake were found."""
        if self._left is None:
            self._left = self._find_left_jobs()
            refusal = self._refusal()
            if refusal:
                self._stop(refusal)
        if self._stopping.is_set():
            return
        waiting = []
        for job in jobs:
            left = self._left_job(job)
            if left is None:
                waiting.append(job)
            else:
                self._take_over(job, left)
        if waiting:
            super().run_jobs(waiting)

    def _find_left_jobs(self) -> dict[str, QueuedJob]:
        """Jobs of this run that an earlier Snakemake submitted, by number.

        Those with another code or configuration that make what this Snakemake is to make are
        cancelled first. What ended since this process began is among them: the jobs to be run were
        chosen before.
        """
        found = [each for each in self._own_jobs() if self.names.same_run(each.name)]
        other = self._needed(
            each for each in found if not each.ended and not self.names.same_start(each.name)
        )
        if other:
            numbers = ", ".join(other)
            self.logger.warning(
                f"wilsonvox: cancelling jobs {numbers} of this run, which were submitted with "
                "another code or configuration"
            )
            self._cancel_and_wait(other)
        began = datetime.fromtimestamp(BEGAN).isoformat(timespec="seconds")
        return {
            each.job_id: each
            for each in found
            if self.names.same_start(each.name)
            and (not each.ended or (each.state == "COMPLETED" and each.end > began))
        }

    def _needed(self, left: Iterable[QueuedJob]) -> list[str]:
        """Numbers of jobs that make what a job of this Snakemake is to make."""
        comments, noted = set(), set()
        for job in self.dag.needrun_jobs():
            comments.add(self._comment(job))
            noted.update(self.workflow.persistence.external_jobids(job))
        return [each.job_id for each in left if each.comment in comments or each.job_id in noted]

    def _left_job(self, job: Any) -> QueuedJob | None:
        """The job of an earlier Snakemake that makes the outputs of `job`."""
        if not self._left:
            return None
        noted = [set(self.workflow.persistence.external_jobids(each)) for each in _members(job)]
        found = set().union(*noted) & set(self._left)
        if not job.is_group():
            # also one submitted by a Snakemake that was killed before it could note the number
            comment = self._comment(job)
            same = {each for each, left in self._left.items() if left.comment == comment}
            whole = found <= same
            found |= same
        else:
            whole = all(found <= ids for ids in noted)
        left = {job_id: self._left.pop(job_id) for job_id in found}
        if len(left) == 1 and whole:
            return next(iter(left.values()))
        if left:  # jobs were grouped otherwise
            self._cancel_and_wait(sorted(left))
        return None

    @staticmethod
    def _comment(job: Any) -> str:
        wildcards = get_job_wildcards(job)
        return f"rule_{job.name}_wildcards_{wildcards}" if wildcards else f"rule_{job.name}"

    def _take_over(self, job: Any, left: QueuedJob) -> None:
        log = describe_job(left.job_id).get("StdOut")
        self.run_job_pre(job)
        self.logger.info(
            f"wilsonvox: job {job.jobid} is SLURM job {left.job_id} of an earlier Snakemake, "
            f"{left.state}: taken over (log: {log})"
        )
        self._taken_over.add(left.job_id)
        aux = {"slurm_logfile": Path(log) if log else None}
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=left.job_id, aux=aux))

    def _refusal(self) -> str | None:
        """What the site refuses of one job of each rule, in sbatch's words; None if nothing."""
        rules: dict[str, Any] = {}
        for job in self.dag.needrun_jobs():
            if not job.is_group() and not job.is_local:
                rules.setdefault(job.rule.name, job)
        answers: dict[str, str] = {}
        for rule, job in rules.items():
            if any(job.resources.get(name) for name in ("cluster", "clusters", "slurm_cluster")):
                return (
                    f"rule {rule}: this executor follows jobs of one cluster only: leave out "
                    "cluster, clusters and slurm_cluster"
                )
            call = f"{self._call(job)} --test-only --wrap true"
            alike = call.replace(self._comment(job), "")
            if alike not in answers:
                answers[alike] = self._test(call)
            if answers[alike]:
                return (
                    f"rule {rule}: sbatch refuses its job: {answers[alike]}; see the lines of "
                    f"this rule and the site's names in the profile (resources: "
                    f"{self._asked_for(job)})"
                )
        return None

    def _call(self, job: Any) -> str:
        parameters = {
            "run_uuid": self.run_uuid,
            "slurm_logfile": "/dev/null",
            "comment_str": self._comment(job),
            "account": next(self.get_account_arg(job)),
            "partition": self.get_partition_arg(job),
            "workdir": self.workflow.workdir_init,
        }
        call = get_submit_command(job, parameters, settings=self.workflow.executor_settings)
        return f"{call}{set_gres_string(job)}"

    @staticmethod
    def _asked_for(job: Any) -> str:
        names = ("slurm_partition", "gres", "gpu", "mem_mb", "runtime")
        values = ((name, job.resources.get(name)) for name in names)
        return ", ".join(f"{name}={value}" for name, value in values if value is not None)

    def _test(self, call: str) -> str:
        """Why sbatch refuses a call for good, in its words; empty where it does not."""
        while True:
            done = subprocess.run(call, shell=True, capture_output=True, text=True, check=False)
            words = " ".join(done.stderr.replace("sbatch: error: ", "").split())
            if done.returncode and UNREACHABLE.search(words):
                self._note_away(words)
                if self._stopping.wait(ASKING_AGAIN_SECONDS):
                    return ""
                continue
            self._note_back()
            return words if done.returncode and not NOT_NOW.search(words) else ""

    # ------------------------------------------------------------ submission
    def run_job(self, job: Any) -> None:
        """Submit one job; called in a thread of its own, of which nobody else hears."""
        try:
            self._submit_patiently(job)
        except Exception as error:
            words = " ".join(str(error).split())
            self.report_job_error(SubmittedJobInfo(job), msg=f"submission failed: {words}. ")

    def _submit_patiently(self, job: Any) -> None:
        """Submit one job; while the site does not take it, try again."""
        while not self._stopping.is_set():
            if self._watch.changed():
                self._stop(
                    f"the code of the checkout {CHANGED}: nothing more is submitted; put it "
                    "back, or let the running jobs end, and start again (long runs belong in a "
                    "checkout that nobody edits)"
                )
                return
            self._submission.failure = None
            super().run_job(job)
            if self._submission.failure is None:
                self._note_back()
                return
            info, message = self._submission.failure
            # without a job in the queue it is this one's size that the site does not take
            if LIMITED.search(message) and any(not each.ended for each in self._own_jobs()):
                self._warn_once("limit", f"{_sbatch_words(message)}; jobs wait until it takes more")
                self._stopping.wait(LIMITED_SECONDS)
            elif UNREACHABLE.search(message):
                self._note_away(_sbatch_words(message))
                # it may have been accepted, and the answer been lost
                self._stopping.wait(SETTLING_SECONDS)
                accepted = self._accepted(job)
                if accepted is not None:
                    self._take_over(job, accepted)
                    return
            else:
                self.report_job_error(info, msg=message)
                return

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        self._submission.failure = (job_info, msg)

    def _accepted(self, job: Any) -> QueuedJob | None:
        with self.lock:
            known = {each.external_jobid for each in self.active_jobs}
        for each in self._own_jobs():
            new = each.job_id not in known | self._taken_over and not each.ended
            if new and each.name == self.run_uuid and each.comment == self._comment(job):
                return each
        return None

    def _stop(self, reason: str) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self.workflow.scheduler.executor_error_callback(WorkflowError(f"wilsonvox: {reason}"))

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """The account of a job; where none is given, Slurm takes the user's own.

        (The plugin would guess it with sacct, which not every site has.)
        """
        if job.resources.get("slurm_account"):
            yield from super().get_account_arg(job)
        else:
            yield ""

    def get_partition_arg(self, job: Any) -> str:
        """The partition of a job; where none is given, Slurm takes its default."""
        if job.resources.get("slurm_partition") or self._partitions:
            return str(super().get_partition_arg(job))
        return ""

    # ------------------------------------------------------------ the controller
    def _own_jobs(self) -> list[QueuedJob]:
        """The user's jobs, as soon as the controller answers.

        Raises:
            WorkflowError: there is no Slurm here.
        """
        while True:
            try:
                jobs = own_jobs()
            except FileNotFoundError:
                raise WorkflowError(
                    "wilsonvox: there is no squeue here: is this a login node of a Slurm cluster?"
                ) from None
            except (ControllerAwayError, subprocess.CalledProcessError) as error:
                self._note_away(_words(error))
                if self._stopping.wait(ASKING_AGAIN_SECONDS):
                    return []
            else:
                self._note_back()
                return jobs

    def _note_away(self, words: str) -> None:
        if self._away_since is None:
            self._away_since = self._away_told = time.monotonic()
        elif time.monotonic() - self._away_told < TOLD_AGAIN_SECONDS:
            return
        self._away_told = time.monotonic()
        self.logger.warning(
            f"wilsonvox: the Slurm controller does not answer ({words}); jobs in the queue go on, "
            "and this process waits for it"
        )

    def _note_back(self) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self._away_since = None
            self.logger.warning(
                f"wilsonvox: the Slurm controller answers again, after {seconds:.0f} s"
            )

    def _warn_once(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self.logger.warning(f"wilsonvox: {text}")

    # ------------------------------------------------------------ running jobs
    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncIterator[SubmittedJobInfo]:
        """Report jobs that have ended; give those that have not, all of them if nobody answers."""
        settings = self.workflow.executor_settings
        self.next_seconds_between_status_checks = settings.init_seconds_before_status_checks
        if not active_jobs:
            return
        try:
            states = await to_thread(self._states, [each.external_jobid for each in active_jobs])
        except Exception as error:  # whatever it is: jobs are not to be forgotten
            self._note_away(_words(error))
            for info in active_jobs:
                yield info
            return
        self._note_back()
        for info in active_jobs:
            state = states.get(info.external_jobid)
            if self._goes_on(info.external_jobid, state):
                yield info
            elif state in ("COMPLETED", None):
                self._report_end(info)
            else:
                await to_thread(self._report_failure, info, state)

    def _states(self, job_ids: list[str]) -> dict[str, str]:
        """States by number; of those that the queue has forgotten what accounts say, if ended."""
        queued = {each.job_id: each for each in own_jobs()}
        for job_id in job_ids:
            job = queued.get(job_id)
            if job is not None and job.state == "PENDING" and NEVER_STARTS.search(job.reason):
                self._warn_once(
                    f"{job_id} {job.reason}",
                    f"SLURM job {job_id} waits with reason {job.reason}: it may never start; see "
                    f"`scontrol show job {job_id}`",
                )
        unknown = [job_id for job_id in job_ids if job_id not in queued]
        accounted = accounted_states(unknown) if unknown else {}
        ended = {each: state for each, state in accounted.items() if state not in RUNNING_STATES}
        return {each.job_id: each.state for each in queued.values()} | ended

    def _goes_on(self, job_id: str, state: str | None) -> bool:
        """Whether a job is to be waited for, of its state now; None where nobody knows it."""
        if state is None:
            self._forgotten[job_id] = self._forgotten.get(job_id, 0) + 1
            return self._forgotten[job_id] < FORGOTTEN_CHECKS
        if state == "COMPLETED":
            return False
        if QueuedJob(job_id, state, "", "").ended:
            # Slurm may be about to put it back into the queue
            again = self.workflow.executor_settings.requeue and state in ("NODE_FAIL", "PREEMPTED")
            self._forgotten[job_id] = self._forgotten.get(job_id, 0) + 1
            return bool(again) and self._forgotten[job_id] < FORGOTTEN_CHECKS
        self._forgotten.pop(job_id, None)
        return True

    def _report_end(self, info: SubmittedJobInfo) -> None:
        """Report a job as done; Snakemake then looks whether its outputs are there."""
        log = (info.aux or {}).get("slurm_logfile")
        if log is not None and not self.workflow.executor_settings.keep_successful_logs:
            try:
                log.unlink(missing_ok=True)
            except OSError as error:
                self.logger.warning(f"{log}: cannot be removed: {error.strerror}")
        self.report_job_success(info)

    def _report_failure(self, info: SubmittedJobInfo, state: str) -> None:
        log = (info.aux or {}).get("slurm_logfile")
        shown = describe_job(info.external_jobid)
        written = "\n".join(_written(each) for each in (log, *map(Path, info.job.log)))
        changed = [line for line in written.splitlines() if CHANGED in line]
        if changed:  # it would be the same for every other job
            self._stop(changed[-1].partition("wilsonvox: ")[2])
        text = failure_text(info.external_jobid, state, shown, written)
        logs = [str(log)] if log is not None else []
        self.report_job_error(info, msg=f"{text}. ", aux_logs=logs)

    # ------------------------------------------------------------ the end
    def cancel(self) -> None:
        """Cancel all jobs of this process, those too that are being submitted."""
        with _without_interrupts():
            self._stopping.set()
            self._cancel_own()
            self.shutdown()  # waits for submissions

    def shutdown(self) -> None:
        """End; jobs that go on keep the folder whose files they wait for when they start."""
        self._job_submission_executor.shutdown(wait=True)
        if self._stopping.is_set() and not (self._cancelling and self._cancel_own()):
            self._tmpdir = None
        super().shutdown()

    def _cancel_own(self) -> bool:
        """Cancel the jobs of this process; whether none is left."""
        self._cancelling = True
        try:
            jobs = [each for each in own_jobs() if not each.ended]
            ours = {each.job_id for each in jobs if each.name == self.run_uuid}
            ours |= {each.job_id for each in jobs if each.job_id in self._taken_over}
            self._scancel(sorted(ours))
        except FileNotFoundError:  # no Slurm, no jobs
            return True
        except (ControllerAwayError, OSError, subprocess.CalledProcessError) as error:
            self._warn_once(
                "cancel",
                f"jobs could not be cancelled ({_words(error)}): they go on, and the same command "
                "takes them over later",
            )
            return False
        return True

    def _scancel(self, job_ids: Iterable[str]) -> None:
        words = list(job_ids)
        if words:
            run_command(["scancel", *words])

    def _cancel_and_wait(self, job_ids: list[str]) -> None:
        waiting = set(job_ids)
        deadline = time.monotonic() + GONE_SECONDS
        while waiting:
            with suppress(ControllerAwayError, subprocess.CalledProcessError):
                self._scancel(sorted(waiting))
            waiting &= {each.job_id for each in self._own_jobs() if not each.ended}
            if waiting and time.monotonic() > deadline:
                numbers = " ".join(sorted(waiting))
                raise WorkflowError(
                    f"wilsonvox: jobs {numbers} of this run were cancelled and do not end: see "
                    f"`squeue --jobs={numbers.replace(' ', ',')}`, then run the same command again"
                )
            time.sleep(2 if waiting else 0)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore further Ctrl-C while jobs are cancelled; in the main thread, which alone gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _words(error: Exception) -> str:
    """What a command of Slurm said, in one line."""
    return " ".join((getattr(error, "stderr", None) or str(error)).split())


def _sbatch_words(message: str) -> str:
    """What sbatch said, without the plugin's words around it."""
    found = re.search(r"error message was '(.*?)'\.\n", message, re.DOTALL)
    return " ".join((found[1] if found else message).split())


def _members(job: Any) -> list[Any]:
    return list(job.jobs) if job.is_group() else [job]


def _written(log: Path | None) -> str:
    """What stands in a job's log; empty if there is none."""
    try:
        return log.read_text(errors="replace") if log is not None else ""
    except OSError:
        return ""
