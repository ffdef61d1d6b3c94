"""Keeps receiving a stream, even after errors and when the stream ends and restarts."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

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


class _Item(Protocol):
    @property
    def captured_at(self) -> int | None: ...
    def is_eos(self) -> bool: ...
    def release(self) -> None: ...


class _Stats(Protocol):
    @property
    def received(self) -> int: ...
    @property
    def dropped(self) -> int | None: ...
    @property
    def invalid(self) -> int: ...


_I = TypeVar("_I", bound=_Item)
_I_co = TypeVar("_I_co", bound=_Item, covariant=True)


class _Subscriber(Protocol[_I_co]):
    @property
    def is_connected(self) -> bool: ...
    @property
    def stats(self) -> _Stats: ...
    def receive_blocking(self, block_ms: float | None = None) -> _I_co | None: ...
    def close(self) -> None: ...


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


class Watched(ABC, Generic[_I]):
    """Receives frames or packets from one service in a separate thread, from `_start` until `close`.

    The stream need not exist yet. After an error, the subscriber is replaced, and all counts continue.

    Args:
        name: Full name of the service.

    Attributes:
        name: Full name of the service.
        problem: Why frames cannot be received, in one line; None if there is no problem.
        has_ended: Whether the stream has ended and has not started again.
        newest: Format and size of the newest frame; None before the first frame.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.problem: str | None = None
        self.has_ended = False
        self.newest: Newest | None = None
        self._lock = threading.Lock()
        self._subscriber: _Subscriber[_I] | None = None
        self._is_new = True
        self._earlier = Counts(0, 0, 0)
        self._began = monotonic_ns()
        self._arrivals: deque[Arrival] = deque(maxlen=_MOST_ARRIVALS)
        self._received = 0
        self._ends = threading.Event()
        self._is_wanted = threading.Event()
        self._is_wanted.set()
        self._thread = threading.Thread(target=self._run, name=f"watch {name}", daemon=True)

    def _start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and leave the service. Idempotent."""
        self._ends.set()
        self._is_wanted.set()
        subscriber = self._subscriber
        if subscriber is not None:
            subscriber.close()
        self._thread.join()

    def rest(self) -> None:
        """Leave the service before the next frame, or within a quarter of a second, until `resume`."""
        self._is_wanted.clear()

    def resume(self) -> None:
        """Receive again after `rest`. Idempotent."""
        self._is_wanted.set()

    @property
    def is_resting(self) -> bool:
        """Whether `rest` was called, and `resume` was not."""
        return not self._is_wanted.is_set()

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
    def _subscribe(self) -> _Subscriber[_I]:
        """Return a new subscriber."""

    def _receive(self, subscriber: _Subscriber[_I]) -> _I | None:
        """Wait for the next frame for at most `_WAIT` seconds."""
        return subscriber.receive_blocking(_WAIT * 1000)

    @abstractmethod
    def _describe(self, frame: _I) -> tuple[Newest, int]:
        """Return format and size of a frame, and its number of bytes."""

    def _has_just_arrived(self, frame: _I, *, is_new: bool) -> bool:
        """Return whether a frame was sent after its subscriber was created."""
        return not is_new

    @abstractmethod
    def _take(self, frame: _I, *, is_new: bool) -> None:
        """Handle a frame. The frame is released afterwards.

        Args:
            frame: The frame; never the end of the stream.
            is_new: Whether the frame is the first one of its subscriber.
        """

    def _idle(self) -> None:
        """Called when no frame has arrived for a while."""

    def _explain(self, exc: Exception, before: str | None) -> str:
        """Return the problem as one line of text.

        Args:
            exc: The exception that caused the problem.
            before: Text of the previous problem.
        """
        return " ".join(str(exc).split()) or type(exc).__name__

    def _join(self) -> _Subscriber[_I]:
        """Return the subscriber; after `_leave`, create a new one."""
        subscriber = self._subscriber
        if subscriber is None:
            self._is_new = True
            subscriber = self._subscriber = self._subscribe()
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
            if not self._is_wanted.is_set():
                self._leave()
                self._is_wanted.wait()
                continue
            try:
                frame = self._receive(self._join())
                if frame is None:
                    self._idle()
                    continue
                try:
                    self._note(frame)
                finally:
                    frame.release()
            except ClosedError:
                break
            except Iox2VideoError as exc:
                self.problem = self._explain(exc, self.problem)
                self._leave()
                self._ends.wait(_RETRY)
        self._leave()

    def _note(self, frame: _I) -> None:
        moment, captured_at = monotonic_ns(), frame.captured_at
        is_new, self._is_new, self.problem = self._is_new, False, None
        if frame.is_eos():
            self.has_ended = True
            return
        newest, size = self._describe(frame)
        with self._lock:
            before, self._received = self._received, self._sums().received
            if self._has_just_arrived(frame, is_new=is_new):
                latency = None if captured_at is None else moment - captured_at
                self._arrivals.append(Arrival(moment, self._received - before, latency, size))
        self.newest = newest
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


class WatchedFrames(Watched[VideoFrame]):
    """Receives frames from one service.

    Args:
        name: Full name of the service.
        skips: Whether to skip older frames if a newer one is waiting.
    """

    # What receives the frames.
    _kind: type[VideoFrameSubscriber] = VideoFrameSubscriber

    def __init__(self, name: str, *, skips: bool) -> None:
        super().__init__(name)
        self._skips = skips

    def _subscribe(self) -> VideoFrameSubscriber:
        return self._kind(self.name)

    def _receive(self, subscriber: _Subscriber[VideoFrame]) -> VideoFrame | None:
        if self._skips and isinstance(subscriber, VideoFrameSubscriber):
            return subscriber.latest(_WAIT)
        return super()._receive(subscriber)

    def _describe(self, frame: VideoFrame) -> tuple[Newest, int]:
        return Newest(frame.format, frame.width, frame.height, frame.caps), frame.pixel_size


def frames_in(arrivals: Sequence[Arrival]) -> int:
    """Return the number of frames that arrived, including skipped ones."""
    return sum(one.frames for one in arrivals)
