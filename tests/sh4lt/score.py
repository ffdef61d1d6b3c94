"""ossia score's own rules for a type text, from `ShmdataInputDevice.cpp` and the table in `GStreamerCompatibility.hpp`.

They are stricter than GStreamer's rules and ours. score shows a black picture if it does not accept a text.
"""

from __future__ import annotations

import re

# In upper case, as score compares them. Its table also has RGBP and Y410, but treats them as other formats.
FORMATS = frozenset((
    "A420", "A420_10BE", "A420_10LE", "A422_10BE", "A422_10LE", "A444_10BE", "A444_10LE", "ABGR", "ARGB", "AYUV64",
    "BGRA", "BGRX", "GBR", "GBRA", "GRAY16_BE", "GRAY16_LE", "GRAY8", "I420", "I420_10BE", "I420_10LE", "I420_12BE",
    "I420_12LE", "I422_10BE", "I422_10LE", "I422_12BE", "I422_12LE", "NV12", "NV16", "NV21", "NV24", "P010_10BE",
    "P010_10LE", "P016_BE", "P016_LE", "RGB", "RGBA", "RGBA64_BE", "RGBA64_LE", "RGBX", "UYVY", "XBGR", "XRGB",
    "Y210", "Y444", "Y444_10BE", "Y444_10LE", "Y444_12BE", "Y444_12LE", "Y444_16BE", "Y444_16LE", "YUY2", "YVYU",
))  # fmt: skip


def shown(type_text: str) -> tuple[str, int, int] | None:
    """Format, width and height of the picture that score shows; None if it shows nothing."""
    media, *fields = type_text.split(",")
    if media != "video/x-raw":
        return None
    values = {}
    for field in map(str.strip, fields):
        name, _, value = field.partition("=")
        values[name] = value
    format = _untyped(values.get("format", "")).upper()
    width, height = _whole(values.get("width", "")), _whole(values.get("height", ""))
    if format not in FORMATS or min(width, height) < 1 or _rate(values.get("framerate", "")) < 1:
        return None
    return format, width, height


def _untyped(value: str) -> str:
    return re.sub(r"\(.*\)", "", value)


def _whole(value: str) -> int:
    text = _untyped(value)
    return int(text) if text.isdigit() else 0


def _rate(value: str) -> float:
    """A fraction needs its type. Without a type, the whole text must be one number."""
    if value.startswith("(fraction)"):
        parts = value.removeprefix("(fraction)").split("/")
        return float(parts[0]) / float(parts[1]) if len(parts) == 2 and float(parts[1]) > 0 else 0
    try:
        return float(_untyped(value))
    except ValueError:
        return 0
