"""What a configuration will cost before anything runs: jobs, time, memory, storage and files.

Jobs are counted from the configuration by arithmetic, without Snakemake; what each costs comes
from rates that `tests/bench/bench_rates.py` measured on one machine and that are kept in
``rates.json``. See docs/user_guide/planning.md.
"""

from wilsonvox.planning.costs import Plan, plan
from wilsonvox.planning.jobs import Job, planned

__all__ = ["Job", "Plan", "plan", "planned"]
