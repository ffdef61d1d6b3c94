"""Buffers that a pipeline hands over by the GStreamer Data Protocol, and bytes that are something else."""

from __future__ import annotations

import struct

import pytest

from gst_iceoryx2.codec.gdp import GdpBuffer, GdpError, GdpReader

NONE = 0xFFFF_FFFF_FFFF_FFFF
DELTA = 0x2000
HOURS = 3_600_000_000_000_000


def unit(kind: int, payload: bytes, pts: int = 0, duration: int = 0, flags: int = 0, dts: int = 0) -> bytes:
    """Return one unit of the protocol, with the layout of its documentation."""
    head = struct.pack(">BBBBHIQQQQHQ", 1, 0, 1, 0, kind, len(payload), pts, duration, NONE, NONE, flags, dts)
    return head.ljust(62, b"\0") + payload


CAPS = unit(2, b"video/x-h264, stream-format=(string)byte-stream, width=(int)320, height=(int)240\0")
SEGMENT = unit(
    64 + 70 * 256 + 14,
    b'GstEventSegment, segment=(GstSegment)"GstSegment, flags=(GstSegmentFlags)0, rate=(double)1, '
    b"applied-rate=(double)1, format=(GstFormat)time, base=(guint64)0, offset=(guint64)0, "
    b'start=(guint64)3600000000000000, stop=(guint64)18446744073709551615, time=(guint64)0;";\0',
)


def test_buffers_have_their_size_times_and_flags() -> None:
    reader = GdpReader()
    stream = CAPS + SEGMENT + unit(1, b"key", HOURS + 7, 5, 0, HOURS + 3) + unit(1, b"next", NONE, NONE, DELTA, NONE)
    assert list(reader.read(stream)) == [
        GdpBuffer(b"key", (320, 240), 7, 3, 5, True),
        GdpBuffer(b"next", (320, 240), None, None, None, False),
    ]


def test_pieces_of_any_size_give_the_same() -> None:
    stream = CAPS + unit(1, b"abc", 1, 2, 0, 3) + SEGMENT + unit(1, b"", HOURS, 2, DELTA, HOURS)
    whole = list(GdpReader().read(stream))
    for size in (1, 7, 61, 62, 63):
        reader = GdpReader()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [buffer for piece in pieces for buffer in reader.read(piece)] == whole


@pytest.mark.parametrize("data", [b"x" * 62, bytes(100), unit(1, b"")[:6] + b"\xff" * 60])
def test_something_else_is_an_error(data: bytes) -> None:
    with pytest.raises(GdpError, match="the encoder's pipeline sent version"):
        list(GdpReader().read(data))
