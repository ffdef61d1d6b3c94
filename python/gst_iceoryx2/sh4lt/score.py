"""The streams that ossia score's Shmdata input accepts, and the type text that it understands."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from .._wire.caps import Caps, parse_caps
from .._wire.text import write_structure
from ..errors import FormatError

FORMATS: Final = (
    "RGBA", "BGRA", "RGBx", "BGRx", "ARGB", "ABGR", "xRGB", "xBGR", "RGB", "I420", "NV12", "NV21", "NV16", "NV24",
    "UYVY", "YUY2", "YVYU", "Y444", "GRAY8", "A420", "GBR", "GBRA", "GRAY16_LE", "GRAY16_BE", "RGBA64_LE",
    "RGBA64_BE", "AYUV64", "I420_10LE", "I420_10BE", "I422_10LE", "I422_10BE", "Y444_10LE", "Y444_10BE",
    "I420_12LE", "I420_12BE", "I422_12LE", "I422_12BE", "Y444_12LE", "Y444_12BE", "Y444_16LE", "Y444_16BE",
    "A420_10LE", "A420_10BE", "A422_10LE", "A422_10BE", "A444_10LE", "A444_10BE", "P010_10LE", "P010_10BE",
    "P016_LE", "P016_BE", "Y210",
)  # fmt: skip
"""GStreamer's names for the pixel formats that score displays without conversion.

The Rust crate has the same list in `score.rs`.
"""

FRAMERATE: Final = Fraction(30)
"""Frame rate that is written if the actual one is unknown, because score rejects a type text without a frame rate."""

_RAW_VIDEO: Final = "video/x-raw"


def type_text(datatype: str) -> str:
    """Write raw-video caps in the form that score can read: with the type of each value and with a frame rate.

    Args:
        datatype: Caps in any form, for example `video/x-raw, format=RGBA, width=640, height=480`.

    Returns:
        The caps in GStreamer's own notation. Caps for other media, and text that is not caps, are returned unchanged.
    """
    caps = _raw_video(datatype)
    if caps is None or caps.features:
        return datatype
    fields = dict(caps.fields)
    fields["framerate"] = fields.get("framerate") or FRAMERATE
    try:
        return write_structure(caps.media, fields).removesuffix(";")
    except (FormatError, TypeError):
        return datatype


def refusal(datatype: str) -> str | None:
    """Return the reason why score does not display a stream.

    Args:
        datatype: Type text of the stream, from `type_text`.

    Returns:
        The reason and a remedy, or None if score displays the stream.
    """
    caps = _raw_video(datatype)
    if caps is None:
        return "it only accepts raw video"
    format, framerate = caps.fields.get("format"), caps.fields.get("framerate")
    if format not in FORMATS:
        return f"it does not accept the format {format}; convert to RGBA"
    if isinstance(framerate, Fraction) and framerate < 1:
        return f"it needs at least 1 frame per second, not {framerate}"
    return None


def _raw_video(datatype: str) -> Caps | None:
    try:
        caps = parse_caps(datatype)
    except FormatError:
        return None
    return caps if caps.media == _RAW_VIDEO else None
