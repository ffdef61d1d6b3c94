"""Packets that wait, and which packets a decoder can decode."""

from __future__ import annotations

import time
from collections import deque
from typing import Final, Generic, TypeVar

from .._wire.packet import MAX_PACKET_BYTES, VideoPacketHeader

T = TypeVar("T")

# At a keyframe, packets that have waited for longer than this are dropped, in seconds.
_LATE: Final = 0.5
_PACKETS_MAX: Final = 128


class PacketQueue(Generic[T]):
    """Packets that wait for a slow consumer: at most those since a keyframe, and the half second before it.

    Attributes:
        dropped: Number of packets dropped.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, T, int]] = deque()
        self._bytes = 0
        self._needs_keyframe = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_late(self) -> bool:
        """Whether the oldest packet has waited for more than half a second."""
        return bool(self._waiting) and time.monotonic() - self._waiting[0][0] > _LATE

    def push(self, packet: T, size: int, *, is_keyframe: bool) -> None:
        """Add a packet, or drop it.

        Args:
            packet: The packet.
            size: Its number of bytes; 0 for the end of the stream, which is never dropped here.
            is_keyframe: Whether a decoder can continue here.
        """
        if is_keyframe:
            self._needs_keyframe = False
            if self.is_late:
                self.clear()
        if self._needs_keyframe and size:
            self.dropped += 1
            return
        self._waiting.append((time.monotonic(), packet, size))
        self._bytes += size
        if len(self._waiting) > _PACKETS_MAX or self._bytes > MAX_PACKET_BYTES:
            self.clear()
            self._needs_keyframe = True

    def pop(self) -> T | None:
        """Remove and return the oldest packet; None if there is none."""
        if not self._waiting:
            return None
        _, packet, size = self._waiting.popleft()
        self._bytes -= size
        return packet

    def clear(self) -> None:
        """Drop all packets."""
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0


class Gate:
    """Withholds packets from a gap in their numbers until the next keyframe (SPEC.md section 9).

    Attributes:
        withheld: Number of packets withheld.
        needs_keyframe: Whether packets are withheld now.
    """

    def __init__(self) -> None:
        self.withheld = 0
        self.needs_keyframe = True
        self._is_discont = False
        self._stream: int | None = None
        self._expected = 0

    def takes(self, header: VideoPacketHeader) -> bool:
        """Return whether to pass on the packet with this header."""
        if header.stream == self._stream and header.sequence < self._expected:
            return False
        if header.stream != self._stream or header.sequence > self._expected:
            self._is_discont |= self._stream is not None
            self.needs_keyframe = True
        self._stream, self._expected = header.stream, header.sequence + 1
        if header.is_keyframe:
            self.needs_keyframe = False
        if self.needs_keyframe and not header.is_eos:
            self.withheld += 1
            return False
        return True

    def is_discont(self) -> bool:
        """Return whether packets are missing before the one that was taken last; once for each gap."""
        is_discont, self._is_discont = self._is_discont, False
        return is_discont
