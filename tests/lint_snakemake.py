"""`snakemake --lint`, but for one finding that this project does not follow; part of `make lint`.

The environment of every rule is the locked .venv/, the same for all, so rules name neither a conda
environment nor a container.
"""

import json
import subprocess
import sys
from pathlib import Path

ACCEPTED = "Specify a conda environment or container for each rule."


def main() -> int:
    """Print every other finding; return 1 if there is one or the workflow does not load."""
    snakemake = Path(sys.executable).with_name("snakemake")
    run = subprocess.run([snakemake, "--lint", "json"], capture_output=True, text=True, check=False)
    try:
        report = json.loads(run.stdout)
    except json.JSONDecodeError:
        print(run.stderr or run.stdout, file=sys.stderr)
        return 1
    findings = [
        f"{place['for']}: {lint['title']}"
        for kind in report.values()
        for place in kind
        for lint in place["lints"]
        if lint["title"] != ACCEPTED
    ]
    print("\n".join(findings) or "snakemake --lint: nothing but the accepted finding")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
