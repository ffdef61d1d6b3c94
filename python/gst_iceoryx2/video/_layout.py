"""The parts of header and payload that are the same for all frames of one size and format, computed once."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, TypeAlias, cast

from .._wire.caps import parse_caps, video_caps
from .._wire.formats import PlaneView, VideoFormat, get_format
from .._wire.header import BUFFER_FLAGS_MASK, FORMAT_LEN, HEADER_FLAG_EOS, MAX_PLANES, NONE_U64
from .._wire.numbers import ratio, whole
from .._wire.stamp import AuxTemplate
from .._wire.value import FieldValue
from ..errors import FormatError

Framerate: TypeAlias = Fraction | int | float | str

_MOMENTS: Final = struct.Struct("<5Q")
_GEOMETRY: Final = struct.Struct(f"<4I{MAX_PLANES}I{MAX_PLANES}I{FORMAT_LEN}s")
_OWN_FIELDS: Final = ("format", "width", "height")

EOS_HEADER: Final = _MOMENTS.pack(*[NONE_U64] * 4, HEADER_FLAG_EOS) + bytes(_GEOMETRY.size)

_FLAGS: Final = struct.Struct("<Q")
_FLAGS_AT: Final = 32
_WIDTH: Final = slice(40, 44)


def ended(header: bytes) -> bytes:
    """Return the header for an end of the stream that repeats the frame with this header (SPEC.md section 6)."""
    return _with_flags(header, _FLAGS.unpack_from(header, _FLAGS_AT)[0] | HEADER_FLAG_EOS)


def repeated(header: bytes) -> bytes | None:
    """Return the header of the repeated frame; None unless this header is an end of the stream that repeats a frame."""
    flags = _FLAGS.unpack_from(header, _FLAGS_AT)[0]
    if not flags & HEADER_FLAG_EOS or not any(header[_WIDTH]):
        return None
    return _with_flags(header, flags & ~HEADER_FLAG_EOS)


def _with_flags(header: bytes, flags: int) -> bytes:
    return b"".join((header[:_FLAGS_AT], _FLAGS.pack(flags), header[_FLAGS_AT + _FLAGS.size :]))


class FrameLayout:
    """Plane positions and caps of a frame, and its header without the timestamps.

    Attributes:
        format: The format.
        width: Width in pixels.
        height: Height in pixels.
        size: Number of pixel bytes, with planes back to back and rows padded to the stride.
        least: Number of pixel bytes without the padding of the last row.
        planes: For each plane, the parameters of its array view.
        caps: Caps in GStreamer's notation.
        aux: Template that builds the aux blobs.
    """

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        stride0: int | None,
        fields: Mapping[str, FieldValue],
        publisher: int | None,
    ) -> None:
        """Compute the layout.

        Args:
            name: GStreamer's name for the format.
            width: Width in pixels.
            height: Height in pixels.
            stride0: Bytes from the start of one row to the next in the first plane; None = rows without padding.
            fields: Caps fields other than format and size.
            publisher: Publisher ID for the stamp; None = no ID.

        Raises:
            FormatError: The format is unknown or is not stored in rows, or the stride is invalid for the size.
        """
        try:
            self.format: VideoFormat = get_format(name)
            # No ranges here: `tight_layout` checks them and reports both numbers.
            width, height = whole(width, "width", None), whole(height, "height", None)
            stride0 = None if stride0 is None else whole(stride0, "stride0", None)
            self._layout = self.format.tight_layout(width, height, stride0)
            self.caps = video_caps(name, width, height, **cast(Any, fields))
        except (TypeError, ValueError, struct.error) as exc:
            raise FormatError(f"cannot publish {name!r} at {width}x{height}: {exc}") from exc
        self.width, self.height = width, height
        strides, offsets, self.size = self._layout
        self.planes: tuple[PlaneView, ...] = self.format.plane_views(width, height, strides, offsets)
        self.least = max(
            offset + stride * (self.format.rows(plane, height) - 1) + self.format.row_bytes(plane, width)
            for plane, (stride, offset) in enumerate(zip(strides, offsets, strict=True))
        )
        self.aux = AuxTemplate(self.caps, publisher)
        self._geometries: dict[int, bytes] = {}

    def header(self, pts: int, dts: int, duration: int, offset: int, flags: int, aux_size: int) -> bytes:
        """Return the 104 header bytes of a frame.

        Raises:
            FormatError: A number is not between 0 and 2**64 - 1.
        """
        geometry = self._geometries.get(aux_size)
        if geometry is None:
            geometry = self._geometries[aux_size] = self._geometry(aux_size)
        try:
            return _MOMENTS.pack(pts, dts, duration, offset, flags & BUFFER_FLAGS_MASK) + geometry
        except (TypeError, struct.error) as exc:
            numbers = f"pts {pts}, dts {dts}, duration {duration}, offset {offset}, flags {flags}"
            raise FormatError(f"{numbers}: each must be between 0 and {NONE_U64} ({exc})") from exc

    def _geometry(self, aux_size: int) -> bytes:
        # Blobs with metas come in many sizes, so clear the cache when it is full.
        if len(self._geometries) >= 64:
            self._geometries.clear()
        strides, offsets, _ = self._layout
        unused = [0] * (MAX_PLANES - len(strides))
        numbers = (self.width, self.height, len(strides), aux_size, *strides, *unused, *offsets, *unused)
        return _GEOMETRY.pack(*numbers, self.format.name.encode())


def caps_fields(caps: str | None, framerate: Framerate | None) -> dict[str, FieldValue]:
    """Return the caps fields that are common to all frames, without format and size.

    Args:
        caps: Raw-video caps, or None. Their format, width and height are ignored.
        framerate: Frames per second, which overrides the frame rate in `caps`; None = keep the frame rate in `caps`.

    Raises:
        FormatError: The caps cannot be parsed or do not describe raw video, or the frame rate is not a valid number.
    """
    fields: dict[str, FieldValue] = {}
    try:
        if caps is not None:
            parsed = parse_caps(caps)
            if parsed.media != "video/x-raw" or parsed.features:
                raise ValueError("the caps must be video/x-raw in system memory")
            fields = {name: value for name, value in parsed.fields.items() if name not in _OWN_FIELDS}
        if framerate is not None:
            rate = ratio(framerate, "framerate")
            if rate < 0:
                raise ValueError(f"the frame rate {framerate} is negative")
            # 29.97 means 30000/1001.
            fields["framerate"] = rate.limit_denominator(1001)
    except (TypeError, ValueError, ArithmeticError) as exc:
        raise FormatError(f"cannot publish with caps {caps!r} and frame rate {framerate!r}: {exc}") from exc
    return fields
