"""Convert pictures to 8-bit RGB with numpy.

The result matches GStreamer's videoconvert with its simplest options. The colorimetry determines the matrix and the
range of Y'CbCr. Chroma is upsampled by repetition (nearest neighbour), and chroma siting is ignored. R, G and B are
used unchanged, whatever their range. Values are not dithered and keep their transfer function and primaries, so HDR is
not tone-mapped. Alpha is dropped.

A picture that is scaled as well gets its components scaled first, each from its own resolution, so that only the pixels
of the result are converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from .._wire.formats import VideoFormat
from .._wire.header import MAX_DIMENSION
from .._wire.numbers import shown, whole
from .._wire.samples import Component, components, widened
from ..errors import FormatError
from .scaling import scaled

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

_BLOCK_PIXELS: Final = 1 << 17
_ROWS_PER_STEP: Final = 4  # the coarsest vertical subsampling (YUV9)
_LEVEL_BITS: Final = 5  # sums of luma and chroma reach three times white, which then fits into 16 bits


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
    size: tuple[int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """Convert a picture to 8-bit RGB and return it as a new array.

    Args:
        views: Array views of the planes, from `VideoFormat.views`.
        format: Pixel format of the planes.
        width: Width in pixels.
        height: Height in pixels.
        colorimetry: Value of `colorimetry` in the caps; None = GStreamer's default.
        order: Order of the channels.
        size: Width and height of the result in pixels, from `checked_size`; None = the picture's own size. Each
            component is scaled by `scaling.scaled` before the conversion.

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
    wide, high = size or (width, height)
    picture = np.empty((high, wide, 3), np.uint8)
    if format.name == order and (wide, high) == (width, height):
        np.copyto(picture, views[0])
        return picture
    views = widened(views, format)
    if (wide, high) == (width, height):
        blocks = _blocks(views, format, width, height)
    else:
        blocks = _scaled_blocks(views, format, (width, height), (wide, high))
    for rows, parts in blocks:
        target = picture[rows]
        if rule is None:
            for channel, letter in enumerate(order):
                target[..., channel] = _full_range(parts[letter], limited=False)
        elif format.is_gray:
            gray = _full_range(parts["Y"], rule.limited)
            for channel in range(3):
                target[..., channel] = gray
        else:
            _convert(parts, rule, target, order)
    return picture


def checked_size(size: object) -> tuple[int, int]:
    """Check the size of a picture and return it as width and height.

    Raises:
        TypeError: `size` is not a pair of whole numbers.
        ValueError: The width or the height is not between 1 and 32768.
    """
    try:
        width, height = cast("tuple[object, object]", size)
    except (TypeError, ValueError):
        raise TypeError(f"size is {shown(size)}, but must be a pair of whole numbers: (width, height)") from None
    return whole(width, "width of size", 1, MAX_DIMENSION), whole(height, "height of size", 1, MAX_DIMENSION)


_Blocks: TypeAlias = Iterator[tuple[slice, dict[str, Component]]]


def _steps(width: int, height: int) -> Iterator[slice]:
    """Yield slices of rows that fit into the processor's cache."""
    step = max(_BLOCK_PIXELS // width // _ROWS_PER_STEP, 1) * _ROWS_PER_STEP
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def _blocks(views: Sequence[npt.NDArray[Any]], format: VideoFormat, width: int, height: int) -> _Blocks:
    """Yield rows of the result and the components that belong to them."""
    for rows in _steps(width, height):
        some = [
            view[rows.start >> plane.h_shift : -(-rows.stop >> plane.h_shift)]
            for view, plane in zip(views, format.planes, strict=True)
        ]
        yield rows, components(some, format, width)


def _scaled_blocks(
    views: Sequence[npt.NDArray[Any]], format: VideoFormat, there: tuple[int, int], wanted: tuple[int, int]
) -> _Blocks:
    """Yield rows of the result and the components that belong to them. The picture is scaled to another size first."""
    parts = {
        letter: _scaled_component(part, there, wanted)
        for letter, part in components(views, format, there[0]).items()
        if letter not in "Ax"
    }
    for rows in _steps(*wanted):
        yield rows, {letter: part._replace(samples=part.samples[rows]) for letter, part in parts.items()}


def _scaled_component(part: Component, there: tuple[int, int], wanted: tuple[int, int]) -> Component:
    samples, across, down, bits, shift = part
    (width, height), (rows, columns) = there, samples.shape
    if (columns * across, rows * down) != (width, height):
        # The last chroma samples extend beyond an odd width or height. Without them, chroma would shift to the left.
        samples = samples.repeat(down, 0)[:height].repeat(across, 1)[:, :width]
    if samples.dtype.kind == "f":
        samples = _unit_range(samples)
    elif (bits, shift) != (8, 0):
        # 16 bits, because an average of samples with few bits needs more bits.
        samples = _within_bits(part._replace(samples=samples)).astype(np.uint16) << (16 - bits - shift)
        shift = 16 - bits
    return Component(scaled(samples, *wanted), 1, 1, bits, shift)


def _within_bits(part: Component) -> npt.NDArray[Any]:
    """Return the samples of integers, and white for samples with bits above their format."""
    samples, used = part.samples, part.bits + part.shift
    return samples if used == 8 * samples.dtype.itemsize else np.minimum(samples, (1 << used) - 1)


def _unit_range(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    # Float formats range from 0 to 1 in GStreamer, whatever the caps say.
    return np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)


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


def _full_range(part: Component, limited: bool) -> npt.NDArray[Any]:
    """Return the samples of R, G, B or gray scaled to full-range 8 bits."""
    samples = part.samples
    if samples.dtype.kind == "f":
        return (_unit_range(samples) * 255.0 + 0.5).astype(np.uint8)
    if (part.bits, part.shift) == (8, 0) and not limited:
        return samples
    point = _fraction_bits(part)
    black, white, _ = _spans(part, limited)
    factor = round(255 / white * (1 << point))
    levels = np.multiply(samples, factor, dtype=np.int32)
    levels += (1 << point >> 1) - black * factor
    levels >>= point
    return levels.clip(0, 255, out=levels)


def _convert(parts: dict[str, Component], rule: Colorimetry, target: npt.NDArray[np.uint8], order: str) -> None:
    """Fill `target` from Y, U and V: R = Y + a V, G = Y - b U - c V, B = Y + d U.

    The sums have 16 bits and units of 1/32 of a level, so that the processor adds many of them at once.
    """
    luma, u, v = parts["Y"], parts["U"], parts["V"]
    rows, width, _ = target.shape
    point = _fraction_bits(luma)
    black, white, swing = _spans(luma, rule.limited)
    one = 255 / swing * (1 << point)
    red, blue = 2 * (1 - rule.kr) * one, 2 * (1 - rule.kb) * one
    green = 1 - rule.kr - rule.kb
    factors = {
        "R": (0, round(red)),
        "G": (round(-blue * rule.kb / green), round(-red * rule.kr / green)),
        "B": (round(blue), 0),
    }
    # Whole groups of pixels that share chroma. The last rows and columns may be unused.
    groups, columns = u.samples.shape
    bright = np.empty((groups, u.h_factor, columns * u.w_factor), np.int16)
    levels = [np.empty_like(bright) for _ in order]
    factor = 255 / white * (1 << point)
    _fill_bright(_rows_of(bright, rows, width), luma, factor, point)
    chroma = [_within_bits(part).astype(np.int32) for part in (u, v)]
    middle = 1 << (luma.bits - 1 + luma.shift)
    rounding = (1 << point >> 1) + (1 << (point - _LEVEL_BITS) >> 1)
    for level, letter in zip(levels, order, strict=True):
        (samples, by), *more = [(part, by) for part, by in zip(chroma, factors[letter], strict=True) if by]
        tint = samples * by
        for samples, by in more:
            tint += samples * by
        tint += rounding - round(black * factor) - middle * sum(factors[letter])
        tint >>= point - _LEVEL_BITS
        np.add(bright, _repeated(tint, u.w_factor)[:, None], out=level)
        level >>= _LEVEL_BITS
        level.clip(0, 255, out=level)
    first, second, third = levels
    # Two channels at once, because each write to every third byte takes as long as five additions.
    second *= 256
    second |= first
    pairs: npt.NDArray[np.uint16] = np.ndarray((rows, width), "<u2", target.data, 0, (target.strides[0], 3))
    np.copyto(pairs, _rows_of(second, rows, width).view(np.uint16))
    target[..., 2] = _rows_of(third, rows, width)


def _rows_of(samples: npt.NDArray[np.int16], rows: int, width: int) -> npt.NDArray[np.int16]:
    """Return groups of rows as single rows, without unused rows and columns."""
    return samples.reshape(-1, samples.shape[2])[:rows, :width]


def _fill_bright(target: npt.NDArray[np.int16], luma: Component, factor: float, point: int) -> None:
    """Fill `target` with the luma samples × factor, in units of 1/32 of a level."""
    if luma.bits == 8:
        # 149/128 differs from 255/219 by less than a tenth of a level, and the products fit into 16 bits.
        product = np.multiply(luma.samples, round(factor * 128 / (1 << point)), dtype=np.uint16)
        np.right_shift(product, 7 - _LEVEL_BITS, out=target.view(np.uint16))
    else:
        total = np.multiply(_within_bits(luma), round(factor), dtype=np.int32)
        total >>= point - _LEVEL_BITS
        target[...] = total


def _repeated(tint: npt.NDArray[np.int32], times: int) -> npt.NDArray[np.int16]:
    """Return each column `times` times (1, 2 or 4). Faster than `numpy.repeat`, which copies one by one."""
    if times == 1:
        return tint.astype(np.int16)
    # Two equal halves of a 32-bit word.
    tint &= 0xFFFF
    tint *= 0x10001
    return tint.view(np.int16) if times == 2 else tint.view(np.int16).repeat(times // 2, 1)
