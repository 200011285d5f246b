"""Content digests of files that have not changed since they were last read.

A file counts as unchanged while its size, inode and both times (of its content and of its inode)
are. The second time cannot be set back, so that only bit rot and whoever can write the cache get
past it. The cache belongs to the user, not to the run, so that a run on a read-only disk can be
audited; losing it costs time.
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
"""Digests that other code computed are not taken up."""


def default_cache_file() -> Path:
    """Where the cache is, `digests.json` in the user's cache folder for this package."""
    from platformdirs import user_cache_path

    return user_cache_path("wilsonvox") / "digests.json"


Stamp = tuple[int, ...]


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _loaded(file: Path | None) -> dict[str, tuple[Stamp, str]]:
    """Digests of a cache file; nothing where there is none, or a damaged one."""
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
    """Digests by path, read from and saved to `file`.

    Args:
        file: of the cache; None keeps nothing.
        full: read every file again, whatever the cache says.
    """

    def __init__(self, file: Path | None, full: bool = False) -> None:
        self.file = file
        self.full = full
        self._known = _loaded(file)
        self._fresh: set[str] = set()

    @property
    def n_read(self) -> int:
        """Number of files that were read, not taken from the cache."""
        return len(self._fresh)

    def digest(self, path: str | os.PathLike[str], expected: str | None = None) -> str:
        """Content digest of a file.

        Args:
            path: of the file.
            expected: what the digest should be; a known one that differs is computed anew, so that
                no damage of the cache speaks against a file.

        Raises:
            Exception: whatever reading a damaged file raises.
        """
        found = Path(path).absolute()
        name, stamp = str(found), _stamp(found)
        known = self._known.get(name)
        if known and known[0] == stamp:
            trusted = not self.full and expected in (None, known[1])
            if trusted or name in self._fresh:
                return known[1]
        digest = digests.content_digest(found)
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
        try:
            kept = [[name, s, d] for name, (s, d) in self._known.items() if os.path.exists(name)]  # noqa: PTH110
            with atomic_path(self.file) as temporary:
                temporary.write_text(json.dumps({"format": FORMAT, "digests": kept}))
        except Exception:
            return
