"""Ranges of q² between cuts and veto windows."""

from collections.abc import Sequence

Range = tuple[float, float]
"""Lower and upper end [GeV²]."""


def ranges_between(low: float, high: float, vetoes: Sequence[Range] = ()) -> list[Range]:
    """Remove veto windows from a q² range [GeV²]; the result is in ascending order.

    >>> ranges_between(0, 20, [(8, 11), (12.7, 14)])
    [(0, 8), (11, 12.7), (14, 20)]
    """
    ranges = [(low, high)]
    for veto_low, veto_high in vetoes:
        parts = [
            ((first, min(last, veto_low)), (max(first, veto_high), last)) for first, last in ranges
        ]
        ranges = [part for pair in parts for part in pair if part[0] < part[1]]
    return ranges


def intersection(ranges: Sequence[Range], low: float, high: float) -> list[Range]:
    """Return the parts of ascending `ranges` between `low` and `high`."""
    cut = [(max(low, first), min(high, last)) for first, last in ranges]
    return [(first, last) for first, last in cut if first < last]
