"""One stream of a preview. It is received continuously, but encoded only while a viewer wants pictures."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from .. import jpeg
from .._wire.results import source_name
from .._wire.stamp import monotonic_ns
from ..discovery.encoded import Encoded, encoded
from ..discovery.names import short_name, why_silent
from ..discovery.watched import Newest, WatchedFrames, frames_in
from ..errors import Iox2VideoError
from ..video import VideoFrame
from ..video.shape import size_in_squares
from .frame_name import of_frame
from .packet_channel import PacketChannel
from .results_channel import ResultsChannel
from .status import State, Status
from .websocket import page_message

_log: Final = logging.getLogger("gst_iceoryx2")

_SILENCE: Final = 2.0
_FPS_SPAN: Final = 2_000_000_000
# Time between two searches for an encoder, in seconds.
_LOOK_INTERVAL: Final = 1.0


class JpegPicture(NamedTuple):
    """One encoded picture, shared by all viewers.

    Attributes:
        number: Number of the picture, counted from 0.
        frame: Name of the frame that it shows; None if results are not drawn, or the frame has no stamp.
        message: WebSocket message, see `page_message`.
        jpeg: Size of the JPEG picture, in bytes.
    """

    number: int
    frame: str | None
    message: bytes
    jpeg: int


class Channel(WatchedFrames):
    """Watches one service, and encodes its frames while at least one viewer wants pictures.

    A frame is released as soon as it is encoded, or immediately if no viewer wants it. The thread never holds a frame
    while it sleeps. All viewers share each picture.

    If another process encodes the stream, viewers that decode H.264 receive its packets. While all viewers do, frames
    are not received at all.

    Args:
        name: Full name of the service.
        index: Number of the channel, sent with each picture.
        max_fps: Maximum number of pictures per second; None encodes every frame.
        quality: JPEG quality, 1 to 100.
        detectors: Names of detectors whose results are drawn.

    Attributes:
        packets: Receives the packets of the stream.
        results: Receive the results of the detectors.

    Raises:
        InvalidServiceNameError: The name is not a valid service name.
        ServiceError: The service exists but cannot be opened.
    """

    def __init__(
        self, name: str, index: int, *, max_fps: float | None, quality: int, detectors: Sequence[str] = ()
    ) -> None:
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
        self.age: float | None = None
        self._repeats = 0
        self._encoded = 0
        self._encode_seconds = 0.0
        # The viewers that watch, and whether they receive packets.
        self._watching: dict[object, bool] = {}
        self._encoder: Encoded | None = None
        self._looked_at = -math.inf
        self._look = threading.Lock()
        # Arrival of the first frame whose packet has not arrived; infinity if there is none.
        self._unmatched_at = math.inf
        self._join()
        self.packets: Final = PacketChannel(name, index, counts_frames=lambda: self._subscriber is None)
        self.results: Final = tuple(ResultsChannel(name, detector, index) for detector in detectors)
        # A packet does not say which part of the source a rendition shows.
        self._has_results_on_packets = not detectors or source_name(name) == short_name(name)
        self._start()

    def close(self) -> None:
        """Stop all threads and leave the services. Idempotent."""
        super().close()
        self.packets.close()
        for results in self.results:
            results.close()

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

    # -- packets -----------------------------------------------------------------------------------------------------

    def offers_packets(self) -> bool:
        """Return whether another process encodes this stream, or would on demand. Looks at most once per second."""
        with self._look:
            if time.monotonic() >= self._looked_at + _LOOK_INTERVAL:
                self._encoder = self._find_encoder()
                self._looked_at = time.monotonic()
            return self._encoder is not None and self._has_results_on_packets

    @property
    def has_packets(self) -> bool:
        """Whether a viewer can be sent packets now. If not, it is sent pictures."""
        return self.packets.is_ready and not self._is_stalled

    @property
    def expects_packets(self) -> bool:
        """Whether packets will arrive so soon that a viewer need not be sent pictures in the meantime."""
        return self._encoder == "running" and not self.packets.is_late

    def watch(self, viewer: object, *, as_packets: bool | None) -> None:
        """Register how a viewer watches the stream, so that frames are received only if they are needed.

        Args:
            viewer: The viewer.
            as_packets: Whether it receives packets; None means that it does not watch.
        """
        with self._lock:
            if as_packets is None:
                self._watching.pop(viewer, None)
            else:
                self._watching[viewer] = as_packets
            are_enough = bool(self._watching) and all(self._watching.values())
        # Silent packets need frames beside them, which tell whether the encoder or its source has stopped.
        newest_at = self.packets.newest_at or -math.inf
        if are_enough and self.has_packets and time.monotonic() < newest_at + _SILENCE:
            self._is_behind = True
            self.rest()
        else:
            self.resume()

    def _find_encoder(self) -> Encoded | None:
        try:
            return encoded(self.name)
        except (Iox2VideoError, OSError) as exc:
            _log.debug("cannot look for packets of %s: %s", self.name, exc)
            return None

    @property
    def _is_stalled(self) -> bool:
        if self._unmatched_at < self.packets.arrived_at:
            self._unmatched_at = math.inf
        return time.monotonic() > max(self._unmatched_at, self.packets.wanted_at) + _SILENCE

    def _packet_problem(self) -> str | None:
        if not self._has_results_on_packets:
            return "results are not drawn on the packets of a rendition"
        if self._encoder is None or (self.has_packets and self.packets.problem is None):
            return None
        if self._is_stalled and self.packets.is_ready:
            return "the encoder does not send packets any more"
        return self.packets.problem or why_silent(self.packets.name) or "the encoder has not sent a keyframe yet"

    # -- state -------------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the current state of the stream."""
        packets, picture = self.packets, self._picture
        mine, theirs = self.counts(), packets.counts()
        now = monotonic_ns()
        # Each frame is counted once: as a frame, or as a packet while frames are not received.
        since = now - _FPS_SPAN
        frames = frames_in(self.arrivals(since)) + frames_in(packets.arrivals(since))
        times = [at for at in (self._newest_at, packets.newest_at) if at is not None]
        silence = time.monotonic() - max(times) if times else None
        # After a rest, the packets are newer than the last frame before it.
        are_newer = self.is_resting or (self._is_new and packets.newest is not None)
        latest: Channel | PacketChannel = packets if are_newer else self
        problem = packets.problem if self.is_resting else self._problem()
        format, width, height, caps = latest.newest or self.newest or (None, None, None, None)
        return Status(
            self.name,
            short_name(self.name),
            "problem" if problem else "ended" if latest.has_ended else _state(silence),
            problem,
            format,
            width,
            height,
            caps,
            frames / self.seconds(now, _FPS_SPAN),
            latest.age,
            silence,
            mine.received - self._repeats + theirs.received,
            None if mine.dropped is None else mine.dropped + (theirs.dropped or 0),
            mine.invalid + theirs.invalid,
            self._encoded,
            self._encode_seconds,
            None if picture is None else picture.jpeg,
            len(self._wanting),
            self._encoder if self._watching else None,
            packets.viewers,
            self._packet_problem(),
            tuple(one.status() for one in self.results),
        )

    def _problem(self) -> str | None:
        refused = self._refused
        return self.problem or (refused[1] if refused is not None and refused[0] == self.newest else None)

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
            self.age = age = frame.age
            # If the publisher is paused, it may have sent the first frame long ago.
            is_old = is_new and age is not None and age > _SILENCE
            self._newest_at, self.has_ended = now - (age or 0.0) if is_old else now, False
        self._newest_key = key
        self._match(frame, is_new=is_new)
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

    def _match(self, frame: VideoFrame, *, is_new: bool) -> None:
        """Note whether a frame waits for its packet."""
        captured, shown = frame.captured_at, self.packets.newest_captured
        has_packet = is_new if captured is None or shown is None else captured <= shown
        if not has_packet and self._unmatched_at == math.inf:
            self._unmatched_at = time.monotonic()

    def _encode(self, frame: VideoFrame) -> None:
        began = time.thread_time()
        data = jpeg.encode(frame, self._quality)
        self._encode_seconds += time.thread_time() - began
        number = self._encoded
        captured = frame.captured_at
        name, part = of_frame(frame) if self.results else (None, None)
        about = {
            "stream": self._index,
            "number": number,
            "width": frame.width,
            "height": frame.height,
            "shown": size_in_squares(frame),
            "captured": None if captured is None else captured / 1e6,
            "encoded": monotonic_ns() / 1e6,
            "frame": name,
            "part": part,
        }
        picture = JpegPicture(number, name, page_message(about, data), len(data))
        with self._lock:
            self._picture, self._encoded, self._is_behind = picture, number + 1, False

    def _explain(self, exc: Exception, before: str | None) -> str:
        text = super()._explain(exc, before)
        if text != before:
            _log.warning("preview of %s: %s", self.name, text)
        return text


def _state(silence: float | None) -> State:
    if silence is None:
        return "waiting"
    return "live" if silence < _SILENCE else "silent"
