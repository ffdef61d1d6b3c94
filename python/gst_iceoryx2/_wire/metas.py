"""Encode and decode meta records without GStreamer: reference timestamps and custom metas (SPEC.md section 3).

Records use the format of `gst_meta_serialize()` in GStreamer 1.24 and later (gst/gstmeta.c, gst/gstbuffer.c).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..contract import contract, message
from ..errors import FormatError
from .caps import parse_caps
from .header import NONE_U64
from .numbers import whole
from .text import MAX_TEXT_BYTES, read_structure, write_structure
from .value import FieldValue, RawValue

__all__ = [
    "CustomMeta",
    "FieldValue",
    "RawValue",
    "ReferenceTimestamp",
    "decode_meta",
    "encode_meta",
    "encode_structure",
]

_HEAD: Final = struct.Struct("<II")
_TIMES: Final = struct.Struct("<QQ")
_REFERENCE_TIMESTAMP: Final = b"GstReferenceTimestampMeta"
_CUSTOM_NAME: Final = re.compile(contract("layout")["custom_meta_name"])


@dataclass(frozen=True, slots=True)
class ReferenceTimestamp:
    """A GstReferenceTimestampMeta: a timestamp on the clock named by `reference`, for example `timestamp/x-unix`.

    Attributes:
        reference: Caps that identify the clock, in GStreamer's notation.
        timestamp: Time on that clock in nanoseconds.
        duration: Duration in nanoseconds; None = unknown.
        info: Structure text with details about the clock; None = no details.
    """

    reference: str
    timestamp: int
    duration: int | None = None
    info: str | None = None


@dataclass(frozen=True, slots=True)
class CustomMeta:
    """A named structure attached to a frame; in GStreamer, it is a GstCustomMeta with that name.

    Attributes:
        name: A letter followed by 2 to 63 letters, digits or underscores.
        fields: Dict from name to value. Values are bool, int, float, str, Fraction, and lists (GstValueList) or tuples
            (GstValueArray) of one of these types. Values of other types are received as `RawValue`, which you can send
            again.
    """

    name: str
    fields: Mapping[str, FieldValue] = field(default_factory=dict)


def encode_meta(meta: ReferenceTimestamp | CustomMeta) -> bytes:
    """Encode a meta as one record.

    Returns:
        The record as new bytes, for `build_aux`.

    Raises:
        FormatError: A receiver would reject the meta; the message names the field.
        TypeError: A field has a type that a meta cannot represent.
    """
    if isinstance(meta, ReferenceTimestamp):
        return _record(_REFERENCE_TIMESTAMP, _encode_reference(meta))
    if not isinstance(meta, CustomMeta):
        raise TypeError(f"meta: a {type(meta).__name__} is neither a ReferenceTimestamp nor a CustomMeta")
    if not _CUSTOM_NAME.fullmatch(meta.name):
        raise FormatError(message("meta_name", name=meta.name))
    return encode_structure(meta.name, write_structure(meta.name, meta.fields))


def encode_structure(name: str, text: str) -> bytes:
    """Encode the text of a structure, as `write_structure` returns it, as the record of a custom meta."""
    return _record(name.encode(), text.encode() + b"\0")


def decode_meta(record: bytes) -> ReferenceTimestamp | CustomMeta | bytes:
    """Decode one record, which any process may have written.

    Args:
        record: A record, for example from `parse_aux`.

    Returns:
        The meta, or `record` itself if it is invalid or of another kind. Invalid content never raises an error.
    """
    name, version, payload = split_record(record)
    if name is None or version != 0 or not payload.endswith(b"\0"):
        return record
    try:
        if name == _REFERENCE_TIMESTAMP:
            return _decode_reference(payload)
        return _decode_custom(name.decode("ascii"), payload)
    except ValueError:
        return record


def _record(name: bytes, payload: bytes) -> bytes:
    size = _HEAD.size + len(name) + 2 + len(payload)
    return b"".join((_HEAD.pack(size, len(name)), name, b"\0\0", payload))


def split_record(record: bytes) -> tuple[bytes | None, int, bytes]:
    """Return name, version and payload; the name is None if the record's size fields contradict its length."""
    if len(record) >= _HEAD.size + 2:
        total_size, name_len = _HEAD.unpack_from(record)
        nul = _HEAD.size + name_len
        if total_size == len(record) and nul + 2 <= len(record) and record[nul] == 0:
            return record[_HEAD.size : nul], record[nul + 1], record[nul + 2 :]
    return None, 0, b""


def _string(payload: bytes, at: int) -> tuple[str, int]:
    """Return the NUL-terminated string at `at` and the position after its NUL."""
    end = payload.find(b"\0", at, at + MAX_TEXT_BYTES + 1)
    if end < 0:
        raise FormatError("a string is not terminated by NUL")
    return payload[at:end].decode(), end + 1


def _encode_reference(meta: ReferenceTimestamp) -> bytes:
    duration = NONE_U64 if meta.duration is None else meta.duration
    for what, number in (("timestamp", meta.timestamp), ("duration", 0 if meta.duration is None else meta.duration)):
        try:
            whole(number, what, 0, NONE_U64 - 1)
        except (TypeError, ValueError):
            raise FormatError(f"{what}: {number} is not between 0 and {NONE_U64 - 1}") from None
    parse_caps(meta.reference)
    parts = [_TIMES.pack(meta.timestamp, duration), meta.reference.encode(), b"\0"]
    if meta.info:
        try:
            read_structure(meta.info)
        except ValueError as error:
            raise FormatError(f"info: {error}") from None
        parts += (meta.info.encode(), b"\0")
    return b"".join(parts)


def _decode_reference(payload: bytes) -> ReferenceTimestamp:
    if len(payload) <= _TIMES.size:
        raise FormatError("the payload is too short for the timestamps")
    timestamp, duration = _TIMES.unpack_from(payload)
    if timestamp == NONE_U64:
        raise FormatError("the timestamp is missing")
    reference, at = _string(payload, _TIMES.size)
    parse_caps(reference)
    info = _string(payload, at)[0] if at < len(payload) else ""
    if info:
        read_structure(info)
    return ReferenceTimestamp(reference, timestamp, None if duration == NONE_U64 else duration, info or None)


def _decode_custom(name: str, payload: bytes) -> CustomMeta:
    if not _CUSTOM_NAME.fullmatch(name):
        raise FormatError("this is not a valid name for a custom meta")
    structure_name, fields = read_structure(_string(payload, 0)[0])
    if structure_name != name:
        raise FormatError("the structure name differs: this is the binary payload of a different meta")
    return CustomMeta(name, fields)
