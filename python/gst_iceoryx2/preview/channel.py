"""One stream of a preview: receives all the time, encodes while somebody wants pictures."""

from __future__ import annotations

import json
import logging
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from .. import jpeg
from .._wire.stamp import monotonic_ns
from ..discovery.names import full_name, short_name
from ..errors import ClosedError, Iox2VideoError
from ..video import VideoFrame, VideoFrameSubscriber
from ..video.shape import size_in_squares
from .websocket import binary_message

_log: Final = logging.getLogger("gst_iceoryx2")

State = Literal["waiting", "live", "silent", "ended", "problem"]
"""What a watched stream does: it waits for a publisher, sends, is silent, has ended, or cannot be received."""

# How long a look for a frame lasts; a request to end is noticed after it.
_LOOK: Final = 0.25
_SILENCE: Final = 2.0
_RETRY: Final = 1.0
_FPS_WINDOW: Final = 2.0
_FPS_STEP: Final = 0.1
_SCHEMES: Final = ("sh4lt:", "zenoh:")
_HEAD: Final = struct.Struct(">I")


def service_of(name: str) -> str:
    """The service of a stream's name, short or in full.

    Raises:
        ValueError: The name is of another transport.
    """
    full = full_name(name)
    if full.startswith(_SCHEMES):
        raise ValueError(f"{name} is no iceoryx2 service: `iox2-video bridge {name} NAME` makes one of it")
    return full


class Picture(NamedTuple):
    """One encoded picture, shared by all viewers.

    Attributes:
        number: How many pictures of this channel came before it.
        message: What a viewer is sent: length of the following JSON (4 bytes, big-endian), the JSON, the JPEG.
        jpeg: Bytes of the JPEG picture in it.
    """

    number: int
    message: bytes
    jpeg: int


class Status(NamedTuple):
    """What is known of a stream at a moment; None = unknown.

    Attributes:
        name: Name of the service.
        short_name: As commands take it.
        state: `waiting` for the first frame, `live`, `silent` for two seconds and more, `ended` by its publisher,
            `problem`.
        problem: What is wrong, in one line.
        format: GStreamer's name of the pixel format of the newest frame.
        width: Its pixels in a row.
        height: Its rows.
        caps: Its caps.
        fps: Frames a second that came, over two seconds.
        age: Seconds from the capture of the newest frame to its arrival here.
        silence: Seconds since the newest frame.
        received: Frames that came.
        dropped: Frames that the publisher counted and that did not come.
        invalid: Frames that broke the wire contract.
        encoded: Pictures made of them.
        encode_seconds: Processor time spent on these, conversion of colours included.
        jpeg_bytes: Size of the newest picture.
        wanting: Viewers that would take a picture now.
    """

    name: str
    short_name: str
    state: State
    problem: str | None
    format: str | None
    width: int | None
    height: int | None
    caps: str | None
    fps: float
    age: float | None
    silence: float | None
    received: int
    dropped: int | None
    invalid: int
    encoded: int
    encode_seconds: float
    jpeg_bytes: int | None
    wanting: int


class Channel:
    """Watches one service from a thread of its own.

    A frame is let go as soon as it is encoded, or at once if nobody wants a picture: nothing is borrowed while the
    thread sleeps. Viewers share each picture.

    Args:
        name: Full name of the service.
        index: Number of the channel, told with each picture.
        max_fps: Pictures a second at most; None = as many as frames come.
        quality: JPEG quality, 1 to 100.

    Raises:
        InvalidServiceNameError: The name cannot name a service.
        ServiceError: The service is there and cannot be opened.
    """

    def __init__(self, name: str, index: int, *, max_fps: float | None, quality: int) -> None:
        self.name: Final = name
        self._index = index
        self._interval = 0.0 if max_fps is None else 1 / max_fps
        self._quality = quality
        self._lock = threading.Lock()
        self._wanting: dict[object, Callable[[], None]] = {}
        self._picture: Picture | None = None
        self._end = threading.Event()
        self._due = 0.0
        # Of the service, and of the newest frame.
        self._problem: str | None = None
        self._frame_problem: str | None = None
        # The newest frame went by without a picture: whoever wants one while nothing comes has to ask for it again.
        self._is_behind = False
        self._ended = False
        self._newest: tuple[str, int, int, str | None] | None = None
        self._newest_key: tuple[object, ...] | None = None
        self._has_just_joined = True
        self._newest_at: float | None = None
        self._age: float | None = None
        self._encoded = 0
        self._encode_seconds = 0.0
        self._before = (0, 0, 0)
        self._pace: deque[tuple[float, int]] = deque()
        self._subscriber: VideoFrameSubscriber | None = VideoFrameSubscriber(name)
        self._thread = threading.Thread(target=self._run, name=f"preview of {name}", daemon=True)
        self._thread.start()

    @property
    def picture(self) -> Picture | None:
        """The newest picture; None before the first."""
        return self._picture

    def want(self, viewer: object, wake: Callable[[], None] | None) -> None:
        """Say whether a viewer would take the next picture.

        Args:
            viewer: Whoever it is.
            wake: Called for each picture, by the channel's thread, and must not wait; None = wants none.
        """
        with self._lock:
            if wake is None:
                self._wanting.pop(viewer, None)
                return
            if self._is_behind and not self._wanting:
                # From when somebody last watched.
                self._picture = None
            self._wanting[viewer] = wake

    def status(self) -> Status:
        """What is known right now."""
        received, dropped, invalid = self._totals()
        now = time.monotonic()
        silence = None if self._newest_at is None else now - self._newest_at
        format, width, height, caps = self._newest or (None, None, None, None)
        picture = self._picture
        return Status(
            self.name,
            short_name(self.name),
            self._state(silence),
            self._problem or self._frame_problem,
            format,
            width,
            height,
            caps,
            self._fps(now),
            self._age,
            silence,
            received,
            dropped,
            invalid,
            self._encoded,
            self._encode_seconds,
            None if picture is None else picture.jpeg,
            len(self._wanting),
        )

    def close(self) -> None:
        """End the thread and let go of the service."""
        self._end.set()
        subscriber = self._subscriber
        if subscriber is not None:
            subscriber.close()
        self._thread.join()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                if self._subscriber is None:
                    self._subscriber = VideoFrameSubscriber(self.name)
                self._look(self._subscriber)
            except ClosedError:
                break
            except Iox2VideoError as exc:
                self._problem = self._told(exc, self._problem)
                self._join_anew()
                self._end.wait(_RETRY)
        if self._subscriber is not None:
            self._subscriber.close()

    def _look(self, subscriber: VideoFrameSubscriber) -> None:
        frame = subscriber.latest(_LOOK)
        if frame is None:
            self._note_pace()
            if self._is_behind and self._wanting and time.monotonic() >= self._due:
                # A subscriber that joins gets the newest frame, even of a publisher that pauses.
                self._is_behind = False
                self._join_anew()
            return
        with frame:
            self._take(frame)

    def _join_anew(self) -> None:
        with self._lock:
            received, dropped, invalid = self._sums()
            subscriber, self._subscriber = self._subscriber, None
            self._before = received, dropped or 0, invalid
        self._has_just_joined = True
        if subscriber is not None:
            subscriber.close()

    def _take(self, frame: VideoFrame) -> None:
        now, has_just_joined = time.monotonic(), self._has_just_joined
        self._problem, self._has_just_joined = None, False
        if frame.is_eos():
            self._ended = True
            return
        key = frame.sequence, frame.captured_at, frame.offset, frame.pts
        if key == self._newest_key and None not in key:
            # The one that was asked for again, and counted before.
            with self._lock:
                received, dropped, invalid = self._before
                self._before = received - 1, dropped, invalid
        else:
            self._age = age = frame.age
            # The first one may be the last one of a publisher that pauses.
            is_old = has_just_joined and age is not None and age > _SILENCE
            self._newest_at, self._ended = now - (age or 0.0) if is_old else now, False
        self._newest_key = key
        newest = frame.format, frame.width, frame.height, frame.caps
        if newest != self._newest:
            self._newest, self._frame_problem = newest, None
        self._note_pace()
        with self._lock:
            wanting = list(self._wanting.values())
        if not wanting or now < self._due - self._interval / 4:
            self._is_behind = True
            return
        self._due = max(self._due, now - self._interval) + self._interval
        try:
            self._encode(frame)
        except (Iox2VideoError, ValueError, RuntimeError, MemoryError) as exc:
            self._frame_problem = self._told(exc, self._frame_problem)
            return
        self._frame_problem = None
        for wake in wanting:
            wake()

    def _encode(self, frame: VideoFrame) -> None:
        began = time.thread_time()
        data = jpeg.encode(frame, self._quality)
        self._encode_seconds += time.thread_time() - began
        number = self._encoded
        captured = frame.captured_at
        about = {
            "stream": self._index,
            "number": number,
            "width": frame.width,
            "height": frame.height,
            "shown": size_in_squares(frame),
            "captured": None if captured is None else captured / 1e6,
            "encoded": monotonic_ns() / 1e6,
        }
        head = json.dumps(about, separators=(",", ":")).encode()
        picture = Picture(number, binary_message(_HEAD.pack(len(head)), head, data), len(data))
        with self._lock:
            self._picture, self._encoded, self._is_behind = picture, number + 1, False

    # -- what it knows -----------------------------------------------------------------------------------------------

    def _told(self, exc: Exception, before: str | None) -> str:
        """What is wrong, in one line; logged if it is something else than before."""
        text = " ".join(str(exc).split()) or type(exc).__name__
        if text != before:
            _log.warning("preview of %s: %s", self.name, text)
        return text

    def _totals(self) -> tuple[int, int | None, int]:
        with self._lock:
            return self._sums()

    def _sums(self) -> tuple[int, int | None, int]:
        """Frames received, dropped and invalid, over all subscribers so far; call it with the lock held."""
        received, dropped, invalid = self._before
        subscriber = self._subscriber
        if subscriber is None:
            return received, dropped, invalid
        stats = subscriber.stats
        return (
            received + stats.received,
            None if stats.dropped is None else dropped + stats.dropped,
            invalid + stats.invalid,
        )

    def _note_pace(self) -> None:
        now, received = time.monotonic(), self._totals()[0]
        with self._lock:
            pace = self._pace
            if not pace or now - pace[-1][0] >= _FPS_STEP:
                pace.append((now, received))
            while now - pace[0][0] > _FPS_WINDOW and len(pace) > 2:
                pace.popleft()

    def _fps(self, now: float) -> float:
        with self._lock:
            if len(self._pace) < 2 or now - self._pace[-1][0] > _FPS_WINDOW:
                return 0.0
            (began, first), (ended, last) = self._pace[0], self._pace[-1]
        return max(0.0, (last - first) / (ended - began))

    def _state(self, silence: float | None) -> State:
        if self._problem or self._frame_problem:
            return "problem"
        if self._ended:
            return "ended"
        if silence is None:
            return "waiting"
        return "live" if silence < _SILENCE else "silent"
