"""Rotates and mirrors decoded pictures as tagged in their file, and reads pixel aspect ratio and fields."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, Final, NamedTuple

from .._extras.av import filter_graph
from .._wire.header import BUFFER_FLAGS

_TICK: Final = Fraction(1, 1_000_000)
_MATRIX: Final = struct.Struct("<9i")
# Deletes AV_FRAME_DATA_EXIF. PyAV 18 does not know this type, and cannot read any side data of a picture that has it.
_WITHOUT_EXIF: Final = ("sidedata", "mode=delete:type=31")
# Quarter turns, by the signs of b and c in the matrix (a b; c d). Source: libavutil/display.h.
_QUARTERS: Final = {(1, 1): "cclock_flip", (1, -1): "clock", (-1, 1): "cclock", (-1, -1): "clock_flip"}
_INTERLACED: Final = BUFFER_FLAGS["INTERLACED"]
_TOP_FIRST: Final = BUFFER_FLAGS["TFF"]


class _Turn(NamedTuple):
    """Steps that turn a picture upright, in order. `quarter` is an argument for FFmpeg's `transpose` filter."""

    quarter: str | None = None
    mirrored: bool = False
    upside_down: bool = False


class Upright:
    """Turns the pictures of a file upright.

    Args:
        first: The first decoded picture. All pictures have its size and format.
        decoder: The codec context that decoded it.
        ratio: Pixel aspect ratio of the decoded pictures (width by height).
        size: Width and height to which pictures will be scaled; None means no scaling.

    Attributes:
        caps: Caps for pixel aspect ratio and fields, if they are not the defaults.
    """

    def __init__(self, first: Any, decoder: Any, ratio: Fraction, size: tuple[int, int] | None) -> None:
        turn = _turn_of(first)
        width, height = (first.height, first.width) if turn.quarter else (first.width, first.height)
        filters = [("transpose", turn.quarter)] if turn.quarter else []
        filters += [("hflip", "")] if turn.mirrored else []
        # vflip produces negative strides, which PyAV cannot handle, so the picture is copied.
        filters += [("vflip", ""), ("copy", "")] if turn.upside_down else []
        # A quarter turn changes rows to columns, so the picture no longer has fields.
        self._has_fields = not turn.quarter and (first.interlaced_frame or decoder.field_order > 1)
        # In an upside-down picture of even height, the first row belongs to the other field.
        self._is_swapped = turn.upside_down and height % 2 == 0
        if self._has_fields and size is not None and size[1] != height:
            # Fields are scaled separately here, so that the scaler need not scale the picture again.
            filters.append(("scale", f"{size[0]}:{size[1]}:interl=1"))
        self._filters = filters
        self._graphs: dict[tuple[Any, ...], Any] = {}
        self.caps: dict[str, str] = {}
        ratio = 1 / ratio if turn.quarter else ratio
        if size is not None:
            ratio *= Fraction(width * size[1], height * size[0])
        if (ratio := ratio.limit_denominator(1 << 15)) not in (0, 1):
            self.caps["pixel-aspect-ratio"] = f"(fraction){ratio.numerator}/{ratio.denominator}"
        if self._has_fields and first.interlaced_frame:
            order = "top" if self.flags(first) & _TOP_FIRST else "bottom"
            self.caps["interlace-mode"] = "(string)interleaved"
            self.caps["field-order"] = f"(string){order}-field-first"
        elif self._has_fields:
            self.caps["interlace-mode"] = "(string)mixed"

    def turned(self, picture: Any) -> Any:
        """Return the picture upright; the same object if it is already upright."""
        return self._through(self._filters, picture) if self._filters else picture

    def flags(self, picture: Any) -> int:
        """Return the GstBufferFlags of a decoded picture: whether it has two fields, and which one is first."""
        if not self._has_fields or not picture.interlaced_frame:
            return 0
        # PyAV does not expose the field order, but this filter passes only pictures with the top field first.
        is_top = self._through([("select", r"eq(interlace_type\,TOPFIRST)")], picture) is not None
        return _INTERLACED | (_TOP_FIRST if is_top != self._is_swapped else 0)

    def _through(self, filters: list[tuple[str, str]], picture: Any) -> Any:
        """Return the filtered picture; None if a filter drops it."""
        key = (picture.width, picture.height, picture.format.name, *filters)
        if key not in self._graphs:
            self._graphs[key] = filter_graph(picture, picture.time_base or _TICK, filters)
        self._graphs[key].push(picture)
        try:
            return self._graphs[key].pull()
        except BlockingIOError:
            return None


def _turn_of(picture: Any) -> _Turn:
    a, b, _, c, d, *_ = _matrix_of(picture)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return _Turn(_QUARTERS[1 if b > 0 else -1, 1 if c > 0 else -1])
    return _Turn(None, a < 0, d < 0)


def _matrix_of(picture: Any) -> tuple[int, ...]:
    """Return the display matrix of a decoded picture; the identity matrix if it does not have one."""
    try:
        data = picture.side_data
    except ValueError:
        graph = filter_graph(picture, picture.time_base or _TICK, [_WITHOUT_EXIF])
        graph.push(picture)
        data = graph.pull().side_data
    matrix = data.get("DISPLAYMATRIX")
    return _MATRIX.unpack(bytes(matrix)) if matrix is not None else (1, 0, 0, 0, 1, 0, 0, 0, 1)
