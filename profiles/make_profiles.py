"""Write the resources of every rule into the cluster profiles; `make profiles` calls this.

They come from the table of stages (`wilsonvox.stages`). In each profile the lines above `MARKER`,
the site's names among them, are written by hand and stay; those below come from the table.
"""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wilsonvox.stages.figures import DRAWING
from wilsonvox.stages.graph import Resources
from wilsonvox.stages.table import PACKING, STAGES

HERE = Path(__file__).parent

MARKER = """\
# ----------------------------------------------------------------------------------------------
# Written by `make profiles` from the table of stages (wilsonvox.stages): change the table instead.
"""

Entry = dict[str, Any]
"""Resources of a rule on a cluster: mem_mb [MB], runtime [min], reason and, where they differ from
the defaults, threads, gpu, several_gpus and signal [s]."""

SNAKEMAKE_MB = 300
"""Memory of Snakemake's own two processes in each job on a node [MB]."""

ON_CLUSTERS = ("run_crate",)
"""Rules outside of the table of stages that a cluster runs; the others are local."""


def slurm_partition(entry: Entry) -> Iterator[str]:
    """Yield the partition of a GPU rule; the other rules use the default of the profile."""
    if entry.get("gpu"):
        yield "slurm_partition: ?text(GPU_PARTITION)"


def slurm_gpu(entry: Entry) -> Iterator[str]:
    """Yield the GPUs of a GPU rule, and its signal before the time limit."""
    if entry.get("gpu"):
        yield f"gres: ?text({'GPU_GRES' if entry.get('several_gpus') else 'one_gpu(GPU_GRES)'})"
        yield "?if GPU_CONSTRAINT:"
        yield "  constraint: ?text(GPU_CONSTRAINT)"
    if seconds := entry.get("signal"):
        yield f'slurm_extra: ?text(f"--signal=TERM@{seconds} {{EXTRA}}".strip())'


def lsf_gpu(entry: Entry) -> Iterator[str]:
    """Yield the queue of a GPU rule and its options."""
    if entry.get("gpu"):
        yield "lsf_queue: ?text(GPU_QUEUE)"
        yield "?if GPU_OPTIONS:"
        yield "  lsf_extra: ?text(GPU_OPTIONS)"


def htcondor_gpu(entry: Entry) -> Iterator[str]:
    """Yield the number of GPUs of a GPU rule."""
    if entry.get("gpu"):
        yield f"request_gpus: ?{'GPUS' if entry.get('several_gpus') else 'min(GPUS, 1)'}"


def batch_limits(entry: Entry) -> Iterator[str]:
    """Yield memory [MB] and time [min] of one attempt for the executors for Slurm and LSF."""
    kind = "GPU" if entry.get("gpu") else "CPU"
    yield f"mem_mb: ?memory({entry['mem_mb']}, {kind}_MAX_MEM_MB)"
    yield f"runtime: ?minutes({entry['runtime']}, {kind}_MAX_RUNTIME)"


def htcondor_limits(entry: Entry) -> Iterator[str]:
    """Yield memory [MB] and time [s] of one attempt for the executor for HTCondor."""
    kind = "GPU" if entry.get("gpu") else "CPU"
    yield f"htcondor_request_mem_mb: ?memory({entry['mem_mb']}, {kind}_MAX_MEM_MB)"
    yield f"allowed_execute_duration: ?seconds({entry['runtime']}, {kind}_MAX_RUNTIME)"


PROFILES: dict[str, tuple[Callable[[Entry], Iterator[str]], ...]] = {
    "slurm": (slurm_partition, slurm_gpu, batch_limits),
    "slurm-partitions": (slurm_gpu, batch_limits),
    "lsf": (lsf_gpu, batch_limits),
    "htcondor": (htcondor_gpu, htcondor_limits),
}
"""Functions that make the lines of one rule, by name of the profile."""


def entry(resources: Resources) -> Entry:
    """Return what the first attempt of a job asks of a cluster."""
    uses_gpu = resources.gpu_memory_mb is not None
    memory = resources.gpu_memory_mb or resources.memory_mb
    optional = {
        "threads": resources.threads if resources.threads > 1 and not uses_gpu else None,
        "gpu": uses_gpu,
        "several_gpus": resources.all_gpus,
        "signal": resources.stop_signal_seconds,
    }
    required = {
        "mem_mb": memory + SNAKEMAKE_MB,
        "runtime": resources.minutes,
        "reason": resources.reason,
    }
    return required | {name: value for name, value in optional.items() if value}


def read_table() -> dict[str, Entry]:
    """Return the resources of every rule that a cluster runs, but for figures with `DRAWING`.

    These keep the resources of their rule, which are many times what they need.
    """
    rules = {name: stage.resources for name, stage in STAGES.items()}
    rules = {name: resources for name, resources in rules.items() if resources != DRAWING}
    rules |= {name: PACKING[name] for name in ON_CLUSTERS}
    return {name: entry(resources) for name, resources in rules.items()}


def with_resources(text: str, name: str, table: dict[str, Entry]) -> str:
    """Return the text of a profile with the resources of the table.

    Args:
        text: current text of the profile.
        name: name of the profile.
        table: resources by rule.
    """
    by_hand = text.partition(MARKER)[0]
    threads = {rule: entry["threads"] for rule, entry in table.items() if "threads" in entry}
    lines = []
    if threads:
        lines += ["set-threads:", *(f"  {rule}: {count}" for rule, count in threads.items())]
    lines.append("set-resources:")
    for rule, entry in table.items():
        indents = {"initial_indent": "  # ", "subsequent_indent": "  # "}
        comment = textwrap.wrap(entry["reason"], 94, **indents)
        own = [f"    {line}" for part in PROFILES[name] for line in part(entry)]
        lines += ["", *comment, f"  {rule}:", *own]
    return by_hand + MARKER + "\n".join(lines) + "\n"


def main() -> None:
    """Update all profiles that have changed."""
    table = read_table()
    for name in PROFILES:
        path = HERE / name / "config.yaml"
        before = path.read_text()
        after = with_resources(before, name, table)
        if after != before:
            path.write_text(after)
            print(f"wrote profiles/{name}/config.yaml")


if __name__ == "__main__":
    main()
