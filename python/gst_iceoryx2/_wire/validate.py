"""The checks that a receiver performs before it uses any byte of a frame (SPEC.md section 7, rules 1 to 8).

Any process of the same user can publish, so the header is untrusted. Pass a private copy of it to these functions
(`VideoFrameHeader.from_buffer_copy`), because a header in shared memory may change after it was checked.

Valid geometries are cached by their header bytes, so a check takes less than a microsecond per frame.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy.typing as npt

from ..errors import FormatError, printable
from .caps import parse_caps
from .fault import Fault
from .formats import FORMATS, Layout, Pixels, PlaneView, VideoFormat
from .header import FORMAT_LEN, MAX_DIMENSION, VideoFrameHeader
from .text import write_value
from .value import FieldValue

# From width to the end of the header: all fields that determine the geometry, and none that change with each frame.
_GEOMETRY_BEGIN: Final = VideoFrameHeader.width.offset  # type: ignore[attr-defined]
# Bit 32 of the little-endian flags.
_EOS_BYTE: Final = VideoFrameHeader.flags.offset + 4  # type: ignore[attr-defined]
# Limit of the cache, because a sender may change its geometry with every frame.
_MAX_CACHED: Final = 64


class Geometry(NamedTuple):
    """The geometry of a valid header. To avoid repeated checks, cache it by `geometry_key`.

    Attributes:
        format: Pixel format.
        width: Width in pixels.
        height: Height in pixels.
        layout: Strides and offsets as in the header; `size` is the minimum number of pixel bytes.
        ends: For each plane, the offset after its last byte; for tiled formats, after its first byte.
        planes: View parameters of each plane; empty for tiled formats.
    """

    format: VideoFormat
    width: int
    height: int
    layout: Layout
    ends: tuple[int, ...]
    planes: tuple[PlaneView, ...]

    def views(self, pixels: Pixels) -> tuple[npt.NDArray[Any], ...]:
        """Return one array view per plane of `pixels`, which must have at least `layout.size` bytes; borrowed."""
        return tuple([plane.of(pixels) for plane in self.planes])


_valid: dict[bytes, Geometry] = {}


def geometry_key(header: VideoFrameHeader) -> bytes:
    """Return the 64 header bytes that determine the geometry. Equal keys mean equal geometry."""
    return bytes(header)[_GEOMETRY_BEGIN:]


def geometry_of(header: VideoFrameHeader) -> Geometry:
    """Return the geometry that a header describes, without checking the number of pixel bytes.

    Raises:
        FormatError: The header breaks a rule other than "bounds"; the message is the `Fault`.
    """
    checked = _check(header)
    if isinstance(checked, Fault):
        raise FormatError(checked)
    return checked


def validate_geometry(header: VideoFrameHeader, pixel_size: int) -> Fault | None:
    """Check rules 1 to 7. The end of the stream is valid.

    Args:
        header: A private copy of the header.
        pixel_size: Payload bytes without the aux blob; negative if `aux_size` exceeds the payload.

    Returns:
        None if the frame is valid, otherwise a fault for the first rule that it breaks.
    """
    raw = bytes(header)
    known = _valid.get(raw[_GEOMETRY_BEGIN:])
    if known is not None and known.layout.size <= pixel_size:
        return None
    if pixel_size < 0:
        return Fault.of("aux_size", aux_size=header.aux_size, payload=pixel_size + header.aux_size)
    if raw[_EOS_BYTE] & 1:
        return None
    checked = _check(header, pixel_size)
    if isinstance(checked, Fault):
        return checked
    return _check_bounds(checked, pixel_size)


def check_caps(caps_text: str, header: VideoFrameHeader) -> Fault | None:
    """Check rule 8: the caps describe raw video in system memory and match a valid header.

    This parses the caps, so cache the result until the text or `geometry_key` changes.

    Args:
        caps_text: Caps from the aux blob.
        header: A private copy of the header.

    Returns:
        None if they match, otherwise the fault.
    """
    try:
        caps = parse_caps(caps_text)
    except ValueError as error:
        return Fault("caps", str(error).removeprefix("caps: "))
    if caps.media != "video/x-raw":
        return Fault.of("caps_media", found=_shortened(caps.media))
    for feature in caps.features:
        if feature == "ANY" or (feature.startswith("memory:") and feature != "memory:SystemMemory"):
            return Fault.of("caps_media", found=_shortened(f"{caps.media}({', '.join(caps.features)})"))
    for field in ("format", "width", "height"):
        said, sent = caps.fields.get(field), header.format_name if field == "format" else getattr(header, field)
        # Compare types too, because values of different types may be equal, such as True and 1.
        if type(said) is not type(sent) or said != sent:
            shown = "nothing" if said is None else _shortened(_value_text(said))
            return Fault.of("caps_disagree", field=field, caps=shown, header=_value_text(sent))
    return None


def _value_text(value: FieldValue) -> str:
    try:
        return write_value(value)
    except ValueError:
        # Some values can be read but not written, such as an infinite double.
        return ""


def _shortened(text: str) -> str:
    """Shorten a sender's text for a log message."""
    return printable(text[:64])


def _check(header: VideoFrameHeader, pixel_size: int = 1) -> Geometry | Fault:
    """Check rules 3 to 6 and cache valid geometries."""
    key = geometry_key(header)
    known = _valid.get(key)
    if known is not None and pixel_size > 0:
        return known
    checked = _read_geometry(header, pixel_size)
    if isinstance(checked, Geometry):
        if len(_valid) >= _MAX_CACHED:
            _valid.clear()
        _valid[key] = checked
    return checked


def _read_geometry(header: VideoFrameHeader, pixel_size: int) -> Geometry | Fault:
    if len(header.format) == FORMAT_LEN:
        return Fault.of("format_name", field=FORMAT_LEN)
    fmt = FORMATS.get(header.format_name)
    if fmt is None:
        return Fault.of("format", name=header.format_name)
    width, height = header.width, header.height
    for field, value in (("width", width), ("height", height)):
        if not 1 <= value <= MAX_DIMENSION:
            return Fault.of("size", field=field, value=value, most=MAX_DIMENSION)
    if pixel_size < 1:
        return Fault.of("no_pixels", pixels=pixel_size)
    if header.n_planes != fmt.n_planes:
        return Fault.of("planes", n_planes=header.n_planes, format=fmt.name, expected=fmt.n_planes)
    strides, offsets = tuple(header.stride[: fmt.n_planes]), tuple(header.plane_offsets[: fmt.n_planes])
    if not fmt.planes:
        # The stride of a tiled format is a number of tiles, and only GStreamer knows their size.
        ends = tuple(offset + 1 for offset in offsets)
        return Geometry(fmt, width, height, Layout(strides, offsets, max(ends)), ends, ())
    row_bytes = [fmt.row_bytes(plane, width) for plane in range(fmt.n_planes)]
    for plane, (stride, needed) in enumerate(zip(strides, row_bytes, strict=True)):
        if stride < needed:
            return Fault.of("stride", plane=plane, stride=stride, row=needed)
    ends = tuple(
        offset + stride * (fmt.rows(plane, height) - 1) + needed
        for plane, (offset, stride, needed) in enumerate(zip(offsets, strides, row_bytes, strict=True))
    )
    views = fmt.plane_views(width, height, strides, offsets)
    return Geometry(fmt, width, height, Layout(strides, offsets, max(ends)), ends, views)


def _check_bounds(geometry: Geometry, pixel_size: int) -> Fault | None:
    for plane, end in enumerate(geometry.ends):
        if end > pixel_size:
            return Fault.of("bounds", plane=plane, end=end, pixels=pixel_size)
    return None
