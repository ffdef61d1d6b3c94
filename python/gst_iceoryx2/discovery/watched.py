"""A stream that is watched for as long as one likes, through errors, ends and restarts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from .._wire.stamp import monotonic_ns
from ..errors import ClosedError, Iox2VideoError
from ..video.frame import VideoFrame
from ..video.subscriber import VideoFrameSubscriber

# Longest wait for a frame, in seconds. `close` takes effect within it.
_WAIT: Final = 0.25
# Pause after an error, in seconds. Opening a full service makes iceoryx2 look for dead participants.
_RETRY: Final = 2.0
# Five seconds of the fastest cameras; older arrivals are forgotten.
_MOST_ARRIVALS: Final = 10_000


class Arrival(NamedTuple):
    """A frame that arrived.

    Attributes:
        moment: When, nanoseconds of CLOCK_MONOTONIC.
        frames: 1 + the number of older frames that were skipped for it.
        latency: Nanoseconds from capture to arrival; None = unknown.
        size: Bytes of its pixels.
    """

    moment: int
    frames: int
    latency: int | None
    size: int


class Counts(NamedTuple):
    """Numbers of frames since the beginning.

    Attributes:
        received: Frames that arrived.
        dropped: Frames that were sent and did not arrive; None = unknown.
        invalid: Frames that broke the wire contract.
    """

    received: int
    dropped: int | None
    invalid: int


class Newest(NamedTuple):
    """What the newest frame looks like.

    Attributes:
        format: GStreamer's name of the pixel format.
        width: Pixels.
        height: Rows.
        caps: Caps, as GStreamer writes them; None = none.
    """

    format: str
    width: int
    height: int
    caps: str | None


class Watched(ABC):
    """Receives one service in a thread of its own, from `_start` until `close`.

    The stream need not exist yet. After an error the subscriber is replaced; all numbers count on.

    Args:
        name: Full name of the service.
        skips: Whether to skip older frames when a newer one waits.

    Attributes:
        name: Full name of the service.
        problem: Why nothing can be received, in one line; None = no problem.
        has_ended: Whether the stream has ended and not started again.
        newest: What the newest frame looks like; None before the first frame.
    """

    def __init__(self, name: str, *, skips: bool) -> None:
        self.name: Final = name
        self.problem: str | None = None
        self.has_ended = False
        self.newest: Newest | None = None
        self._skips = skips
        self._lock = threading.Lock()
        self._subscriber: VideoFrameSubscriber | None = None
        self._is_new = True
        self._earlier = Counts(0, 0, 0)
        self._began = monotonic_ns()
        self._arrivals: deque[Arrival] = deque(maxlen=_MOST_ARRIVALS)
        self._received = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {name}", daemon=True)

    def _start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread and leave the service. Idempotent."""
        self._ends.set()
        subscriber = self._subscriber
        if subscriber is not None:
            subscriber.close()
        self._thread.join()

    @property
    def is_connected(self) -> bool:
        """Whether the service counts this as one of its subscribers."""
        subscriber = self._subscriber
        return subscriber is not None and subscriber.is_connected

    def counts(self) -> Counts:
        """Numbers of frames, over all subscribers so far."""
        with self._lock:
            return self._sums()

    def arrivals(self, since: int) -> list[Arrival]:
        """Frames that arrived since a moment of CLOCK_MONOTONIC (nanoseconds), oldest first.

        The first frame of each subscriber is left out: it may have been sent long before.
        """
        with self._lock:
            return [one for one in self._arrivals if one.moment >= since]

    def seconds(self, now: int, span: int) -> float:
        """The length of the last `span` nanoseconds in which this watched, in seconds."""
        return min(now - self._began, span) / 1e9

    # -- the thread --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _take(self, frame: VideoFrame, *, is_new: bool) -> None:
        """Handle a frame, which is released afterwards.

        Args:
            frame: The frame; not the end of the stream.
            is_new: Whether it is the first frame of its subscriber.
        """

    def _idle(self) -> None:  # noqa: B027
        """Called when no frame came for a while."""

    def _explain(self, exc: Exception, before: str | None) -> str:
        """The problem in one line.

        Args:
            exc: What happened.
            before: The problem so far.
        """
        return " ".join(str(exc).split()) or type(exc).__name__

    def _join(self) -> VideoFrameSubscriber:
        """The subscriber; a new one after `_leave`."""
        subscriber = self._subscriber
        if subscriber is None:
            self._is_new = True
            subscriber = self._subscriber = VideoFrameSubscriber(self.name)
        return subscriber

    def _leave(self) -> None:
        """Close the subscriber; the next wait for a frame makes another one."""
        with self._lock:
            received, dropped, invalid = self._sums()
            subscriber, self._subscriber = self._subscriber, None
            self._earlier = Counts(received, dropped or 0, invalid)
        if subscriber is not None:
            subscriber.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                subscriber = self._join()
                frame = subscriber.latest(_WAIT) if self._skips else subscriber.receive_blocking(_WAIT * 1000)
                if frame is None:
                    self._idle()
                    continue
                with frame:
                    self._note(frame)
            except ClosedError:
                break
            except Iox2VideoError as exc:
                self.problem = self._explain(exc, self.problem)
                self._leave()
                self._ends.wait(_RETRY)
        self._leave()

    def _note(self, frame: VideoFrame) -> None:
        moment, captured_at = monotonic_ns(), frame.captured_at
        is_new, self._is_new, self.problem = self._is_new, False, None
        if frame.is_eos():
            self.has_ended = True
            return
        with self._lock:
            before, self._received = self._received, self._sums().received
            if not is_new:
                latency = None if captured_at is None else moment - captured_at
                self._arrivals.append(Arrival(moment, self._received - before, latency, frame.pixel_size))
        self.newest = Newest(frame.format, frame.width, frame.height, frame.caps)
        self._take(frame, is_new=is_new)

    def _sums(self) -> Counts:
        """Numbers of frames; call it with the lock held."""
        subscriber = self._subscriber
        if subscriber is None:
            return self._earlier
        received, dropped, invalid = self._earlier
        stats = subscriber.stats
        return Counts(
            received + stats.received,
            None if stats.dropped is None or dropped is None else dropped + stats.dropped,
            invalid + stats.invalid,
        )


def frames_in(arrivals: Sequence[Arrival]) -> int:
    """Number of frames that arrived, skipped ones included."""
    return sum(one.frames for one in arrivals)
