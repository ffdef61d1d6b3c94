"""Publishing a source, at its own pace or as fast as it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._wire.formats import get_format
from .._wire.stamp import monotonic_ns
from .._work import Work
from ..discovery import full_name
from ..video.publisher import VideoFramePublisher
from .source import Shape, Source

_NS: Final = 1_000_000_000
# Later than this (the machine slept, the decoder is too slow), lost time is not made up for.
_LATE_MAX: Final = _NS // 2
_WAIT_STEP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fed:
    """How far a feed is, or what became of it.

    Attributes:
        service: Name of the service.
        shape: What its frames are.
        sent: Frames sent.
        dropped: Frames for which subscribers left no memory.
        subscribers: How many there were last.
        seconds: Time since the first frame.
        behind: How often the source was too slow for its own pace, by more than half a second.
    """

    service: str
    shape: Shape
    sent: int
    dropped: int
    subscribers: int
    seconds: float
    behind: int


class Feeder(Work[Fed]):
    """Publishes the pictures of a source as a service, and the end of the stream at its end, whatever ends it.

    Args:
        name: Service, short or in full.
        source: Where pictures come from; closed at the end.
        fast: Whether not to wait for the moments of the pictures. Subscribers that are slower lose frames.
        duration: Seconds after which to end; None = none.
        frames: Frames after which to end; None = none.
        wait_for: How many subscribers to wait for before the first frame.

    Raises:
        ServiceError: The service cannot be had: somebody publishes there, say.
        OutOfSharedMemoryError: There is not enough shared memory for such frames.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        fast: bool = False,
        duration: float | None = None,
        frames: int | None = None,
        wait_for: int = 0,
    ) -> None:
        super().__init__()
        self._source = source
        self._shape = shape = source.shape
        self._fast = fast
        # Too many nanoseconds for a number are no limit either.
        self._duration = None if duration is None or math.isinf(duration * _NS) else round(duration * _NS)
        self._frames = frames
        self._wait_for = wait_for
        self._began: int | None = None
        self._behind = 0
        self._subscribers = 0
        try:
            size = get_format(shape.format).tight_layout(shape.width, shape.height).size
            self._publisher = VideoFramePublisher(
                full_name(name), max_bytes=size, framerate=shape.framerate or 0, caps=shape.caps
            )
        except BaseException:
            source.close()
            raise

    @property
    def shape(self) -> Shape:
        """What its frames are."""
        return self._shape

    def run(self, progress: Callable[[Fed], None] | None = None) -> Fed:
        """Publish until the source ends, a limit is reached, or `stop` is called; end the stream; close everything.

        Args:
            progress: Called ten times a second, from this thread, with how far it is.

        Returns:
            What became of it.

        Raises:
            SourceError: The source failed: a camera was unplugged, say. The stream was ended before.
        """
        publisher = self._publisher
        try:
            while not self._stop.is_set() and publisher.num_subscribers < self._wait_for:
                self._stop.wait(_WAIT_STEP)
            self._feed(progress)
        finally:
            try:
                if self._began is not None:
                    publisher.end_of_stream()
            finally:
                self._subscribers = publisher.num_subscribers
                publisher.close()
                self._source.close()
        return self.report()

    def _feed(self, progress: Callable[[Fed], None] | None) -> None:
        shape, publisher = self._shape, self._publisher
        paced = not self._fast and not self._source.is_live
        start = self._began = monotonic_ns()
        for number, picture in enumerate(self._source.pictures()):
            if self._is_over(number, picture.pts):
                return
            if paced:
                start = self._wait(start, picture.pts)
                if self._stop.is_set():
                    return
            with publisher.loan(shape.width, shape.height, shape.format) as frame:
                picture.fill(frame)
                frame.pts, frame.duration, frame.flags = picture.pts, picture.duration, picture.flags
                if picture.captured_at is not None:
                    frame.captured_at = picture.captured_at
            self._report_to(progress)

    def _is_over(self, number: int, pts: int) -> bool:
        over_time = self._duration is not None and pts >= self._duration
        return self._stop.is_set() or over_time or (self._frames is not None and number >= self._frames)

    def _wait(self, start: int, pts: int) -> int:
        """Sleep until a picture is due; return the moment of the beginning, moved if time was lost."""
        early = start + pts - monotonic_ns()
        if early > 0:
            self._stop.wait(early / _NS)
        elif early < -_LATE_MAX:
            self._behind += 1
            return start - early
        return start

    def report(self) -> Fed:
        """How far it is; afterwards, what became of it."""
        publisher = self._publisher
        stats = publisher.stats
        began = self._began
        return Fed(
            publisher.service_name,
            self._shape,
            stats.sent,
            stats.dropped,
            self._subscribers if publisher.is_closed else publisher.num_subscribers,
            0.0 if began is None else (monotonic_ns() - began) / _NS,
            self._behind,
        )
