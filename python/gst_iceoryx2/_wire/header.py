"""The frame header and the constants of the wire contract (SPEC.md sections 1 and 2)."""

from __future__ import annotations

import ctypes
from typing import ClassVar, Final

from ..contract import contract, limit
from ..errors import FormatError

_CONSTANTS: Final = contract("layout")["constants"]

DEFAULT_SERVICE: Final[str] = _CONSTANTS["DEFAULT_SERVICE"]
"""Service name that the elements use by default."""
DEFAULT_AUX_BYTES: Final = limit("default_aux_bytes")
"""Bytes that a publisher reserves after the pixels for caps, timestamps and metas."""
MAX_AUX_BYTES: Final = (1 << 32) - 1

HEADER_TYPE_NAME: Final[str] = _CONSTANTS["HEADER_TYPE_NAME"]
"""Type name of the header, which iceoryx2 compares between publisher and subscriber."""
HEADER_SIZE: Final[int] = _CONSTANTS["HEADER_SIZE"]
"""Size of `VideoFrameHeader` in bytes."""
HEADER_ALIGN: Final[int] = _CONSTANTS["HEADER_ALIGN"]
"""Alignment of `VideoFrameHeader` in bytes."""
FORMAT_LEN: Final[int] = _CONSTANTS["FORMAT_LEN"]
"""Size of the header's `format` field in bytes: a name of at most 15 characters, padded with NUL."""
MAX_PLANES: Final[int] = _CONSTANTS["MAX_PLANES"]
"""Maximum number of planes that a header can describe."""
MAX_DIMENSION: Final = limit("max_dimension_pixels")

NONE_U64: Final[int] = _CONSTANTS["NONE_U64"]
"""Value that means "not set" in pts, dts, duration and offset."""

HEADER_FLAG_EOS: Final[int] = _CONSTANTS["HEADER_FLAG_EOS"]
"""Header flag that marks the end of the stream."""

BUFFER_FLAGS: Final[dict[str, int]] = contract("layout")["flags"]["bits"]
"""The GstBufferFlags that are transmitted, because they describe the picture. All other flags stay in their process.

Source: gst/gstbuffer.h and gst/video/video-frame.h of GStreamer.
"""

BUFFER_FLAGS_MASK: Final[int] = contract("layout")["flags"]["mask"]

VIDEO_BUFFER_SIZE: Final = limit("default_buffer_size_frames")
"""Default number of frames that can queue for each subscriber."""
VIDEO_BORROWED_MAX: Final = limit("default_borrowed_max_frames")
"""Default number of frames that each subscriber may hold."""
VIDEO_HISTORY_SIZE: Final = limit("default_history_size_frames")
"""Default `history_size`: with 0, a subscriber that joins late receives the newest frame."""
VIDEO_SAFE_OVERFLOW: Final = bool(limit("default_safe_overflow"))
"""Default `safe_overflow`: a full subscriber buffer drops its oldest frame."""


class VideoFrameHeader(ctypes.Structure):
    """Geometry, timestamps and flags of one frame, sent as iceoryx2's user header.

    The struct is little-endian, has 104 bytes and an alignment of 8.
    Timestamps are in nanoseconds; `NONE_U64` means not set. `format` is GStreamer's name for the format as bytes up to
    the first NUL (`header.format = b"BGR"`); `format_name` is the same as text. A publisher can still modify a header
    that you received, so check and use a private copy (`VideoFrameHeader.from_buffer_copy`).
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
        """Type name of the header, which iceoryx2 compares between publisher and subscriber."""
        return HEADER_TYPE_NAME

    @property
    def format_name(self) -> str:
        """GStreamer's name for the format, e.g. "NV12".

        Reading it never fails: non-ASCII bytes are escaped, and a field without NUL gives a 16-character name. No
        format has such a name.
        """
        return self.format.decode("ascii", "backslashreplace")

    @format_name.setter
    def format_name(self, name: str) -> None:
        if not name.isascii() or len(name) >= FORMAT_LEN or "\0" in name:
            raise FormatError(
                f"format name {name!r} has {len(name)} characters, but must have at most {FORMAT_LEN - 1}, "
                "all of them ASCII and none of them NUL"
            )
        # Clear the field first, because ctypes does not clear the bytes after a shorter value.
        place = ctypes.addressof(self) + VideoFrameHeader.format.offset  # type: ignore[attr-defined]
        ctypes.memset(place, 0, FORMAT_LEN)
        self.format = name.encode("ascii")

    @property
    def is_eos(self) -> bool:
        """Whether this header marks the end of the stream."""
        return bool(self.flags & HEADER_FLAG_EOS)
