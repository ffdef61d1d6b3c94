"""Convert pictures to 8-bit RGB with numpy.

The result matches GStreamer's videoconvert with its simplest options. The colorimetry determines the matrix and the
range of Y'CbCr. Chroma is upsampled by repetition (nearest neighbour), and chroma siting is ignored. R, G and B are
used unchanged, whatever their range. Values are not dithered and keep their transfer function and primaries, so HDR is
not tone-mapped. Alpha is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .._wire.formats import VideoFormat
from .._wire.samples import Component, components, widened
from ..errors import FormatError

# By GstVideoColorMatrix. Source: gst_video_color_matrix_get_Kr_Kb() in gst-libs/gst/video/video-color.c.
_KR_KB: Final = {
    2: (0.30, 0.11),  # FCC
    3: (0.2126, 0.0722),  # BT.709
    4: (0.2990, 0.1140),  # BT.601
    5: (0.212, 0.087),  # SMPTE 240M
    6: (0.2627, 0.0593),  # BT.2020
}
_RGB_MATRIX: Final = 1  # GST_VIDEO_COLOR_MATRIX_RGB
_LIMITED: Final = 2  # GST_VIDEO_COLOR_RANGE_16_235; every other range counts as full

# Range and matrix; transfer and primaries do not matter here. Source: the table `colorimetry` in the same file.
_NAMED: Final = {
    "bt601": (2, 4),
    "bt709": (2, 3),
    "smpte240m": (2, 5),
    "sRGB": (1, 1),
    "bt2020": (2, 6),
    "bt2020-10": (2, 6),
    "bt2100-pq": (2, 6),
    "bt2100-hlg": (2, 6),
}
_NUMBERS: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,9}):[0-9]{1,9}:[0-9]{1,9}")
_SD_HEIGHT: Final = 576  # set_default_colorimetry() in gst-libs/gst/video/video-info.c

_BLOCK_PIXELS: Final = 1 << 16
_ROWS_PER_STEP: Final = 4  # the coarsest vertical subsampling (YUV9)


class Colorimetry(NamedTuple):
    """The parts of a colorimetry that the conversion needs.

    Attributes:
        limited: Whether 8-bit black and white are 16 and 235 instead of 0 and 255.
        kr: Weight of red in luma.
        kb: Weight of blue in luma.
    """

    limited: bool
    kr: float
    kb: float


def colorimetry_of(text: str | None, is_gray: bool, height: int) -> Colorimetry:
    """Return the colorimetry of a YUV or gray picture, derived from its caps as in GStreamer.

    Args:
        text: Value of `colorimetry` in the caps: a name ("bt709") or range:matrix:transfer:primaries ("2:4:7:1"). For
            None and unsuitable values, GStreamer's default applies: BT.601 up to 576 rows, BT.709 above, full range for
            gray.
        is_gray: Whether the picture only has luma.
        height: Height in pixels.
    """
    known = _parsed(text)
    # Gray does not need a matrix, but GStreamer replaces an RGB matrix for gray as well.
    if known is None or known[1] == _RGB_MATRIX or (not is_gray and known[1] not in _KR_KB):
        known = (1, 4) if is_gray else (_LIMITED, 3 if height > _SD_HEIGHT else 4)
    return Colorimetry(known[0] == _LIMITED, *_KR_KB.get(known[1], _KR_KB[4]))


def _parsed(text: str | None) -> tuple[int, int] | None:
    """Return range and matrix as GStreamer's enum values; None if the text does not state them."""
    if text is None:
        return None
    match = _NUMBERS.fullmatch(text)
    return _NAMED.get(text) if match is None else (int(match[1]), int(match[2]))


def to_rgb(
    views: Sequence[npt.NDArray[Any]],
    format: VideoFormat,
    width: int,
    height: int,
    colorimetry: str | None = None,
    *,
    order: Literal["RGB", "BGR"] = "RGB",
) -> npt.NDArray[np.uint8]:
    """Convert a picture to 8-bit RGB and return it as a new array.

    Args:
        views: Array views of the planes, from `VideoFormat.views`.
        format: Pixel format of the planes.
        width: Width in pixels.
        height: Height in pixels.
        colorimetry: Value of `colorimetry` in the caps; None = GStreamer's default.
        order: Order of the channels.

    Returns:
        A new C-contiguous uint8 array of shape (height, width, 3).

    Raises:
        FormatError: The format is tiled or uses a palette; only GStreamer can convert it.
        ValueError: `order` is neither "RGB" nor "BGR".
    """
    if order not in ("RGB", "BGR"):
        raise ValueError(f"order is {order!r}, but must be 'RGB' or 'BGR'")
    if format.kind == "tiled":
        raise FormatError(f"{format.name} is tiled or uses a palette: only GStreamer's elements can convert it")
    rule = None if format.is_rgb else colorimetry_of(colorimetry, format.is_gray, height)
    picture = np.empty((height, width, 3), np.uint8)
    views = widened(views, format)
    step = max(_BLOCK_PIXELS // width // _ROWS_PER_STEP, 1) * _ROWS_PER_STEP
    for top in range(0, height, step):
        target = picture[top : top + step]
        bottom = top + len(target)
        rows = [
            view[top >> plane.h_shift : -(-bottom >> plane.h_shift)]
            for view, plane in zip(views, format.planes, strict=True)
        ]
        parts = components(rows, format, width)
        if rule is None:
            for channel, letter in enumerate(order):
                target[..., channel] = _scaled(parts[letter], limited=False)
        elif format.is_gray:
            gray = _scaled(parts["Y"], rule.limited)
            for channel in range(3):
                target[..., channel] = gray
        else:
            _convert(parts, rule, target, order)
    return picture


def _fraction_bits(part: Component) -> int:
    """Return the number of fraction bits for fixed-point factors; it keeps sums of products within 32 bits."""
    return 5 + part.bits + part.shift


def _spans(part: Component, limited: bool) -> tuple[int, float, float]:
    """Return the sample value of black, the range from black to white, and the range of chroma."""
    unit = 2.0 ** (part.bits - 8 + part.shift)
    if limited:
        return round(16 * unit), 219 * unit, 224 * unit
    full = ((1 << part.bits) - 1) << part.shift
    return 0, full, full


def _scaled(part: Component, limited: bool) -> npt.NDArray[Any]:
    """Return the samples of R, G, B or gray scaled to full-range 8 bits."""
    samples = part.samples
    if samples.dtype.kind == "f":
        # Float formats range from 0 to 1 in GStreamer, whatever the caps say.
        unit = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
        return (unit * 255.0 + 0.5).astype(np.uint8)
    if part.bits == 8 and not limited:
        return samples
    point = _fraction_bits(part)
    black, white, _ = _spans(part, limited)
    factor = round(255 / white * (1 << point))
    scaled = np.multiply(samples, factor, dtype=np.int32)
    scaled += (1 << point >> 1) - black * factor
    scaled >>= point
    return scaled.clip(0, 255, out=scaled)


def _convert(parts: dict[str, Component], rule: Colorimetry, target: npt.NDArray[np.uint8], order: str) -> None:
    """Fill `target` from Y, U and V: R = Y + a V, G = Y - b U - c V, B = Y + d U."""
    luma, u, v = parts["Y"], parts["U"], parts["V"]
    point = _fraction_bits(luma)
    black, white, swing = _spans(luma, rule.limited)
    middle = 1 << (luma.bits - 1 + luma.shift)
    one = 255 / swing * (1 << point)
    red, blue = 2 * (1 - rule.kr) * one, 2 * (1 - rule.kb) * one
    green = 1 - rule.kr - rule.kb
    factors = {
        "R": (0, round(red)),
        "G": (round(-blue * rule.kb / green), round(-red * rule.kr / green)),
        "B": (round(blue), 0),
    }
    factor = round(255 / white * (1 << point))
    bright = np.multiply(luma.samples, factor, dtype=np.int32)
    bright += (1 << point >> 1) - black * factor
    rows, width, _ = target.shape
    for channel, letter in enumerate(order):
        total = bright.copy() if letter != order[-1] else bright
        by_u, by_v = factors[letter]
        tint = np.zeros(u.samples.shape, np.int32)
        for part, by in ((u, by_u), (v, by_v)):
            if by:
                tint += np.multiply(part.samples, by, dtype=np.int32)
                tint -= middle * by
        total += tint.repeat(u.h_factor, 0)[:rows].repeat(u.w_factor, 1)[:, :width]
        total >>= point
        target[..., channel] = total.clip(0, 255, out=total)
