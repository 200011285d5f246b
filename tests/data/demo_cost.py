"""Reduces what a finished run cost to a few numbers a rule, for the test of `wilsonvox plan`.

After a run of the demonstration from an empty folder, in the folder that it ran in:

    .venv/bin/python tests/data/demo_cost.py --out tests/data/demo_cost.json

`--whole SECONDS` adds the processor time of the whole run, Snakemake's own included, as the shell's
`time` prints it (user + sys). Rules that are no part of a plain run, such as the report's, are left
out.
"""

import argparse
import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

from wilsonvox.config.reading import load_configuration
from wilsonvox.report.runtimes import read_benchmarks, runtimes_by_rule
from wilsonvox.stages.table import STAGES


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _noted_paths(metadata: Path) -> list[str]:
    """Outputs of which Snakemake keeps notes: their paths, in base64, are the notes' names."""
    names = ("".join(p.removeprefix("@") for p in path.relative_to(metadata).parts)
             for path in _files(metadata))  # fmt: skip
    return [base64.b64decode(name).decode() for name in names]


def reduce_run(folder: Path, configuration: Path) -> dict[str, Any]:
    """Cost by rule, and files by stage, of the run in `folder`."""
    run = load_configuration(configuration).run
    results = folder / "results" / run
    noted = Counter(Path(path).parts[2] for path in _noted_paths(folder / ".snakemake/metadata"))
    times = runtimes_by_rule(read_benchmarks(results / "benchmarks"))
    rules = {
        each.rule: {
            "jobs": each.jobs,
            "cpu_seconds": round(each.cpu_seconds, 2),
            "memory_bytes": round(each.memory_mib * 2**20),
        }
        for each in times
        if each.rule in STAGES
    }
    groups: dict[str, list[str]] = {}
    for rule in rules:
        groups.setdefault(STAGES[rule].folder, []).append(rule)
    stages = {
        stage: {
            "outputs": len(_files(results / stage)),
            "output_bytes": sum(path.stat().st_size for path in _files(results / stage)),
            "logs": sum(path.relative_to(results / "logs").with_suffix("").parts[0] in of_stage
                        for path in _files(results / "logs")),
            "benchmarks": sum(rules[rule]["jobs"] for rule in of_stage),
            "notes": noted[stage],
        }
        for stage, of_stage in groups.items()
    }  # fmt: skip
    return {"rules": rules, "stages": stages}


def main() -> None:
    """Reduce and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path(), help="folder that the run was made in")
    parser.add_argument("--configfile", type=Path, default=Path("config/demo.yaml"))
    parser.add_argument("--whole", type=float, help="processor seconds of the whole run")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    cost = reduce_run(given.run, given.configfile) | {"whole_seconds": given.whole}
    given.out.write_text(json.dumps(cost, indent=1) + "\n")


if __name__ == "__main__":
    main()
