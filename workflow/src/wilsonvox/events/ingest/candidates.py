"""Which of several candidates of an event is kept."""

import numpy as np
from numpy.typing import NDArray

from wilsonvox.core.errors import UserError
from wilsonvox.events.ingest.layouts import BOOKKEEPING, Match
from wilsonvox.events.ingest.sources import Source

RULE = "of several candidates in an event the first one (lowest __candidate__) is kept"


def first_candidates(source: Source, match: Match) -> NDArray[np.bool_] | None:
    """Mask of the entries to keep, bool of shape (n_entries,); None where every entry is.

    Kept is each entry whose ``__candidate__`` is the lowest of all entries of the file with its
    production, experiment, run and event, wherever they stand. Entries that agree in all five
    numbers are different events (of jobs that count from the same number) and all stay.

    An ntuple without second candidates costs one pass over one column and no memory; else the
    bookkeeping columns of the file are held, at most 40 bytes an entry.

    Raises:
        UserError: several candidates, but no ``__event__`` to tell their events.
    """
    if "__candidate__" not in match.branches:
        return None
    if not any((chunk["__candidate__"] != 0).any() for chunk in source.chunks(["__candidate__"])):
        return None
    if "__event__" not in match.branches:
        raise UserError(
            f"{source.path}: has several candidates an event but no branch '__event__' "
            "to tell the events apart; write it into the ntuple"
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
