"""The header that travels with every frame, and the constants of the wire contract (SPEC.md sections 1 and 2)."""

from __future__ import annotations

import ctypes
from typing import ClassVar, Final

from ..errors import FormatError

DEFAULT_SERVICE: Final = "video/default/frame/v2"
"""Name of the service that the elements use if none is set."""
DEFAULT_AUX_BYTES: Final = 4096
"""Bytes that a publisher reserves behind the pixels for caps, times and metas."""
MAX_AUX_BYTES: Final = (1 << 32) - 1

HEADER_TYPE_NAME: Final = "VideoFrameHeader"
"""Name under which iceoryx2 compares the header type of both ends."""
HEADER_SIZE: Final = 104
"""Size of `VideoFrameHeader` in bytes."""
HEADER_ALIGN: Final = 8
"""Alignment of `VideoFrameHeader` in bytes."""
FORMAT_LEN: Final = 16
"""Bytes of the header's `format` field: a name of at most 15 characters, then NULs."""
MAX_PLANES: Final = 4
"""Largest number of planes that a header can describe."""
MAX_DIMENSION: Final = 32768

NONE_U64: Final = 2**64 - 1
"""Stands for "none" in pts, dts, duration and offset."""

HEADER_FLAG_EOS: Final = 1 << 32
"""Flag of a header that ends the stream and carries no picture."""

BUFFER_FLAGS: Final = {
    "DISCONT": 1 << 6,
    "RESYNC": 1 << 7,
    "CORRUPTED": 1 << 8,
    "MARKER": 1 << 9,
    "HEADER": 1 << 10,
    "GAP": 1 << 11,
    "DROPPABLE": 1 << 12,
    "DELTA_UNIT": 1 << 13,
    "INTERLACED": 1 << 20,
    "TFF": 1 << 21,
    "RFF": 1 << 22,
    "ONEFIELD": 1 << 23,
    "MULTIPLE_VIEW": 1 << 24,
    "FIRST_IN_BUNDLE": 1 << 25,
}
"""The GstBufferFlags that describe the picture and cross; all others belong to the process that set them.

Source: gst/gstbuffer.h and gst/video/video-frame.h of GStreamer.
"""

BUFFER_FLAGS_MASK: Final = sum(BUFFER_FLAGS.values())

VIDEO_BUFFER_SIZE: Final = 10
"""Default number of frames that wait for one subscriber."""
VIDEO_BORROWED_MAX: Final = 10
"""Default number of frames that one subscriber may hold."""
VIDEO_HISTORY_SIZE: Final = 0
"""Default `history_size`: 0 means that a subscriber that joins late gets the newest frame."""
VIDEO_SAFE_OVERFLOW: Final = True
"""Default `safe_overflow`: a full subscriber buffer loses its oldest frame."""


class VideoFrameHeader(ctypes.Structure):
    """Geometry, times and flags of one frame: 104 bytes, alignment 8, little-endian, iceoryx2's user header.

    Times are in nanoseconds; `NONE_U64` means none. `format` is GStreamer's name of the format as bytes up to the first
    NUL (`header.format = b"BGR"`), `format_name` is the same as text. A received header lies in memory that its
    publisher can still write: judge and use a private copy (`VideoFrameHeader.from_buffer_copy`).
    """

    pts: int
    dts: int
    duration: int
    offset: int
    flags: int
    width: int
    height: int
    n_planes: int
    aux_size: int
    stride: ctypes.Array[ctypes.c_uint32]
    plane_offsets: ctypes.Array[ctypes.c_uint32]
    format: bytes

    _fields_: ClassVar = [
        ("pts", ctypes.c_uint64),
        ("dts", ctypes.c_uint64),
        ("duration", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("n_planes", ctypes.c_uint32),
        ("aux_size", ctypes.c_uint32),
        ("stride", ctypes.c_uint32 * MAX_PLANES),
        ("plane_offsets", ctypes.c_uint32 * MAX_PLANES),
        ("format", ctypes.c_char * FORMAT_LEN),
    ]

    @staticmethod
    def type_name() -> str:
        """Name under which iceoryx2 compares the header type of both ends."""
        return HEADER_TYPE_NAME

    @property
    def format_name(self) -> str:
        """GStreamer's format name, e.g. "NV12".

        Never fails: bytes that are no ASCII come as escapes and a missing NUL gives all 16 characters, neither of which
        is the name of any format.
        """
        return self.format.decode("ascii", "backslashreplace")

    @format_name.setter
    def format_name(self, name: str) -> None:
        if not name.isascii() or len(name) >= FORMAT_LEN or "\0" in name:
            raise FormatError(
                f"format name {name!r} has {len(name)} characters, the header holds {FORMAT_LEN - 1} of ASCII, no NUL"
            )
        # ctypes leaves what stands behind a shorter value as it was.
        place = ctypes.addressof(self) + VideoFrameHeader.format.offset  # type: ignore[attr-defined]
        ctypes.memset(place, 0, FORMAT_LEN)
        self.format = name.encode("ascii")

    @property
    def is_eos(self) -> bool:
        """Whether this sample says "end of stream" and holds no picture."""
        return bool(self.flags & HEADER_FLAG_EOS)
