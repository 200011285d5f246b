"""Cache of content digests for files that have not changed since they were last read.

A file counts as unchanged while its size, its inode and both of its times (of content and inode)
are the same. The inode time cannot be set back, so that only bit rot or an edited cache escapes
notice. The cache is in the user's cache folder, not in the run, so that runs on read-only disks can
be audited. Deleting it only costs time.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wilsonvox.core.files import atomic_path
from wilsonvox.records import digests

FORMAT = hashlib.sha256(Path(digests.__file__).read_bytes()).hexdigest()
"""Digest of the code that computes digests; a cache with another value is ignored."""


def default_cache_file() -> Path:
    """Return the path of `digests.json` in the user's cache folder for this package."""
    from platformdirs import user_cache_path

    return user_cache_path("wilsonvox") / "digests.json"


Stamp = tuple[int, ...]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _loaded(file: Path | None) -> dict[str, tuple[Stamp, str]]:
    """Read the digests of a cache file; an empty mapping if it is missing or damaged."""
    try:
        content: Any = json.loads(file.read_text()) if file else {}
        if content.get("format") != FORMAT:
            return {}
        return {
            str(name): (tuple(stamp), str(digest)) for name, stamp, digest in content["digests"]
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


class DigestCache:
    """Content digests by path, read from and saved to `file`.

    Args:
        file: path of the cache; None for a cache in memory.
        full: read every file again, ignoring the cache.
    """

    def __init__(self, file: Path | None, full: bool = False) -> None:
        self.file = file
        self.full = full
        self._known = _loaded(file)
        self._fresh: set[str] = set()

    @property
    def n_read(self) -> int:
        """Number of files that were read because the cache did not contain them."""
        return len(self._fresh)

    def digest(self, path: str | os.PathLike[str], expected: str | None = None) -> str:
        """Return the content digest of a file.

        Args:
            path: path of the file.
            expected: expected digest; a cached one that differs is recomputed, so that a damaged
                cache cannot discredit a file.

        Raises:
            Exception: any error from reading a damaged file.
        """
        file = Path(path).absolute()
        name, stamp = str(file), _stamp(file)
        known = self._known.get(name)
        if known and known[0] == stamp:
            trusted = not self.full and expected in (None, known[1])
            if trusted or name in self._fresh:
                return known[1]
        digest = digests.content_digest(file)
        self._known[name] = (stamp, digest)
        self._fresh.add(name)
        return digest

    def fill(self, paths: Iterable[Path]) -> None:
        """Digest many files in parallel, skipping damaged ones, for which `digest` raises later."""

        def one(path: Path) -> None:
            try:
                self.digest(path)
            except Exception:
                return

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(one, paths))

    def save(self) -> None:
        """Save the digests of files that still exist; errors of writing are ignored."""
        if self.file is None or not self._fresh:
            return
        try:
            kept = [[name, s, d] for name, (s, d) in self._known.items() if os.path.exists(name)]  # noqa: PTH110
            with atomic_path(self.file) as temporary:
                temporary.write_text(json.dumps({"format": FORMAT, "digests": kept}))
        except Exception:
            return
