"""How fast frames follow each other, from few of them."""

from __future__ import annotations

from typing import Final

# Of a frame's moments; enough for two digits of a usual rate.
_KNOWN_SPAN: Final = 200_000_000
_KNOWN_FRAMES: Final = 3


class Pace:
    """Frames a second over all frames noted; those that were sent and did not arrive count, too."""

    __slots__ = ("_count", "_first", "_last", "_missed")

    def __init__(self) -> None:
        self._count = 0
        self._first = self._last = 0
        self._missed = 0

    def note(self, moment: int, missed: int | None) -> None:
        """Take note of a frame.

        Args:
            moment: When it was captured, or else when it arrived, nanoseconds.
            missed: How many frames had not arrived by then; None = unknown.
        """
        if self._count and moment < self._last:
            # Another publisher, or one that invents its times: from here on.
            self._count = 0
        total = self._missed if missed is None else missed
        self._count += 1 + (total - self._missed if self._count else 0)
        self._missed = total
        if self._count == 1:
            self._first = moment
        self._last = moment

    @property
    def fps(self) -> float | None:
        """Frames a second; None before there are two moments."""
        span = self._last - self._first
        return (self._count - 1) * 1e9 / span if self._count > 1 and span > 0 else None

    @property
    def is_known(self) -> bool:
        """Whether further frames would change little."""
        return self._count >= _KNOWN_FRAMES and self._last - self._first >= _KNOWN_SPAN
