"""Converts received frames to FFmpeg frames, without a copy if possible."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .._extras.av import PIXEL_FORMATS, av
from .._wire.formats import VideoFormat, get_format
from .._wire.samples import Component, components, widened
from ..errors import FormatError, UnsupportedViewError
from ..video.frame import VideoFrame

# Formats whose memory `from_numpy_buffer` can borrow.
_BORROWED: Final = frozenset(
    ("RGB", "BGR", "RGBA", "BGRA", "ARGB", "ABGR", "RGBx", "BGRx", "xRGB", "xBGR", "GRAY8", "GRAY16_LE", "RGBA64_LE")
)
_SUBSAMPLING: Final = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "411", (4, 4): "410", (1, 2): "440"}
# FFmpeg may read this many bytes, one vector register, beyond the last row.
_READ_AHEAD: Final = 64


def picture_of(frame: VideoFrame, *, apart: bool = False) -> av.VideoFrame:
    """Convert a frame to a PyAV frame without timestamps.

    Args:
        frame: A frame. It may be released afterwards, because borrowed pixels stay valid.
        apart: Whether to split interleaved chroma (NV12) into separate planes, which some encoders require.

    Returns:
        A frame that borrows shared memory if PyAV supports the layout. Otherwise a copy: the same samples in separate
        planes, or 8-bit RGB ("rgb24") if FFmpeg does not have a format with these planes.

    Raises:
        UnsupportedViewError: The format is tiled or uses a palette.
    """
    format = get_format(frame.format)
    borrowed = _borrowed(frame, format, apart)
    if borrowed is not None:
        return borrowed
    return _copied(frame, format) or av.VideoFrame.from_ndarray(frame.to_rgb(), format="rgb24")


def _borrowed(frame: VideoFrame, format: VideoFormat, apart: bool) -> av.VideoFrame | None:
    # The aux blob follows the pixels. Without it, the memory mapping may end directly after the last row.
    if len(frame.aux) < _READ_AHEAD:
        return None
    if format.name in _BORROWED:
        # If the format has an unused byte ("rgb0"), this byte is borrowed as alpha ("rgba").
        return _from_buffer(frame.numpy_view(), PIXEL_FORMATS[format.name].replace("0", "a"))
    if format.name not in ("NV12", "I420") or (apart and format.name == "NV12"):
        return None
    header = frame.header
    width, height, stride, start = frame.width, frame.height, header.stride[0], header.plane_offsets[0]
    # PyAV derives the height from the rows of the array, in steps of four.
    if width % 2 or height % 4 or stride % 2:
        return None
    if format.name == "NV12":
        wanted: tuple[tuple[int, ...], tuple[int, ...]] = (stride, stride), (start, start + stride * height)
    else:
        half = stride // 2
        chroma = start + stride * height
        wanted = (stride, half, half), (start, chroma, chroma + half * height // 2)
    planes = len(wanted[0])
    if (tuple(header.stride[:planes]), tuple(header.plane_offsets[:planes])) != wanted:
        return None
    whole: npt.NDArray[np.uint8] = np.ndarray((height * 3 // 2, width), np.uint8, frame.pixels, start, (stride, 1))
    return _from_buffer(whole, "nv12" if format.name == "NV12" else "yuv420p")


def _from_buffer(array: npt.NDArray[Any], name: str) -> av.VideoFrame | None:
    try:
        return av.VideoFrame.from_numpy_buffer(array, format=name)
    except ValueError:
        return None


def _copied(frame: VideoFrame, format: VideoFormat) -> av.VideoFrame | None:
    """Copy the samples into separate planes; return None if FFmpeg does not have such a format."""
    if not format.planes:
        raise UnsupportedViewError(
            f"cannot record {format.name}: it is tiled or uses a palette; publish another format (videoconvert)"
        )
    try:
        parts = components(widened(frame.planes, format), format, frame.width)
    except FormatError:
        return None
    name = planar_name(format, parts)
    if name is None:
        return None
    picture = av.VideoFrame(frame.width, frame.height, name)
    letters = "GBRA" if format.is_rgb else "YUVA"
    for plane, letter in zip(picture.planes, [each for each in letters if each in parts], strict=True):
        part = parts[letter]
        dtype = np.dtype("u1" if part.bits <= 8 else "<u2")
        target: npt.NDArray[Any] = np.ndarray(
            (plane.height, plane.width), dtype, memoryview(plane), 0, (plane.line_size, dtype.itemsize)
        )
        samples = part.samples >> part.shift if part.shift else part.samples
        if part.bits == 8 * dtype.itemsize:
            np.copyto(target, samples, casting="unsafe")
        else:
            # Encoders expect the unused high bits of a sample to be zero.
            np.bitwise_and(samples, (1 << part.bits) - 1, out=target, casting="unsafe")
    return picture


def planar_name(format: VideoFormat, parts: dict[str, Component]) -> str | None:
    """Return FFmpeg's name for the format with these components in separate planes; None if there is no such format."""
    bits = {part.bits for letter, part in parts.items() if letter != "x"}
    if len(bits) != 1 or any(part.samples.dtype.kind != "u" for part in parts.values()):
        return None
    depth = bits.pop()
    if format.is_rgb:
        kind = "gbrap" if format.has_alpha else "gbrp"
    elif format.is_gray:
        kind = "gray"
    else:
        sampling = _SUBSAMPLING.get((parts["U"].w_factor, parts["U"].h_factor))
        if sampling is None:
            return None
        kind = f"{'yuva' if format.has_alpha else 'yuv'}{sampling}p"
    name = kind if depth == 8 else f"{kind}{depth}le"
    try:
        av.VideoFormat(name)
    except ValueError:
        return None
    return name
