"""Encode frames as JPEG directly from shared memory, and decode JPEG to arrays. Only this module uses simplejpeg.

JPEG uses full-range YCbCr with the BT.601 matrix. The encoder reads R, G and B in any order, and full-range gray,
directly from the frame. Y'CbCr formats keep their planes and chroma resolution: a lookup table (BT.601) or a small
matrix (BT.709, BT.2020 …) converts the samples to JPEG's YCbCr, which is faster than a conversion to RGB. Other formats
are converted to RGB first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import simplejpeg  # type: ignore[import-untyped]

from ._wire.caps import parse_caps
from ._wire.formats import VideoFormat, get_format
from ._wire.numbers import whole
from ._wire.samples import Component, components, widened
from .errors import FormatError
from .video.colour import Colorimetry, colorimetry_of
from .video.frame import VideoFrame

__all__ = ["decode", "encode", "encode_rgb"]

Chroma: TypeAlias = Literal["444", "422", "420"]
Plane: TypeAlias = npt.NDArray[np.uint8]
Planes: TypeAlias = tuple[Plane, Plane, Plane]

MAX_SIDE: Final = 65500
"""Largest width and height in pixels."""

_RGB_ORDERS: Final = {
    name: name.upper() for name in ("RGB", "BGR", "RGBx", "BGRx", "xRGB", "xBGR", "RGBA", "BGRA", "ARGB", "ABGR")
}
ORDERS: Final = {**_RGB_ORDERS, "GRAY8": "GRAY"}
"""GStreamer's names for the formats that `decode_into` can produce, and libjpeg-turbo's."""
# Numbers of pixels that share a chroma sample in JPEG, horizontally and vertically.
_SUBSAMPLINGS: Final = ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1))
# Source: ITU-T T.871 section 7.
_JPEG_COLOUR: Final = Colorimetry(False, 0.299, 0.114)
_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_SCAN: Final = b"\xda"
_POINT: Final = 6
_HALF: Final = 1 << _POINT >> 1
_BLOCK_PIXELS: Final = 1 << 16
_ROWS_PER_STEP: Final = 4


def encode(frame: VideoFrame, quality: int = 80, chroma: Chroma = "420") -> bytes:
    """Encode a frame as JPEG, without holding the GIL. The result is a copy, so the frame can be released afterwards.

    The JPEG contains the frame's pixels, but not their aspect ratio (`pixel-aspect-ratio` in the caps).

    Args:
        frame: A received frame that is not the end of the stream.
        quality: JPEG quality, 1 to 100.
        chroma: Chroma resolution for RGB formats; Y'CbCr formats keep their own.

    Returns:
        The JPEG (JFIF) file as bytes.

    Raises:
        FrameReleasedError: The frame was released.
        UnsupportedViewError: The format is tiled or uses a palette.
        FormatError: The frame is larger than JPEG allows, or it is the end of the stream.
        ValueError: `quality` is not between 1 and 100.
        TypeError: `quality` is not a whole number.
    """
    quality = whole(quality, "quality", 1, 100)
    if frame.is_eos():
        raise FormatError("cannot encode the end of a stream: it has no picture")
    if max(frame.width, frame.height) > MAX_SIDE:
        raise FormatError(f"{frame.width}x{frame.height} is too large for JPEG (at most {MAX_SIDE} pixels per side)")
    form = get_format(frame.format)
    order = _RGB_ORDERS.get(form.name)
    if order is not None:
        return _packed(frame.numpy_view(), quality, order, chroma)
    if form.is_rgb or form.kind == "tiled":
        return _packed(frame.to_rgb(), quality, "RGB", chroma)
    rule = colorimetry_of(_colorimetry(frame), form.is_gray, frame.height)
    views = widened(frame.planes, form)
    if form.is_gray:
        luma = components(views, form, frame.width)["Y"]
        return _packed(_eight_bits(luma, rule.limited)[..., None], quality, "GRAY", "Gray")
    planes = _jpeg_planes(views, form, frame.width, frame.height, rule)
    if planes is None:
        return _packed(frame.to_rgb(), quality, "RGB", chroma)
    data: bytes = simplejpeg.encode_jpeg_yuv_planes(*planes, quality)
    return data


def encode_rgb(picture: Plane, quality: int = 80, chroma: Chroma = "420") -> bytes:
    """Encode an RGB array as JPEG.

    Args:
        picture: uint8 array of shape (H, W, 3); rows may be padded.
        quality: JPEG quality, 1 to 100.
        chroma: Chroma resolution.

    Returns:
        The JPEG (JFIF) file as bytes.

    Raises:
        ValueError: `quality` is not between 1 and 100.
        TypeError: `quality` is not a whole number.
    """
    return _packed(picture, whole(quality, "quality", 1, 100), "RGB", chroma)


def decode(data: bytes, order: Literal["RGB", "BGR"] = "RGB", max_pixels: int = 1 << 27) -> Plane:
    """Decode a JPEG picture from any source.

    Args:
        data: The JPEG file as bytes.
        order: Order of the channels.
        max_pixels: Maximum number of pixels. A larger picture is rejected before memory is allocated.

    Returns:
        A new uint8 array of shape (H, W, 3).

    Raises:
        FormatError: The data is not a JPEG picture, or it is damaged or too large.
        ValueError: `max_pixels` is less than 1.
        TypeError: `max_pixels` is not a whole number.
    """
    max_pixels = whole(max_pixels, "max_pixels", 1)
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if int(height) * int(width) > max_pixels:
            raise FormatError(f"a JPEG picture of {width}x{height} has more than {max_pixels} pixels")
        picture: Plane = simplejpeg.decode_jpeg(data, order)
    except FormatError:
        raise
    except (ValueError, RuntimeError) as exc:
        raise FormatError(f"cannot decode {len(data)} bytes as a JPEG picture: {exc}") from exc
    return picture


def decode_into(data: Plane, target: Plane, format: str) -> None:
    """Decode a JPEG picture into memory of the caller, without holding the GIL. Damaged parts become gray.

    Args:
        data: The JPEG file as a uint8 array.
        target: Contiguous uint8 array of shape (H, W, channels), whose size is that of the picture.
        format: GStreamer's name for the format, one of `ORDERS`.

    Raises:
        FormatError: The data is not a JPEG picture, nothing of it can be decoded, or it has another size.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width) != target.shape[:2]:
            raise FormatError(
                f"a JPEG picture has {width}x{height} pixels instead of {target.shape[1]}x{target.shape[0]}"
            )
        simplejpeg.decode_jpeg(data, ORDERS[format], buffer=target, strict=False)
    except FormatError:
        raise
    except (ValueError, RuntimeError) as exc:
        raise FormatError(f"cannot decode {len(data)} bytes as a JPEG picture: {exc}") from exc


def is_whole(data: bytes) -> bool:
    """Return whether JPEG data has the end marker of its picture. Other bytes may follow it.

    Args:
        data: The JPEG file as bytes.
    """
    # The segments before the picture are skipped by their lengths, because a thumbnail in them has an end marker, too.
    at = len(_START)
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (_SCAN, b""):
        is_filled = data[at + 1] == 0xFF
        at += 1 if is_filled else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(_END, at) >= 0


def _packed(picture: npt.NDArray[Any], quality: int, order: str, chroma: str) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(picture, quality, order, chroma)
    return data


def _colorimetry(frame: VideoFrame) -> str | None:
    if not frame.caps:
        return None
    text = parse_caps(frame.caps).fields.get("colorimetry")
    return text if isinstance(text, str) else None


# --- conversion from any Y'CbCr to JPEG's YCbCr ---


def _jpeg_planes(views: Any, form: VideoFormat, width: int, height: int, rule: Colorimetry) -> Planes | None:
    """Return Y, Cb and Cr for the encoder, copied or borrowed; None if JPEG does not support the chroma resolution."""
    parts = components(views, form, width)
    luma, u, v = parts["Y"], parts["U"], parts["V"]
    factors = (u.w_factor, u.h_factor)
    is_integer = all(part.samples.dtype.kind == "u" for part in (luma, u, v))
    if factors not in _SUBSAMPLINGS or (v.w_factor, v.h_factor) != factors or not is_integer:
        return None
    if (rule.kr, rule.kb) == (_JPEG_COLOUR.kr, _JPEG_COLOUR.kb):
        blue, red = (_eight_bits(part, rule.limited, chroma=True) for part in (u, v))
        return _eight_bits(luma, rule.limited), blue, red
    return _turned(luma, u, v, width, height, rule)


def _eight_bits(part: Component, limited: bool, *, chroma: bool = False) -> Plane:
    """Return the samples in full-range 8 bits; not copied if they are already so and their rows are contiguous."""
    samples = part.samples
    if part.bits == 8 and part.shift == 0 and not limited and samples.dtype == np.uint8:
        return samples if samples.strides[1] == 1 else np.ascontiguousarray(samples)
    if samples.dtype.kind == "f":
        unit = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0)
        return (unit * 255.0 + 0.5).astype(np.uint8)
    if not chroma and _is_plain(part):
        plane = np.empty(samples.shape, np.uint8)
        for rows in _blocks(*samples.shape):
            total = _in_64ths(part, rows, limited)
            total += _HALF
            total >>= _POINT
            plane[rows] = total.clip(0, 255, out=total)
        return plane
    # "clip", because a publisher may set unused bits above the sample's bits.
    return _table(part.bits, part.shift, limited, chroma).take(samples, mode="clip")


def _blocks(height: int, width: int) -> Iterator[slice]:
    """Yield slices of rows that fit into the CPU cache; each contains whole groups of chroma rows."""
    step = max(_BLOCK_PIXELS // width // _ROWS_PER_STEP, 1) * _ROWS_PER_STEP
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def _is_plain(part: Component) -> bool:
    return part.bits == 8 and part.shift == 0 and part.samples.dtype == np.uint8


def _in_64ths(part: Component, rows: slice, limited: bool) -> npt.NDArray[np.int16]:
    """Return the luma of some rows, in units of 1/64 of a full-range 8-bit level."""
    samples = part.samples[rows]
    if not _is_plain(part):
        return _scaled(part.bits, part.shift, limited, False, 1.0).take(samples, mode="clip")
    if not limited:
        return samples.astype(np.int16) << _POINT
    # 149/128 differs from 255/219 by a tenth of a level at white. A lookup table would take three times as long.
    product = np.multiply(samples, 149, dtype=np.uint16)
    product >>= 1
    total = product.view(np.int16)
    total -= 16 * 149 // 2
    return total


@lru_cache(maxsize=64)
def _unit(bits: int, shift: int, limited: bool, chroma: bool) -> npt.NDArray[np.float64]:
    """Return the full-range 8-bit level of each sample value; chroma is centred around 0."""
    unit = 2.0 ** (bits - 8)
    values = (np.arange(1 << (bits + shift)) >> shift) / unit
    if chroma:
        return (values - 128) * (255 / 224 if limited else 1)
    return (values - 16) * (255 / 219) if limited else values * (255 * unit / ((1 << bits) - 1))


@lru_cache(maxsize=64)
def _table(bits: int, shift: int, limited: bool, chroma: bool) -> Plane:
    values = _unit(bits, shift, limited, chroma) + (128 if chroma else 0)
    return (values + 0.5).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _scaled(bits: int, shift: int, limited: bool, chroma: bool, factor: float) -> npt.NDArray[np.int16]:
    """Return the level of each sample value, multiplied by a factor, in units of 1/64."""
    values = _unit(bits, shift, limited, chroma) * factor * (1 << _POINT)
    return np.rint(values).clip(-32768 // 4, 32767 // 2).astype(np.int16)


@lru_cache(maxsize=16)
def _turn(rule: Colorimetry) -> npt.NDArray[np.float64]:
    """Return the 3×3 matrix from this rule's Y, Cb, Cr to JPEG's, for full-range values with chroma around 0."""
    return _from_rgb(_JPEG_COLOUR) @ np.linalg.inv(_from_rgb(rule))


def _from_rgb(rule: Colorimetry) -> npt.NDArray[np.float64]:
    luma = np.array([rule.kr, 1 - rule.kr - rule.kb, rule.kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - rule.kb))
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - rule.kr))
    return np.stack([luma, blue, red])


def _turned(luma: Component, u: Component, v: Component, width: int, height: int, rule: Colorimetry) -> Planes:
    turn = _turn(rule)
    y = np.empty((height, width), np.uint8)
    chromas = np.empty(u.samples.shape, np.uint8), np.empty(u.samples.shape, np.uint8)
    down, across = u.h_factor, u.w_factor
    for bright_rows in _blocks(height, width):
        rows = slice(bright_rows.start // down, -(-bright_rows.stop // down))
        for target, (_, of_u, of_v) in zip(chromas, turn[1:], strict=True):
            total = _mixed(u, v, rows, rule.limited, float(of_u), float(of_v))
            total += (128 << _POINT) + _HALF
            total >>= _POINT
            target[rows] = total.clip(0, 255, out=total)
        change = _mixed(u, v, rows, rule.limited, float(turn[0, 1]), float(turn[0, 2]))
        change += _HALF
        change = change.repeat(across, 1)[:, :width]
        total = _in_64ths(luma, bright_rows, rule.limited)
        for row in range(down):
            part = total[row::down]
            part += change[: len(part)]
        total >>= _POINT
        y[bright_rows] = total.clip(0, 255, out=total)
    return y, *chromas


def _mixed(u: Component, v: Component, rows: slice, limited: bool, of_u: float, of_v: float) -> npt.NDArray[np.int16]:
    """Return `of_u` × U + `of_v` × V, both centred around 0, in units of 1/64 of a full-range 8-bit level."""
    if not (_is_plain(u) and _is_plain(v)):
        total = _scaled(u.bits, u.shift, limited, True, of_u).take(u.samples[rows], mode="clip")
        total += _scaled(v.bits, v.shift, limited, True, of_v).take(v.samples[rows], mode="clip")
        return total
    # In units of 1/128: 128 levels times the largest factors just fit into 16 bits.
    swing = 128 * (255 / 224 if limited else 1)
    total = np.subtract(u.samples[rows], 128, dtype=np.int16) * np.int16(round(of_u * swing))
    total += np.subtract(v.samples[rows], 128, dtype=np.int16) * np.int16(round(of_v * swing))
    total >>= 1
    return total
