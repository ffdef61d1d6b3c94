"""Scales and converts pictures with libswscale, through PyAV."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .._extras.av import AREA_SCALING, PIXEL_FORMATS, VideoReformatter, check_release, new_picture
from .._wire.formats import VideoFormat
from .colours import Colours
from .planes import Planes

__all__ = ["PIXEL_FORMATS", "End", "Scaling"]

_LIMITED: Final = 1  # AVCOL_RANGE_MPEG
_FULL: Final = 2  # AVCOL_RANGE_JPEG


class End(NamedTuple):
    """One side of a conversion: format, one of `PIXEL_FORMATS`; width and height in pixels; and colours."""

    format: VideoFormat
    size: tuple[int, int]
    colours: Colours


class Scaling:
    """Scales and converts pictures of one shape to another.

    libswscale averages to shrink, and interpolates linearly to enlarge. It runs in the calling thread.

    libswscale writes R, G and B to separate planes in less than half the time that one plane takes. So they are
    interleaved here, while they are copied to their place.

    Args:
        source: The pictures to convert.
        target: The pictures to write.

    Raises:
        MissingExtraError: The installed PyAV is too old.
    """

    def __init__(self, source: End, target: End) -> None:
        check_release()
        self._picture = new_picture(PIXEL_FORMATS[source.format.name], *source.size)
        # One matrix for both, as no conversion changes it. PyAV 17 does not know that of BT.2020 as an argument.
        self._picture.colorspace = target.colours.matrix
        self._reformatter = VideoReformatter()
        self._size = target.size
        # Packed RGB that is not scaled only changes its order.
        self._is_apart = _is_bytes_of_rgb(target.format) and not (
            source.size == target.size and _is_bytes_of_rgb(source.format)
        )
        self._name = ("gbrap" if len(target.format.components) == 4 else "gbrp") if self._is_apart else None
        self._name = self._name or PIXEL_FORMATS[target.format.name]
        self._arguments = {
            "src_color_range": _range(source.colours.limited),
            # FFmpeg takes gray for full range. The same range for both leaves its samples unchanged.
            "dst_color_range": _range(
                target.colours.limited and not (source.format.is_gray and source.colours.limited)
            ),
            "interpolation": AREA_SCALING,
            "threads": 1,
        }

    def fill(self, source: Planes, target: Planes) -> None:
        """Convert a picture."""
        # A copy, because libswscale may read bytes after the last row.
        for rows, plane in zip(source.rows(), self._picture.planes, strict=True):
            np.copyto(_rows_of(plane, rows.shape), rows)
        result = self._reformatter.reformat(self._picture, *self._size, self._name, **self._arguments)
        if not self._is_apart:
            for rows, plane in zip(target.rows(), result.planes, strict=True):
                np.copyto(rows, _rows_of(plane, rows.shape))
            return
        (pixels,) = target.views()
        letters = target.format.components.replace("x", "A")
        for letter, plane in zip("GBRA", result.planes, strict=False):
            pixels[..., letters.index(letter)] = _rows_of(plane, pixels.shape[:2])


def _rows_of(plane: Any, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the rows of a plane of PyAV without their padding."""
    return np.ndarray(shape, np.uint8, memoryview(plane), 0, (plane.line_size, 1))


def _is_bytes_of_rgb(format: VideoFormat) -> bool:
    return format.is_rgb and format.kind == "packed" and format.dtype == "u1"


def _range(limited: bool) -> int:
    return _LIMITED if limited else _FULL
