"""Locked and installed versions of the packages that a stage imports.

The parameters of a rule contain the *locked* versions of the packages that its stage imports, so
that a changed lock file reruns only the stages that use a changed package. Before any job runs, the
installed versions are compared with them (`environment_problem`).
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "PIL": ("pillow",),
    "mpl_toolkits": ("matplotlib",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "yaml": ("pyyaml",),
}
"""Distributions of modules with another name; the first one that is installed counts."""

VALUE_CARRIERS = frozenset({"click", "pydantic", "yaml"})
"""Modules that only pass values to a stage; records contain these values themselves."""


def checkout() -> Path:
    """Return the root folder of the checkout, which contains `workflow/` and `envs/`."""
    return Path(__file__).resolve().parents[4]


def lock_file() -> Path | None:
    """Return the lock file from which this environment was made; None without a checkout.

    `make setup` writes its name into the environment; for other environments it is
    `envs/requirements.lock`.
    """
    name = "envs/requirements.lock"
    stamp = Path(sys.prefix) / "setup.stamp"
    if stamp.is_file():
        name = [*stamp.read_text().splitlines(), "", ""][1] or name
    path = checkout() / name
    return path if path.is_file() else None


def lock_digest() -> str | None:
    """Return the SHA-256 (hexadecimal) of the lock file's bytes; None if there is none."""
    lock = lock_file()
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock else None


def locked_versions(lock: Path) -> dict[str, str]:
    """Return the versions in a hashed lock file by package, for this Python and platform."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    versions: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        if not line or line[0] in " #-":
            continue
        try:
            requirement = Requirement(line.partition("#")[0].rstrip(" \\"))
        except InvalidRequirement:
            continue
        pinned = [
            specifier.version for specifier in requirement.specifier if specifier.operator == "=="
        ]
        if pinned and (requirement.marker is None or requirement.marker.evaluate()):
            versions[canonicalize_name(requirement.name)] = pinned[0]
    return versions


@cache
def installed_version(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def candidates(module: str) -> tuple[str, ...]:
    """Return the names of the packages that may provide the top-level module `module`.

    >>> candidates("boost_histogram")
    ('boost-histogram',)
    """
    return DISTRIBUTIONS.get(module, (module.replace("_", "-").lower(),))


def versions_of(modules: Iterable[str], locked: Mapping[str, str]) -> dict[str, str]:
    """Return versions by package for top-level modules: locked, or else installed ones."""
    versions: dict[str, str] = {}
    for module in modules:
        for package in candidates(module):
            known = locked.get(package) or installed_version(package)
            if known:
                versions[package] = known
                break
    return dict(sorted(versions.items()))


def installed_versions(modules: Iterable[str]) -> dict[str, str]:
    """Return installed versions by package for top-level modules, omitting missing packages."""
    versions = {
        package: version
        for module in modules
        for package in candidates(module)
        if (version := installed_version(package))
    }
    return dict(sorted(versions.items()))


def environment_problem(modules: Iterable[str], lock: Path | None = None) -> str | None:
    """Describe in one line how the environment differs from the lock file; None if it does not.

    Args:
        modules: top-level modules to check.
        lock: the lock file; by default that of `lock_file`.
    """
    chosen = lock or lock_file()
    if chosen is None:
        return None
    locked = locked_versions(chosen)
    wrong = []
    for module in sorted(set(modules)):
        names = [name for name in candidates(module) if name in locked]
        for name in names[:1]:
            installed = installed_version(name)
            if installed != locked[name]:
                wrong.append(f"{name} {installed or 'is not installed'} instead of {locked[name]}")
    if not wrong:
        return None
    texts = ", ".join(dict.fromkeys(wrong))
    return f"the environment differs from {chosen.name}: {texts}; run 'make setup'"
