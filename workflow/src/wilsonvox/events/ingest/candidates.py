"""Selection of one candidate in events with several."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.ingest.layouts import BOOKKEEPING, Match
from wilsonvox.events.ingest.sources import Source

SELECTION_RULE = "of several candidates in an event the first one (lowest __candidate__) is kept"


def first_candidates(source: Source, match: Match) -> NDArray[np.bool_] | None:
    """Return the mask of entries to keep, bool of shape (n_entries,), or None to keep all.

    An entry is kept if its ``__candidate__`` is the lowest of all entries in the file with the same
    production, experiment, run and event numbers, in any order. Entries that agree in all five
    numbers are different events (of jobs with the same numbering) and are all kept.

    An ntuple without second candidates takes one pass over one column and no memory. Otherwise the
    bookkeeping columns are kept in memory, at most 40 bytes per entry.

    Raises:
        UserError: the file has several candidates per event, but no ``__event__``.
    """
    if "__candidate__" not in match.branches:
        return None
    if not any((chunk["__candidate__"] != 0).any() for chunk in source.chunks(["__candidate__"])):
        return None
    if "__event__" not in match.branches:
        raise UserError(
            f"{source.path}: has several candidates per event but no branch '__event__' "
            "to distinguish the events; write it into the ntuple"
        )
    names = [name for name in BOOKKEEPING if name in match.branches]
    parts = [
        np.stack([np.nan_to_num(chunk[name]).astype(np.int64) for name in names])
        for chunk in source.chunks(names)
    ]
    keys = np.concatenate(parts, axis=1)
    order = np.lexsort(keys[::-1])
    identity, candidate = keys[:-1, order], keys[-1, order]
    starts = np.flatnonzero(
        np.concatenate([[True], (identity[:, 1:] != identity[:, :-1]).any(axis=0)])
    )
    lowest = np.repeat(candidate[starts], np.diff(np.append(starts, len(candidate))))
    keep = np.zeros(len(candidate), dtype=np.bool_)
    keep[order] = candidate == lowest
    return keep
