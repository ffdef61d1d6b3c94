"""Reads the GStreamer Data Protocol, by which a pipeline hands buffers with their times to another process."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from .._wire.header import NONE_U64
from .._wire.packet import MAX_PACKET_BYTES
from ..errors import Iox2VideoError

# Version, flags, type, length, pts, duration, two offsets, flags of the buffer, dts. Then 6 unused bytes and two
# checksums. Source: gst/gdp/dataprotocol.c, gst_dp_header_from_buffer_any.
_HEADER: Final = struct.Struct(">BBBxHIQQQQHQ10x")
_BUFFER: Final = 1
_CAPS: Final = 2
# An event has this number plus its GstEventType. Sources: dataprotocol.h, gst/gstevent.h.
_EVENT: Final = 64
_SEGMENT: Final = _EVENT + (70 << 8 | 14)
_DELTA_UNIT: Final = 1 << 13
_START: Final = re.compile(rb"\bstart=\(guint64\)([0-9]{1,20})\b")
_SIDES: Final = re.compile(rb"\b(width|height)=\(int\)([0-9]{1,6})\b")


class GdpError(Iox2VideoError):
    """A pipeline has sent something else than the GStreamer Data Protocol."""


class GdpBuffer(NamedTuple):
    """A buffer of a pipeline.

    Attributes:
        data: The bytes.
        size: Width and height in pixels, from its caps; zeros if these do not state them.
        pts: Presentation time in nanoseconds from the start of the segment; None = not set.
        dts: Decoding time in nanoseconds from the start of the segment; None = not set.
        duration: Duration in nanoseconds; None = not set.
        is_keyframe: Whether it can be decoded without earlier buffers.
    """

    data: bytes
    size: tuple[int, int]
    pts: int | None
    dts: int | None
    duration: int | None
    is_keyframe: bool


class GdpReader:
    """Turns the bytes of a pipeline, which ends with `gdppay`, into buffers."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = (0, 0)
        # Some encoders shift their timestamps, so that decoding times are positive, and the segment with them.
        self._start = 0

    def read(self, data: bytes) -> Iterator[GdpBuffer]:
        """Yield the buffers that end in these bytes.

        Raises:
            GdpError: The bytes are something else.
        """
        self._rest += data
        while len(self._rest) >= _HEADER.size:
            major, _, _, kind, length, *times = _HEADER.unpack_from(self._rest)
            if major != 1 or length > MAX_PACKET_BYTES:
                raise GdpError(f"the encoder's pipeline sent version {major} and {length} bytes instead of a packet")
            end = _HEADER.size + length
            if len(self._rest) < end:
                return
            payload, self._rest = self._rest[_HEADER.size : end], self._rest[end:]
            if kind == _BUFFER:
                yield self._buffer(payload, *times)
            elif kind == _CAPS:
                sides = dict(_SIDES.findall(payload))
                self._size = int(sides.get(b"width", 0)), int(sides.get(b"height", 0))
            elif kind == _SEGMENT:
                start = _START.search(payload)
                self._start = 0 if start is None else int(start[1])

    def _buffer(self, data: bytes, pts: int, duration: int, _: int, __: int, flags: int, dts: int) -> GdpBuffer:
        known = None if duration == NONE_U64 else duration
        return GdpBuffer(data, self._size, self._time(pts), self._time(dts), known, not flags & _DELTA_UNIT)

    def _time(self, value: int) -> int | None:
        return None if value == NONE_U64 else max(0, value - self._start)
