"""Counting the frames that a subscriber did not get; iceoryx2 itself does not tell."""

from __future__ import annotations

from typing import Final

from .._wire.header import NONE_U64
from .._wire.stamp import Stamp
from ..contract import limit

# Anybody can name publishers; the table of them is emptied rather than grown.
_PUBLISHERS: Final = limit("max_known_publishers")


class DropCounter:
    """Gaps in each publisher's own count, or in the buffers' offsets where a publisher writes no count.

    Attributes:
        total: Frames missed; None = unknown, because the publisher of the latest frame counts nothing.
        was_first: Whether a publisher that is new here began after the subscriber, so that the frames before the first
            that arrives are missing. A late joiner misses nothing.
        has_sole_publisher: Whether the service admits one publisher at a time, so that each further one begins later.
    """

    __slots__ = ("_last_offset", "_missed", "_next", "_offset_counts", "has_sole_publisher", "total", "was_first")

    def __init__(self) -> None:
        self.total: int | None = 0
        self._missed = 0
        self._next: dict[int, int] = {}
        self._last_offset = NONE_U64
        self._offset_counts = False
        self.was_first = False
        self.has_sole_publisher = False

    def misses(self, stamp: Stamp) -> bool:
        """Whether a frame with this stamp has not been noted yet. Without a count that cannot be told."""
        if stamp.publisher is None or stamp.sequence is None:
            return False
        return stamp.sequence >= self._next.get(stamp.publisher, 0)

    def note(self, stamp: Stamp, offset: int) -> None:
        """Take note of a received frame."""
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
            # The newest frame again, as history after a reconnection.
            return
        self._next[publisher] = sequence + 1
        self.total = self._missed

    def _note_offset(self, offset: int) -> None:
        last, self._last_offset = self._last_offset, offset
        if offset == NONE_U64 or last == NONE_U64 or offset <= last:
            self._offset_counts = False
        elif offset == last + 1:
            # One step of one is what tells a counter of frames from an offset in bytes.
            self._offset_counts = True
        elif self._offset_counts:
            self._missed += offset - last - 1
        self.total = self._missed if self._offset_counts else None
