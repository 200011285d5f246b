"""Digests of jobs: settings, code and packages behind the outputs of each job.

Snakemake compares the parameters of a job with those of its last run. That is not enough after a
run that failed half-way: Snakemake deletes the outputs of a job before it runs, and with them its
own notes, and then takes old figures over a missing model for up to date. Each rule therefore has
one parameter that changes whenever anything behind it does: the settings and the code of its own
stage and of all stages before it, and the locked versions of the packages that these import.
"""

import hashlib
import json

from wilsonvox.provenance.code import code_digest
from wilsonvox.stages.events import FOUR_MOMENTA
from wilsonvox.stages.graph import File, Job
from wilsonvox.stages.run import Run
from wilsonvox.stages.table import STAGES, path_of


class JobDigests:
    """Digests of the jobs of a run.

    Args:
        run: configuration and samples.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._digests: dict[Job, str] = {}

    def digest(self, stage: str, **wildcards: str) -> str:
        """Return the SHA-256 (hexadecimal) of everything behind the outputs of a job.

        Args:
            stage: name of the rule.
            wildcards: values of the wildcards of its outputs.
        """
        return self.of_job(Job(stage, tuple(sorted(wildcards.items()))))

    def of_job(self, job: Job) -> str:
        """Return the SHA-256 (hexadecimal) of everything behind the outputs of a job."""
        if job not in self._digests:
            self._digests[job] = self._computed(job)
        return self._digests[job]

    def _computed(self, job: Job) -> str:
        run, stage, wildcards = self._run, STAGES[job.stage], job.wildcards
        inputs = {}
        for name, files in stage.input_files(run, wildcards).items():
            behind = [
                (path_of(file), self.of_job(file.job)) for file in files if isinstance(file, File)
            ]
            inputs[name] = behind if stage.inputs[name].is_ordered else sorted(behind)
        parts = [
            code_digest(job.stage, self._requested(job)),
            list(map(str, stage.arguments(run, wildcards))),
            stage.settings(run, wildcards),
            inputs,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _requested(self, job: Job) -> list[str]:
        """Return the architecture of the job's estimator, or the optional part that it runs."""
        configuration = self._run.configuration
        if job.stage == "generate_events" and configuration.generation.four_momenta:
            return [FOUR_MOMENTA]
        estimator = job.wildcards.get("estimator")
        return [configuration.estimators[estimator].architecture] if estimator else []
