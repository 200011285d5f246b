"""Finding and reading the tree of an external ROOT file, with every failure said in one line."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wilsonvox.core.errors import UserError
from wilsonvox.core.files import require_file, require_whole_root
from wilsonvox.core.suggestions import did_you_mean

CHUNK = 200_000
"""Entries read at a time: some 60 MB of four-momenta and their intermediate results."""

_KINDS = ("TTree", "TNtuple", "ROOT::RNTuple")


def expand_paths(patterns: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Files of paths and globs (`*`, `?`, `[…]`, `**`), globs sorted, each file once.

    An element may also hold several, separated by commas, as in samples.tsv. A name that exists
    is taken as it stands, whatever characters it has.

    Raises:
        UserError: nothing was given, a glob matches nothing, or a path is no file.
    """
    parts: list[str] = []
    for pattern in (os.fspath(each) for each in patterns):
        whole = Path(pattern).exists() or "," not in pattern
        parts += [pattern] if whole else [part.strip() for part in pattern.split(",")]
    found: dict[Path, Path] = {}
    for part in parts:
        is_glob = glob.has_magic(part) and not Path(part).exists()
        matches = sorted(glob.glob(part, recursive=True)) if is_glob else [part]  # noqa: PTH207
        if not matches:
            raise UserError(f"{part}: no file matches; quote the glob and check its folder")
        for match in matches:
            path = require_file(match, "a ROOT file, or a glob of ROOT files")
            found.setdefault(path.resolve(), path)
    if not found:
        raise UserError("no event file was given; name one or several with --events")
    return list(found.values())


@dataclass(frozen=True)
class Source:
    """One tree of one file: what it is called, its branches and its number of entries."""

    path: Path
    tree: str
    kind: str
    columns: tuple[str, ...]
    n_entries: int

    def chunks(self, columns: Iterable[str], jagged: bool = False) -> Iterator[Mapping[str, Any]]:
        """Columns in chunks of `CHUNK` entries: NumPy arrays, or awkward ones where `jagged`.

        Raises:
            UserError: the file is damaged, or a flat column holds no single number an entry.
        """
        import uproot

        names = sorted(set(columns))
        library = "ak" if jagged else "np"
        n_read = 0
        try:
            with uproot.open(self.path) as file:
                tree = file[self.tree]
                for chunk in tree.iterate(names, step_size=CHUNK, library=library):
                    parts = {name: chunk[name] for name in names}
                    n_read += len(parts[names[0]])
                    if not jagged:
                        self._require_flat(parts)
                    yield parts
        except UserError:
            raise
        except Exception as error:
            raise damaged(self.path, error) from error
        if n_read != self.n_entries:
            raise UserError(
                f"{self.path}: damaged or truncated: tree {self.tree!r} says {self.n_entries} "
                f"entries, {n_read} could be read; copy or make the file again"
            )

    def _require_flat(self, chunk: Mapping[str, Any]) -> None:
        for name, column in chunk.items():
            if column.ndim != 1 or column.dtype.kind not in "fiub":
                raise UserError(
                    f"{self.path}: branch {name!r} holds no single number an entry; "
                    "choose the layout with --layout"
                )


def damaged(path: Path, error: Exception) -> UserError:
    """The user's error of a ROOT file that uproot cannot read."""
    reason = getattr(error, "strerror", None) or type(error).__name__
    return UserError(
        f"{path}: damaged or truncated ROOT file, cannot be read ({reason}); "
        "copy or make the file again"
    )


def _require_root(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            start = handle.read(4)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise UserError(f"{path}: is an empty file; expected a ROOT file")
    if start != b"root":
        raise UserError(
            f"{path}: not a ROOT file (it starts with {start!r}); "
            "convert it to ROOT in one of the layouts of 'wilsonvox ingest --help'"
        )


def open_source(path: Path, tree: str | None = None) -> Source:
    """The tree called `tree`, or the only one, of a ROOT file (a TTree or an RNTuple).

    Raises:
        UserError: not a readable ROOT file, no tree, no such tree, several where none was chosen,
            or a tree without entries.
    """
    import uproot

    _require_root(path)
    try:
        with uproot.open(path) as file:
            require_whole_root(path, file.file.fEND)
            classes = file.classnames(recursive=True, cycle=False)
            trees = {name: kind for name, kind in classes.items() if kind.startswith(_KINDS)}
            chosen = _choose(path, trees, tree)
            found = file[chosen]
            columns = tuple(dict.fromkeys(found.keys()))
            n_entries = int(found.num_entries)
    except UserError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    if n_entries == 0:
        raise UserError(f"{path}: tree {chosen!r} is empty (0 entries); leave the file out")
    return Source(path, chosen, trees[chosen].removeprefix("ROOT::"), columns, n_entries)


def _choose(path: Path, trees: Mapping[str, str], wanted: str | None) -> str:
    if not trees:
        raise UserError(f"{path}: has no TTree and no RNTuple; expected one with the decays")
    if wanted:
        name = wanted.partition(";")[0]
        if name not in trees:
            raise UserError(f"{path}: --tree: no tree {wanted!r}{did_you_mean(name, trees)}")
        return name
    if len(trees) > 1:
        raise UserError(
            f"{path}: has {len(trees)} trees ({', '.join(trees)}); choose one with --tree"
        )
    return next(iter(trees))
