"""`snakemake --lint`, but for one finding that this project does not follow; part of `make lint`.

The environment of every rule is the locked .venv/, the same for all, so rules name neither a conda
environment nor a container.
"""

import os
import subprocess
import sys
from pathlib import Path

ACCEPTED = "Specify a conda environment or container for each rule."


def other_findings(text: str) -> list[str]:
    """Findings of `snakemake --lint` but for the accepted one, each with its place."""
    findings = []
    place = ""
    for line in text.splitlines():
        if line.startswith("Lints for "):
            place = line.removeprefix("Lints for ").rstrip(":")
        elif line.startswith("    * "):
            title = line.removeprefix("    * ").removesuffix(":")
            if title != ACCEPTED:
                findings.append(f"{place}: {title}")
    return findings


def main() -> int:
    """Print every other finding; return 1 if there is one or the workflow does not load."""
    run = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--lint"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    # with nothing but findings, Snakemake ends with an error too
    if run.returncode and "Lints for " not in run.stderr:
        print(run.stderr, file=sys.stderr)
        return 1
    findings = other_findings(run.stderr)
    print("\n".join(findings) or "snakemake --lint: nothing but the accepted finding")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
