"""Publishes a source, in real time or as fast as possible."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .._iox2 import binding
from .._wire.formats import get_format
from .._wire.stamp import monotonic_ns
from ..discovery import full_name
from ..video.loan import LoanedFrame
from ..video.publisher import VideoFramePublisher
from ..work import Work
from .source import Shape, Source

_NS: Final = 1_000_000_000
# After a longer delay (the machine was suspended, the decoder is too slow), the feed does not try to catch up.
_LATE_MAX: Final = _NS // 2
_WAIT_STEP: Final = 0.1


@dataclass(frozen=True, slots=True)
class Fed:
    """Progress or result of a feed.

    Attributes:
        service: Full name of the service.
        shape: Size, format and rate of the frames.
        sent: Number of frames sent.
        dropped: Number of frames dropped because subscribers held all buffers.
        subscribers: Current number of subscribers; after the end, their number at the end.
        seconds: Time since the first frame, in seconds.
        behind: Number of times that the source was more than half a second late.
        by_reference: Number of frames that no program copied: the device wrote into shared memory.
        damaged: Number of pictures that were damaged when they arrived. Those that show something are sent with the
            flag CORRUPTED.
        lost: Number of pictures that were lost before they arrived, for example in a camera's driver.
    """

    service: str
    shape: Shape
    sent: int
    dropped: int
    subscribers: int
    seconds: float
    behind: int
    by_reference: int
    damaged: int
    lost: int


class Feeder(Work[Fed]):
    """Publishes the pictures of a source as a service.

    By default, it ends the stream when it stops, for whatever reason.

    Args:
        name: Name of the service, short or in full.
        source: The source of pictures. `run` closes it.
        fast: Whether to publish as fast as possible. Slower subscribers then lose frames.
        duration: Seconds after which to stop; None means no limit.
        frames: Number of frames after which to stop; None means no limit.
        wait_for: Number of subscribers to wait for before publishing the first frame.
        is_resumable: Whether another feed may continue the stream later. Then `stop` and a failed source do not end the
            stream: subscribers wait for the next feed. The end of the source, `duration` and `frames` still end it.

    Raises:
        ServiceError: The service cannot be created, for example because it has another publisher.
        OutOfSharedMemoryError: There is not enough shared memory for the frames.
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
        is_resumable: bool = False,
    ) -> None:
        super().__init__()
        self._source = source
        self._shape = shape = source.shape
        self._fast = fast
        # A duration that overflows in nanoseconds means no limit, too.
        self._duration = None if duration is None or math.isinf(duration * _NS) else round(duration * _NS)
        self._frames = frames
        self._wait_for = wait_for
        self._is_resumable = is_resumable
        self._began: int | None = None
        self._behind = 0
        self._by_reference = 0
        self._subscribers = 0
        try:
            size = get_format(shape.format).tight_layout(shape.width, shape.height).size
            service = full_name(name)
            self._publisher = VideoFramePublisher(
                service,
                iox2_node=binding.create_node_for(service, about=source.about),
                max_bytes=size,
                framerate=shape.framerate or 0,
                caps=shape.caps,
            )
        except BaseException:
            source.close()
            raise

    @property
    def shape(self) -> Shape:
        """Size, format and rate of the frames."""
        return self._shape

    @property
    def about(self) -> str:
        """Where the pictures come from, in words."""
        return self._source.about

    def run(self, progress: Callable[[Fed], None] | None = None) -> Fed:
        """Publish until the source ends, a limit is reached, or `stop` is called. Then end the stream if it has to end.

        Args:
            progress: Called with the progress ten times per second, in the thread that called `run`.

        Returns:
            The result.

        Raises:
            SourceError: The source failed, for example because a camera was unplugged. The stream has been ended,
                unless it is resumable.
        """
        publisher = self._publisher
        is_complete = False
        try:
            while not self._stop.is_set() and publisher.num_subscribers < self._wait_for:
                self._stop.wait(_WAIT_STEP)
            is_complete = self._feed(progress)
        finally:
            try:
                # A device may write into frames until its source is closed.
                self._source.close()
                if self._began is not None and (is_complete or not self._is_resumable):
                    publisher.end_of_stream()
            finally:
                self._subscribers = publisher.num_subscribers
                publisher.close()
        return self.report()

    def _feed(self, progress: Callable[[Fed], None] | None) -> bool:
        """Publish, and return whether the stream is complete; False if `stop` was called."""
        paced = not self._fast and not self._source.is_live
        start = self._began = monotonic_ns()
        number = 0
        for picture in self._source.pictures(self._lend):
            self._report_to(progress)
            if self._stop.is_set():
                return False
            moment = monotonic_ns() - start if picture is None else picture.pts
            if self._duration is not None and moment >= self._duration:
                return True
            if picture is None:
                continue
            if paced:
                start = self._wait(start, picture.pts)
                if self._stop.is_set():
                    return False
            sent = self._publisher.stats.sent
            with picture.frame or self._lend(None) as frame:
                if picture.fill is not None:
                    picture.fill(frame)
                frame.pts, frame.duration, frame.flags = picture.pts, picture.duration, picture.flags
                if picture.captured_at is not None:
                    frame.captured_at = picture.captured_at
            # A frame for which no memory was free was dropped.
            self._by_reference += picture.is_by_reference and self._publisher.stats.sent > sent
            number += 1
            if number == self._frames:
                return True
        return True

    def _lend(self, stride0: int | None) -> LoanedFrame:
        shape = self._shape
        return self._publisher.loan(shape.width, shape.height, shape.format, stride0=stride0)

    def _wait(self, start: int, pts: int) -> int:
        """Sleep until a picture is due.

        Returns:
            The start time of the stream, shifted by the delay if the picture is too late.
        """
        early = start + pts - monotonic_ns()
        if early > 0:
            self._stop.wait(early / _NS)
        elif early < -_LATE_MAX:
            self._behind += 1
            return start - early
        return start

    def report(self) -> Fed:
        """Return the progress; after `run`, the result."""
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
            self._by_reference,
            self._source.damaged,
            self._source.lost,
        )
