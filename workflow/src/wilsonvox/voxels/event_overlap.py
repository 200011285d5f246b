"""Detection of events that are used in the images of more than one shard.

Events are identical if they have the same positions in the same random stream (run seed, point,
split and campaign) or in event files with the same values, regardless of file names and labels.
"""

import os
from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wilsonvox.core.errors import UserError
from wilsonvox.core.models import StrictModel
from wilsonvox.voxels.shards import Shard


def _joined(ranges: NDArray[np.int64], gap: int) -> tuple[tuple[int, int], ...]:
    """Sort ranges of shape (n, 2) and merge those that are less than `gap` apart."""
    ranges = ranges[ranges[:, 0] < ranges[:, 1]]
    if not len(ranges):
        return ()
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ranges[:, 1])
    breaks = np.flatnonzero(ranges[1:, 0] - ends[:-1] >= gap)
    starts = ranges[np.concatenate([[0], breaks + 1]), 0]
    stops = ends[np.concatenate([breaks, [-1]])]
    return tuple((int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))


class EventRanges(StrictModel):
    """Events from which the images of one shard were made."""

    stream: str | None = Field(
        default=None, description="random stream, seed/point/split/campaign; null if external"
    )
    file_digest: str | None = Field(
        default=None, description="SHA-256 of the values in the event file, without its labels"
    )
    entries: tuple[tuple[int, int], ...] = Field(
        default=(), description="ranges of entries in that file, excluding their ends"
    )

    @classmethod
    def of(cls, shard: Shard) -> Self:
        """Return the events of a shard.

        Ranges of images are merged if the gap between them is too small for another image: the
        events in the gap were removed by cuts.
        """
        about = shard.metadata
        labels = (about.point, about.split, about.campaign)
        stream = None
        if None not in labels:
            seed = "unknown seed" if about.seed is None else str(about.seed)
            stream = "/".join([seed, *map(str, labels)])
        return cls(
            stream=stream,
            file_digest=about.events_digest,
            entries=_joined(shard.source_range, about.image.events_per_image),
        )

    def describe_overlap(self, other: "EventRanges") -> str:
        """Describe the common source of shared events; an empty string if no event is shared.

        >>> first = EventRanges(stream="1/c9_-0.90/train/000", entries=((0, 200),))
        >>> second = EventRanges(stream="1/c9_-0.90/train/000", entries=((150, 300),))
        >>> first.describe_overlap(second)
        'random stream 1/c9_-0.90/train/000'
        >>> third = EventRanges(stream="1/c9_-0.90/train/000", entries=((200, 300),))
        >>> first.describe_overlap(third)
        ''
        """
        if self.file_digest is not None and self.file_digest == other.file_digest:
            what = f"the same event file (content {self.file_digest[:12]}…)"
        elif self.stream is not None and self.stream == other.stream:
            what = f"random stream {self.stream}"
        else:
            return ""
        return what if self._overlaps(other) else ""

    def _overlaps(self, other: "EventRanges") -> bool:
        if not (self.entries and other.entries):
            return False
        mine, theirs = np.array(self.entries), np.array(other.entries)
        # both lists of ranges are ascending and disjoint
        begun = np.searchsorted(theirs[:, 0], mine[:, 1], side="left")
        ended = np.searchsorted(theirs[:, 1], mine[:, 0], side="right")
        return bool(np.any(begun > ended))


class EventRegistry:
    """Register of used events, with the name of their user (a file)."""

    def __init__(self, used: Iterable[tuple[str, EventRanges]] = ()) -> None:
        self._by_key: dict[str, list[tuple[str, EventRanges]]] = {}
        for name, events in used:
            self.add(name, events)

    def add(self, name: str, events: EventRanges) -> None:
        """Register `events` as used by `name`."""
        for key in (events.stream, events.file_digest):
            if key is not None:
                self._by_key.setdefault(key, []).append((name, events))

    def find(self, events: EventRanges) -> tuple[str, str] | None:
        """Return the first registered user of any of `events` and the shared source, or None."""
        for key in (events.file_digest, events.stream):
            for name, used in self._by_key.get(key or "", ()):
                what = events.describe_overlap(used)
                if what:
                    return name, what
        return None


def check_no_shared_events(shards: Iterable[tuple[str | os.PathLike[str], Shard]]) -> None:
    """Raise an error if shards have events in common.

    Args:
        shards: pairs of the name of a file and its shard.

    Raises:
        UserError: images of two files were made from the same events. The message names both files
            and the common source.
    """
    used = EventRegistry()
    for source, shard in shards:
        events = EventRanges.of(shard)
        overlap = used.find(events)
        if overlap:
            first, what = overlap
            raise UserError(
                f"{source}: its images contain events of {first}, both are of {what}; "
                "leave one of the two out, or make images of other events"
            )
        used.add(str(source), events)
