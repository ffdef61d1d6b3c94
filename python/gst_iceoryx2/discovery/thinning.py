"""A limit on the frame rate: which frames to pass if at most so many a second may pass."""

from __future__ import annotations

from ..errors import FormatError

_NS: int = 1_000_000_000
_LONGEST: float = 1e18


class Thinning:
    """Chooses frames by their times, evenly on average: of 30 frames/s, 20 are two out of three.

    Args:
        max_fps: Frames per second to pass at most; None passes all.

    Attributes:
        skipped: Number of frames that were not chosen.

    Raises:
        FormatError: `max_fps` is not above 0.
    """

    __slots__ = ("_interval", "_next", "skipped")

    def __init__(self, max_fps: float | None) -> None:
        if max_fps is not None and not max_fps > 0:
            raise FormatError(f"max_fps is {max_fps}, it must be above 0")
        # Finite, because infinity minus infinity is not a number.
        self._interval = None if max_fps is None else min(_NS / float(max_fps), _LONGEST)
        self._next: float | None = None
        self.skipped = 0

    def takes(self, moment: int) -> bool:
        """Return whether to pass the frame of this time in nanoseconds; times may restart."""
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
