"""One stream of a preview. It is received continuously, but encoded only while a viewer wants pictures."""

from __future__ import annotations

import json
import logging
import struct
import time
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from .. import jpeg
from .._wire.stamp import monotonic_ns
from ..discovery.names import short_name
from ..discovery.watched import Newest, Watched, frames_in
from ..errors import Iox2VideoError
from ..video import VideoFrame
from ..video.shape import size_in_squares
from .websocket import binary_message

_log: Final = logging.getLogger("gst_iceoryx2")

State = Literal["waiting", "live", "silent", "ended", "problem"]
"""State of a watched stream: waiting for a publisher, sending, silent, ended, or impossible to receive."""

_SILENCE: Final = 2.0
_FPS_SPAN: Final = 2_000_000_000
_HEAD: Final = struct.Struct(">I")


class JpegPicture(NamedTuple):
    """One encoded picture, shared by all viewers.

    Attributes:
        number: Number of the picture, counted from 0.
        message: WebSocket message: length of the JSON text (4 bytes, big-endian), JSON text, JPEG picture.
        jpeg: Size of the JPEG picture, in bytes.
    """

    number: int
    message: bytes
    jpeg: int


class Status(NamedTuple):
    """The state of a stream at one point in time; None means unknown.

    Attributes:
        name: Full name of the service.
        short_name: Short name of the service.
        state: `waiting` (no frame yet), `live`, `silent` (no frame for two seconds), `ended` (end of stream) or
            `problem`.
        problem: What is wrong, in one line.
        format: GStreamer's name for the pixel format of the newest frame.
        width: Width of the newest frame, in pixels.
        height: Height of the newest frame, in rows.
        caps: Caps of the newest frame.
        fps: Frames per second that arrived, over two seconds.
        age: Seconds from the capture of the newest frame to its arrival.
        silence: Seconds since the newest frame.
        received: Frames that arrived.
        dropped: Frames that were sent but did not arrive.
        invalid: Frames that violated the wire contract.
        encoded: Pictures that were encoded.
        encode_seconds: Processor time for encoding them, including colour conversion.
        jpeg_bytes: Size of the newest picture, in bytes.
        wanting: Number of viewers that are ready for a picture.
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


class Channel(Watched):
    """Watches one service, and encodes its frames while at least one viewer wants pictures.

    A frame is released as soon as it is encoded, or immediately if no viewer wants it. The thread never holds a frame
    while it sleeps. All viewers share each picture.

    Args:
        name: Full name of the service.
        index: Number of the channel, sent with each picture.
        max_fps: Maximum number of pictures per second; None encodes every frame.
        quality: JPEG quality, 1 to 100.

    Raises:
        InvalidServiceNameError: The name is not a valid service name.
        ServiceError: The service exists but cannot be opened.
    """

    def __init__(self, name: str, index: int, *, max_fps: float | None, quality: int) -> None:
        super().__init__(name, skips=True)
        self._index = index
        self._interval = 0.0 if max_fps is None else 1 / max_fps
        self._quality = quality
        self._wanting: dict[object, Callable[[], None]] = {}
        self._picture: JpegPicture | None = None
        self._due = 0.0
        # The kind of frame that cannot be encoded, and the reason.
        self._refused: tuple[Newest | None, str] | None = None
        # Whether the newest frame was not encoded. If so, a new viewer would have to wait for the next frame.
        self._is_behind = False
        self._newest_key: tuple[object, ...] | None = None
        self._newest_at: float | None = None
        self._age: float | None = None
        self._repeats = 0
        self._encoded = 0
        self._encode_seconds = 0.0
        self._join()
        self._start()

    @property
    def picture(self) -> JpegPicture | None:
        """The newest picture; None before the first one."""
        return self._picture

    def want(self, viewer: object, wake: Callable[[], None] | None) -> None:
        """Register whether a viewer wants the next picture.

        Args:
            viewer: The viewer.
            wake: Called in the channel's thread for each picture; must not block. None means that the viewer does not
                want a picture.
        """
        with self._lock:
            if wake is None:
                self._wanting.pop(viewer, None)
                return
            if self._is_behind and not self._wanting:
                # The picture was encoded for an earlier viewer, so it is outdated.
                self._picture = None
            self._wanting[viewer] = wake

    def status(self) -> Status:
        """Return the current state of the stream."""
        received, dropped, invalid = self.counts()
        now = monotonic_ns()
        silence = None if self._newest_at is None else time.monotonic() - self._newest_at
        format, width, height, caps = self.newest or (None, None, None, None)
        picture = self._picture
        return Status(
            self.name,
            short_name(self.name),
            self._state(silence),
            self._problem(),
            format,
            width,
            height,
            caps,
            frames_in(self.arrivals(now - _FPS_SPAN)) / self.seconds(now, _FPS_SPAN),
            self._age,
            silence,
            received - self._repeats,
            dropped,
            invalid,
            self._encoded,
            self._encode_seconds,
            None if picture is None else picture.jpeg,
            len(self._wanting),
        )

    def _problem(self) -> str | None:
        refused = self._refused
        return self.problem or (refused[1] if refused is not None and refused[0] == self.newest else None)

    def _state(self, silence: float | None) -> State:
        if self._problem():
            return "problem"
        if self.has_ended:
            return "ended"
        if silence is None:
            return "waiting"
        return "live" if silence < _SILENCE else "silent"

    # -- the thread --------------------------------------------------------------------------------------------------

    def _idle(self) -> None:
        if self._is_behind and self._wanting and time.monotonic() >= self._due:
            # Rejoin, because a new subscriber receives the newest frame, even from a paused publisher.
            self._is_behind = False
            self._leave()

    def _take(self, frame: VideoFrame, *, is_new: bool) -> None:
        now = time.monotonic()
        key = frame.sequence, frame.captured_at, frame.offset, frame.pts
        if key == self._newest_key and None not in key:
            # The previous subscriber has already received this frame.
            self._repeats += 1
        else:
            self._age = age = frame.age
            # If the publisher is paused, it may have sent the first frame long ago.
            is_old = is_new and age is not None and age > _SILENCE
            self._newest_at, self.has_ended = now - (age or 0.0) if is_old else now, False
        self._newest_key = key
        with self._lock:
            wanting = list(self._wanting.values())
        if not wanting or now < self._due - self._interval / 4:
            self._is_behind = True
            return
        self._due = max(self._due, now - self._interval) + self._interval
        try:
            self._encode(frame)
        except (Iox2VideoError, ValueError, RuntimeError, MemoryError) as exc:
            self._refused = self.newest, self._explain(exc, self._problem())
            return
        self._refused = None
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
        picture = JpegPicture(number, binary_message(_HEAD.pack(len(head)), head, data), len(data))
        with self._lock:
            self._picture, self._encoded, self._is_behind = picture, number + 1, False

    def _explain(self, exc: Exception, before: str | None) -> str:
        text = super()._explain(exc, before)
        if text != before:
            _log.warning("preview of %s: %s", self.name, text)
        return text
