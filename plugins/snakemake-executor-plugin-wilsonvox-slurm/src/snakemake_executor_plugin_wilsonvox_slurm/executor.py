"""Executor that submits as snakemake-executor-plugin-slurm does, and survives failures of Slurm.

- An absent controller is waited for, at submission and when the states of jobs are asked for.
  (Version 2.8 of snakemake-executor-plugin-slurm forgets all jobs after five queries in a row
  without an answer, and Snakemake then waits forever.)
- Jobs of an earlier Snakemake of the same run, which was killed, are taken over if they were
  submitted with the same code and configuration, and cancelled otherwise.
- Before the first job, one job of each rule is checked with `sbatch --test-only`, so that the run
  ends at once, with Slurm's own error message, if the site refuses one.
- A job that left the queue is looked up in the accounting database; without one, its outputs
  decide.
"""

import signal
import subprocess
import tempfile
import threading
import time
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings as SlurmExecutorSettings
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_wilsonvox_slurm.guard import make_guard
from snakemake_executor_plugin_wilsonvox_slurm.names import JobNames
from snakemake_executor_plugin_wilsonvox_slurm.queue import (
    NEVER_STARTS,
    RUNNING_STATES,
    ControllerAwayError,
    QueuedJob,
    accounted_states,
    describe_job,
    failure_text,
    own_jobs,
    run_command,
)
from snakemake_executor_plugin_wilsonvox_slurm.sbatch import (
    CLUSTER_RESOURCES,
    SubmissionError,
    check_acceptance,
    chooses_partitions,
    job_comment,
    log_pattern,
    requested_resources,
    sbatch_call,
    submit,
)

ASKING_AGAIN_SECONDS = 10
"""Time between two queries to a controller that does not answer [s]."""

GONE_SECONDS = 120
"""Time that cancelled jobs may take to end [s]."""

WARNING_SECONDS = 600
"""Time after which the warning that the controller is away is repeated [s]."""

SETTLING_SECONDS = 20
"""Time after which a submission whose answer was lost is in the queue, if it was accepted [s]."""

LIMITED_SECONDS = 60
"""Time between two attempts while the site takes no more jobs [s]."""

BEGAN = time.time()
"""Start of this process, nearly: Snakemake loads its executors before it chooses jobs."""

FORGOTTEN_CHECKS = 3
"""Checks in a row without a trace of a job in queue and accounting, after which it has ended."""

SUBMISSION_THREADS = 2


@dataclass
class ExecutorSettings(SlurmExecutorSettings):  # type: ignore[misc]
    """Settings of snakemake-executor-plugin-slurm, and the guard of the workflow."""

    guard: Optional[str] = field(  # noqa: UP045 - the one form that Snakemake parses
        default=None,
        metadata={
            "help": "MODULE:CALLABLE of the workflow, called without arguments, that returns a "
            "guard: it identifies the run, and checks before each submission that its code and "
            "configuration have not changed. By default jobs of an earlier Snakemake are taken "
            "over if Snakefiles and configuration are the same, and nothing else is checked.",
            "env_var": False,
            "required": False,
        },
    )


class Executor(SlurmExecutor):  # type: ignore[misc]
    """Submits jobs to Slurm and follows them, whatever happens to controller and Snakemake."""

    def __post_init__(self, test_mode: bool = False) -> None:
        settings = self.workflow.executor_settings
        if settings.array_jobs:
            raise WorkflowError("--wilsonvox-slurm-array-jobs: this executor submits no job arrays")
        self._guard = make_guard(settings.guard, self.workflow)
        self.names = JobNames.of(self._guard, Path(self.workflow.workdir_init))
        settings.jobname_prefix = self.names.prefix
        self._left: dict[str, QueuedJob] | None = None
        self._forgotten: dict[str, int] = {}
        self._taken_over: set[str] = set()
        self._away_since: float | None = None
        self._away_warned = 0.0
        self._cancelling = False
        self._warned: set[str] = set()
        self._stopping = threading.Event()
        self._submissions = ThreadPoolExecutor(
            max_workers=SUBMISSION_THREADS, thread_name_prefix="slurm_submission"
        )
        super().__post_init__(test_mode)

    # ------------------------------------------------------------ before the first job
    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs, or take over those that an earlier Snakemake submitted."""
        if self._left is None:
            Path(self.tmpdir).mkdir(exist_ok=True)  # before two threads ask for it
            self._left = self._find_left_jobs()
            refusal = self._refusal()
            if refusal:
                self._stop(refusal)
        if self._stopping.is_set():
            return
        for job in jobs:
            left = self._left_job(job)
            self.run_job_pre(job)
            if left is not None:
                self._take_over(job, left)
            else:
                self._submissions.submit(self.run_job, job)

    def _find_left_jobs(self) -> dict[str, QueuedJob]:
        """Find jobs of this run that an earlier Snakemake submitted, by number.

        Those with another code or configuration that make the outputs of a job of this Snakemake
        are cancelled first. Jobs that ended after this process began are included, because the jobs
        to run were chosen before.
        """
        left = [job for job in self._own_jobs() if self.names.same_run(job.name)]
        other = self._needed(
            job for job in left if not job.ended and not self.names.same_state(job.name)
        )
        if other:
            numbers = ", ".join(other)
            self._warn(
                f"cancelling jobs {numbers} of this run, which were submitted with "
                "another code or configuration"
            )
            self._cancel_and_wait(other)
        began = datetime.fromtimestamp(BEGAN).isoformat(timespec="seconds")
        return {
            job.job_id: job
            for job in left
            if self.names.same_state(job.name)
            and (not job.ended or (job.state == "COMPLETED" and job.end > began))
        }

    def _needed(self, left: Iterable[QueuedJob]) -> list[str]:
        """Return the numbers of jobs that make the outputs of a job of this Snakemake."""
        comments, noted = set(), set()
        for job in self.dag.needrun_jobs():
            comments.add(job_comment(job))
            noted.update(self.workflow.persistence.external_jobids(job))
        return [job.job_id for job in left if job.comment in comments or job.job_id in noted]

    def _left_job(self, job: Any) -> QueuedJob | None:
        """Return the job of an earlier Snakemake that makes the outputs of `job`."""
        if not self._left:
            return None
        noted = [set(self.workflow.persistence.external_jobids(one)) for one in _members(job)]
        candidates = set().union(*noted) & set(self._left)
        if not job.is_group():
            # also one whose number the killed Snakemake had not recorded yet
            comment = job_comment(job)
            same = {job_id for job_id, left in self._left.items() if left.comment == comment}
            whole = candidates <= same
            candidates |= same
        else:
            whole = all(candidates <= job_ids for job_ids in noted)
        matching = {job_id: self._left.pop(job_id) for job_id in candidates}
        if len(matching) == 1 and whole:
            return next(iter(matching.values()))
        if matching:  # jobs were grouped otherwise
            self._cancel_and_wait(sorted(matching))
        return None

    def _take_over(self, job: Any, left: QueuedJob) -> None:
        log = describe_job(left.job_id).get("StdOut")
        self.logger.info(
            f"wilsonvox-slurm: job {job.jobid} is SLURM job {left.job_id} of an earlier Snakemake, "
            f"{left.state}: taken over (log: {log})"
        )
        self._taken_over.add(left.job_id)
        aux = {"slurm_logfile": Path(log) if log else None}
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=left.job_id, aux=aux))

    def _refusal(self) -> str | None:
        """Return why the site refuses one job of a rule; None if it accepts one of each rule."""
        rules: dict[str, Any] = {}
        for job in self.dag.needrun_jobs():
            if not job.is_group() and not job.is_local:
                rules.setdefault(job.rule.name, job)
        accepted: set[str] = set()
        for rule, job in rules.items():
            if any(job.resources.get(name) for name in CLUSTER_RESOURCES):
                return (
                    f"rule {rule}: this executor follows jobs of one cluster only: leave out "
                    "cluster, clusters and slurm_cluster"
                )
            call = self._call(job, Path("/dev/null"))
            alike = call.replace(job_comment(job), "")
            if alike in accepted:
                continue
            error = self._test(call)
            if error is not None:
                return (
                    f"rule {rule}: sbatch refuses its job: {error}; see the lines of this rule and "
                    f"the site's names in the profile (resources: {requested_resources(job)})"
                )
            accepted.add(alike)
        return None

    def _call(self, job: Any, log: Path) -> str:
        return sbatch_call(
            job,
            name=self.run_uuid,
            log=log,
            account=next(self.get_account_arg(job)),
            partition=self.get_partition_arg(job),
            workdir=self.workflow.workdir_init,
            settings=self.workflow.executor_settings,
        )

    def _test(self, call: str) -> SubmissionError | None:
        """Return sbatch's error message for a job that it will never accept."""
        while True:
            try:
                check_acceptance(call)
            except SubmissionError as error:
                if not error.unreachable:
                    self._note_back()
                    return None if error.temporary else error
                self._note_away(str(error))
                if self._stopping.wait(ASKING_AGAIN_SECONDS):
                    return None
            else:
                self._note_back()
                return None

    # ------------------------------------------------------------ submission
    def run_job(self, job: Any) -> None:
        """Submit one job; called in a thread of its own, whose exceptions nothing else reports."""
        try:
            self._submit_patiently(job)
        except Exception as error:
            message = " ".join(str(error).split())
            self.report_job_error(SubmittedJobInfo(job), msg=f"submission failed: {message}. ")

    def _submit_patiently(self, job: Any) -> None:
        """Submit one job; as long as the site does not take it, try again."""
        while not self._stopping.is_set():
            changed = self._guard.changed()
            if changed:
                self._stop(changed)
                return
            try:
                self._submit(job)
            except SubmissionError as error:
                # without a job in the queue it is this one's size that the site does not take
                if error.limited and any(not other.ended for other in self._own_jobs()):
                    self._warn_once("limit", f"{error}; jobs wait until it takes more")
                    self._stopping.wait(LIMITED_SECONDS)
                elif error.unreachable:
                    self._note_away(str(error))
                    # it may have been accepted, and the answer been lost
                    self._stopping.wait(SETTLING_SECONDS)
                    accepted = self._accepted(job)
                    if accepted is not None:
                        self._take_over(job, accepted)
                        return
                else:
                    raise
            else:
                self._note_back()
                return

    def _submit(self, job: Any) -> None:
        pattern = log_pattern(self.slurm_logdir, job)
        pattern.parent.mkdir(parents=True, exist_ok=True)
        call = self._call(job, pattern)
        self.logger.debug(f"sbatch call: {call}")
        as_script = self.workflow.executor_settings.pass_command_as_script
        job_id = submit(call, self.format_job_exec(job), as_script)
        log = pattern.with_name(f"{job_id}.log")
        self.logger.info(
            f"Job {job.jobid} has been submitted with SLURM jobid {job_id} (log: {log})."
        )
        aux = {"slurm_logfile": log}
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=job_id, aux=aux))

    def _accepted(self, job: Any) -> QueuedJob | None:
        with self.lock:
            known = {info.external_jobid for info in self.active_jobs}
        for queued in self._own_jobs():
            new = queued.job_id not in known | self._taken_over and not queued.ended
            if new and queued.name == self.run_uuid and queued.comment == job_comment(job):
                return queued
        return None

    def _stop(self, reason: str) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            error = WorkflowError(f"wilsonvox-slurm: {reason}")
            self.workflow.scheduler.executor_error_callback(error)

    @cached_property
    def tmpdir(self) -> str:
        """Folder of this process whose existence a job checks when it starts."""
        return str(Path(tempfile.mkdtemp(dir=".snakemake", prefix="tmp.")).absolute())

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """Yield the account of a job; if it has none, Slurm takes the user's own.

        (The base class would guess it with sacct, which not every site has.)
        """
        if job.resources.get("slurm_account"):
            yield from super().get_account_arg(job)
        else:
            yield ""

    def get_partition_arg(self, job: Any) -> str:
        """Return the partition of a job; if it has none, Slurm takes its default."""
        settings = self.workflow.executor_settings
        if job.resources.get("slurm_partition") or chooses_partitions(settings):
            return str(super().get_partition_arg(job))
        return ""

    # ------------------------------------------------------------ the controller
    def _own_jobs(self) -> list[QueuedJob]:
        """Return the user's jobs, as soon as the controller answers.

        Raises:
            WorkflowError: there is no Slurm on this machine.
        """
        while True:
            try:
                jobs = own_jobs()
            except FileNotFoundError:
                raise WorkflowError(
                    "wilsonvox-slurm: there is no squeue here: is this a login node of a Slurm "
                    "cluster?"
                ) from None
            except (ControllerAwayError, subprocess.CalledProcessError) as error:
                self._note_away(_message(error))
                if self._stopping.wait(ASKING_AGAIN_SECONDS):
                    return []
            else:
                self._note_back()
                return jobs

    def _note_away(self, message: str) -> None:
        if self._away_since is None:
            self._away_since = self._away_warned = time.monotonic()
        elif time.monotonic() - self._away_warned < WARNING_SECONDS:
            return
        self._away_warned = time.monotonic()
        self._warn(
            f"the Slurm controller does not answer ({message}); jobs in the queue go on, "
            "and this process waits for it"
        )

    def _note_back(self) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self._away_since = None
            self._warn(f"the Slurm controller answers again, after {seconds:.0f} s")

    def _warn(self, text: str) -> None:
        self.logger.warning(f"wilsonvox-slurm: {text}")

    def _warn_once(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self._warn(text)

    # ------------------------------------------------------------ running jobs
    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncIterator[SubmittedJobInfo]:
        """Report jobs that have ended; yield the others, or all of them without an answer."""
        settings = self.workflow.executor_settings
        self.next_seconds_between_status_checks = settings.init_seconds_before_status_checks
        if not active_jobs:
            return
        try:
            states = await to_thread(self._states, [info.external_jobid for info in active_jobs])
        except Exception as error:  # of any kind: jobs must not be forgotten
            self._note_away(_message(error))
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
        """Return states by number, from the queue or, of jobs that ended, from accounting."""
        queued = {job.job_id: job for job in own_jobs()}
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
        ended = {
            job_id: state for job_id, state in accounted.items() if state not in RUNNING_STATES
        }
        return {job.job_id: job.state for job in queued.values()} | ended

    def _goes_on(self, job_id: str, state: str | None) -> bool:
        """Return True if a job has not ended; its state is None if Slurm does not know it."""
        if state is None:
            self._forgotten[job_id] = self._forgotten.get(job_id, 0) + 1
            return self._forgotten[job_id] < FORGOTTEN_CHECKS
        if state == "COMPLETED":
            return False
        if state not in RUNNING_STATES:
            # Slurm may be about to put it back into the queue
            again = self.workflow.executor_settings.requeue and state in ("NODE_FAIL", "PREEMPTED")
            self._forgotten[job_id] = self._forgotten.get(job_id, 0) + 1
            return bool(again) and self._forgotten[job_id] < FORGOTTEN_CHECKS
        self._forgotten.pop(job_id, None)
        return True

    def _report_end(self, info: SubmittedJobInfo) -> None:
        """Report a job as done; Snakemake then checks that its outputs are there."""
        log = (info.aux or {}).get("slurm_logfile")
        if log is not None and not self.workflow.executor_settings.keep_successful_logs:
            try:
                log.unlink(missing_ok=True)
            except OSError as error:
                self._warn(f"{log}: cannot be removed: {error.strerror}")
        self.report_job_success(info)

    def _report_failure(self, info: SubmittedJobInfo, state: str) -> None:
        log = (info.aux or {}).get("slurm_logfile")
        shown = describe_job(info.external_jobid)
        written = "\n".join(_content(path) for path in (log, *map(Path, info.job.log)))
        stop_reason = self._guard.stop_reason(written)
        if stop_reason:  # it would be the same for every other job
            self._stop(stop_reason)
        message = self._guard.failure_message(written)
        text = failure_text(info.external_jobid, state, shown, written, message)
        logs = [str(log)] if log is not None else []
        self.report_job_error(info, msg=f"{text}. ", aux_logs=logs)

    # ------------------------------------------------------------ the end
    def cancel(self) -> None:
        """Cancel all jobs of this process, including those that are being submitted."""
        with _without_interrupts():
            self._stopping.set()
            self._cancel_own()
            self.shutdown()  # waits for submissions

    def shutdown(self) -> None:
        """End; if jobs go on, keep the folder whose existence they check when they start."""
        self._submissions.shutdown(wait=True)
        if self._stopping.is_set() and not (self._cancelling and self._cancel_own()):
            # the base class removes the folder of this name: a new one instead
            self.__dict__.pop("tmpdir", None)
        super().shutdown()

    def _cancel_own(self) -> bool:
        """Cancel the jobs of this process; return True if none is left."""
        self._cancelling = True
        try:
            jobs = [job for job in own_jobs() if not job.ended]
            ours = {job.job_id for job in jobs if job.name == self.run_uuid}
            ours |= {job.job_id for job in jobs if job.job_id in self._taken_over}
            self._scancel(sorted(ours))
        except FileNotFoundError:  # no Slurm, no jobs
            return True
        except (ControllerAwayError, OSError, subprocess.CalledProcessError) as error:
            self._warn_once(
                "cancel",
                f"jobs could not be cancelled ({_message(error)}): they go on, and the same "
                "command takes them over later",
            )
            return False
        return True

    def _scancel(self, job_ids: Iterable[str]) -> None:
        numbers = list(job_ids)
        if numbers:
            run_command(["scancel", *numbers])

    def _cancel_and_wait(self, job_ids: list[str]) -> None:
        waiting = set(job_ids)
        deadline = time.monotonic() + GONE_SECONDS
        while waiting:
            with suppress(ControllerAwayError, subprocess.CalledProcessError):
                self._scancel(sorted(waiting))
            waiting &= {job.job_id for job in self._own_jobs() if not job.ended}
            if waiting and time.monotonic() > deadline:
                numbers = " ".join(sorted(waiting))
                raise WorkflowError(
                    f"wilsonvox-slurm: jobs {numbers} of this run were cancelled and do not end: "
                    f"see `squeue --jobs={numbers.replace(' ', ',')}`, then run the same command "
                    "again"
                )
            time.sleep(2 if waiting else 0)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C while jobs are cancelled; only the main thread receives it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _message(error: Exception) -> str:
    """Return the error message of a command of Slurm in one line."""
    return " ".join((getattr(error, "stderr", None) or str(error)).split())


def _members(job: Any) -> list[Any]:
    return list(job.jobs) if job.is_group() else [job]


def _content(log: Path | None) -> str:
    """Return the text of a job's log; empty if there is none."""
    try:
        return log.read_text(errors="replace") if log is not None else ""
    except OSError:
        return ""
