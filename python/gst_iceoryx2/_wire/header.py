"""The header of each frame, and the constants of the wire contract (SPEC.md sections 1 and 2)."""

from __future__ import annotations

import ctypes
from typing import ClassVar, Final

from ..contract import contract, limit
from ..errors import FormatError

_CONSTANTS: Final = contract("layout")["constants"]

DEFAULT_SERVICE: Final[str] = _CONSTANTS["DEFAULT_SERVICE"]
"""Name of the service that the elements use if none is set."""
DEFAULT_AUX_BYTES: Final = limit("default_aux_bytes")
"""Bytes that a publisher reserves after the pixels for caps, times and metas."""
MAX_AUX_BYTES: Final = (1 << 32) - 1

HEADER_TYPE_NAME: Final[str] = _CONSTANTS["HEADER_TYPE_NAME"]
"""Name under which iceoryx2 compares the header type of both ends."""
HEADER_SIZE: Final[int] = _CONSTANTS["HEADER_SIZE"]
"""Size of `VideoFrameHeader` in bytes."""
HEADER_ALIGN: Final[int] = _CONSTANTS["HEADER_ALIGN"]
"""Alignment of `VideoFrameHeader` in bytes."""
FORMAT_LEN: Final[int] = _CONSTANTS["FORMAT_LEN"]
"""Bytes of the header's `format` field: a name of at most 15 characters, then NULs."""
MAX_PLANES: Final[int] = _CONSTANTS["MAX_PLANES"]
"""Largest number of planes that a header can describe."""
MAX_DIMENSION: Final = limit("max_dimension_pixels")

NONE_U64: Final[int] = _CONSTANTS["NONE_U64"]
"""Stands for "none" in pts, dts, duration and offset."""

HEADER_FLAG_EOS: Final[int] = _CONSTANTS["HEADER_FLAG_EOS"]
"""Flag of a header that ends the stream and carries no picture."""

BUFFER_FLAGS: Final[dict[str, int]] = contract("layout")["flags"]["bits"]
"""The GstBufferFlags that describe the picture and cross; all others belong to the process that set them.

Source: gst/gstbuffer.h and gst/video/video-frame.h of GStreamer.
"""

BUFFER_FLAGS_MASK: Final[int] = contract("layout")["flags"]["mask"]

VIDEO_BUFFER_SIZE: Final = limit("default_buffer_size_frames")
"""Default number of frames that wait for one subscriber."""
VIDEO_BORROWED_MAX: Final = limit("default_borrowed_max_frames")
"""Default number of frames that one subscriber may hold."""
VIDEO_HISTORY_SIZE: Final = limit("default_history_size_frames")
"""Default `history_size`: 0 means that a subscriber that joins late gets the newest frame."""
VIDEO_SAFE_OVERFLOW: Final = bool(limit("default_safe_overflow"))
"""Default `safe_overflow`: a full subscriber buffer loses its oldest frame."""


class VideoFrameHeader(ctypes.Structure):
    """Geometry, times and flags of one frame: 104 bytes, alignment 8, little-endian, iceoryx2's user header.

    Times are in nanoseconds; `NONE_U64` means none. `format` is GStreamer's name of the format as bytes up to the first
    NUL (`header.format = b"BGR"`), `format_name` is the same as text. A received header lies in memory that its
    publisher can still write: check and use a private copy (`VideoFrameHeader.from_buffer_copy`).
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

        Never fails: bytes that are not ASCII become escapes, and without a NUL the name has 16 characters. Neither is
        the name of a format.
        """
        return self.format.decode("ascii", "backslashreplace")

    @format_name.setter
    def format_name(self, name: str) -> None:
        if not name.isascii() or len(name) >= FORMAT_LEN or "\0" in name:
            raise FormatError(
                f"format name {name!r} has {len(name)} characters, the header holds {FORMAT_LEN - 1} of ASCII, no NUL"
            )
        # ctypes does not clear the bytes after a shorter value.
        place = ctypes.addressof(self) + VideoFrameHeader.format.offset  # type: ignore[attr-defined]
        ctypes.memset(place, 0, FORMAT_LEN)
        self.format = name.encode("ascii")

    @property
    def is_eos(self) -> bool:
        """Whether this sample says "end of stream" and holds no picture."""
        return bool(self.flags & HEADER_FLAG_EOS)
