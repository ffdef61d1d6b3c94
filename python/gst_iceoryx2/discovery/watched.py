"""Keeps receiving a stream, even after errors and when the stream ends and restarts."""

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

# Longest wait for a frame, in seconds. `close` takes effect within this time.
_WAIT: Final = 0.25
# Pause after an error, in seconds. Opening a full service makes iceoryx2 search for dead participants, which is slow.
_RETRY: Final = 2.0
# Enough for five seconds of the fastest cameras; older arrivals are dropped.
_MOST_ARRIVALS: Final = 10_000


class Arrival(NamedTuple):
    """A frame that arrived.

    Attributes:
        moment: Arrival time, in nanoseconds of CLOCK_MONOTONIC.
        frames: 1 + the number of older frames that were skipped in favour of this one.
        latency: Nanoseconds from capture to arrival; None means unknown.
        size: Number of pixel bytes.
    """

    moment: int
    frames: int
    latency: int | None
    size: int


class Counts(NamedTuple):
    """Frame counts since the start.

    Attributes:
        received: Frames that arrived.
        dropped: Frames that were sent but did not arrive; None means unknown.
        invalid: Frames that violated the wire contract.
    """

    received: int
    dropped: int | None
    invalid: int


class Newest(NamedTuple):
    """Format and size of the newest frame.

    Attributes:
        format: GStreamer's name for the pixel format.
        width: Width in pixels.
        height: Height in rows.
        caps: Caps, as GStreamer writes them; None if the frame has no caps.
    """

    format: str
    width: int
    height: int
    caps: str | None


class Watched(ABC):
    """Receives frames from one service in a separate thread, from `_start` until `close`.

    The stream need not exist yet. After an error, the subscriber is replaced, and all counts continue.

    Args:
        name: Full name of the service.
        skips: Whether to skip older frames if a newer one is waiting.

    Attributes:
        name: Full name of the service.
        problem: Why frames cannot be received, in one line; None if there is no problem.
        has_ended: Whether the stream has ended and has not started again.
        newest: Format and size of the newest frame; None before the first frame.
    """

    # What receives the frames.
    _kind: type[VideoFrameSubscriber] = VideoFrameSubscriber

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
        """Stop the thread and leave the service. Idempotent."""
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
        """Return the frame counts, summed over all subscribers so far."""
        with self._lock:
            return self._sums()

    def arrivals(self, since: int) -> list[Arrival]:
        """Return the frames that arrived since a time on CLOCK_MONOTONIC (nanoseconds), oldest first.

        The first frame of each subscriber is omitted, because it may have been sent long before.
        """
        with self._lock:
            return [one for one in self._arrivals if one.moment >= since]

    def seconds(self, now: int, span: int) -> float:
        """Return `span` nanoseconds or the time since this object was created, whichever is shorter, in seconds."""
        return min(now - self._began, span) / 1e9

    # -- the thread --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _take(self, frame: VideoFrame, *, is_new: bool) -> None:
        """Handle a frame. The frame is released afterwards.

        Args:
            frame: The frame; never the end of the stream.
            is_new: Whether the frame is the first one of its subscriber.
        """

    def _idle(self) -> None:  # noqa: B027
        """Called when no frame has arrived for a while."""

    def _explain(self, exc: Exception, before: str | None) -> str:
        """Return the problem as one line of text.

        Args:
            exc: The exception that caused the problem.
            before: Text of the previous problem.
        """
        return " ".join(str(exc).split()) or type(exc).__name__

    def _join(self) -> VideoFrameSubscriber:
        """Return the subscriber; after `_leave`, create a new one."""
        subscriber = self._subscriber
        if subscriber is None:
            self._is_new = True
            subscriber = self._subscriber = self._kind(self.name)
        return subscriber

    def _leave(self) -> None:
        """Close the subscriber; the next wait for a frame creates another one."""
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
        """Return the frame counts. The caller must hold the lock."""
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
    """Return the number of frames that arrived, including skipped ones."""
    return sum(one.frames for one in arrivals)
