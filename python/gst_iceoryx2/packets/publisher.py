"""Publish packets: copy them into shared memory, keep the newest ones for readers that join, and note their wishes."""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any, Final, NamedTuple, NoReturn

from .._iox2 import binding, types
from .._iox2.fork import leak
from .._iox2.service_name import check_name
from .._iox2.types import Node
from .._wire.header import MAX_DIMENSION, NONE_U64
from .._wire.numbers import whole
from .._wire.packet import (
    PACKET_FLAG_DISCONT,
    PACKET_FLAG_EOS,
    PACKET_FLAG_KEYFRAME,
    PACKET_VERSION,
    VideoPacketHeader,
    check_packet,
    packet_service,
)
from .._wire.stamp import Stamp, boot_id, monotonic_ns
from ..contract import limit, seconds
from ..errors import FormatError
from ..video import _keeper
from ..video._copying import CopyingSender
from ..video._pool import Pool
from ..video._ports import Ports, open_ports
from ..video._publishing import Publishing
from ..video._service import DEFAULT_MAX_SUBSCRIBERS
from ..video._waiting import drain
from ..video.config import Qos

_QOS: Final = Qos(limit("packet_buffer_size"), limit("packet_borrowed_max"), limit("packet_history_size"))
# The keyframes of most 720p streams fit. A larger packet replaces the memory, and is usually a keyframe, so the new
# memory begins with what readers need that join.
_FIRST_BYTES: Final = 1 << 17
_SPAN: Final = seconds("keyframe_span")


class PacketPublisherStats(NamedTuple):
    """Counters of a `PacketPublisher` since it was created.

    Attributes:
        sent: Packets sent. Ends of the stream are not counted.
        dropped: Packets not sent because subscribers held all memory.
    """

    sent: int
    dropped: int


class PacketPublisher(Publishing):
    """Publish the packets of an encoder, or of a camera that encodes.

    The newest 128 packets stay in shared memory, so that a subscriber that joins can start at the newest keyframe. The
    publisher never waits for a connected subscriber. You can call every method from any thread. A publisher cannot be
    used in a forked child, where it raises ForkedError: create a new one there.

    Args:
        name: Name of the stream: `cam0`, `cam0@h264`, or the full name `video/cam0@h264/packet/v1`.
        codec: "h264", "h265" or "av1"; None = the one in `name`, or else "h264".
        width: Width of the pictures in pixels, 1 to 32,768.
        height: Height of the pictures in pixels, 1 to 32,768.
        max_bytes: Bytes of the largest packet, for the first memory; 0 = grow as needed. A packet that does not fit
            replaces the memory, which takes about a millisecond.
        max_subscribers: Subscribers that a new service admits, 1 to 65,536.
        iox2_node: `iceoryx2.Node` to use, from `create_node()`; None creates one.

    Raises:
        InvalidServiceNameError: The name cannot be used as the name of a stream.
        FormatError: The codec is unknown.
        TooManyPortsError: The service already has its publisher.
        OutOfSharedMemoryError: There is not enough shared memory.
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        ValueError: A number is out of range.
        TypeError: A numeric argument is not a number.

    Example:
        Encode frames with PyAV, with a keyframe whenever a reader joins late:

            from fractions import Fraction

            import av
            import numpy as np

            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = 640, 480, "yuv420p"
            encoder.framerate, encoder.time_base = 30, Fraction(1, 30)
            encoder.options = {"tune": "zerolatency", "forced-idr": "1"}
            with PacketPublisher("cam0", "h264", 640, 480) as publisher:
                for number in range(60):
                    picture = av.VideoFrame.from_ndarray(np.full((480, 640, 3), number, np.uint8), "rgb24")
                    picture = picture.reformat(format="yuv420p")
                    picture.pts = number
                    if publisher.is_keyframe_wanted:
                        picture.pict_type = av.video.frame.PictureType.I
                    for packet in encoder.encode(picture):
                        publisher.publish(packet, is_keyframe=packet.is_keyframe)
                publisher.end_of_stream()
    """

    def __init__(
        self,
        name: str,
        codec: str | None,
        width: int,
        height: int,
        *,
        max_bytes: int = 0,
        max_subscribers: int = DEFAULT_MAX_SUBSCRIBERS,
        iox2_node: Node | None = None,
    ) -> None:
        full, self._codec = packet_service(name, codec)
        self._name = check_name(full)
        self._width = whole(width, "width", 1, MAX_DIMENSION)
        self._height = whole(height, "height", 1, MAX_DIMENSION)
        max_bytes = whole(max_bytes, "max_bytes", 0, sys.maxsize)
        self._sender: _PacketSender = _PacketSender(
            open_ports(
                full,
                _QOS,
                iox2_node,
                max_subscribers=max_subscribers,
                header=VideoPacketHeader,
                default=_QOS,
                max_bytes=max_bytes,
                first_bytes=_FIRST_BYTES,
            )
        )
        _keeper.adopt(self)
        # Connect subscribers that live in this thread: they cannot connect by themselves before the first packet.
        _keeper.look_around(full)

    # -- packets -----------------------------------------------------------------------------------------------------

    def publish(
        self,
        data: Any,
        *,
        is_keyframe: bool,
        pts: int | None = None,
        dts: int | None = None,
        duration: int | None = None,
        stamp: Stamp | None = None,
        captured_at: int | None = None,
        is_discont: bool = False,
    ) -> int:
        """Copy a packet into shared memory and send it.

        Args:
            data: One encoded picture (access unit, temporal unit): bytes or another object with a contiguous buffer.
                H.264 and H.265 must be in byte-stream format, with the parameter sets in front of each keyframe.
            is_keyframe: Whether the packet can be decoded without earlier packets.
            pts: Presentation timestamp in nanoseconds; None = not set.
            dts: Decoding timestamp in nanoseconds; None = not set.
            duration: Duration in nanoseconds; None = not set.
            stamp: Stamp of the frame that the packet shows (`VideoFrame.stamp`); None = there is no such frame.
            captured_at: Without `stamp`: capture time in nanoseconds of CLOCK_MONOTONIC; None = now.
            is_discont: Whether packets are missing before this one.

        Returns:
            Number of subscribers that receive the packet. Also 0 if it was dropped because no memory was free.

        A packet that is not sent counts as missing: readers continue at the next keyframe.

        Raises:
            FormatError: The packet is empty, larger than 64 MiB, not contiguous, not in byte-stream format, or a
                keyframe without parameter sets, or a number cannot be represented.
            OutOfSharedMemoryError: The packet is larger than all previous ones, and there is not enough shared memory.
            ClosedError: This publisher is closed.

        Example:
            Send a packet that contains two empty units:

                with PacketPublisher("cam0", "av1", 640, 480) as publisher:
                    publisher.publish(bytes([18, 0, 18, 0]), is_keyframe=True, pts=0)
        """
        try:
            view = _bytes_of(data)
            check_packet(view, self._codec, is_keyframe=is_keyframe)
            flags = bool(is_keyframe) * PACKET_FLAG_KEYFRAME | bool(is_discont) * PACKET_FLAG_DISCONT
            header = self._header(flags, pts, dts, duration)
            header.stamp = _stamp_of(captured_at) if stamp is None else stamp
            return self._sender.send(view, header)
        except BaseException:
            self._sender.leave_gap()
            raise

    def end_of_stream(self) -> int:
        """Signal the end of the stream to all subscribers, including those that join while this publisher is open.

        The publisher stays open: publishing another packet resumes the stream.

        Returns:
            Number of subscribers that receive the end of the stream.

        Raises:
            ClosedError: This publisher is closed.
        """
        self._sender.end_header = self._header(PACKET_FLAG_EOS, None, None, None)
        return self._sender.end()

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def is_keyframe_wanted(self) -> bool:
        """Whether a subscriber waits for a keyframe, and the last one was sent at least 0.5 s ago.

        Let the encoder make one then. It remains True until a keyframe is published.

        Raises:
            ClosedError: This publisher is closed.
        """
        return self._sender.is_keyframe_wanted()

    @property
    def codec(self) -> str:
        """Name of the codec: "h264", "h265" or "av1"."""
        return self._codec

    @property
    def stream(self) -> int:
        """Random 64-bit ID of this publisher."""
        return self._sender.stream

    @property
    def stats(self) -> PacketPublisherStats:
        """Counters so far."""
        return PacketPublisherStats(self._sender.sent, self._sender.dropped)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _header(self, flags: int, pts: int | None, dts: int | None, duration: int | None) -> VideoPacketHeader:
        times = {"pts": pts, "dts": dts, "duration": duration}
        return VideoPacketHeader(
            **{name: NONE_U64 if value is None else _time(value, name) for name, value in times.items()},
            stream=self._sender.stream,
            frame_publisher=NONE_U64,
            frame_sequence=NONE_U64,
            capture=NONE_U64,
            due=NONE_U64,
            width=0 if flags & PACKET_FLAG_EOS else self._width,
            height=0 if flags & PACKET_FLAG_EOS else self._height,
            flags=flags,
            version=PACKET_VERSION,
            codec=self._codec.encode(),
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle or copy {self!r}: create PacketPublisher({self._name!r}, …) in the process that publishes"
        )


class _PacketSender(CopyingSender):
    """The sending side of a service of packets.

    Attributes:
        end_header: Header of the end of the stream.
    """

    _operation = "send a packet"

    def __init__(self, ports: Ports) -> None:
        self.end_header = VideoPacketHeader()
        self._listener: types.Listener | None = binding.create_listener(ports.node, ports.name)
        self._is_wanted = False
        self._keyframe_at = 0.0
        super().__init__(ports)

    def _begin_sample(self, header: VideoPacketHeader) -> None:
        if header.is_keyframe:
            self._take_wishes()
            self._is_wanted, self._keyframe_at = False, time.monotonic()

    def leave_gap(self) -> None:
        """Skip a number, which tells readers that a packet is missing."""
        with self._lock:
            self.sequence += 1

    def _send_end(self, pool: Pool) -> int:
        loan = pool.loan(1)
        self._end_is_due = loan is None
        if loan is None:
            return 0
        ctypes.memset(loan.payload_ptr, 0, 1)
        self.end_header.sequence = self.sequence
        self.sequence += 1
        return self._dispatch(loan, bytes(self.end_header))

    def is_keyframe_wanted(self) -> bool:
        """Return whether a reader asked for a keyframe and has not received one.

        Raises:
            ClosedError: This sender is closed.
        """
        with self._lock:
            self._open_pool()
            self._take_wishes()
            return self._is_wanted and time.monotonic() >= self._keyframe_at + _SPAN

    def tend(self) -> None:
        """Serve subscribers that joined, and empty the listener, which also hears this publisher's own events."""
        with self._lock:
            self._take_wishes()
        super().tend()

    def close(self) -> None:
        """Leave the service."""
        super().close()
        with self._lock:
            self._listener = None

    def abandon(self) -> None:
        """In a forked child, keep all native objects until the process ends."""
        super().abandon()
        leak(self._listener)
        self._listener = None

    def _listeners(self) -> int:
        # One listener is this publisher's own.
        return max(0, super()._listeners() - 1)

    def _take_wishes(self) -> None:
        if self._listener is not None:
            self._is_wanted |= binding.EVENT_KEYFRAME_WANTED in drain(self._listener)


def _bytes_of(data: Any) -> memoryview:
    try:
        return memoryview(data).cast("B")
    except (TypeError, ValueError, BufferError) as exc:
        raise FormatError(f"a packet must be bytes or a contiguous buffer, not {type(data).__name__} ({exc})") from exc


def _stamp_of(captured_at: int | None) -> Stamp:
    now = monotonic_ns()
    return Stamp(boot_id(), capture=now if captured_at is None else _time(captured_at, "captured_at"), due=now)


def _time(value: int, name: str) -> int:
    return whole(value, name, 0, NONE_U64 - 1)
