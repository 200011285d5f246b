"""Suggestions for misspelt names in error messages."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the end of a message on an unknown name: the closest known name, or all names."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
