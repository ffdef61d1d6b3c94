"""Fills a frame from the bytes of a camera driver: copies, flips, converts or decodes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .._wire.formats import Layout, VideoFormat, get_format
from ..jpeg import ORDERS, decode_into, is_whole
from ..video.colour import to_rgb
from ..video.loan import LoanedFrame
from .errors import SourceError
from .flip import Flip, flipped
from .v4l2 import api
from .v4l2.choice import Choice
from .v4l2.pixel_formats import colorimetry_of

Memory: TypeAlias = npt.NDArray[np.uint8]
Fill: TypeAlias = Callable[[Memory, int, LoanedFrame], bool]
"""Fills a frame from the driver's memory and the number of bytes used; returns whether the picture is whole."""


# The colours of JPEG files: full range, BT.601 matrix, sRGB. Source: V4L2_COLORSPACE_JPEG, ITU-T T.871 section 7.
_JPEG_COLORIMETRY: Final = "1:4:7:1"
_ORDERS: Final[dict[str, Literal["RGB", "BGR"]]] = {"RGB": "RGB", "BGR": "BGR"}


class Filler(NamedTuple):
    """How to fill a frame.

    Attributes:
        fill: The function. It raises FormatError if there is no picture in the bytes.
        least: Number of bytes that a whole picture has at least.
    """

    fill: Fill
    least: int


def filler(choice: Choice, pix: api.PixFormat, flip: Flip | None) -> Filler:
    """Return the function that fills frames.

    Args:
        choice: The captured and the published format.
        pix: The captured format as the driver set it.
        flip: How to flip; None = not.

    Raises:
        SourceError: The driver's pictures have fewer bytes than their format needs.
        SettingError: The published format cannot be produced.
        MissingExtraError: A conversion needs PyAV, which is not installed.
    """
    target = get_format(choice.format)
    if choice.captured is None:
        return Filler(_then_flip(_decoder(choice), target, flip), 1)
    source = get_format(choice.captured)
    layout = source.tight_layout(pix.width, pix.height, pix.bytesperline or None)
    if layout.size > pix.sizeimage:
        raise SourceError(
            f"the camera's pictures have {pix.sizeimage} bytes, but {source.name} at {pix.width}x{pix.height} "
            f"with rows of {pix.bytesperline} bytes needs {layout.size}"
        )
    if source is target:
        return Filler(_copier(source, layout, pix, flip), layout.size)
    return Filler(_then_flip(_converter(choice, source, layout, pix), target, flip), layout.size)


def published_colorimetry(choice: Choice, pix: api.PixFormat) -> str | None:
    """Return the colorimetry of the frames as in caps; None if it is GStreamer's default for their format and size.

    Conversions between Y'CbCr formats keep matrix and range.

    Args:
        choice: The captured and the published format.
        pix: The captured format as the driver set it.
    """
    target = get_format(choice.format)
    if target.is_rgb or (target.is_gray and choice.captured != choice.format):
        return None
    if choice.captured is None:
        return _JPEG_COLORIMETRY
    source = get_format(choice.captured)
    return None if source.is_rgb else colorimetry_of(pix, source.is_gray)


def _views(format: VideoFormat, layout: Layout, pix: api.PixFormat, memory: Memory) -> tuple[npt.NDArray[Any], ...]:
    return format.views(memory, pix.width, pix.height, layout.strides, layout.offsets)


def _copier(format: VideoFormat, layout: Layout, pix: api.PixFormat, flip: Flip | None) -> Fill:
    def fill(memory: Memory, used: int, frame: LoanedFrame) -> bool:
        planes = _views(format, layout, pix, memory)
        for target, plane in zip(frame.planes, planes if flip is None else flipped(planes, format, flip), strict=True):
            np.copyto(target, plane)
        return True

    return fill


def _converter(choice: Choice, source: VideoFormat, layout: Layout, pix: api.PixFormat) -> Fill:
    colorimetry = None if source.is_rgb else colorimetry_of(pix, source.is_gray)
    order = _ORDERS.get(choice.format)
    if order is not None:

        def fill_rgb(memory: Memory, used: int, frame: LoanedFrame) -> bool:
            views = _views(source, layout, pix, memory)
            np.copyto(frame.numpy_view(), to_rgb(views, source, pix.width, pix.height, colorimetry, order=order))
            return True

        return fill_rgb
    # Only the other conversions need PyAV.
    from .conversion import RawConverter

    convert = RawConverter(source, choice.format, choice.width, choice.height, colorimetry)

    def fill(memory: Memory, used: int, frame: LoanedFrame) -> bool:
        convert.fill(_views(source, layout, pix, memory), frame)
        return True

    return fill


def _decoder(choice: Choice) -> Fill:
    if choice.format in ORDERS:

        def fill(memory: Memory, used: int, frame: LoanedFrame) -> bool:
            decode_into(memory[:used], frame.numpy_view(), choice.format)
            return is_whole(memory[:used].tobytes())

        return fill
    from .conversion import JpegConverter

    convert = JpegConverter(choice.format, choice.width, choice.height)

    def fill_converted(memory: Memory, used: int, frame: LoanedFrame) -> bool:
        data = memory[:used]
        return convert.fill(data, frame) and is_whole(data.tobytes())

    return fill_converted


def _then_flip(fill: Fill, format: VideoFormat, flip: Flip | None) -> Fill:
    if flip is None:
        return fill

    def fill_and_flip(memory: Memory, used: int, frame: LoanedFrame) -> bool:
        is_whole = fill(memory, used, frame)
        planes = [plane.copy() for plane in frame.planes]
        for target, plane in zip(frame.planes, flipped(planes, format, flip), strict=True):
            np.copyto(target, plane)
        return is_whole

    return fill_and_flip
