"""The parts of Video4Linux2's user-space API that capture needs, through ioctl. Linux only.

Sources of all structures and numbers: include/uapi/linux/videodev2.h and v4l2-controls.h in Linux 6.1.
"""

from __future__ import annotations

import ctypes
import fcntl
from typing import ClassVar, Final

CAP_VIDEO_CAPTURE: Final = 0x1
CAP_VIDEO_CAPTURE_MPLANE: Final = 0x1000
CAP_STREAMING: Final = 0x4000000
CAP_DEVICE_CAPS: Final = 0x80000000
CAP_TIME_PER_FRAME: Final = 0x1000
VIDEO_CAPTURE: Final = 1
MEMORY_MMAP: Final = 1
MEMORY_USERPTR: Final = 2
EXTENDED_FIELDS: Final = 0xFEEDCAFE
"""Value of `PixFormat.priv` that makes the driver read and write the fields after it."""

FIELD_ANY: Final = 0
FIELD_NONE: Final = 1
FIELD_INTERLACED: Final = 4
FIELD_INTERLACED_TB: Final = 8
FIELD_INTERLACED_BT: Final = 9
SIZE_DISCRETE: Final = 1

BUFFER_ERROR: Final = 0x40
BUFFER_CLOCK_MASK: Final = 0xE000
BUFFER_CLOCK_MONOTONIC: Final = 0x2000

INTEGER: Final = 1
BOOLEAN: Final = 2
MENU: Final = 3
BUTTON: Final = 4
BITMASK: Final = 8
INTEGER_MENU: Final = 9
CONTROL_CLASS: Final = 6
CONTROL_DISABLED: Final = 0x1
CONTROL_GRABBED: Final = 0x2
CONTROL_READ_ONLY: Final = 0x4
CONTROL_INACTIVE: Final = 0x10
CONTROL_WRITE_ONLY: Final = 0x40
CONTROL_NEXT: Final = 0x80000000

_U32: Final = ctypes.c_uint32


def _fields(text: str) -> list[tuple[str, type]]:
    return [(name, _U32) for name in text.split()]


class Capability(ctypes.Structure):
    """`struct v4l2_capability`."""

    driver: bytes
    card: bytes
    bus_info: bytes
    capabilities: int
    device_caps: int

    _fields_ = [
        ("driver", ctypes.c_char * 16), ("card", ctypes.c_char * 32), ("bus_info", ctypes.c_char * 32),
        *_fields("version capabilities device_caps"), ("reserved", _U32 * 3),
    ]  # fmt: skip


class FormatDescription(ctypes.Structure):
    """`struct v4l2_fmtdesc`."""

    description: bytes
    pixelformat: int

    _fields_ = [
        *_fields("index type flags"), ("description", ctypes.c_char * 32), *_fields("pixelformat mbus_code"),
        ("reserved", _U32 * 3),
    ]  # fmt: skip


class FrameSize(ctypes.Structure):
    """`struct v4l2_frmsizeenum`. A discrete size is in `min_width` and `max_width`, as in the union of the header."""

    type: int
    values: ctypes.Array[ctypes.c_uint32]

    _fields_ = [*_fields("index pixel_format type"), ("values", _U32 * 6), ("reserved", _U32 * 2)]


class FrameInterval(ctypes.Structure):
    """`struct v4l2_frmivalenum`. `values` are numerators and denominators in seconds, as in the union of the header."""

    type: int
    values: ctypes.Array[ctypes.c_uint32]

    _fields_ = [*_fields("index pixel_format width height type"), ("values", _U32 * 6), ("reserved", _U32 * 2)]


class PixFormat(ctypes.Structure):
    """`struct v4l2_pix_format`."""

    width: int
    height: int
    pixelformat: int
    field: int
    bytesperline: int
    sizeimage: int
    colorspace: int
    priv: int
    ycbcr_enc: int
    quantization: int
    xfer_func: int

    _fields_ = _fields(
        "width height pixelformat field bytesperline sizeimage colorspace priv flags ycbcr_enc quantization xfer_func"
    )


class _FormatUnion(ctypes.Union):
    pix: PixFormat

    _fields_ = [("pix", PixFormat), ("raw", ctypes.c_uint8 * 200), ("alignment", ctypes.c_void_p)]


class Format(ctypes.Structure):
    """`struct v4l2_format`."""

    type: int
    fmt: _FormatUnion

    _fields_ = [("type", _U32), ("fmt", _FormatUnion)]


class StreamParameters(ctypes.Structure):
    """`struct v4l2_streamparm` for capture. `numerator` and `denominator` are the seconds per frame."""

    type: int
    capability: int
    numerator: int
    denominator: int

    _fields_ = [*_fields("type capability capturemode numerator denominator"), ("rest", ctypes.c_uint8 * 184)]


class BufferRequest(ctypes.Structure):
    """`struct v4l2_requestbuffers`."""

    count: int

    _fields_ = [*_fields("count type memory capabilities"), ("flags", ctypes.c_uint8), ("reserved", ctypes.c_uint8 * 3)]


class _BufferMemory(ctypes.Union):
    offset: int
    userptr: int

    _fields_ = [("offset", _U32), ("userptr", ctypes.c_ulong)]


class Buffer(ctypes.Structure):
    """`struct v4l2_buffer` on 64-bit Linux. `seconds` and `microseconds` are its timestamp."""

    index: int
    bytesused: int
    flags: int
    field: int
    seconds: int
    microseconds: int
    sequence: int
    m: _BufferMemory
    length: int

    _fields_ = [
        *_fields("index type bytesused flags field"), ("seconds", ctypes.c_long), ("microseconds", ctypes.c_long),
        ("timecode", ctypes.c_uint8 * 16), *_fields("sequence memory"), ("m", _BufferMemory),
        *_fields("length reserved2 request_fd"),
    ]  # fmt: skip


class ControlQuery(ctypes.Structure):
    """`struct v4l2_query_ext_ctrl`."""

    id: int
    type: int
    name: bytes
    minimum: int
    maximum: int
    step: int
    default_value: int
    flags: int

    _fields_ = [
        *_fields("id type"), ("name", ctypes.c_char * 32), ("minimum", ctypes.c_int64), ("maximum", ctypes.c_int64),
        ("step", ctypes.c_uint64), ("default_value", ctypes.c_int64), *_fields("flags elem_size elems nr_of_dims"),
        ("dims", _U32 * 4), ("reserved", _U32 * 32),
    ]  # fmt: skip


class _MenuText(ctypes.Union):
    _pack_ = 1
    name: bytes
    value: int

    _fields_ = [("name", ctypes.c_char * 32), ("value", ctypes.c_int64)]


class MenuItem(ctypes.Structure):
    """`struct v4l2_querymenu`, which is packed."""

    _pack_ = 1
    text: _MenuText

    _fields_ = [*_fields("id index"), ("text", _MenuText), ("reserved", _U32)]


class Control(ctypes.Structure):
    """`struct v4l2_control`."""

    id: int
    value: int

    _fields_ = [("id", _U32), ("value", ctypes.c_int32)]


class _Int(ctypes.Structure):
    _fields_ = [("value", ctypes.c_int)]


class Ioctl:
    """The number of an ioctl and the structure that it takes. Source: include/uapi/asm-generic/ioctl.h."""

    _WRITE: ClassVar[int] = 1
    _READ: ClassVar[int] = 2

    def __init__(self, direction: str, number: int, kind: type[ctypes.Structure]) -> None:
        bits = (self._READ if "R" in direction else 0) | (self._WRITE if "W" in direction else 0)
        self.number: Final = bits << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number

    def __call__(self, fd: int, argument: ctypes.Structure) -> None:
        """Call the driver; it may change `argument`.

        Raises:
            OSError: The driver refused the call.
        """
        fcntl.ioctl(fd, self.number, argument, True)


QUERY_CAPABILITY: Final = Ioctl("R", 0, Capability)
ENUM_FORMAT: Final = Ioctl("RW", 2, FormatDescription)
GET_FORMAT: Final = Ioctl("RW", 4, Format)
SET_FORMAT: Final = Ioctl("RW", 5, Format)
REQUEST_BUFFERS: Final = Ioctl("RW", 8, BufferRequest)
QUERY_BUFFER: Final = Ioctl("RW", 9, Buffer)
QUEUE: Final = Ioctl("RW", 15, Buffer)
DEQUEUE: Final = Ioctl("RW", 17, Buffer)
STREAM_ON: Final = Ioctl("W", 18, _Int)
STREAM_OFF: Final = Ioctl("W", 19, _Int)
GET_PARAMETERS: Final = Ioctl("RW", 21, StreamParameters)
SET_PARAMETERS: Final = Ioctl("RW", 22, StreamParameters)
GET_CONTROL: Final = Ioctl("RW", 27, Control)
SET_CONTROL: Final = Ioctl("RW", 28, Control)
QUERY_MENU: Final = Ioctl("RW", 37, MenuItem)
ENUM_FRAME_SIZES: Final = Ioctl("RW", 74, FrameSize)
ENUM_FRAME_INTERVALS: Final = Ioctl("RW", 75, FrameInterval)
QUERY_CONTROL: Final = Ioctl("RW", 103, ControlQuery)

STREAM_TYPE: Final = _Int(VIDEO_CAPTURE)
"""Argument of `STREAM_ON` and `STREAM_OFF`."""
