"""Caps as text, written and read without GStreamer."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from ..errors import FormatError
from .numbers import ratio
from .text import check_size, read_features, read_fields, read_name, write_structure
from .value import FieldValue

_NO_STRUCTURE: Final = ("ANY", "EMPTY", "NONE")


@dataclass(frozen=True, slots=True)
class Caps:
    """One caps structure.

    Attributes:
        media: Media type: `video/x-raw`.
        fields: Name to value in order: str, int, Fraction, bool, float, flat lists; anything else a `RawValue`.
        features: Caps features: `memory:DMABuf`, `format:Interlaced`; empty for plain system memory.
    """

    media: str
    fields: dict[str, FieldValue]
    features: tuple[str, ...] = ()


def video_caps(format: str, width: int, height: int, framerate: Fraction | None = None, **fields: FieldValue) -> str:
    """Write caps of raw video in the form that `gst_caps_to_string()` gives.

    Args:
        format: GStreamer's name of the pixel format: `BGR`, `NV12`.
        width: Pixels.
        height: Pixels.
        framerate: Frames a second; `Fraction(0)` = variable, None = left out.
        **fields: More fields; an underscore in a name stands for GStreamer's hyphen (`pixel_aspect_ratio=Fraction(1)`).

    Returns:
        `video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, framerate=(fraction)30/1`

    Raises:
        FormatError: GStreamer could not read a value back.
        TypeError: A value has a type that caps cannot represent.
    """
    known: dict[str, FieldValue] = {"format": format, "width": width, "height": height}
    if framerate is not None:
        try:
            known["framerate"] = ratio(framerate, "framerate")
        except (ArithmeticError, ValueError) as error:
            raise FormatError(f"framerate: {error}") from None
    more = {name.replace("_", "-"): value for name, value in fields.items()}
    return write_structure("video/x-raw", known | more).removesuffix(";")


def parse_caps(text: str) -> Caps:
    """Read caps of one structure: at most 16 KiB, flat values only. Any process may have written them.

    Args:
        text: Caps as `gst_caps_to_string()` writes them, or as you type them (`video/x-raw,format=BGR,width=640`).

    Returns:
        Media type, features and fields.

    Raises:
        FormatError: The text is not one caps structure of flat values; the message says where.
    """
    try:
        check_size(text)
        media, at = read_name(text)
        if media in _NO_STRUCTURE:
            raise FormatError(f"{media} is not a media type")
        features, at = read_features(text, at)
        return Caps(media, read_fields(text, at), features)
    except ValueError as error:
        raise FormatError(f"caps: {error}") from None
