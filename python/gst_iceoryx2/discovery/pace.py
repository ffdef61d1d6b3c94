"""Measures the rate of a stream from a few frames."""

from __future__ import annotations

from typing import Final

# Nanoseconds; enough to measure a typical frame rate to two digits.
_KNOWN_SPAN: Final = 200_000_000
_KNOWN_FRAMES: Final = 3


class Pace:
    """Measures frames per second from capture times. Frames that were sent but did not arrive are counted, too.

    Arrival times would not work, because the first frame of a probe may have waited for a long time.
    """

    __slots__ = ("_count", "_first", "_last", "_missed")

    def __init__(self) -> None:
        self._count = 0
        self._first = self._last = 0
        self._missed = 0

    def note(self, moment: int, missed: int | None) -> None:
        """Count a frame.

        Args:
            moment: Capture time, or the arrival time if the capture time is unknown, in nanoseconds.
            missed: Number of frames so far that did not arrive; None means unknown.
        """
        if self._count and moment < self._last:
            # Times went backwards, so another publisher took over, or the times are invented. Start again.
            self._count = 0
        total = self._missed if missed is None else missed
        self._count += 1 + (total - self._missed if self._count else 0)
        self._missed = total
        if self._count == 1:
            self._first = moment
        self._last = moment

    @property
    def fps(self) -> float | None:
        """Frames per second; None until two frames with different times have arrived."""
        span = self._last - self._first
        return (self._count - 1) * 1e9 / span if self._count > 1 and span > 0 else None

    @property
    def is_known(self) -> bool:
        """Whether the rate is reliable: more frames would hardly change it."""
        return self._count >= _KNOWN_FRAMES and self._last - self._first >= _KNOWN_SPAN
