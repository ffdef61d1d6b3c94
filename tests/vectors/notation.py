"""Reads the notation of the vector files (README.md in this folder)."""

from __future__ import annotations

import ctypes
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from gst_iceoryx2._wire.header import VideoFrameHeader
from gst_iceoryx2._wire.value import FieldValue, RawValue


def load(name: str) -> Any:
    """Return the content of one vector file."""
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def unhex(groups: str) -> bytes:
    """Return the bytes of `00ff 61*3`."""
    parts = (group.partition("*") for group in groups.split())
    return b"".join(bytes.fromhex(digits) * int(times or 1) for digits, _, times in parts)


def text_of(case: dict[str, Any], key: str = "text") -> str:
    """Return a text that may be given in hex."""
    return case[key] if key in case else unhex(case[f"{key}_hex"]).decode()


def value_of(value: dict[str, Any]) -> FieldValue:
    """Return the Python value of a typed one."""
    kind = value["type"]
    if kind in ("list", "array"):
        return (list if kind == "list" else tuple)(value_of(item) for item in value["value"])
    plain = text_of(value, "value")
    make = {"double": float, "fraction": Fraction, "raw": RawValue}.get(kind)
    return make(plain) if make else plain


def fields_of(case: dict[str, Any]) -> dict[str, FieldValue]:
    """Return the fields of a structure in order."""
    return {name: value_of(value) for name, value in case["fields"]}


def same(left: object, right: object) -> bool:
    """Compare fields by type, value and order; NaN equals itself, and 0.0 is not -0.0."""
    return typed(left) == typed(right)


def typed(value: object) -> object:
    """Return a form of a value that compares as `same` does."""
    if isinstance(value, dict):
        return [(name, typed(item)) for name, item in value.items()]
    if isinstance(value, (list, tuple)):
        return (type(value), [typed(item) for item in value])
    return (type(value), repr(value))


def header_of(fields: dict[str, Any]) -> VideoFrameHeader:
    """Return the header with these fields, in the notation of header.json."""
    header = VideoFrameHeader()
    for name, value in fields.items():
        if name == "format_hex":
            ctypes.memmove(ctypes.addressof(header) + 88, bytes.fromhex(value), 16)
        elif isinstance(value, list):
            getattr(header, name)[:] = value
        else:
            setattr(header, name, value)
    return header
