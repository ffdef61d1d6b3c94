"""The packets of one stream of a preview. They are received only while at least one viewer wants them."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from .._wire.packet import packet_service
from .._wire.stamp import monotonic_ns
from ..discovery.watched import Counts, Newest, Watched
from ..errors import Iox2VideoError
from ..packets import Packet, PacketSubscriber
from .frame_name import of_packet
from .h264 import codec_string, is_byte_stream
from .websocket import page_message

_log: Final = logging.getLogger("gst_iceoryx2")

# Most packets and bytes since the newest keyframe that are kept for viewers that join: half a minute at 30 fps.
_MAX_KEPT: Final = 1000
_MAX_KEPT_BYTES: Final = 32 << 20
# A viewer that joins and has more than this to decode, in nanoseconds, asks for a keyframe (SPEC.md section 9).
_SPAN: Final = 500_000_000
# Time between two requests for a keyframe, in seconds (SPEC.md section 9).
_REQUEST_INTERVAL: Final = 1.0
# Packets of a running encoder arrive within this time, in seconds.
_PATIENCE: Final = 1.0


class PacketMessage(NamedTuple):
    """One packet, shared by all viewers.

    Attributes:
        number: Number of the packet, counted by the channel from 0 without gaps.
        is_keyframe: Whether the packet can be decoded without earlier packets.
        captured: Capture time in nanoseconds of CLOCK_MONOTONIC; None means unknown.
        frame: Name of the frame that the packet shows; None means unknown.
        message: WebSocket message, see `page_message`.
    """

    number: int
    is_keyframe: bool
    captured: int | None
    frame: str | None
    message: bytes


class PacketChannel(Watched[Packet]):
    """Receives the packets of a stream while viewers want them, and keeps those since the newest keyframe.

    Args:
        name: Full name of the stream's frames.
        index: Number of the channel, sent with each packet.
        counts_frames: Returns whether the frames themselves are not received. Then packets are counted instead.

    Attributes:
        arrived_at: When the newest packet arrived, in seconds of CLOCK_MONOTONIC; minus infinity before the first one.
        newest_at: The same, or earlier if the publisher had kept the packet for long; None before the first one.
        newest_captured: Capture time of the newest frame that a packet showed, in nanoseconds; None means unknown.
        age: Seconds from the capture of the newest packet to its arrival.
        wanted_at: Since when viewers want packets, in seconds of CLOCK_MONOTONIC.
    """

    def __init__(self, name: str, index: int, *, counts_frames: Callable[[], bool]) -> None:
        super().__init__(packet_service(name)[0])
        self.arrived_at = -math.inf
        self.newest_at: float | None = None
        self.newest_captured: int | None = None
        self.age: float | None = None
        self._index = index
        self._counts_frames = counts_frames
        self._viewers: dict[object, Callable[[], None]] = {}
        self.wanted_at = -math.inf
        self._asked_at = -math.inf
        self._joined_at = 0
        self._kept: deque[PacketMessage] = deque()
        self._kept_bytes = 0
        self._number = self._counted = self._refused = 0
        self._needs_keyframe = True
        self.rest()
        self._start()

    # -- for viewers -------------------------------------------------------------------------------------------------

    def want(self, viewer: object, wake: Callable[[], None] | None) -> None:
        """Register whether a viewer wants the packets.

        Args:
            viewer: The viewer.
            wake: Called in the channel's thread for each packet; must not block. None means that the viewer does not
                want packets.
        """
        with self._lock:
            if wake is None:
                self._viewers.pop(viewer, None)
            else:
                self._viewers[viewer] = wake
            if not self._viewers:
                self.rest()
            elif self.is_resting:
                self.wanted_at = time.monotonic()
                self.resume()

    @property
    def is_ready(self) -> bool:
        """Whether a viewer that joins can decode at once."""
        with self._lock:
            return bool(self._kept and self._kept[0].is_keyframe)

    @property
    def is_late(self) -> bool:
        """Whether viewers have waited for a second."""
        return time.monotonic() > self.wanted_at + _PATIENCE

    def since(self, number: int, *, at_keyframe: bool) -> list[PacketMessage]:
        """Return the packets from a number on.

        Args:
            number: Number of the first packet that is not too old.
            at_keyframe: Whether the first packet must be a keyframe. It is one anyway if older packets were kept no
                longer.
        """
        with self._lock:
            if not self._kept:
                return []
            begin = self._kept[0].number
            if at_keyframe or number < begin:
                return list(self._kept) if self._kept[0].is_keyframe and begin >= number else []
            return list(islice(self._kept, number - begin, None))

    def ask_for_keyframe(self) -> None:
        """Ask the encoder for a keyframe, at most once per second. Thread-safe."""
        now = time.monotonic()
        with self._lock:
            if now < self._asked_at + _REQUEST_INTERVAL:
                return
            self._asked_at = now
        subscriber = self._subscriber
        if isinstance(subscriber, PacketSubscriber):
            # A subscriber that was closed in the meantime does not need one.
            with contextlib.suppress(Iox2VideoError):
                subscriber.request_keyframe()

    def join(self) -> None:
        """Ask for a keyframe if a viewer that joins now has much to decode."""
        with self._lock:
            times = [self._kept[place].captured for place in (0, -1)] if self._kept else [0, 0]
        if None in times or times[1] - times[0] > _SPAN:  # type: ignore[operator]
            self.ask_for_keyframe()

    def counts(self) -> Counts:
        """Return the counts of packets that stand for frames."""
        _, dropped, invalid = super().counts()
        return Counts(self._counted, dropped, invalid + self._refused)

    @property
    def viewers(self) -> int:
        """Number of viewers."""
        return len(self._viewers)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _subscribe(self) -> PacketSubscriber:
        self._joined_at = monotonic_ns()
        return PacketSubscriber(self.name)

    def _leave(self) -> None:
        super()._leave()
        # What is kept would soon be outdated.
        with self._lock:
            self._forget()

    def _describe(self, frame: Packet) -> tuple[Newest, int]:
        caps = (
            "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au, "
            f"width=(int){frame.width}, height=(int){frame.height}"
        )
        return Newest("H264", frame.width, frame.height, caps), len(frame.data)

    def _has_just_arrived(self, frame: Packet, *, is_new: bool) -> bool:
        captured = frame.captured_at
        is_kept = is_new if captured is None else captured < self._joined_at
        has_arrived = not is_kept and self._counts_frames()
        self._counted += has_arrived
        return has_arrived

    def _take(self, frame: Packet, *, is_new: bool) -> None:
        self.age, captured = frame.age, frame.captured_at
        self.arrived_at = self.newest_at = time.monotonic()
        if captured is not None:
            # A subscriber that joins receives earlier packets again.
            self.newest_captured = max(captured, self.newest_captured or 0)
            if captured < self._joined_at:
                self.newest_at -= self.age or 0.0
        self.has_ended = False
        data = bytes(frame.data)
        codec = codec_string(data) if frame.is_keyframe else None
        if not is_byte_stream(data) or (frame.is_keyframe and codec is None):
            self._refuse(frame)
            return
        if frame.is_keyframe or not self._needs_keyframe:
            self._keep(frame, codec, data)
            for wake in self._wakers():
                wake()

    def _refuse(self, packet: Packet) -> None:
        """Count a packet that is not H.264. What follows needs a keyframe."""
        self._refused += 1
        self._needs_keyframe = True
        if self._refused == 1:
            kind = "a keyframe without SPS" if is_byte_stream(bytes(packet.data)) else "not in byte-stream format"
            _log.warning("packet of %s dropped: %s; further ones are only counted", self.name, kind)
        self.ask_for_keyframe()

    def _keep(self, packet: Packet, codec: str | None, data: bytes) -> None:
        captured, frame = packet.captured_at, of_packet(packet)
        about = {
            "stream": self._index,
            "number": self._number,
            "key": packet.is_keyframe,
            "codec": codec,
            "width": packet.width,
            "height": packet.height,
            "captured": None if captured is None else captured / 1e6,
            "frame": frame,
        }
        made = PacketMessage(self._number, packet.is_keyframe, captured, frame, page_message(about, data))
        with self._lock:
            self._needs_keyframe = False
            if packet.is_keyframe:
                self._forget()
            self._kept.append(made)
            self._kept_bytes += len(made.message)
            self._number += 1
            while len(self._kept) > 1 and (len(self._kept) > _MAX_KEPT or self._kept_bytes > _MAX_KEPT_BYTES):
                self._kept_bytes -= len(self._kept.popleft().message)
        if not self._kept[0].is_keyframe:
            self.ask_for_keyframe()

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _wakers(self) -> list[Callable[[], None]]:
        with self._lock:
            return list(self._viewers.values())
