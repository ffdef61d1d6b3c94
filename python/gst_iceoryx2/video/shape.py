"""What the caps of a frame say of its shape: how wide a pixel is, and whether its rows are two fields."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

from .._wire.caps import parse_caps
from .._wire.header import BUFFER_FLAGS, MAX_DIMENSION
from .frame import VideoFrame

_SQUARE: Final = Fraction(1)
# Any program may send any ratio; no camera's pixels are as wide or as narrow as that.
_WIDEST: Final = 16
_INTERLACED: Final = BUFFER_FLAGS["INTERLACED"]
_TOP_FIRST: Final = BUFFER_FLAGS["TFF"]


class FrameShape(NamedTuple):
    """How to look at a frame.

    Attributes:
        pixel_aspect_ratio: Width of a pixel by its height.
        has_fields: Whether this frame is interlaced: its even and odd rows are two fields.
        top_first: Whether the field of the top row comes first.
        may_have_fields: Whether frames of this stream are interlaced, all or some.
    """

    pixel_aspect_ratio: Fraction
    has_fields: bool
    top_first: bool
    may_have_fields: bool


def shape_of(frame: VideoFrame) -> FrameShape:
    """What the caps and flags of a frame say; square pixels without fields where they say nothing."""
    return _shape(frame.caps, frame.flags & (_INTERLACED | _TOP_FIRST))


def size_in_squares(frame: VideoFrame) -> tuple[int, int]:
    """Width and height of a frame on a screen of square pixels: no side is smaller than the frame's own.

    The frame's own size where its pixels are square, or so far from it that the ratio cannot be meant.
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
