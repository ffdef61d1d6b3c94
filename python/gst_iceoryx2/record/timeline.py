"""When a frame belongs into a file.

A stream recorded alone keeps the spacing of its own pts: they are exact where moments of sending jitter. What pts
cannot tell (a publisher that started again and counts from 0, one that gives none) is told by the machine's clock.
Several streams in one file have one thing in common, the machine's clock, so there the moment at which each frame is
due decides; pipelines derive it from pts, so it is as exact, and equal where their pts are meant to be equal.
"""

from __future__ import annotations

from typing import Final

from ..video.frame import VideoFrame

# Farther than this from what the clock says, a step of pts is no step of the stream.
_JUMP: Final = 10_000_000_000


class Timeline:
    """Gives each frame of one stream its moment, later than that of the frame before.

    Args:
        is_shared: Whether other streams go into the same file.
    """

    __slots__ = ("_anchor", "_clock", "_is_shared", "_last", "_pts")

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._anchor = 0
        self._clock: int | None = None
        self._pts: int | None = None
        self._last: int | None = None

    def moment(self, frame: VideoFrame, arrived: int) -> int:
        """The moment of the next frame, nanoseconds, comparable with CLOCK_MONOTONIC.

        Args:
            frame: The frame.
            arrived: When it was received, nanoseconds of CLOCK_MONOTONIC.
        """
        due, captured = frame.due_at, frame.captured_at
        clock = next(time for time in (due, captured, arrived) if time is not None)
        if self._is_shared:
            moment = clock
        elif frame.pts is not None:
            moment = self._by_pts(frame.pts, clock)
        else:
            moment = clock if captured is None else captured
            self._pts = None
        if self._last is not None and moment <= self._last:
            moment = self._last + 1
        self._last, self._clock = moment, clock
        return moment

    def _by_pts(self, pts: int, clock: int) -> int:
        if self._pts is None or self._clock is None or self._last is None:
            self._anchor = clock - pts
        else:
            step, passed = pts - self._pts, clock - self._clock
            if step <= 0 or step > passed + _JUMP:
                self._anchor = self._last + max(passed, 1) - pts
        self._pts = pts
        return pts + self._anchor
