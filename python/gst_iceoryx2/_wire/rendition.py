"""Names and geometry of renditions: `cam0@640x640-RGB` is the stream `cam0` in another shape (SPEC.md section 1).

This module does not import numpy, so that a process can watch names without it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

from ..contract import contract, limit, message
from ..errors import FormatError
from .fault import unknown_format

__all__ = ["CODECS", "Fit", "Rect", "RenditionName", "RenditionShape", "codec_of"]

CODECS: Final[tuple[str, ...]] = tuple(contract("layout")["constants"]["CODECS"].split())
"""Codecs whose names are reserved for encoded streams: `cam0@h264`."""

Fit: TypeAlias = Literal["pad", "crop", "stretch"]
"""How the picture fits a size of another shape: "pad" adds black, "crop" cuts off, "stretch" distorts."""

Rect: TypeAlias = tuple[int, int, int, int]
"""x, y, width and height in pixels."""

_MAX_SIZE: Final = limit("max_dimension_pixels")
_MAX_FPS: Final = 1000
_FPS_STEPS: Final = 1000
_FORMATS: Final[dict[str, dict[str, Any]]] = {row["name"]: row for row in contract("formats")["formats"]}

# What follows NAME@. More digits than these cannot be meant.
_SHAPE: Final = re.compile(
    r"(?:(?!x(?![0-9]))(?P<width>[0-9]{0,6})x(?P<height>[0-9]{0,6}))?"
    r"(?:-(?P<format>[A-Za-z][A-Za-z0-9_]*))?"
    r"(?:@(?P<fps>[0-9]{1,6}(?:\.[0-9]{1,3})?))?"
    r"(?:\+(?P<fit>crop|stretch))?"
)


@dataclass(frozen=True, slots=True)
class RenditionShape:
    """What a rendition makes of a source with a certain size and format. Names with equal shapes share a conversion.

    A rectangle begins and ends at an edge of its picture or at a pixel that begins a group of pixels with common
    chroma: at even x and y for NV12.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        format: GStreamer's name for the pixel format.
        fps: Largest number of frames per second; None = each frame of the source.
        source_rect: The part of the source that is shown.
        rect: The part of this picture that shows it; the rest is black.
        pixel_aspect: Width of a pixel divided by its height: the source's if the name gives no size, otherwise 1.
    """

    width: int
    height: int
    format: str
    fps: Fraction | None
    source_rect: Rect
    rect: Rect
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class RenditionName:
    """The parts of a rendition's short name: `SOURCE@[WxH][-FORMAT][@FPS][+crop|+stretch]`.

    A name gives at least one of width, height, format and frame rate. What it leaves out is taken from the source; if
    only one of width and height is given, the other one keeps the shape of the picture.

    Args:
        source: Short name of the source, which may be a rendition itself.
        width: Width in pixels, 1 to 32,768; None = not given.
        height: Height in pixels, 1 to 32,768; None = not given.
        format: GStreamer's name for the pixel format; None = the source's.
        fps: Largest number of frames per second, 0.001 to 1,000 with at most 3 decimals; None = each frame of the
            source.
        fit: How the picture fits into width x height.

    Raises:
        FormatError: A part cannot be: a size or frame rate out of range, an unknown or tiled format, or no part at all.

    Example:
        Parse a name and apply it to a source of 1920x1080 pixels:

            >>> from gst_iceoryx2.serve import RenditionName
            >>> name = RenditionName.parse("cam0@640x640-RGB")
            >>> name.source, name.width, name.height, name.format
            ('cam0', 640, 640, 'RGB')
            >>> name.shape(1920, 1080, "NV12").rect
            (0, 140, 640, 360)
    """

    source: str
    width: int | None = None
    height: int | None = None
    format: str | None = None
    fps: Fraction | None = None
    fit: Fit = "pad"

    def __post_init__(self) -> None:
        if not self.source or (self.width, self.height, self.format, self.fps) == (None, None, None, None):
            raise self._impossible("it gives no source, or no size, format or frame rate")
        self._check_size(self.width, self.height)
        if self.format is not None:
            self._check_format(self.format)
        if self.fps is not None and not (0 < self.fps <= _MAX_FPS and _FPS_STEPS % self.fps.denominator == 0):
            raise self._impossible(
                f"the frame rate is {self.fps}; use 0.001 to {_MAX_FPS} frames per second with at most 3 decimals"
            )

    @classmethod
    def parse(cls, name: str) -> RenditionName | None:
        """Return the parts of a short name; None if it is an ordinary name, such as `front@left` or `cam0@h264`.

        Raises:
            FormatError: The name is a rendition's, but a part cannot be: 0x0, 40000x40000, an unknown format.
        """
        at = name.find("@", 1)
        while at > 0:
            match = _SHAPE.fullmatch(name, at + 1)
            if match is not None and (match["width"] or match["height"] or match["format"] or match["fps"]):
                return cls._of(name[:at], match)
            at = name.find("@", at + 1)
        return None

    @classmethod
    def _of(cls, source: str, match: re.Match[str]) -> RenditionName:
        width, height = (int(match[side]) if match[side] else None for side in ("width", "height"))
        fps = Fraction(match["fps"]) if match["fps"] else None
        fit: Fit = "crop" if match["fit"] == "crop" else "stretch" if match["fit"] else "pad"
        return cls(source, width, height, match["format"], fps, fit)

    def __str__(self) -> str:
        sides = ("" if side is None else str(side) for side in (self.width, self.height))
        size = "" if self.width is self.height is None else "x".join(sides)
        format = "" if self.format is None else f"-{self.format}"
        fps = "" if self.fps is None else f"@{_decimal(self.fps)}"
        return f"{self.source}@{size}{format}{fps}{'' if self.fit == 'pad' else f'+{self.fit}'}"

    def shape(self, width: int, height: int, format: str, pixel_aspect: Fraction | int = 1) -> RenditionShape:
        """Return what this rendition makes of a source.

        A given size is kept exactly, and so is the source's size if none is given. A side that is left out is rounded
        to whole groups of pixels with common chroma. With a size, pixels are square, and the shape of the picture
        takes the shape of the source's pixels into account.

        Args:
            width: Width of the source in pixels.
            height: Height of the source in pixels.
            format: The source's pixel format.
            pixel_aspect: Width of a source's pixel divided by its height.

        Raises:
            FormatError: The source's format is unknown or tiled, its size is out of range, or the side that is left out
                would be too large.
        """
        self._check_size(width, height)
        self._check_format(format)
        made = self.format or format
        whole = (0, 0, width, height)
        if self.width is self.height is None:
            return RenditionShape(width, height, made, self.fps, whole, whole, Fraction(pixel_aspect))
        grid, aspect = _grid(made), pixel_aspect * Fraction(width, height)
        wide = self.width or _multiple(aspect * (self.height or 0), grid[0])
        high = self.height or _multiple((self.width or 0) / aspect, grid[1])
        self._check_size(wide, high, f" for a source of {width}x{height}")
        rect = (0, 0, wide, high)
        if self.width and self.height:
            if self.fit == "pad":
                rect = _centred(wide, high, aspect, grid)
            elif self.fit == "crop":
                whole = _centred(width, height, Fraction(wide, high) / pixel_aspect, _grid(format))
        return RenditionShape(wide, high, made, self.fps, whole, rect)

    def _check_size(self, width: int | None, height: int | None, where: str = "") -> None:
        for side, pixels in (("width", width), ("height", height)):
            if pixels is not None and not 1 <= pixels <= _MAX_SIZE:
                raise self._impossible(f"the {side} is {pixels}{where}; use 1 to {_MAX_SIZE} pixels")

    def _check_format(self, format: str) -> None:
        if format not in _FORMATS:
            raise self._impossible(unknown_format(format))
        if _FORMATS[format]["kind"] == "tiled":
            raise self._impossible(f"{message('fault_tiled', format=format)}; use another format, such as NV12")

    def _impossible(self, reason: str) -> FormatError:
        return FormatError(f'cannot make "{self}": {reason}')


def codec_of(name: str) -> str | None:
    """Return the codec of a short name that is reserved for an encoded stream: "h264" for `cam0@h264`; else None."""
    source, _, codec = name.rpartition("@")
    return codec if source and codec in CODECS else None


def _decimal(fps: Fraction) -> str:
    whole, thousandths = divmod(int(fps * _FPS_STEPS), _FPS_STEPS)
    return f"{whole}.{thousandths:03}".rstrip("0").rstrip(".")


def _grid(format: str) -> tuple[int, int]:
    """Return width and height of the smallest group of pixels that shares no sample and no byte with others."""
    row = _FORMATS[format]
    if row["kind"] == "opaque":
        # Groups of pixels packed into bytes; their chroma is shared by at least two pixels.
        across: Iterable[int] = (pixels for pixels, _, _ in row["planes"])
        return math.lcm(*across, 1 if row["components"] == "Y" else 2), 1 << max(down for _, _, down in row["planes"])
    return (
        max(row["align"], *(1 << across for across, _, _ in row["planes"])),
        max(1 << down for _, down, _ in row["planes"]),
    )


def _multiple(pixels: Fraction, grid: int) -> int:
    """Return the multiple of `grid` that is nearest to a length; at least one."""
    return max(grid, math.floor(pixels / grid + Fraction(1, 2)) * grid)


def _centred(width: int, height: int, aspect: Fraction, grid: tuple[int, int]) -> Rect:
    """Return the largest rectangle of this aspect ratio inside a picture, in its middle and on its grid."""
    x, across = _middle(width, min(Fraction(width), height * aspect), grid[0])
    y, down = _middle(height, min(Fraction(height), width / aspect), grid[1])
    return x, y, across, down


def _middle(length: int, part: Fraction, grid: int) -> tuple[int, int]:
    """Return begin and length of a part in the middle: the whole length, or a multiple of `grid` near to `part`."""
    rounded = _multiple(part, grid)
    if rounded >= length or length - part < abs(part - rounded):
        return 0, length
    return (length - rounded) // 2 // grid * grid, rounded
