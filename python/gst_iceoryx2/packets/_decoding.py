"""Decodes packets to RGB with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._extras.av import PIXEL_FORMATS, av, packet_decoder
from .._wire.formats import get_format
from ..errors import FormatError
from ..video.colour import to_rgb
from .packet import Packet

_NS: Final = Fraction(1, 1_000_000_000)
# Coded pictures are multiples of at most 64 pixels, and part of them is cut off.
_GRID: Final = 64
# FFmpeg's names of planar formats with 8 bits to GStreamer's. In "j" formats, the range is full.
_PLANAR: Final = {
    ours: name for name, ours in PIXEL_FORMATS.items() if name in ("I420", "Y42B", "Y444", "GRAY8")
} | {"yuvj420p": "I420", "yuvj422p": "Y42B", "yuvj444p": "Y444"}  # fmt: skip
# AVColorRange and AVColorSpace to GstVideoColorRange and GstVideoColorMatrix. Sources: libavutil/pixfmt.h,
# gst-libs/gst/video/video-color.h.
_RANGES: Final = {1: 2, 2: 1}
_MATRICES: Final = {1: 3, 4: 2, 5: 4, 6: 4, 7: 5, 9: 6, 10: 6}


def decoded(packets: Iterable[Packet]) -> tuple[int, npt.NDArray[np.uint8]] | None:
    """Decode packets, and return the last picture in the order of their capture.

    Args:
        packets: Packets from a keyframe on, of one codec and with a capture time.

    Returns:
        The capture time in nanoseconds, and the picture as a uint8 array of shape (height, width, 3) in RGB; None if
        no packet gives a picture.

    Raises:
        FormatError: A packet cannot be decoded.
    """
    decoder: Any = None
    newest: Any = None
    try:
        for packet in packets:
            if decoder is None or (packet.is_keyframe and packet.is_discont):
                decoder = _decoder(packet)
                newest = None
            coded: Any = av.Packet(packet.data)  # type: ignore[arg-type]
            coded.pts, coded.time_base = packet.captured_at, _NS
            newest = _newest(newest, decoder.decode(coded))
        if decoder is not None:
            newest = _newest(newest, decoder.decode(None))
    except av.FFmpegError as exc:
        raise FormatError(f"cannot decode the packets: {exc.strerror or exc}") from exc
    return None if newest is None else (newest.pts, _rgb(newest))


def _decoder(packet: Packet) -> Any:
    decoder = packet_decoder(packet.codec)
    # A hostile keyframe could name a size whose picture fills the memory.
    decoder.options = {"max_pixels": str((packet.width + _GRID) * (packet.height + _GRID))}
    return decoder


def _newest(newest: Any, pictures: Iterable[Any]) -> Any:
    for picture in pictures:
        if picture.pts is not None and (newest is None or picture.pts >= newest.pts):
            newest = picture
    return newest


def _rgb(picture: Any) -> npt.NDArray[np.uint8]:
    name = _PLANAR.get(picture.format.name)
    if name is None:
        picture, name = picture.reformat(format="yuv444p"), "Y444"
    planes = [
        np.ndarray((plane.height, plane.width), np.uint8, memoryview(plane), 0, (plane.line_size, 1))
        for plane in picture.planes
    ]
    # GStreamer's default applies to what is not stated, as for raw frames.
    range, matrix = _RANGES.get(int(picture.color_range), 0), _MATRICES.get(int(picture.colorspace), 0)
    return to_rgb(planes, get_format(name), picture.width, picture.height, f"{range}:{matrix}:0:0")
