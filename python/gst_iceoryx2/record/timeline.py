"""Times of frames in a file.

A single stream keeps the spacing of its pts, which are exact; times of arrival jitter. If pts are missing or start
again (a restarted publisher counts from 0), the machine's clock gives the time. Several streams in one file share only
that clock, so their frames are placed by the time at which they are due. Pipelines derive it from pts, so it is as
exact.
"""

from __future__ import annotations

from typing import Final

from ..video.frame import VideoFrame

# A step of pts that exceeds the step of the clock by more than this is a restart, in nanoseconds.
_JUMP: Final = 10_000_000_000


class Timeline:
    """Gives each frame of one stream a time, later than the frame before.

    Args:
        is_shared: Whether the file has other streams.
    """

    __slots__ = ("_anchor", "_clock", "_is_shared", "_last", "_pts")

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._anchor = 0
        self._clock: int | None = None
        self._pts: int | None = None
        self._last: int | None = None

    def moment(self, frame: VideoFrame, arrived: int) -> int:
        """The time of the next frame, nanoseconds on CLOCK_MONOTONIC's scale.

        Args:
            frame: The frame.
            arrived: When the frame was received, nanoseconds of CLOCK_MONOTONIC.
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
