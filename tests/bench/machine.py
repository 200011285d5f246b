"""What the benchmarks ran on: processor, memory, packages; no names of hosts or folders."""

import importlib.metadata
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

PACKAGES = (
    "awkward",
    "boost-histogram",
    "iminuit",
    "keras",
    "numba",
    "numpy",
    "scipy",
    "tensorflow-cpu",
    "uproot",
)


def _first(pattern: str, path: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return None
    return found[1].strip() if found else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> dict[str, Any]:
    """Description of this machine and of what runs on it."""
    memory_kb = _first(r"MemTotal:\s+(\d+) kB", "/proc/meminfo")
    return {
        "processor": _first(r"model name\s*: (.*)", "/proc/cpuinfo") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": None if memory_kb is None else round(int(memory_kb) * 1024 / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        "packages": {"python": platform.python_version()}
        | {name: found for name in PACKAGES if (found := _version(name))},
    }
