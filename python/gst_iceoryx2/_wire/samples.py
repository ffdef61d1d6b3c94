"""Extract the components of a picture (R, G, B, Y, U, V) from the views of its planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .formats import VideoFormat

Array: TypeAlias = npt.NDArray[Any]


class Component(NamedTuple):
    """The samples of one component.

    Attributes:
        samples: Integers or floats of shape (rows, columns); a view or a copy.
        w_factor: Number of horizontally adjacent pixels that share a sample.
        h_factor: Number of pixel rows that share a row of samples.
        bits: Number of significant bits per sample.
        shift: Number of unused bits below the significant bits.
    """

    samples: Array
    w_factor: int
    h_factor: int
    bits: int
    shift: int


def widened(views: Sequence[Array], format: VideoFormat) -> tuple[Array, ...]:
    """Return views that extend to the end of each row's last group, if the memory extends that far.

    A YUY2 row of odd width ends in the middle of a pair of pixels, so the second chroma sample of that pair is outside
    the original view. The new views share the memory of `views`.
    """
    return tuple(
        _widened(view, plane.group_pixels) if format.kind == "packed" else view
        for view, plane in zip(views, format.planes, strict=True)
    )


def components(views: Sequence[Array], format: VideoFormat, width: int) -> dict[str, Component]:
    """Return a dict from letter to component. The views may be a slice of rows that starts at a multiple of 4.

    Args:
        views: Array views of the planes, from `VideoFormat.views` or `widened`.
        format: Format of the picture.
        width: Width in pixels.

    Raises:
        FormatError: The format packs its rows in a way that cannot be converted.
    """
    if format.is_word:
        return {
            letter: Component((views[0] >> shift) & ((1 << bits) - 1), 1, 1, bits, 0)
            for letter, bits, shift in zip(format.components, format.bits, format.shift, strict=True)
        }
    if format.kind == "opaque" or format.planes[0].group_pixels > 1:
        return _from_streams(views, format, width)
    found = {}
    index = 0
    for view, plane in zip(views, format.planes, strict=True):
        for samples in _channels(view):
            found[format.components[index]] = Component(
                samples,
                1 << plane.w_shift,
                1 << plane.h_shift,
                format.bits[index],
                format.shift[index],
            )
            index += 1
    return found


def _channels(view: Array) -> list[Array]:
    """Return the channels of a plane as separate arrays of shape (rows, pixels)."""
    if view.ndim == 2:
        return [view]
    if view.dtype == np.uint8 and view.shape[2] == 2 and view.strides[2] == 1:
        # Interleaved chroma. Splitting 16-bit words is four times as fast as reading every second byte.
        words = view.view("<u2")[..., 0]
        return [words.astype(np.uint8), (words >> 8).astype(np.uint8)]
    return [view[..., channel] for channel in range(view.shape[2])]


def _widened(view: Array, group_pixels: int) -> Array:
    rows, width, channels = view.shape if view.ndim == 3 else (*view.shape, 1)
    whole = -(-width // group_pixels) * group_pixels
    row_bytes = whole * channels * view.itemsize
    if whole == width or view.strides[0] < row_bytes:
        return view
    try:
        owner = view.base if isinstance(view.base, np.ndarray) else np.frombuffer(cast(bytes, view.base), np.uint8)
    except (TypeError, ValueError):
        return view
    end = _address(view) + (rows - 1) * view.strides[0] + row_bytes
    if not owner.flags.c_contiguous or end > _address(owner) + owner.nbytes:
        return view
    return np.lib.stride_tricks.as_strided(view, (rows, whole, channels), view.strides, writeable=False)


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _from_streams(views: Sequence[Array], format: VideoFormat, width: int) -> dict[str, Component]:
    """Split rows in which samples of several components are interleaved in a repeating cycle (UYVY, v210 …)."""
    found = {}
    cycles = (format.components,) if format.n_planes == 1 else ("Y", format.components[1:])
    for view, plane, cycle in zip(views, format.planes, cycles, strict=True):
        if format.kind == "opaque":
            stream = _decoder(format)(view)
            per_group = stream.shape[1] * plane.group_bytes // view.shape[1]
        else:
            stream = view.reshape(view.shape[0], -1)
            per_group = plane.group_pixels * plane.channels
        pixels_per_cycle = len(cycle) * plane.group_pixels // per_group
        for letter in dict.fromkeys(cycle):
            places = [place for place, each in enumerate(cycle) if each == letter]
            factor = pixels_per_cycle // len(places)
            index = format.components.index(letter)
            bits, shift = format.bits[index], format.shift[index]
            samples = _pick(stream, places, len(cycle), -(-width // factor), (1 << (bits - 1)) << shift)
            found[letter] = Component(samples, factor, 1 << plane.h_shift, bits, shift)
    return found


def _pick(stream: Array, places: Sequence[int], cycle: int, columns: int, middle: int) -> Array:
    """Return the samples at the given places of each cycle; an incomplete cycle repeats the previous sample."""
    samples = np.empty((stream.shape[0], columns), stream.dtype.newbyteorder("="))
    for index, place in enumerate(places):
        target = samples[:, index :: len(places)]
        source = stream[:, place::cycle][:, : target.shape[1]]
        target[:, : source.shape[1]] = source
        if source.shape[1] < target.shape[1]:
            target[:, source.shape[1] :] = source[:, -1:] if source.shape[1] else middle
    return samples


# --- opaque rows: (rows, bytes) to (rows, samples) ---


def _bytes(rows: Array) -> Array:
    return rows


def _three_in_a_word(rows: Array) -> Array:
    """Unpack three 10-bit samples from each little-endian 32-bit word, low bits first; the top two bits are unused."""
    words = rows.view("<u4")
    return np.stack([((words >> shift) & 0x3FF).astype(np.uint16) for shift in (0, 10, 20)], -1).reshape(len(rows), -1)


def _four_in_five_low_first(rows: Array) -> Array:
    """Unpack four 10-bit samples from each 5 bytes, low bits of each sample first."""
    a, b, c, d, e = np.moveaxis(rows.reshape(len(rows), -1, 5).astype(np.uint16), -1, 0)
    parts = (a | (b & 0x03) << 8, b >> 2 | (c & 0x0F) << 6, c >> 4 | (d & 0x3F) << 4, d >> 6 | e << 2)
    return np.stack(parts, -1).reshape(len(rows), -1)


def _four_in_five_high_first(rows: Array) -> Array:
    """Unpack four 10-bit samples from each 5 bytes, high bits of each sample first."""
    a, b, c, d, e = np.moveaxis(rows.reshape(len(rows), -1, 5).astype(np.uint16), -1, 0)
    parts = (a << 2 | b >> 6, (b & 0x3F) << 4 | c >> 4, (c & 0x0F) << 6 | d >> 2, (d & 0x03) << 8 | e)
    return np.stack(parts, -1).reshape(len(rows), -1)


# Source: the unpack functions of gst-libs/gst/video/video-format.c.
_DECODERS: Final[dict[str, Callable[[Array], Array]]] = {
    "v210": _three_in_a_word,
    "GRAY10_LE32": _three_in_a_word,
    "NV12_10LE32": _three_in_a_word,
    "NV16_10LE32": _three_in_a_word,
    "NV12_10LE40": _four_in_five_low_first,
    "NV16_10LE40": _four_in_five_low_first,
    "UYVP": _four_in_five_high_first,
    "IYU1": _bytes,
}


def _decoder(format: VideoFormat) -> Callable[[Array], Array]:
    decoder = _DECODERS.get(format.name)
    if decoder is None:
        raise FormatError(f"{format.name} samples cannot be converted")
    return decoder
