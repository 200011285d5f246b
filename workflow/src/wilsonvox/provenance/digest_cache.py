"""Content digests of files that have not changed since they were last read.

A file counts as unchanged while its size, time of modification and inode are. The cache belongs to
the user, not to the run, so that a run on a read-only disk can be audited; losing it costs time.
"""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wilsonvox.files import atomic_path
from wilsonvox.provenance.formats import content_digest

FORMAT = "1"
"""Counted up whenever a format's digest is computed in another way."""


def default_cache_file() -> Path:
    """Where the cache is, `digests.json` in the user's cache folder for this package."""
    from platformdirs import user_cache_path

    return user_cache_path("wilsonvox") / "digests.json"


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


class DigestCache:
    """Digests by path, read from and saved to `file`.

    Args:
        file: of the cache; None keeps nothing.
        full: read every file again, whatever the cache says.
    """

    def __init__(self, file: Path | None, full: bool = False) -> None:
        self.file = file
        self.full = full
        self.n_read = 0
        self._known: dict[str, tuple[list[int], str]] = {}
        self._fresh: set[str] = set()
        try:
            content = json.loads(file.read_text()) if file else {}
            if content.get("format") == FORMAT:
                self._known = {name: (stamp, d) for name, stamp, d in content["digests"]}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._known = {}  # no cache, or one of another version

    def digest(self, path: str | os.PathLike[str]) -> str:
        """Content digest of a file.

        Raises:
            Exception: whatever reading a damaged file raises.
        """
        found = Path(path).absolute()
        name, stamp = str(found), _stamp(found)
        known = self._known.get(name)
        if known and list(known[0]) == stamp and (not self.full or name in self._fresh):
            return known[1]
        digest = content_digest(found)
        self.n_read += 1
        self._known[name] = (stamp, digest)
        self._fresh.add(name)
        return digest

    def fill(self, paths: Iterable[Path]) -> None:
        """Digest many files, several at a time; damaged ones are left for `digest` to tell of."""

        def one(path: Path) -> None:
            try:
                self.digest(path)
            except Exception:
                return

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(one, paths))

    def save(self) -> None:
        """Keep what is known of files that still exist; a folder that cannot be written is fine."""
        if self.file is None or not self._fresh:
            return
        kept = [[name, s, d] for name, (s, d) in self._known.items() if Path(name).exists()]
        try:
            with atomic_path(self.file) as temporary:
                temporary.write_text(json.dumps({"format": FORMAT, "digests": kept}))
        except Exception:
            return
