"""Converts a camera's pictures to another format with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._extras.av import PIXEL_FORMATS, av, jpeg_decoder, new_picture
from .._wire.formats import VideoFormat
from ..errors import FormatError
from ..video.loan import LoanedFrame
from .errors import SettingError
from .scaler import FULL_RANGE, Scaler, tag_colorimetry


class RawConverter:
    """Converts raw pictures.

    Args:
        source: Format of the pictures.
        target: GStreamer's name for the format of the frames.
        width: Width in pixels.
        height: Height in rows.
        colorimetry: Colorimetry of the pictures as in caps; None = not stated.

    Raises:
        SettingError: PyAV does not have one of the formats.
    """

    def __init__(self, source: VideoFormat, target: str, width: int, height: int, colorimetry: str | None) -> None:
        for name in (source.name, target):
            _check(name, f"{source.name} to {target}")
        self._picture = new_picture(PIXEL_FORMATS[source.name], width, height)
        tag_colorimetry(self._picture, colorimetry)
        self._scaler: Final = Scaler(target, width, height, self._picture)

    def fill(self, planes: Sequence[npt.NDArray[Any]], frame: LoanedFrame) -> None:
        """Convert a picture into a frame."""
        for plane, own in zip(planes, self._picture.planes, strict=True):
            rows = plane.reshape(len(plane), -1).view(np.uint8)
            inside: npt.NDArray[np.uint8] = np.ndarray(rows.shape, np.uint8, memoryview(own), 0, (own.line_size, 1))
            np.copyto(inside, rows)
        self._scaler.filler(self._picture)(frame)


class JpegConverter:
    """Decodes JPEG pictures to a format other than RGB.

    Args:
        target: GStreamer's name for the format of the frames.
        width: Width in pixels.
        height: Height in rows.

    Raises:
        SettingError: PyAV does not have the format.
    """

    def __init__(self, target: str, width: int, height: int) -> None:
        _check(target, f"JPEG to {target}")
        self._target = target
        self._size = width, height
        self._decoder = jpeg_decoder()
        self._scaler: Scaler | None = None

    def fill(self, data: npt.NDArray[np.uint8], frame: LoanedFrame) -> bool:
        """Decode a picture into a frame.

        Returns:
            Whether the picture is whole.

        Raises:
            FormatError: The data contain no picture, or a picture of another size.
        """
        try:
            pictures = self._decoder.decode(av.Packet(data.tobytes()))
        except av.FFmpegError as exc:
            raise FormatError(f"cannot decode {len(data)} bytes as a JPEG picture: {exc}") from exc
        if not pictures or (pictures[0].width, pictures[0].height) != self._size:
            raise FormatError(f"a JPEG picture of the camera is not {self._size[0]}x{self._size[1]}")
        picture = pictures[0]
        # JPEG always has the full range, but FFmpeg does not state it for gray pictures.
        picture.color_range = FULL_RANGE
        if self._scaler is None:
            self._scaler = Scaler(self._target, *self._size, picture)
        self._scaler.filler(picture)(frame)
        return not picture.is_corrupt


def _check(name: str, what: str) -> None:
    if name not in PIXEL_FORMATS:
        raise SettingError(f"cannot convert {what}; use RGB, BGR, or one of the camera's own formats")
