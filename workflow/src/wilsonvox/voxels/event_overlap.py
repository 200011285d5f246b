"""Which events images were made of, so that none is used twice where it must not be.

Events are the same where they come from the same random stream (run seed, point, split and
campaign) or from event files of the same values, whatever their names and labels say, and have the
same places in them.
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
    """Ranges of shape (n, 2) in ascending order, those less than `gap` apart made one."""
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
    """The events that the images of one shard were made of."""

    stream: str | None = Field(
        default=None, description="random stream, seed/point/split/campaign; null if external"
    )
    file_digest: str | None = Field(
        default=None, description="SHA-256 over the event file's values, whatever its labels"
    )
    entries: tuple[tuple[int, int], ...] = Field(
        default=(), description="ranges of entries in that file, each without its end"
    )

    @classmethod
    def of(cls, shard: Shard) -> Self:
        """The events of a shard.

        Ranges of images that have no room for another image between them are one range: the
        events in the gap were cut.
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

    def shared(self, other: "EventRanges") -> str:
        """In words, what this and `other` have in common; empty where they share no event.

        >>> first = EventRanges(stream="1/c9_-0.90/train/000", entries=((0, 200),))
        >>> first.shared(EventRanges(stream="1/c9_-0.90/train/000", entries=((150, 300),)))
        'random stream 1/c9_-0.90/train/000'
        >>> first.shared(EventRanges(stream="1/c9_-0.90/train/000", entries=((200, 300),)))
        ''
        """
        if self.file_digest is not None and self.file_digest == other.file_digest:
            what = f"the same event file (content {self.file_digest[:12]}…)"
        elif self.stream is not None and self.stream == other.stream:
            what = f"random stream {self.stream}"
        else:
            return ""
        return what if self._meets(other) else ""

    def _meets(self, other: "EventRanges") -> bool:
        if not (self.entries and other.entries):
            return False
        mine, theirs = np.array(self.entries), np.array(other.entries)
        # ranges of each are ascending and apart
        begun = np.searchsorted(theirs[:, 0], mine[:, 1], side="left")
        ended = np.searchsorted(theirs[:, 1], mine[:, 0], side="right")
        return bool(np.any(begun > ended))


class EventRegistry:
    """Events by what identifies them, each with the name of what uses it."""

    def __init__(self, used: Iterable[tuple[str, EventRanges]] = ()) -> None:
        self._by_key: dict[str, list[tuple[str, EventRanges]]] = {}
        for name, events in used:
            self.add(name, events)

    def add(self, name: str, events: EventRanges) -> None:
        """Remember that `name` uses `events`."""
        for key in (events.stream, events.file_digest):
            if key is not None:
                self._by_key.setdefault(key, []).append((name, events))

    def find(self, events: EventRanges) -> tuple[str, str] | None:
        """Who uses some of `events` already, and in words what they share; None if nobody does."""
        for key in (events.file_digest, events.stream):
            for name, used in self._by_key.get(key or "", ()):
                what = events.shared(used)
                if what:
                    return name, what
        return None


def check_no_shared_events(shards: Iterable[tuple[str | os.PathLike[str], Shard]]) -> None:
    """Refuse shards that have events in common.

    Args:
        shards: each with the name of its file.

    Raises:
        UserError: names the second of two files whose images were made of the same events, the
            first, and what they share.
    """
    used = EventRegistry()
    for source, shard in shards:
        events = EventRanges.of(shard)
        found = used.find(events)
        if found:
            first, what = found
            raise UserError(
                f"{source}: its images have events of {first} in them, both are of {what}; "
                "leave one of the two out, or make images of other events"
            )
        used.add(str(source), events)
