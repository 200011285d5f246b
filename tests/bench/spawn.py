"""Run a command from a small process and say what it cost: spawn.py REPORT WORD…

Small, because the memory that the system counts to a command begins with that of the process that
starts it. Standard library only.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    report, *words = sys.argv[1:]
    start = time.perf_counter()
    code = subprocess.call(words)
    seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    costs = {
        "seconds": seconds,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "memory_bytes": 1024 * usage.ru_maxrss,
    }
    Path(report).write_text(json.dumps(costs))
    sys.exit(code)
