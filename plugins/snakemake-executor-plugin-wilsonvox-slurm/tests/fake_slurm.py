"""Slurm's commands replaced by scripts, and what Snakemake gives to an executor.

The scripts read and write files below one folder: a file per job in the queue, with the line that
squeue prints of it.
"""

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from snakemake_executor_plugin_wilsonvox_slurm import (
    Executor,
    ExecutorSettings,
    common_settings,
)

AWAY = "Unable to contact slurm controller (connect failure)"

COMMANDS = {
    "squeue": """
        echo squeue >> calls
        if [ -s unanswered ] && [ "$(cat unanswered)" -gt 0 ]; then
            echo $(($(cat unanswered) - 1)) > unanswered.new && mv unanswered.new unanswered
            cat error >&2
            exit 1
        fi
        cat queue/* 2>/dev/null
        exit 0
        """,
    # the first line of the file `answers` is its next error message: `lost: …` is one of a job that
    # was accepted all the same
    "sbatch": """
        for word in "$@"; do
            case $previous in
                --job-name) name=$word ;;
                --comment) comment=$word ;;
                --output) log=$word ;;
                -D) workdir=$word ;;
            esac
            case $word in --wrap=*) job=${word#--wrap=} ;; esac
            previous=$word
            [ "$word" != --test-only ] || test_only=yes
        done
        if [ -n "$test_only" ]; then
            echo "test $comment" >> calls
            [ ! -s refusal ] || { cat refusal >&2; exit 1; }
            exit 0
        fi
        echo "$*" >> submitted
        cat > script
        while [ -e hold ]; do sleep 0.01; done
        answer=
        if [ -s answers ]; then
            answer=$(head -n 1 answers)
            sed -i 1d answers
        fi
        case $answer in
            '' | lost:*) ;;
            *) echo "$answer" >&2; exit 1 ;;
        esac
        number=100
        until mkdir "numbers/$number" 2>/dev/null; do number=$((number + 1)); done
        echo "$number|PENDING|None|N/A|$name|$comment" > "queue/$number"
        if [ -n "$answer" ]; then
            echo "${answer#lost: }" >&2
            exit 1
        fi
        if [ -e execute ]; then
            sed -i 's/|PENDING|/|RUNNING|/' "queue/$number"
            cluster=$PWD
            (
                cd "$workdir" || exit
                export SLURM_JOB_ID="$number"
                if sh -c "$job" > "${log%%%j.log}$number.log" 2>&1; then
                    state=COMPLETED
                else
                    state=FAILED
                fi
                sed -i "s/|RUNNING|/|$state|/" "$cluster/queue/$number"
            ) < /dev/null > /dev/null 2>&1 &
        fi
        echo "$number"
        """,
    "srun": """
        cd "$OLDPWD"
        while [ "${1#-}" != "$1" ]; do shift; done
        exec "$@"
        """,
    "scancel": """
        for number in "$@"; do
            echo "$number" >> cancelled
            [ -e stubborn ] || sed -i 's/|[A-Z]*|/|CANCELLED|/' "queue/$number"
        done
        """,
    "scontrol": 'cat "shown/$4" 2>/dev/null',
    "sacct": "cat accounts 2>/dev/null",
}


class Slurm:
    """The cluster of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "queue", "numbers", "shown"):
            (folder / name).mkdir(parents=True)
        for name, script in COMMANDS.items():
            command = folder / "bin" / name
            command.write_text(f"#!/bin/sh\ncd '{folder}' || exit\n{script}\n")
            command.chmod(0o755)

    def execute_jobs(self) -> None:
        """Run the commands of jobs from now on."""
        self.write("execute", "")

    def lines(self, name: str) -> list[str]:
        """Return the lines of one of the cluster's files."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def write(self, name: str, text: str) -> None:
        """Replace one of the cluster's files at once."""
        new = self.folder / f"{name.replace('/', '-')}.new"
        new.write_text(text)
        new.rename(self.folder / name)

    def answer_submissions(self, *answers: str) -> None:
        """Set the error messages of the next submissions."""
        self.write("answers", "".join(f"{answer}\n" for answer in answers))

    def leave_unanswered(self, count: int, error: str = AWAY) -> None:
        """Let the next queries of the queue fail."""
        self.write("error", f"slurm_load_jobs error: {error}\n")
        self.write("unanswered", f"{count}\n")

    def unanswered(self) -> int:
        """Return how many queries will still fail."""
        return int(self.lines("unanswered")[0])

    def account(self, **states: str) -> None:
        """Set states in the accounting database: account(_100="FAILED")."""
        self.write("accounts", "".join(f"{name[1:]}|{state}\n" for name, state in states.items()))

    def queue(self, number: str, state: str, name: str, comment: str = "", **more: str) -> None:
        """Put a job into the queue."""
        (self.folder / "numbers" / number).mkdir(exist_ok=True)
        reason, end = more.get("reason", "None"), more.get("end", "N/A")
        self.write(f"queue/{number}", f"{number}|{state}|{reason}|{end}|{name}|{comment}\n")

    def set_state(self, number: str, state: str, reason: str = "None") -> None:
        """Change the state of a job in the queue."""
        (line,) = self.lines(f"queue/{number}")
        _, _, _, end, name, comment = line.split("|", 5)
        self.queue(number, state, name, comment, reason=reason, end=end)

    def forget(self, number: str) -> None:
        """Remove a job from the queue."""
        (self.folder / "queue" / number).unlink()

    def queries(self) -> int:
        """Return how often the queue was asked for."""
        return self.lines("calls").count("squeue")


class Resources(dict[str, Any]):
    """Resources of a job, by key and by attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Job:
    """A job, as far as executors use it.

    recorded: numbers that a killed Snakemake recorded for it
    errors: messages of its failures
    """

    numbers = itertools.count(1)

    def __init__(self, name: str = "simulate", *wildcards: str, **more: Any) -> None:
        self.jobid = next(self.numbers)
        self.name, self.wildcards = name, list(wildcards)
        self.rule = SimpleNamespace(name=name)
        self.rules = [name]
        self.resources = Resources(more.pop("resources", {}))
        self.log: list[str] = more.pop("log", [])
        self.recorded: list[str] = more.pop("recorded", [])
        self.jobs: list[Job] = more.pop("jobs", [])
        assert not more
        self.is_local = self.is_updated = False
        self.attempt = self.threads = 1
        self.errors: list[str] = []
        self.announced = 0

    def is_group(self) -> bool:
        return bool(self.jobs)

    def get_target_spec(self) -> list[Any]:
        return []

    def get_wait_for_files(self) -> list[str]:
        return []

    def register(self, external_jobid: str) -> None:
        self.recorded = [external_jobid]

    def log_info(self) -> None:
        self.announced += 1

    def log_error(self, msg: str, **_: Any) -> None:
        self.errors.append(msg)


class Scheduler:
    """The scheduler, which lists what an executor reports."""

    def __init__(self) -> None:
        self.submitted: list[Job] = []
        self.finished: list[Job] = []
        self.failed: list[Job] = []
        self.stopped: list[str] = []
        self.submit_callback = self.submitted.append
        self.finish_callback = self.finished.append
        self.error_callback = self.failed.append

    def executor_error_callback(self, error: Exception) -> None:
        self.stopped.append(str(error))


def wait_for(
    condition: Callable[[], object], what: str = "what the test waits for", seconds: float = 30
) -> None:
    """Wait until a condition holds, for some seconds at most."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.005)


class Run:
    """An executor, as Snakemake starts it.

    jobs: the jobs that Snakemake is to run
    """

    def __init__(self, folder: Path, slurm: Slurm, **settings: Any) -> None:
        self.slurm = slurm
        self.scheduler = Scheduler()
        self.jobs: list[Job] = []
        values = ExecutorSettings(delete_logfiles_older_than=0, **settings)
        values.init_seconds_before_status_checks = 0.02
        plugin = dataclasses.replace(common_settings, init_seconds_before_status_checks=0.05)
        self.workflow = SimpleNamespace(
            executor_settings=values,
            executor_plugin=SimpleNamespace(common_settings=plugin),
            remote_execution_settings=SimpleNamespace(
                max_status_checks_per_second=100,
                seconds_between_status_checks=0.02,
                jobname="snakejob.{name}.{jobid}.sh",
                jobscript=None,
                immediate_submit=False,
            ),
            storage_settings=SimpleNamespace(shared_fs_usage=set(SharedFSUsage)),
            resource_settings=SimpleNamespace(cores=None),
            group_settings=SimpleNamespace(local_groupid=None),
            spawned_job_args_factory=SimpleNamespace(
                general_args=lambda **_: "", precommand=lambda **_: "", envvars=dict
            ),
            dag=SimpleNamespace(
                needrun_jobs=lambda: iter(self.jobs), get_unneeded_temp_files=lambda _: []
            ),
            persistence=SimpleNamespace(external_jobids=lambda job: job.recorded),
            scheduler=self.scheduler,
            main_snakefile=str(folder / "Snakefile"),
            workdir_init=str(folder),
            config={"seed": 1},
            included=[],
        )
        self.executor = Executor(self.workflow, logging.getLogger("snakemake.test"))

    def start(self, *jobs: Job) -> list[str]:
        """Run jobs, and return their numbers once all are in the queue, in their order."""
        before = len(self.scheduler.submitted)
        self.jobs += jobs
        self.executor.run_jobs(list(jobs))
        wait_for(lambda: len(self.scheduler.submitted) == before + len(jobs), "submissions")
        return [job.recorded[0] for job in jobs]

    def wait_for_checks(self, count: int = 3) -> None:
        """Wait for some more queries of the queue."""
        before = self.slurm.queries()
        wait_for(lambda: self.slurm.queries() >= before + count, "queries of the queue")

    def left_name(self, *, other_state: bool = False) -> str:
        """Return the name of a job that an earlier Snakemake of this run submitted."""
        names = self.executor.names
        return f"{names.run}-00000000_old" if other_state else f"{names.prefix}_old"
