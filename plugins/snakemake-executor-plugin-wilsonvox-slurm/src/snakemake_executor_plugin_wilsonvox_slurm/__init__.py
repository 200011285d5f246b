"""Snakemake's executor `wilsonvox-slurm`: found by its name, made of `wilsonvox.slurm.executor`."""

from wilsonvox.slurm.executor import Executor, ExecutorSettings, common_settings

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
