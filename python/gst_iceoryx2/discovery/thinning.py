"""Limits a frame rate: chooses which frames to pass and which to skip."""

from __future__ import annotations

from ..errors import FormatError

_NS: int = 1_000_000_000
_LONGEST: float = 1e18


class Thinning:
    """Chooses frames by timestamp, to keep an average rate: to reduce 30 frames/s to 20, it passes two out of three.

    Args:
        max_fps: Maximum number of frames to pass per second; None passes all.

    Attributes:
        skipped: Number of frames that were skipped.

    Raises:
        FormatError: `max_fps` is not greater than 0.
    """

    __slots__ = ("_interval", "_next", "skipped")

    def __init__(self, max_fps: float | None) -> None:
        if max_fps is not None and not max_fps > 0:
            raise FormatError(f"max_fps is {max_fps}, but must be greater than 0")
        # The interval must be finite, because infinity minus infinity is not a number.
        self._interval = None if max_fps is None else min(_NS / float(max_fps), _LONGEST)
        self._next: float | None = None
        self.skipped = 0

    def takes(self, moment: int) -> bool:
        """Return whether to pass the frame with this time, in nanoseconds. Times may start again from a lower value."""
        interval = self._interval
        if interval is None:
            return True
        # A frame may be a little early, because times jitter.
        if self._next is not None and self._next - 2 * interval < moment < self._next - interval / 8:
            self.skipped += 1
            return False
        on_time = self._next is not None and abs(moment - self._next) < interval
        self._next = (self._next if on_time and self._next is not None else moment) + interval
        return True
