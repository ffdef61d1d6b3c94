"""Converts and scales decoded pictures, and copies them into loaned frames.

The copy is needed because PyAV's decoders and scaler cannot write into memory provided by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._extras.av import PIXEL_FORMATS, PRIMARIES, TRANSFERS, VideoReformatter
from .._wire.formats import get_format
from ..video.loan import LoanedFrame

_LIMITED: Final = 1  # AVCOL_RANGE_MPEG
FULL_RANGE: Final = 2
"""AVCOL_RANGE_JPEG."""
_UNKNOWN: Final = 2  # AVCOL_SPC_UNSPECIFIED, AVCOL_TRC_UNSPECIFIED, AVCOL_PRI_UNSPECIFIED
# AVColorSpace (libavutil/pixfmt.h) to GstVideoColorMatrix, and to libswscale's SWS_CS_ constants.
_MATRICES: Final = {1: 3, 4: 2, 5: 4, 6: 4, 7: 5, 9: 6}
_SWS: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
# GStreamer's names for combinations of matrix, transfer and primaries with limited range. Files often tag only the
# matrix.
_NAMED: Final = {
    (3, 0, 0): "bt709",
    (3, 5, 1): "bt709",
    (4, 0, 0): "bt601",
    (4, 16, 4): "bt601",
    (5, 6, 5): "smpte240m",
    (6, 0, 0): "bt2020",
    (6, 11, 7): "bt2020",
    (6, 13, 7): "bt2020-10",
    (6, 14, 7): "bt2100-pq",
    (6, 15, 7): "bt2100-hlg",
}
_OUR_TRANSFERS: Final = {theirs: ours for ours, theirs in TRANSFERS.items()}
_OUR_PRIMARIES: Final = {theirs: ours for ours, theirs in PRIMARIES.items()}
_BT709: Final = 1
_BT601: Final = 5
_SD_HEIGHT: Final = 576
_BY_PIXEL_FORMAT: Final = {theirs: ours for ours, theirs in PIXEL_FORMATS.items()}


class Scaler:
    """Converts decoded pictures to the format and size of the published frames.

    Args:
        format: GStreamer's name for the format, one of `PIXEL_FORMATS`.
        width: Width in pixels.
        height: Height in rows.
        first: The first decoded picture. All pictures have its format.

    Attributes:
        format: GStreamer's name for the format.
        width: Width in pixels.
        height: Height in rows.
        colorimetry: Colorimetry as in caps; None for RGB and gray, or if the picture does not state it.
    """

    def __init__(self, format: str, width: int, height: int, first: Any) -> None:
        self.format = format
        self.width = width
        self.height = height
        self._pixel_format = PIXEL_FORMATS[format]
        self._reformatter = VideoReformatter()
        known = get_format(format)
        self._is_rgb = known.is_rgb
        self._rows = [(known.rows(at, height), known.row_bytes(at, width)) for at in range(known.n_planes)]
        self.colorimetry = None if known.is_rgb or known.is_gray else _colorimetry_of(first)

    def filler(self, picture: Any) -> Callable[[LoanedFrame], None]:
        """Return a function that writes the picture into a frame."""

        def fill(frame: LoanedFrame) -> None:
            for plane, target, (rows, size) in zip(self._fitted(picture).planes, frame.planes, self._rows, strict=True):
                source: npt.NDArray[np.uint8] = np.ndarray(
                    (rows, size), np.uint8, memoryview(plane), 0, (plane.line_size, 1)
                )
                inside = target.reshape(rows, -1).view(np.uint8)
                # Rows of YUY2 and its kind end with a whole pair of pixels, but views end with the last pixel.
                np.copyto(inside, source[:, : inside.shape[1]])

        return fill

    def _fitted(self, picture: Any) -> Any:
        name = picture.format.name.replace("yuvj", "yuv")
        if (name, picture.width, picture.height) == (self._pixel_format, self.width, self.height):
            return picture
        usual = _BT709 if picture.height > _SD_HEIGHT else _BT601
        is_rgb = picture.format.is_rgb
        space = usual if is_rgb else _SWS.get(int(picture.colorspace), usual)
        source_range = FULL_RANGE if is_rgb or _is_full(picture) else _LIMITED
        target_range = FULL_RANGE if self._is_rgb else _LIMITED if is_rgb else source_range
        return self._reformatter.reformat(
            picture,
            self.width,
            self.height,
            self._pixel_format,
            src_colorspace=space,
            dst_colorspace=usual if is_rgb else space,
            src_color_range=source_range,
            dst_color_range=target_range,
        )


def gstreamer_format(pixel_format: str) -> str:
    """Return GStreamer's name for an FFmpeg pixel format, or for a similar format if GStreamer does not have it."""
    name = pixel_format.replace("yuvj", "yuv")
    known = _BY_PIXEL_FORMAT.get(name)
    if known is not None:
        return known
    if name.startswith(("rgba", "bgra", "gbrap", "pal8", "ya")):
        return "RGBA"
    if name.startswith(("rgb", "bgr", "gbr", "0", "mono", "bayer")):
        return "RGB"
    deep = "10" in name or "12" in name or "16" in name
    return "I422_10LE" if deep else "I420"


def tag_colorimetry(picture: Any, colorimetry: str | None) -> None:
    """Note in a picture what its colorimetry is, as a decoder does.

    Args:
        picture: A picture from PyAV.
        colorimetry: Colorimetry as in caps, from `v4l2.pixel_formats` or `Scaler.colorimetry`; None = not stated.
    """
    if colorimetry is None:
        return
    named = next((numbers for numbers, name in _NAMED.items() if name == colorimetry), None)
    full, *numbers = (2, *named) if named is not None else map(int, colorimetry.split(":"))
    matrix, transfer, primaries = numbers
    picture.colorspace = next((theirs for theirs, ours in _MATRICES.items() if ours == matrix), _UNKNOWN)
    picture.color_range = FULL_RANGE if full == 1 else _LIMITED
    picture.color_trc = TRANSFERS.get(transfer, _UNKNOWN)
    picture.color_primaries = PRIMARIES.get(primaries, _UNKNOWN)


def _is_full(picture: Any) -> bool:
    return bool(int(picture.color_range) == FULL_RANGE or picture.format.name.startswith("yuvj"))


def _colorimetry_of(picture: Any) -> str | None:
    matrix = _MATRICES.get(int(picture.colorspace))
    if picture.format.is_rgb:
        return None
    full = _is_full(picture)
    if matrix is None and not full:
        return None
    if matrix is None:
        # The default for JPEG.
        matrix = 4
    transfer, primaries = (
        _OUR_TRANSFERS.get(int(picture.color_trc), 0),
        _OUR_PRIMARIES.get(int(picture.color_primaries), 0),
    )
    named = None if full else _NAMED.get((matrix, transfer, primaries))
    return named or f"{1 if full else 2}:{matrix}:{transfer}:{primaries}"
