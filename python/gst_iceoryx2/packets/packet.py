"""A received packet: its bytes in shared memory, and a copy of its header."""

from __future__ import annotations

from typing import Any

from .._iox2.fork import guard_kind
from .._wire.header import NONE_U64
from .._wire.packet import VideoPacketHeader
from .._wire.stamp import Stamp, monotonic_ns
from ..errors import ForkedError, FrameReleasedError
from ..video._memory import CopiedMemory, Ledger, ReceivedMemory


@guard_kind
class Packet:
    """A received packet: one encoded picture. Its bytes are borrowed from shared memory and read-only.

    `data` keeps the bytes valid while it exists. The publisher reuses the memory when the packet and its `data` are
    gone. To release the packet itself, call `release()`, leave its `with` block, or delete it. A subscriber may hold 16
    packets at once, so copy what you want to keep: `packet.copy()`, or `bytes(packet.data)`.

    You can also copy a packet with `pickle`, `copy.copy` or `copy.deepcopy`. Copying a released packet raises
    FrameReleasedError.

    Packets come from a `PacketSubscriber`; programs do not create them.

    Example:
        Write a stream to a file that players can read:

            with PacketSubscriber("cam0") as subscriber, open("cam0.h264", "wb") as file:
                for packet in subscriber:
                    file.write(packet.data)
    """

    __slots__ = ("__weakref__", "_data", "_header", "_is_discont", "_ledger", "_memory", "_stamp")

    def _fill(
        self,
        header: VideoPacketHeader,
        memory: ReceivedMemory | CopiedMemory | None,
        ledger: Ledger | None,
        *,
        is_discont: bool,
    ) -> Packet:
        """Fill a new packet and return it. Used instead of a constructor, because programs must not create packets.

        Args:
            header: A private copy of the header.
            memory: The bytes; None at the end of the stream.
            ledger: Counts the packets that the subscriber holds; None for a copy.
            is_discont: Whether packets are missing before this one.
        """
        self._header = header
        self._memory = memory
        self._data: memoryview | None = None
        self._ledger = ledger
        self._is_discont = is_discont
        self._stamp = header.stamp.here()
        return self

    # -- header ------------------------------------------------------------------------------------------------------

    @property
    def header(self) -> VideoPacketHeader:
        """The header; a new copy on each access."""
        return VideoPacketHeader.from_buffer_copy(self._header)

    def is_eos(self) -> bool:
        """Whether this marks the end of the stream, without bytes. Packets follow only if the publisher resumes."""
        return self._header.is_eos

    @property
    def is_keyframe(self) -> bool:
        """Whether the packet can be decoded without earlier packets."""
        return self._header.is_keyframe and not self._header.is_eos

    @property
    def is_discont(self) -> bool:
        """Whether this is the first packet, packets are missing before it, or another publisher has started.

        The packet is then a keyframe. A decoder needs no reset, but a file or a stream may begin anew here.
        """
        return self._is_discont or self._header.is_discont

    @property
    def codec(self) -> str:
        """Name of the codec: "h264", "h265" or "av1"."""
        return self._header.codec_name

    @property
    def width(self) -> int:
        """Width of the picture in pixels; 0 at the end of the stream."""
        return self._header.width

    @property
    def height(self) -> int:
        """Height of the picture in pixels; 0 at the end of the stream."""
        return self._header.height

    @property
    def pts(self) -> int | None:
        """Presentation timestamp on the publisher's own clock in nanoseconds; None = not set."""
        return _number(self._header.pts)

    @property
    def dts(self) -> int | None:
        """Decoding timestamp on the publisher's own clock in nanoseconds; None = not set."""
        return _number(self._header.dts)

    @property
    def duration(self) -> int | None:
        """Duration in nanoseconds; None = not set."""
        return _number(self._header.duration)

    # -- identity ----------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> int:
        """Random 64-bit ID of the publisher of packets."""
        return self._header.stream

    @property
    def number(self) -> int:
        """Number of packets that the publisher of packets had sent before this one."""
        return self._header.sequence

    @property
    def stamp(self) -> Stamp:
        """Stamp of the frame that the packet shows: its identity and times."""
        return self._stamp

    @property
    def publisher(self) -> int | None:
        """Random 64-bit ID of the publisher of the frame that the packet shows; None = unknown."""
        return self._stamp.publisher

    @property
    def sequence(self) -> int | None:
        """Sequence of the frame that the packet shows, as in `VideoFrame.sequence`; None = unknown."""
        return self._stamp.sequence

    @property
    def captured_at(self) -> int | None:
        """Capture time of the frame in nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.capture

    @property
    def age(self) -> float | None:
        """Seconds since `captured_at`; None = unknown."""
        captured = self._stamp.capture
        return None if captured is None else (monotonic_ns() - captured) / 1e9

    @property
    def due_at(self) -> int | None:
        """Time to display the frame, in nanoseconds of CLOCK_MONOTONIC; None = unknown."""
        return self._stamp.due

    # -- bytes -------------------------------------------------------------------------------------------------------

    @property
    def data(self) -> memoryview:
        """The bytes of the packet, read-only and borrowed; empty at the end of the stream.

        H.264 and H.265 are in byte-stream format, with the parameter sets in front of each keyframe; AV1 is one
        temporal unit.

        Raises:
            FrameReleasedError: The packet was released.
            ForkedError: The packet belongs to the parent process.
        """
        if self.is_eos():
            return memoryview(b"")
        data = self._data
        if data is None:
            if self._memory is None:
                if self._ledger is not None and self._ledger.forked:
                    raise ForkedError("this packet belongs to the parent process: receive packets in the child itself")
                raise FrameReleasedError(
                    f"{self!r} was released, and its memory may contain another packet by now: "
                    "copy its bytes before you release it"
                )
            data = self._data = self._memory.array().data
        return data

    def copy(self) -> Packet:
        """Return a copy that owns its bytes and does not count as held.

        Raises:
            FrameReleasedError: The packet was released.
        """
        return _copied(bytes(self._header), bytes(self.data), self.is_discont)

    # -- release -----------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Release this packet's own reference to its bytes. A `data` that you took stays valid. Idempotent."""
        self._data = None
        self._memory = None

    def _abandon(self) -> None:
        # The parent may have forked while another thread was still filling this object.
        if getattr(self, "_ledger", None) is not None:
            self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (bytes(self._header), bytes(self.data), self.is_discont)

    def __enter__(self) -> Packet:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        if self.is_eos():
            return "<Packet end of stream>"
        kind = " keyframe" if self.is_keyframe else ""
        number = "" if self.sequence is None else f" of frame {self.sequence}"
        state = ", released" if self._memory is None else ""
        return f"<Packet #{self.number}{number}, {self.codec}{kind} {self.width}x{self.height} pts={self.pts}{state}>"


def _number(value: int) -> int | None:
    return None if value == NONE_U64 else value


def _copied(header: bytes, data: bytes, is_discont: bool) -> Packet:
    """Create a packet that owns its bytes."""
    fields = VideoPacketHeader.from_buffer_copy(header)
    memory = None if fields.is_eos else CopiedMemory(data)
    return Packet()._fill(fields, memory, None, is_discont=is_discont)
