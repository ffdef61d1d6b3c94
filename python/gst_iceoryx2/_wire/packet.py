"""The header of a packet, its checks, and the names of services of packets (SPEC.md sections 1 and 9)."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from typing import ClassVar, Final

from ..contract import contract, limit
from ..errors import FormatError, InvalidServiceNameError
from .fault import Fault
from .header import MAX_DIMENSION
from .rendition import CODECS, codec_of
from .stamp import Stamp, frame_stamp, set_frame_stamp

_CONSTANTS: Final = contract("layout")["constants"]

PACKET_HEADER_SIZE: Final[int] = _CONSTANTS["PACKET_HEADER_SIZE"]
"""Size of `VideoPacketHeader` in bytes."""
PACKET_HEADER_TYPE_NAME: Final[str] = _CONSTANTS["PACKET_HEADER_TYPE_NAME"]
PACKET_VERSION: Final[int] = _CONSTANTS["PACKET_VERSION"]
PACKET_FLAG_KEYFRAME: Final[int] = _CONSTANTS["PACKET_FLAG_KEYFRAME"]
PACKET_FLAG_EOS: Final[int] = _CONSTANTS["PACKET_FLAG_EOS"]
PACKET_FLAG_DISCONT: Final[int] = _CONSTANTS["PACKET_FLAG_DISCONT"]
CODEC_LEN: Final[int] = _CONSTANTS["CODEC_LEN"]
MAX_PACKET_BYTES: Final = limit("max_packet_bytes")

_FULL: Final = re.compile(r"video/(?P<name>.+)/(?P<kind>frame/v2|packet/v1)")
_START_CODE: Final = re.compile(rb"\x00\x00\x01")
PARAMETER_SETS: Final = {"h264": {7: "SPS", 8: "PPS"}, "h265": {32: "VPS", 33: "SPS", 34: "PPS"}}
"""Types and names of the NAL units that a keyframe needs before its picture. Source: ITU-T H.264, H.265, table 7-1."""
LAST_SLICE: Final = {"h264": 5, "h265": 31}
"""Highest type of a NAL unit with a part of a picture. H.264 has types 1 to 5 for them, and H.265 has 0 to 31."""


class VideoPacketHeader(ctypes.Structure):
    """Codec, times, identity and flags of one packet, sent as iceoryx2's user header.

    The struct is little-endian, has 112 bytes and an alignment of 8. Times are in nanoseconds; `NONE_U64` means not
    set. A publisher can still modify a header that you received, so check and use a private copy
    (`VideoPacketHeader.from_buffer_copy`).
    """

    pts: int
    dts: int
    duration: int
    stream: int
    sequence: int
    boot_id: ctypes.Array[ctypes.c_uint8]
    frame_publisher: int
    frame_sequence: int
    capture: int
    due: int
    width: int
    height: int
    flags: int
    version: int
    codec: bytes

    _fields_: ClassVar = [
        ("pts", ctypes.c_uint64),
        ("dts", ctypes.c_uint64),
        ("duration", ctypes.c_uint64),
        ("stream", ctypes.c_uint64),
        ("sequence", ctypes.c_uint64),
        ("boot_id", ctypes.c_uint8 * 16),
        ("frame_publisher", ctypes.c_uint64),
        ("frame_sequence", ctypes.c_uint64),
        ("capture", ctypes.c_uint64),
        ("due", ctypes.c_uint64),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("codec", ctypes.c_char * CODEC_LEN),
    ]

    @staticmethod
    def type_name() -> str:
        """Type name of the header, which iceoryx2 compares between publisher and subscriber."""
        return PACKET_HEADER_TYPE_NAME

    @property
    def codec_name(self) -> str:
        """Name of the codec. Bytes that are not ASCII are escaped, and a field without NUL gives 8 characters."""
        return self.codec.decode("ascii", "backslashreplace")

    @property
    def is_keyframe(self) -> bool:
        """Whether the packet can be decoded without earlier packets."""
        return bool(self.flags & PACKET_FLAG_KEYFRAME)

    @property
    def is_discont(self) -> bool:
        """Whether the publisher says that packets are missing before this one."""
        return bool(self.flags & PACKET_FLAG_DISCONT)

    @property
    def is_eos(self) -> bool:
        """Whether this header marks the end of the stream."""
        return bool(self.flags & PACKET_FLAG_EOS)

    @property
    def stamp(self) -> Stamp:
        """Stamp of the frame that the packet shows."""
        return frame_stamp(self)

    @stamp.setter
    def stamp(self, stamp: Stamp) -> None:
        set_frame_stamp(self, stamp)


def validate_packet(header: VideoPacketHeader, payload: int, codec: str) -> Fault | None:
    """Check rules 2 to 5 of SPEC.md section 9. The end of the stream is valid.

    Args:
        header: A private copy of the header.
        payload: Number of payload bytes.
        codec: Codec in the name of the service.

    Returns:
        The first broken rule; None if the packet is valid.
    """
    if header.version != PACKET_VERSION:
        return Fault.of("packet_version", version=header.version, expected=PACKET_VERSION)
    if header.codec_name != codec:
        return Fault.of("packet_codec", name=header.codec_name, expected=codec)
    if header.is_eos:
        return None
    for field in ("width", "height"):
        value = getattr(header, field)
        if not 1 <= value <= MAX_DIMENSION:
            return Fault.of("size", field=field, value=value, most=MAX_DIMENSION)
    if not 1 <= payload <= MAX_PACKET_BYTES:
        return Fault.of("packet_bytes", payload=payload, most=MAX_PACKET_BYTES)
    return None


def check_packet(data: memoryview, codec: str, *, is_keyframe: bool) -> None:
    """Check that a packet has the form that readers expect (SPEC.md section 9).

    Args:
        data: The packet, contiguous bytes.
        codec: Its codec.
        is_keyframe: Whether it is a keyframe, which must begin with its parameter sets.

    Raises:
        FormatError: The packet is empty, too long, not in byte-stream format, or a keyframe without parameter sets.
    """
    if not 1 <= len(data) <= MAX_PACKET_BYTES:
        raise FormatError(f"a packet has 1 to {MAX_PACKET_BYTES} bytes, but this one has {len(data)}")
    if codec not in PARAMETER_SETS:
        return
    if bytes(data[:3]) != b"\0\0\1" and bytes(data[:4]) != b"\0\0\0\1":
        raise FormatError(
            f"this {codec} packet does not begin with a start code; convert it to byte-stream format, for example with "
            f"the bitstream filter {codec.replace('h265', 'hevc')}_mp4toannexb or h26{codec[3]}parse"
        )
    if is_keyframe:
        missing = dict(PARAMETER_SETS[codec])
        for kind, _ in nal_units(data, codec):
            if kind <= LAST_SLICE[codec]:
                break
            missing.pop(kind, None)
        if missing:
            raise FormatError(
                f"this {codec} keyframe has no {' and no '.join(missing.values())} before its picture, so readers that "
                "join could not decode it; let the encoder repeat its parameter sets in front of each keyframe"
            )


def nal_units(data: bytes | memoryview, codec: str) -> Iterator[tuple[int, int]]:
    """Yield the type of each NAL unit of H.264 or H.265 in byte-stream format, and the position of its start code."""
    for match in _START_CODE.finditer(data):
        if match.end() < len(data):
            first = data[match.end()]
            yield (first & 0x1F if codec == "h264" else first >> 1 & 0x3F), match.start()


def packet_service(name: str, codec: str | None = None) -> tuple[str, str]:
    """Return the full name of a service of packets, and its codec.

    Args:
        name: Name of the stream: `cam0`, `cam0@h264`, the name of its frames `video/cam0/frame/v2`, or the full name
            `video/cam0@h264/packet/v1`.
        codec: "h264", "h265" or "av1"; None = the one in `name`, or else "h264".

    Raises:
        InvalidServiceNameError: The name cannot be that of a stream, or contains another codec.
        FormatError: The codec is unknown.
    """
    if codec is not None and codec not in CODECS:
        raise FormatError(f"unknown codec {codec!r}; use {', '.join(CODECS[:-1])} or {CODECS[-1]}")
    if not isinstance(name, str):
        raise InvalidServiceNameError(f"the name of a stream must be a str, not {type(name).__name__} ({name!r})")
    full = _FULL.fullmatch(name)
    short = full["name"] if full is not None else name
    stated = codec_of(short)
    if stated is None:
        codec = codec or CODECS[0]
        if full is not None and full["kind"] == "packet/v1":
            raise InvalidServiceNameError(f"{name!r} names no codec; use {f'video/{short}@{codec}/packet/v1'!r}")
        return f"video/{short}@{codec}/packet/v1", codec
    if codec not in (None, stated):
        raise InvalidServiceNameError(
            f"{name!r} is a stream of {stated} packets, not of {codec} packets; pass codec={stated!r}"
        )
    return f"video/{short}/packet/v1", stated
