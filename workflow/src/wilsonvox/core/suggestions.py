"""Suggestions for misspelt names in error messages."""

import difflib
from collections.abc import Iterable

MAX_SHOWN = 24
"""Number of known words listed where none is close."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown word.

    It names the known word that is closest, whatever its case, or else lists the known words.

    >>> did_you_mean("Tran", ["train", "plot"])
    "; did you mean 'train'?"
    >>> did_you_mean("xyz", ["train", "plot"])
    '; known are train, plot'
    """
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {by_lower[close[0]]!r}?"
    more = ", …" if len(names) > MAX_SHOWN else ""
    return f"; known are {', '.join(names[:MAX_SHOWN]) or 'none'}{more}"
