"""Fewer frames than come: which to pass on at no more than so many a second."""

from __future__ import annotations

from .errors import FormatError

_NS: int = 1_000_000_000
_LONGEST: float = 1e18


class Thinning:
    """Chooses frames by their moments, evenly on average: of 30 frames a second 20 are two out of three.

    Args:
        max_fps: Frames a second to pass at most; None passes all.

    Attributes:
        skipped: Frames that were not chosen.

    Raises:
        FormatError: `max_fps` is not above 0.
    """

    __slots__ = ("_interval", "_next", "skipped")

    def __init__(self, max_fps: float | None) -> None:
        if max_fps is not None and not max_fps > 0:
            raise FormatError(f"max_fps is {max_fps}, it must be above 0")
        # Finite, because infinity less infinity is in no order.
        self._interval = None if max_fps is None else min(_NS / float(max_fps), _LONGEST)
        self._next: float | None = None
        self.skipped = 0

    def takes(self, moment: int) -> bool:
        """Whether to pass the frame of this moment, in nanoseconds; moments may begin anew."""
        interval = self._interval
        if interval is None:
            return True
        # A little early still counts: moments jitter.
        if self._next is not None and self._next - 2 * interval < moment < self._next - interval / 8:
            self.skipped += 1
            return False
        on_time = self._next is not None and abs(moment - self._next) < interval
        self._next = (self._next if on_time and self._next is not None else moment) + interval
        return True
