"""Write the resources of every rule into the cluster profiles; `make profiles` calls this.

The table is `resources.yaml`. In each profile the lines above `MARKER`, the site's names among
them, are written by hand and stay; those below come from the table.
"""

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent

MARKER = """\
# ----------------------------------------------------------------------------------------------
# From here on written by `make profiles` from profiles/resources.yaml: change the table instead.
"""

Entry = dict[str, Any]
"""A rule's row of the table; the keys are explained there."""


def slurm_partition(entry: Entry) -> Iterator[str]:
    """The partition of a GPU rule; that of the others is a default of the profile."""
    if entry.get("gpu"):
        yield "slurm_partition: ?text(GPU_PARTITION)"


def slurm_gpu(entry: Entry) -> Iterator[str]:
    """The GPUs of a GPU rule, and the signal before its time is up."""
    if entry.get("gpu"):
        yield f"gres: ?text({'GPU_GRES' if entry.get('several_gpus') else 'one_gpu(GPU_GRES)'})"
        yield "?if GPU_CONSTRAINT:"
        yield "  constraint: ?text(GPU_CONSTRAINT)"
    if seconds := entry.get("signal"):
        yield f'slurm_extra: ?text(f"--signal=TERM@{seconds} {{EXTRA}}".strip())'


def lsf_gpu(entry: Entry) -> Iterator[str]:
    """The queue of a GPU rule and what it asks of it."""
    if entry.get("gpu"):
        yield "lsf_queue: ?text(GPU_QUEUE)"
        yield "?if GPU_OPTIONS:"
        yield "  lsf_extra: ?text(GPU_OPTIONS)"


def htcondor_gpu(entry: Entry) -> Iterator[str]:
    """The number of GPUs of a GPU rule."""
    if entry.get("gpu"):
        yield f"request_gpus: ?{'GPUS' if entry.get('several_gpus') else 'min(GPUS, 1)'}"


def batch_limits(entry: Entry) -> Iterator[str]:
    """Memory and time of one attempt, as Snakemake's executors for Slurm and LSF read them."""
    kind = "GPU" if entry.get("gpu") else "CPU"
    yield f"mem_mb: ?memory({entry['mem_mb']}, {kind}_MAX_MEM_MB)"
    yield f"runtime: ?minutes({entry['runtime']}, {kind}_MAX_RUNTIME)"


def htcondor_limits(entry: Entry) -> Iterator[str]:
    """Memory [MB] and time [s] of one attempt, under the names of the executor for HTCondor."""
    kind = "GPU" if entry.get("gpu") else "CPU"
    yield f"htcondor_request_mem_mb: ?memory({entry['mem_mb']}, {kind}_MAX_MEM_MB)"
    yield f"allowed_execute_duration: ?seconds({entry['runtime']}, {kind}_MAX_RUNTIME)"


PROFILES: dict[str, tuple[Callable[[Entry], Iterator[str]], ...]] = {
    "slurm": (slurm_partition, slurm_gpu, batch_limits),
    "slurm-partitions": (slurm_gpu, batch_limits),
    "lsf": (lsf_gpu, batch_limits),
    "htcondor": (htcondor_gpu, htcondor_limits),
}
"""What makes the lines of one rule, by the name of the profile's folder."""


def read_table() -> dict[str, Entry]:
    """The table, a row for each rule."""
    table: dict[str, Entry] = yaml.safe_load((HERE / "resources.yaml").read_text())
    return table


def with_resources(text: str, name: str, table: dict[str, Entry]) -> str:
    """The profile `name` of text `text` with the resources of `table`."""
    by_hand = text.partition(MARKER)[0]
    threads = {rule: entry["threads"] for rule, entry in table.items() if "threads" in entry}
    lines = []
    if threads:
        lines += ["set-threads:", *(f"  {rule}: {count}" for rule, count in threads.items())]
    lines.append("set-resources:")
    for rule, entry in table.items():
        why = " ".join(entry["why"].split())
        comment = textwrap.wrap(why, 94, initial_indent="  # ", subsequent_indent="  # ")
        own = [f"    {line}" for part in PROFILES[name] for line in part(entry)]
        lines += ["", *comment, f"  {rule}:", *own]
    return by_hand + MARKER + "\n".join(lines) + "\n"


def main() -> None:
    """Write every profile again, where it has changed."""
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
