"""Write and parse caps strings without GStreamer."""

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
        media: Media type, for example `video/x-raw`.
        fields: Dict from field name to value, in order. Values are str, int, Fraction, bool, float or flat lists; any
            other type is a `RawValue`.
        features: Caps features, for example `memory:DMABuf` or `format:Interlaced`; empty for plain system memory.
    """

    media: str
    fields: dict[str, FieldValue]
    features: tuple[str, ...] = ()


def video_caps(format: str, width: int, height: int, framerate: Fraction | None = None, **fields: FieldValue) -> str:
    """Write raw-video caps as `gst_caps_to_string()` does.

    Args:
        format: GStreamer's name for the pixel format, for example `BGR` or `NV12`.
        width: Width in pixels.
        height: Height in pixels.
        framerate: Frames per second; `Fraction(0)` = variable, None = omitted.
        **fields: More fields; underscores in names are replaced with GStreamer's hyphens
            (`pixel_aspect_ratio=Fraction(1)`).

    Returns:
        Text such as `video/x-raw, format=(string)BGR, width=(int)640, height=(int)480, framerate=(fraction)30/1`.

    Raises:
        FormatError: GStreamer could not parse a value.
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
    """Parse caps with one structure, which any process may have written: at most 16 KiB, with flat values only.

    Args:
        text: Caps as written by `gst_caps_to_string()` or typed by hand (`video/x-raw,format=BGR,width=640`).

    Returns:
        The media type, features and fields.

    Raises:
        FormatError: The text is not a single caps structure with flat values; the message gives the position.
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
