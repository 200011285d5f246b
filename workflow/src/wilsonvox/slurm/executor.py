"""Snakemake's Slurm executor, made to survive an absent controller and a killed Snakemake."""

from snakemake_executor_plugin_slurm import Executor as SlurmExecutor
from snakemake_executor_plugin_slurm import ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]


class Executor(SlurmExecutor):  # type: ignore[misc]
    """The executor of snakemake-executor-plugin-slurm."""
