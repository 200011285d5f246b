"""Snakemake executor `wilsonvox-slurm`: jobs on a Slurm cluster that survive its failures.

Snakemake finds the plugin by the name of this package; see the README for what it adds to
snakemake-executor-plugin-slurm.
"""

from snakemake_executor_plugin_slurm import common_settings

from snakemake_executor_plugin_wilsonvox_slurm.executor import Executor, ExecutorSettings
from snakemake_executor_plugin_wilsonvox_slurm.guard import Guard

__all__ = ["Executor", "ExecutorSettings", "Guard", "common_settings"]
