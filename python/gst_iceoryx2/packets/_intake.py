"""Turn received samples into packets: check them, start at a keyframe, and withhold what a decoder cannot decode."""

from __future__ import annotations

import ctypes
import math
import time
from typing import Final

from .._iox2 import types
from .._wire.header import NONE_U64
from .._wire.packet import (
    MAX_PACKET_BYTES,
    PACKET_HEADER_SIZE,
    VideoPacketHeader,
    validate_packet,
)
from .._wire.stamp import Stamp
from ..contract import seconds
from ..video._drops import DropCounter
from ..video._memory import CopiedMemory, Ledger, ReceivedMemory
from ..video._samples import SampleReader
from .packet import Packet

_SPAN: Final = seconds("keyframe_span")
# A joiner whose packets since the newest keyframe have more bytes than this waits for the next keyframe.
_BACKLOG_BYTES: Final = MAX_PACKET_BYTES
# Time between two requests for a keyframe, in seconds.
_REQUEST_INTERVAL: Final = 1.0


class PacketIntake:
    """Creates packets from the samples of one service.

    After a connection, it collects the packets that the publisher kept, as copies, because a subscriber may not hold
    all of them. `joined` returns them from the newest keyframe on.

    Attributes:
        received: Packets created. Ends of the stream are not counted.
        withheld: Valid packets that gave none.
        ledger: Counts the held packets.
        is_joining: Whether packets are being collected.
        collected: Number of samples collected since the connection.
        is_request_due: Whether the publisher should be asked for a keyframe. The caller sets it to False.
    """

    def __init__(self, name: str, codec: str, *, is_local: bool) -> None:
        self._codec = codec
        self.received = self.withheld = 0
        self.ledger = Ledger()
        self.is_joining = True
        self.collected = 0
        self.is_request_due = False
        self._drops = DropCounter()
        self._samples = SampleReader(name, "packet", PACKET_HEADER_SIZE, is_local=is_local)
        # Publisher and next number of the latest valid sample.
        self._stream: int | None = None
        self._expected = 0
        self._needs_keyframe = self._is_discont = True
        self._requested_at = -math.inf
        self._backlog: list[Packet] = []
        self._backlog_bytes = 0

    @property
    def invalid(self) -> int:
        """Samples rejected."""
        return self._samples.invalid

    @property
    def dropped(self) -> int:
        """Packets that did not arrive."""
        return self._drops.total or 0

    def begin(self, *, was_first: bool, has_sole_publisher: bool) -> None:
        """Prepare for a new connection; see `DropCounter`."""
        self._drops.was_first |= was_first
        self._drops.has_sole_publisher = has_sole_publisher
        self.is_joining, self.collected = True, 0

    def settle(self) -> None:
        """Nothing is deferred here."""

    def following(self) -> Packet | None:
        """Return None: each sample gives at most one packet."""
        return None

    def take(self, sample: types.Sample, port: types.Subscriber) -> Packet | None:
        """Create a packet, or an end of the stream, from a sample received on this port.

        Returns:
            The packet; None if the sample is rejected, withheld or collected. The memory is freed with the last
            reference to `sample`.
        """
        checked = self._checked(sample)
        if checked is None:
            return None
        header, length = checked
        if not self._is_next(header):
            return None
        if self.is_joining:
            self._collect(header, length, sample.payload_ptr)
            return None
        if header.is_eos:
            return self._packet(header, None, None)
        if self._needs_keyframe:
            self.withheld += 1
            self._request()
            return None
        memory = ReceivedMemory(sample, port, sample.payload_ptr, ctypes.c_ubyte * length, self.ledger)
        return self._packet(header, memory, self.ledger)

    def joined(self) -> list[Packet]:
        """Return the collected packets from the newest keyframe on; the end of the stream may be the last one."""
        self.is_joining = False
        backlog, self._backlog, self._backlog_bytes = self._backlog, [], 0
        if self._needs_keyframe or _span(backlog) > _SPAN:
            self._request()
        return backlog

    def _checked(self, sample: types.Sample) -> tuple[VideoPacketHeader, int] | None:
        """Return a private copy of the header, and the number of bytes; None if the sample is rejected."""
        read = self._samples.read(sample)
        if read is None:
            return None
        header = VideoPacketHeader.from_buffer_copy(read[0])
        fault = validate_packet(header, read[1], self._codec)
        if fault is not None:
            self._samples.refuse(fault)
            return None
        return header, read[1]

    def _is_next(self, header: VideoPacketHeader) -> bool:
        """Note the identity of a sample, and a gap before it; return whether the sample is new."""
        if header.stream == self._stream and header.sequence < self._expected:
            # After a reconnection, the publisher delivers again what it kept.
            return False
        if header.stream != self._stream or header.sequence > self._expected or header.is_discont:
            self._needs_keyframe = self._is_discont = True
        elif not self.collected:
            # After a reconnection, the packet follows the last one that was received.
            self.is_joining = False
        if header.is_keyframe and not header.is_eos:
            self._needs_keyframe = False
        self._drops.note(Stamp(publisher=header.stream, sequence=header.sequence), NONE_U64)
        self._stream, self._expected = header.stream, header.sequence + 1
        return True

    def _collect(self, header: VideoPacketHeader, length: int, address: int) -> None:
        self.collected += 1
        if self._backlog and self._backlog[-1].is_eos():
            # The stream was resumed after this end, or this is another end.
            self._backlog.pop()
        if header.is_eos:
            self._backlog.append(self._packet(header, None, None))
            return
        if header.is_keyframe:
            self._drop_backlog()
        elif self._needs_keyframe:
            self.withheld += 1
            return
        self._backlog.append(self._packet(header, CopiedMemory(ctypes.string_at(address, length)), None))
        self._backlog_bytes += length
        if self._backlog_bytes > _BACKLOG_BYTES:
            self._drop_backlog()
            self._needs_keyframe = True

    def _drop_backlog(self) -> None:
        """Withhold what was collected, so that packets are missing before the next one."""
        count = sum(not packet.is_eos() for packet in self._backlog)
        self._is_discont |= count > 0
        self.received -= count
        self.withheld += count
        self._backlog.clear()
        self._backlog_bytes = 0

    def _packet(
        self, header: VideoPacketHeader, memory: ReceivedMemory | CopiedMemory | None, ledger: Ledger | None
    ) -> Packet:
        if memory is None:
            return Packet()._fill(header, None, ledger, is_discont=False)
        self.received += 1
        is_discont, self._is_discont = self._is_discont, False
        return Packet()._fill(header, memory, ledger, is_discont=is_discont)

    def _request(self) -> None:
        now = time.monotonic()
        if now >= self._requested_at + _REQUEST_INTERVAL:
            self._requested_at = now
            self.is_request_due = True


def _span(packets: list[Packet]) -> float:
    """Return the seconds from the first to the last packet; infinity if unknown, 0 without packets."""
    times = [(packet.captured_at, packet.pts) for packet in packets if not packet.is_eos()]
    if not times:
        return 0.0
    for first, last in zip(times[0], times[-1], strict=True):
        if first is not None and last is not None:
            return (last - first) / 1e9
    return math.inf
