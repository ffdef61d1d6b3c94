"""Count the frames that a subscriber missed; iceoryx2 does not report them."""

from __future__ import annotations

from typing import Final

from .._wire.header import NONE_U64
from .._wire.stamp import Stamp
from ..contract import limit

# A process can impersonate many publishers, so the table is cleared when it is full.
_PUBLISHERS: Final = limit("max_known_publishers")


class DropCounter:
    """Counts gaps in each publisher's sequence numbers, or in its buffer offsets if it does not number its frames.

    Attributes:
        total: Frames missed; None if the publisher of the latest frame does not number its frames.
        was_first: Whether the subscriber was connected before the next new publisher started. If so, all frames before
            the first one to arrive count as missed. Otherwise, they are not counted.
        has_sole_publisher: Whether the service admits only one publisher, which means that each new publisher starts
            after the subscriber.
    """

    def __init__(self) -> None:
        self.total: int | None = 0
        self._missed = 0
        self._next: dict[int, int] = {}
        self._last_offset = NONE_U64
        self._offset_counts = False
        self.was_first = False
        self.has_sole_publisher = False

    def misses(self, stamp: Stamp) -> bool:
        """Return whether a frame with this stamp is still missing; False if the stamp has no sequence number."""
        if stamp.publisher is None or stamp.sequence is None:
            return False
        return stamp.sequence >= self._next.get(stamp.publisher, 0)

    def note(self, stamp: Stamp, offset: int) -> None:
        """Record a received frame."""
        publisher, sequence = stamp.publisher, stamp.sequence
        if publisher is None or sequence is None:
            self._note_offset(offset)
            return
        expected = self._next.get(publisher)
        if expected is None:
            if self.was_first:
                self._missed += sequence
            self.was_first |= self.has_sole_publisher
            if len(self._next) >= _PUBLISHERS:
                self._next.clear()
                self.was_first = False
        elif sequence > expected:
            self._missed += sequence - expected
        elif sequence < expected:
            # After a reconnection, the history delivered the newest frame again.
            return
        self._next[publisher] = sequence + 1
        self.total = self._missed

    def _note_offset(self, offset: int) -> None:
        last, self._last_offset = self._last_offset, offset
        if offset == NONE_U64 or last == NONE_U64 or offset <= last:
            self._offset_counts = False
        elif offset == last + 1:
            # An increment of exactly 1 shows that `offset` counts frames, not bytes.
            self._offset_counts = True
        elif self._offset_counts:
            self._missed += offset - last - 1
        self.total = self._missed if self._offset_counts else None
