"""Pixel aspect ratio and interlacing of a frame, from its caps and flags."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from .._wire.caps import parse_caps
from .._wire.header import BUFFER_FLAGS, MAX_DIMENSION
from .frame import VideoFrame

_SQUARE: Final = Fraction(1)
# A program can send any ratio, but cameras do not have pixels wider or narrower than this.
_WIDEST: Final = 16
_INTERLACED: Final = BUFFER_FLAGS["INTERLACED"]
_TOP_FIRST: Final = BUFFER_FLAGS["TFF"]


class FrameShape(NamedTuple):
    """Properties needed to display a frame.

    Attributes:
        pixel_aspect_ratio: Width of a pixel divided by its height.
        has_fields: Whether this frame is interlaced, so that its even and odd rows are two fields.
        top_first: Whether the field with the top row comes first.
        may_have_fields: Whether some or all frames of this stream are interlaced.
    """

    pixel_aspect_ratio: Fraction
    has_fields: bool
    top_first: bool
    may_have_fields: bool


def shape_of(frame: VideoFrame) -> FrameShape:
    """Return a frame's shape from its caps and flags. The default is square pixels without fields."""
    return _shape(frame.caps, frame.flags & (_INTERLACED | _TOP_FIRST))


def size_in_squares(frame: VideoFrame) -> tuple[int, int]:
    """Return the width and height at which to display a frame on square pixels.

    Neither is smaller than in the frame itself. If the pixel aspect ratio is implausible, the frame's own size is
    returned.
    """
    ratio = shape_of(frame).pixel_aspect_ratio
    width, height = frame.width, frame.height
    wide, high = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    return (wide, high) if max(ratio, 1 / ratio) <= _WIDEST and max(wide, high) <= MAX_DIMENSION else (width, height)


@lru_cache(maxsize=64)
def _shape(caps: str | None, flags: int) -> FrameShape:
    fields = parse_caps(caps).fields if caps else {}
    ratio, mode, order = (fields.get(name) for name in ("pixel-aspect-ratio", "interlace-mode", "field-order"))
    is_interleaved = mode == "interleaved"
    top_first = order == "top-field-first" if is_interleaved and isinstance(order, str) else bool(flags & _TOP_FIRST)
    return FrameShape(
        ratio if isinstance(ratio, Fraction) and ratio > 0 else _SQUARE,
        is_interleaved or (mode == "mixed" and bool(flags & _INTERLACED)),
        top_first,
        is_interleaved or mode == "mixed",
    )
