"""Decodes the packets of a stream while somebody wants its frames, and publishes the frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple

from .._extras.av import PIXEL_FORMATS, av, packet_decoder
from .._iox2 import binding
from .._wire.formats import get_format
from .._wire.header import BUFFER_FLAGS
from ..discovery import full_name
from ..video.loan import Meta
from ..video.publisher import VideoFramePublisher
from .errors import SettingError, SourceError
from .scaler import Scaler, gstreamer_format
from .upright import Upright

# Packets since the newest keyframe have at most this many bytes.
_KEPT_MAX: Final = 1 << 26
# A decoder that is further behind than this number of packets continues at the next keyframe.
_BEHIND_MAX: Final = 60
# Longest time to catch up without showing anything, in seconds.
_CATCH_UP_MAX: Final = 2.0
# Longest time without a picture while packets come, in seconds.
_BLIND_MAX: Final = 10.0
# Packets that a decoder has not answered yet.
_PENDING_MAX: Final = 64
_CORRUPTED: Final = BUFFER_FLAGS["CORRUPTED"]


class _Unit(NamedTuple):
    data: bytes
    is_keyframe: bool
    pts: int | None
    captured_at: int | None
    duration: int | None
    metas: Sequence[Meta]


class FrameDecoder:
    """Publishes the frames of a stream of packets, decoded in a thread of its own while they are wanted.

    It keeps the packets since the newest keyframe, at most 64 MiB. When frames become wanted, it decodes these at once
    and publishes the newest picture. Frames have the capture time and the timestamp of their packet, and sequence
    numbers of their own. If it cannot keep pace, it leaves out everything up to the next keyframe. While no frames are
    wanted, it publishes nothing: subscribers see a pause.

    Args:
        name: Name of the service of frames, short or in full.
        codec: "h264", "h265" or "av1".
        format: GStreamer's name for the format to publish; None selects the decoded format, or a similar one.
        framerate: Frames per second, to be stated in the caps; None = variable or unknown.
        about: Where the pictures come from, in words.

    Attributes:
        sent: Number of frames published.
        damaged: Number of packets that could not be decoded.
        lost: Number of packets that were left out because decoding was too slow.

    Raises:
        SettingError: The format cannot be produced.

    Example:
        Decode what another process encodes:

            from gst_iceoryx2.feed import FrameDecoder
            from gst_iceoryx2.packets import PacketSubscriber

            decoder = FrameDecoder("copy0", "h264")
            decoder.is_wanted = True
            with PacketSubscriber("cam0@h264") as subscriber:
                for packet in subscriber:
                    decoder.take(
                        bytes(packet.data),
                        is_keyframe=packet.is_keyframe,
                        pts=packet.pts,
                        captured_at=packet.captured_at,
                    )
            decoder.close()
    """

    def __init__(
        self,
        name: str,
        codec: str,
        *,
        format: str | None = None,
        framerate: Fraction | None = None,
        about: str = "decoded packets",
    ) -> None:
        if format is not None and format not in PIXEL_FORMATS:
            raise SettingError(f"cannot convert {codec} to {format}; use one of {', '.join(PIXEL_FORMATS)}")
        self.sent = self.damaged = self.lost = 0
        self._service = full_name(name)
        self._codec = codec
        self._format = format
        self._framerate = framerate
        self._about = about
        self._lock = threading.Condition()
        self._is_wanted = self._is_closed = False
        self._error: Exception | None = None
        self._kept: list[_Unit] = []
        self._kept_bytes = 0
        self._queue: deque[_Unit] = deque()
        # Whether the next packet continues the queue.
        self._is_continuous = False
        self._catches_up_until = 0.0
        self._thread: threading.Thread | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether frames are wanted. Set it; the publisher comes and goes soon after."""
        return self._is_wanted

    @is_wanted.setter
    def is_wanted(self, value: bool) -> None:
        with self._lock:
            if value == self._is_wanted:
                return
            self._is_wanted = value
            self._queue = deque(self._kept if value else ())
            self._is_continuous = bool(self._queue)
            self._catches_up_until = time.monotonic() + _CATCH_UP_MAX if self._queue else 0.0
            self._lock.notify_all()
        if value and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="iox2-video decoder", daemon=True)
            self._thread.start()

    def take(
        self,
        data: bytes,
        *,
        is_keyframe: bool,
        pts: int | None,
        captured_at: int | None,
        duration: int | None = None,
        metas: Sequence[Meta] = (),
    ) -> None:
        """Keep a packet, and decode it if frames are wanted. This does not wait for the decoder.

        Args:
            data: One encoded picture, as in `PacketPublisher.publish`. It must not change afterwards.
            is_keyframe: Whether decoding can begin here.
            pts: Presentation timestamp in nanoseconds; None = not set.
            captured_at: Capture time in nanoseconds of CLOCK_MONOTONIC; None = the time of publishing.
            duration: Duration in nanoseconds; None = not set.
            metas: Metas to send with the frame.

        Raises:
            SourceError: For 10 s, no packet could be decoded.
            Iox2VideoError: The frames cannot be published, for example because somebody else does so.
        """
        unit = _Unit(data, is_keyframe, pts, captured_at, duration, metas)
        with self._lock:
            if self._error is not None:
                raise self._error
            self._keep(unit)
            if not self._is_wanted or not (is_keyframe or self._is_continuous):
                return
            self._is_continuous = True
            self._queue.append(unit)
            if len(self._queue) > _BEHIND_MAX and time.monotonic() > self._catches_up_until:
                self.lost += len(self._queue)
                self._queue.clear()
                self._is_continuous = False
            self._lock.notify_all()

    def close(self) -> None:
        """Stop decoding, and leave the service without ending the stream. Idempotent."""
        with self._lock:
            self._is_closed, self._is_wanted = True, False
            self._queue.clear()
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join()
        # Its traceback refers to ports.
        self._error = None

    def _keep(self, unit: _Unit) -> None:
        if unit.is_keyframe:
            self._kept.clear()
            self._kept_bytes = 0
        elif not self._kept:
            return
        self._kept.append(unit)
        self._kept_bytes += len(unit.data)
        if self._kept_bytes > _KEPT_MAX:
            self._kept.clear()

    # -- in the thread of the decoder --------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    while not (self._is_wanted or self._is_closed):
                        self._lock.wait()
                    if self._is_closed:
                        return
                self._decode_while_wanted()
        except Exception as exc:
            with self._lock:
                self._error = exc

    def _decode_while_wanted(self) -> None:
        output = _Output(self._service, self._format, self._framerate, self._about)
        decoder = packet_decoder(self._codec)
        pending: dict[int, _Unit] = {}
        number = 0
        pictured_at = time.monotonic()
        try:
            while (unit := self._next()) is not None:
                packet = av.Packet(unit.data)
                # The decoder gives each picture the timestamp of its packet.
                packet.pts = number = number + 1
                pending[number] = unit
                if len(pending) > _PENDING_MAX:
                    del pending[next(iter(pending))]
                try:
                    pictures = decoder.decode(packet)
                except av.FFmpegError:
                    self.damaged += 1
                    pictures = []
                found = [(picture, pending.pop(picture.pts, unit)) for picture in pictures]
                for picture, its_unit in [] if self._is_catching_up() else found:
                    output.publish(decoder, picture, its_unit)
                    self.sent += 1
                if found:
                    pictured_at = time.monotonic()
                elif time.monotonic() - pictured_at > _BLIND_MAX:
                    raise SourceError(f"cannot decode the packets of {self._about}: no picture for {_BLIND_MAX:.0f} s")
        finally:
            output.close()

    def _next(self) -> _Unit | None:
        """Wait for a packet; None if frames are not wanted any more."""
        with self._lock:
            while self._is_wanted and not self._queue:
                self._lock.wait()
            return self._queue.popleft() if self._is_wanted else None

    def _is_catching_up(self) -> bool:
        """Return whether newer packets wait that were there when frames became wanted."""
        with self._lock:
            if not self._queue:
                self._catches_up_until = 0.0
            return time.monotonic() < self._catches_up_until


class _Output:
    """Publishes pictures."""

    def __init__(self, service: str, format: str | None, framerate: Fraction | None, about: str) -> None:
        self._service = service
        self._format = format
        self._framerate = framerate
        self._about = about
        self._publisher: VideoFramePublisher | None = None
        self._kind: object = None
        self._upright: Upright | None = None
        self._scaler: Scaler | None = None
        self._last = -1

    def publish(self, decoder: Any, picture: Any, unit: _Unit) -> None:
        """Publish a picture with the times of its packet."""
        kind = picture.width, picture.height, picture.format.name
        if kind != self._kind:
            self._begin_anew(decoder, picture)
            self._kind = kind
        publisher, scaler, upright = self._publisher, self._scaler, self._upright
        assert publisher is not None
        assert scaler is not None
        assert upright is not None
        with publisher.loan(scaler.width, scaler.height, scaler.format) as frame:
            scaler.filler(upright.turned(picture))(frame)
            if unit.pts is not None:
                # Damaged streams may repeat a timestamp.
                frame.pts = self._last = max(unit.pts, self._last + 1)
            if unit.captured_at is not None:
                frame.captured_at = unit.captured_at
            frame.duration, frame.metas = unit.duration, unit.metas
            frame.flags = upright.flags(picture) | (_CORRUPTED if picture.is_corrupt else 0)

    def _begin_anew(self, decoder: Any, first: Any) -> None:
        """Create a publisher for pictures of this size and format."""
        self.close()
        ratio = decoder.sample_aspect_ratio
        self._upright = upright = Upright(first, decoder, ratio or Fraction(1), None)
        first = upright.turned(first)
        format = self._format or gstreamer_format(first.format.name)
        self._scaler = scaler = Scaler(format, first.width, first.height, first)
        fields = {} if scaler.colorimetry is None else {"colorimetry": f"(string){scaler.colorimetry}"}
        fields |= upright.caps
        caps = ", ".join(["video/x-raw", *(f"{name}={value}" for name, value in fields.items())])
        self._publisher = VideoFramePublisher(
            self._service,
            iox2_node=binding.create_node_for(self._service, about=self._about),
            max_bytes=get_format(format).tight_layout(first.width, first.height).size,
            framerate=self._framerate or 0,
            caps=caps if fields else None,
        )

    def close(self) -> None:
        """Leave the service without ending the stream."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
