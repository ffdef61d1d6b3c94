"""What one subscriber got, compared with what it says it missed: order is kept, and every gap was counted."""

from __future__ import annotations

from typing import NamedTuple

from tests.chaos.pattern import Stamp


class Count(NamedTuple):
    """What a subscriber has counted itself: frames that did not arrive, and frames that it passed over."""

    dropped: int
    skipped: int


class FaultError(AssertionError):
    """A guarantee was broken; the message says which, with both numbers."""


class Tally:
    """Frames of one subscriber since it was made.

    Attributes:
        gaps: Frames between those that it got that were sent, too.
        lost: Frames between them that their publisher could not send.
        late: Frames that it counted before the first one of a publisher, because it was stopped while that waited.
    """

    def __init__(self) -> None:
        self._last: dict[int, Stamp] = {}
        self._current = 0
        self._count = Count(0, 0)
        self.gaps = 0
        self.lost = 0
        self.late = 0

    def note(self, stamp: Stamp, count: Count) -> bool:
        """Take note of the next frame and compare; return whether it is the first of its publisher.

        Raises:
            FaultError: It is out of order, or what the subscriber has counted since the last one is not the gap between
                the two.
        """
        name = f"number {stamp.number} of publisher {stamp.publisher:x}"
        last = self._last.get(stamp.publisher)
        if last is not None and stamp.publisher != self._current:
            raise FaultError(f"{name} came after another publisher had begun")
        if last is not None and stamp.number <= last.number:
            raise FaultError(f"{name} came after number {last.number}")
        before, self._count = self._count, count
        counted = Count(count.dropped - before.dropped, count.skipped - before.skipped)
        self._last[stamp.publisher] = stamp
        self._current = stamp.publisher
        if last is not None:
            lost = stamp.lost - last.lost
            gap = stamp.number - last.number - 1 - lost
            self.lost += lost
        else:
            # Who was there before the publisher counts from its first frame, a late joiner from the first that it gets.
            # Frames of an earlier publisher that were passed over for this one leave no gap between two that were seen.
            missed = stamp.number - stamp.lost
            gap = sum(counted) if counted.skipped or counted.dropped == missed else 0
            self.late += counted.dropped
        if sum(counted) != gap:
            since = "" if last is None else f" after number {last.number} ({stamp.lost - last.lost} were not sent)"
            raise FaultError(f"{gap} frames are missing before {name}{since}, counted were {_words(counted)}")
        self.gaps += gap
        return last is None


def _words(count: Count) -> str:
    return f"{count.dropped} dropped and {count.skipped} skipped"
