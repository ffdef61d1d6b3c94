"""Messages of ROS 2 with pictures, packets and calibrations, as CDR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .cdr import CdrReader, CdrWriter

Pixels: TypeAlias = Sequence[npt.NDArray[np.uint8]]
Parts: TypeAlias = Sequence[Any]
"""A message as contiguous parts. The large parts are borrowed."""

_SECOND: Final = 1_000_000_000


class Header(NamedTuple):
    """Time and coordinate frame of a message (`std_msgs/msg/Header`).

    Attributes:
        stamp: Capture time, in nanoseconds since 1970.
        frame_id: Coordinate frame of the camera.
    """

    stamp: int
    frame_id: str

    def write(self, cdr: CdrWriter) -> None:
        """Write the header. Its seconds have 32 bits."""
        cdr.numbers("II", self.stamp // _SECOND % 2**32, self.stamp % _SECOND)
        cdr.text(self.frame_id)

    @classmethod
    def read(cls, cdr: CdrReader) -> Header:
        """Read a header."""
        seconds, nanoseconds = cdr.numbers("iI")
        return cls(seconds * _SECOND + nanoseconds, cdr.text())


class Image(NamedTuple):
    """`sensor_msgs/msg/Image`.

    Attributes:
        header: Time and coordinate frame.
        height: Height in rows.
        width: Width in pixels.
        encoding: ROS 2's name for the pixel format.
        is_bigendian: Whether samples of 16 bits are big-endian.
        step: Bytes from one row to the next.
        data: The pixels, a view.
    """

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: memoryview

    @classmethod
    def read(cls, payload: bytes) -> Image:
        """Read a message. Raises Unsound if it is damaged."""
        cdr = CdrReader(payload)
        header = Header.read(cdr)
        height, width = cdr.numbers("II")
        encoding = cdr.text()
        is_bigendian, step = cdr.numbers("BI")
        return cls(header, height, width, encoding, bool(is_bigendian), step, cdr.data())


class Compressed(NamedTuple):
    """`sensor_msgs/msg/CompressedImage` or `foxglove_msgs/msg/CompressedVideo`.

    Attributes:
        header: Time and coordinate frame.
        format: Name of the encoding.
        data: The picture or packet, a view.
    """

    header: Header
    format: str
    data: memoryview

    @classmethod
    def read_image(cls, payload: bytes) -> Compressed:
        """Read a picture. Raises Unsound if the message is damaged."""
        cdr = CdrReader(payload)
        return cls(Header.read(cdr), cdr.text(), cdr.data())

    @classmethod
    def read_video(cls, payload: bytes) -> Compressed:
        """Read a packet. Raises Unsound if the message is damaged."""
        cdr = CdrReader(payload)
        header, data = Header.read(cdr), cdr.data()
        return cls(header, cdr.text(), data)


class FfmpegPacket(NamedTuple):
    """`ffmpeg_image_transport_msgs/msg/FFMPEGPacket`.

    Attributes:
        header: Time and coordinate frame.
        width: Width of the picture in pixels.
        height: Height of the picture in rows.
        encoding: Codec, and the formats that the encoder converted from, separated by semicolons.
        is_keyframe: Whether the packet can be decoded without earlier ones.
        data: The packet, a view.
    """

    header: Header
    width: int
    height: int
    encoding: str
    is_keyframe: bool
    data: memoryview

    @classmethod
    def read(cls, payload: bytes) -> FfmpegPacket:
        """Read a message. Raises Unsound if it is damaged."""
        cdr = CdrReader(payload)
        header = Header.read(cdr)
        width, height = cdr.numbers("ii")
        encoding = cdr.text()
        _, flags, _ = cdr.numbers("QBB")
        return cls(header, width, height, encoding, bool(flags & 1), cdr.data())


def image(header: Header, size: tuple[int, int], encoding: str, is_bigendian: bool, step: int, rows: Pixels) -> Parts:
    """Return `sensor_msgs/msg/Image` with contiguous parts of pixels, which are borrowed."""
    cdr = CdrWriter()
    header.write(cdr)
    cdr.numbers("II", size[1], size[0])
    cdr.text(encoding)
    cdr.numbers("BI", is_bigendian, step)
    cdr.data(sum(part.nbytes for part in rows), rows)
    return cdr.parts


def compressed_image(header: Header, format: str, data: bytes) -> Parts:
    """Return `sensor_msgs/msg/CompressedImage`."""
    cdr = CdrWriter()
    header.write(cdr)
    cdr.text(format)
    cdr.data(len(data), (data,))
    return cdr.parts


def compressed_video(header: Header, format: str, data: bytes | memoryview) -> Parts:
    """Return `foxglove_msgs/msg/CompressedVideo`."""
    cdr = CdrWriter()
    header.write(cdr)
    cdr.data(len(data), (data,))
    cdr.text(format)
    return cdr.parts


def ffmpeg_packet(
    header: Header, size: tuple[int, int], encoding: str, pts: int, is_keyframe: bool, data: bytes | memoryview
) -> Parts:
    """Return `ffmpeg_image_transport_msgs/msg/FFMPEGPacket`."""
    cdr = CdrWriter()
    header.write(cdr)
    cdr.numbers("ii", *size)
    cdr.text(encoding)
    cdr.numbers("QBB", pts, is_keyframe, False)
    cdr.data(len(data), (data,))
    return cdr.parts
