"""Assigns the timestamps of frames in a file.

A single stream keeps the spacing of its pts, because pts are exact and arrival times jitter. If pts are missing or
start again (a restarted publisher counts from 0), the machine's clock is used. Several streams in one file have only
that clock in common, so their frames are placed by due time. Pipelines derive due times from pts, so these are just as
exact.
"""

from __future__ import annotations

from typing import Final

from ..packets import Packet
from ..video.frame import VideoFrame

# If pts advance by this much more than the clock, the stream has restarted. In nanoseconds.
_JUMP: Final = 10_000_000_000
# Longest time by which a B-frame is shown before the packet that precedes it. In nanoseconds.
_REORDER: Final = 2_000_000_000


class Timeline:
    """Assigns each frame of a stream a timestamp later than the previous frame's.

    Args:
        is_shared: Whether the file contains other streams.
    """

    __slots__ = ("_anchor", "_clock", "_is_shared", "_last", "_pts")

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._anchor = 0
        self._clock: int | None = None
        self._pts: int | None = None
        self._last: int | None = None

    def moment(self, frame: VideoFrame, arrived: int) -> int:
        """Return the timestamp of the next frame, in nanoseconds on CLOCK_MONOTONIC's scale.

        Args:
            frame: The frame.
            arrived: Arrival time of the frame, in nanoseconds of CLOCK_MONOTONIC.
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
        return self._later(moment, clock)

    def place(self, time: int, arrived: int) -> int:
        """Return the timestamp of the next frame from a time of its own, such as the capture time of a set.

        The spacing of these times is kept, except when they start again from a lower value.

        Args:
            time: The time, in nanoseconds of any clock.
            arrived: Arrival time of the frame, in nanoseconds of CLOCK_MONOTONIC.
        """
        return self._later(self._by_pts(time, arrived), arrived)

    def _later(self, moment: int, clock: int) -> int:
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


class PacketTimeline:
    """Assigns each packet of a stream a timestamp. With B-frames, a packet may be shown before the previous one.

    Args:
        is_shared: Whether the file contains other streams.
    """

    __slots__ = ("_anchor", "_clock", "_is_shared", "_latest", "_pts", "_source")

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._anchor = self._clock = 0
        self._latest: int | None = None
        self._pts: int | None = None
        self._source: int | None = None

    def moment(self, packet: Packet, arrived: int) -> int:
        """Return the timestamp of the next packet, in nanoseconds on CLOCK_MONOTONIC's scale.

        Args:
            packet: The packet.
            arrived: Arrival time of the packet, in nanoseconds of CLOCK_MONOTONIC.
        """
        due, captured, pts = packet.due_at, packet.captured_at, packet.pts
        clock = next(time for time in (due, captured, arrived) if time is not None)
        if self._is_shared:
            return clock
        if pts is None:
            self._pts = None
            moment = clock if captured is None else captured
        else:
            self._place(packet, pts, clock)
            moment = pts + self._anchor
        if self._latest is None or moment > self._latest:
            self._latest, self._clock = moment, clock
        return moment

    def _place(self, packet: Packet, pts: int, clock: int) -> None:
        """Determine the difference between `pts` and the clock anew if another source began to count."""
        # An encoder that starts again goes on with the times of the same frames.
        source = packet.stream if packet.publisher is None else packet.publisher
        before, self._pts = self._pts, pts
        if self._latest is None:
            self._anchor = clock - pts
        elif source != self._source or before is None:
            self._anchor = self._latest + max(clock - self._clock, 1) - pts
        else:
            step, passed = pts - before, clock - self._clock
            may_go_back = packet.dts != pts and step > -_REORDER
            if step > passed + _JUMP or (step <= 0 and not may_go_back):
                self._anchor = self._latest + max(passed, 1) - pts
        self._source = source
