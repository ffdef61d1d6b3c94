"""Checks that one subscriber got frames in order and counted every gap."""

from __future__ import annotations

from typing import NamedTuple

from tests.chaos.pattern import Stamp


class Count(NamedTuple):
    """Counters of a subscriber: frames that did not arrive, and frames that it skipped."""

    dropped: int
    skipped: int


class FaultError(AssertionError):
    """A broken guarantee; the message has both numbers."""


class Tally:
    """Frames of one subscriber since it was opened.

    Attributes:
        gaps: Sent frames that it did not get, between frames that it got.
        lost: Frames between them that the publisher could not send.
        late: Frames that it counted before a publisher's first one, because it was stopped while the publisher waited.
    """

    def __init__(self) -> None:
        self._last: dict[int, Stamp] = {}
        self._current = 0
        self._count = Count(0, 0)
        self.gaps = 0
        self.lost = 0
        self.late = 0

    def note(self, stamp: Stamp, count: Count) -> bool:
        """Compare the next frame with the last one; return whether it is the first of its publisher.

        Raises:
            FaultError: The frame is out of order, or the subscriber's counters do not match the gap.
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
            # A subscriber that was there before the publisher counts from the publisher's first frame, a late joiner
            # from its own first frame. Skipped frames of an earlier publisher leave no gap here.
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
