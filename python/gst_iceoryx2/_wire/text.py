"""The text form of a GstStructure: a name and fields (tests/vectors/README.md defines the grammar).

It is the format of `gst_structure_to_string()` and `gst_structure_from_string()` (gst/gststructure.c), restricted to
flat values: a word, a quoted string, or a list or array of these. Any process may have written the text. So its length
is limited, and each parsing step reads each character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..contract import limit, message
from ..errors import FormatError
from .value import (
    PORTABLE_WORD,
    SCALAR,
    SPACE,
    WORD,
    FieldValue,
    RawValue,
    Scalar,
    is_known_type,
    read_scalar,
    write_scalar,
)

MAX_TEXT_BYTES: Final = limit("max_text_bytes")
"""Maximum size in bytes of a caps or structure string (SPEC.md section 7)."""

_S: Final = f"[{SPACE}]*"
_NAME: Final = re.compile(rf"{_S}([A-Za-z][A-Za-z0-9_\-+/:.*]*)")
_NEW_NAME: Final = re.compile(rf"(?=[A-Za-z]){PORTABLE_WORD}")
_NEW_FIELD_NAME: Final = re.compile(PORTABLE_WORD)
_FEATURE: Final = re.compile(WORD)
_CAST: Final = rf"(?P<cast>\({_S}(?P<type>{WORD}){_S}\){_S})?"
_FIELD: Final = re.compile(rf"{_S},{_S}({WORD}){_S}={_S}{_CAST}")
_SCALAR: Final = re.compile(SCALAR, re.DOTALL)
_OPEN: Final = re.compile(rf"[{{<]{_S}")
_ITEM: Final = re.compile(rf"{_CAST}(?P<item>{SCALAR}){_S}(?P<end>[,}}>]){_S}", re.DOTALL)


def check_size(text: str) -> None:
    """Reject text that is too long, contains NUL or is not valid Unicode.

    Raises:
        FormatError: The text is rejected; the message says why.
    """
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise FormatError(str(error)) from None
    if size > MAX_TEXT_BYTES:
        raise FormatError(message("long_text", size=size, most=MAX_TEXT_BYTES))
    if "\0" in text:
        raise FormatError(message("contains_nul"))


def read_structure(text: str) -> tuple[str, dict[str, FieldValue]]:
    """Parse structure text and return its name and its fields in order.

    Raises:
        FormatError: The text is too long, or is not a structure with flat values.
    """
    check_size(text)
    name, at = read_name(text)
    return name, read_fields(text, at)


def read_name(text: str) -> tuple[str, int]:
    """Return the name at the start of the text, and the position after it.

    Raises:
        FormatError: The text does not start with a name.
    """
    match = _NAME.match(text)
    if match is None:
        raise FormatError("expected a name that starts with a letter")
    return match[1], match.end()


def read_features(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """Return the caps features in parentheses at position `at`, and the position after them.

    Raises:
        FormatError: The parentheses contain something other than names.
    """
    if not text.startswith("(", at):
        return (), at
    end = text.find(")", at)
    features = tuple(feature.strip(SPACE) for feature in text[at + 1 : end].split(","))
    if end < 0 or not all(map(_FEATURE.fullmatch, features)):
        raise FormatError(f"expected caps features at character {at}")
    return features, end + 1


def read_fields(text: str, at: int) -> dict[str, FieldValue]:
    """Read the fields from position `at` to the end of the text.

    Raises:
        FormatError: A part of the text is not of the form `, name=value` with a flat value.
    """
    body = text.rstrip(SPACE).removesuffix(";").rstrip(SPACE).removesuffix(",").rstrip(SPACE)
    fields: dict[str, FieldValue] = {}
    while at < len(body):
        match = _FIELD.match(body, at)
        if match is None:
            raise FormatError(f"expected a field of the form ', name=value' at character {at}")
        fields[match[1]], at = _read_value(body, match)
    return fields


def write_structure(name: str, fields: Mapping[str, FieldValue]) -> str:
    """Write structure text exactly as `gst_structure_to_string()` does, including the semicolon.

    An int becomes a gint if it fits into 32 bits, otherwise a gint64. A list that contains a gint64 becomes a list of
    gint64.

    Raises:
        FormatError: GStreamer could not parse a name or a value, or the text is too long.
        TypeError: A value has a type that a structure cannot represent.
    """
    if not _NEW_NAME.fullmatch(name):
        raise FormatError(message("structure_name", name=name))
    parts = [name]
    for field, value in fields.items():
        if not _NEW_FIELD_NAME.fullmatch(field):
            raise FormatError(message("field_name", name=field))
        try:
            parts.append(f", {field}={write_value(value)}")
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else FormatError
            raise kind(f"field {field!r}: {error}") from error
    text = "".join((*parts, ";"))
    check_size(text)
    return text


def _read_value(body: str, field: re.Match[str]) -> tuple[FieldValue, int]:
    """Return the value that follows the match of `, name=(type)`, and the position after it."""
    start, type_name = field.end(), field["type"]
    scalar = _SCALAR.match(body, start)
    value: FieldValue | None
    if scalar is not None:
        value, end = read_scalar(scalar[0], type_name), scalar.end()
    else:
        items, end = _find_items(body, start, field[1])
        value = _read_items(items, type_name)
        if value is not None and body[start] == "<":
            value = tuple(value)
    if value is None:
        value = RawValue(body[start if field["cast"] is None else field.start("cast") : end])
    return value, end


def _find_items(body: str, start: int, field: str) -> tuple[list[tuple[str | None, str]], int]:
    """Return the type and text of each item in the list or array at `start`, and the position after its bracket."""
    bracket = _OPEN.match(body, start)
    if bracket is None:
        raise FormatError(f"field {field!r} has no flat value: expected a word, a string or a list of them")
    at, close = bracket.end(), "}" if body[start] == "{" else ">"
    items: list[tuple[str | None, str]] = []
    if body.startswith(close, at):
        return items, at + 1
    while True:
        item = _ITEM.match(body, at)
        if item is None or item["end"] not in (",", close):
            raise FormatError(f"field {field!r}: expected a word or a string in the list at character {at}")
        items.append((item["type"], item["item"]))
        if item["end"] == close:
            return items, item.end("end")
        at = item.end()


def _read_items(items: list[tuple[str | None, str]], type_name: str | None) -> list[Scalar] | None:
    """Read the items of a flat list; None if it is not flat or its values have different types."""
    if type_name is not None and not is_known_type(type_name):
        return None
    values: list[Scalar] = []
    for own_type, item in items:
        value = None if own_type is not None else read_scalar(item, type_name)
        if value is None or (values and type(value) is not type(values[0])):
            return None
        values.append(value)
    return values


def write_value(value: FieldValue) -> str:
    """Write a value with its type, for example `(int)640`.

    Raises:
        FormatError: GStreamer could not parse the value.
        TypeError: A structure cannot represent the type of the value.
    """
    if isinstance(value, RawValue):
        return _write_raw(value.text)
    if isinstance(value, (list, tuple)):
        written = [write_scalar(item) for item in value]
        types = {type_name for type_name, _ in written}
        if types == {"int", "gint64"}:
            types = {"gint64"}
        if len(types) > 1:
            raise FormatError(message("mixed_items"))
        begin, end = ("{ ", " }") if isinstance(value, list) else ("< ", " >")
        # GStreamer writes an empty list as a list of int.
        return f"({types.pop() if types else 'int'}){begin}{', '.join(text for _, text in written)}{end}"
    type_name, text = write_scalar(value)
    return f"({type_name}){text}"


def _write_raw(text: str) -> str:
    """Return `text` if it represents exactly one value, without additional fields."""
    probe = f"x, x={text}"
    check_size(probe)
    match = _FIELD.match(probe, 1)
    if match is None or probe.endswith(tuple(SPACE)) or _read_value(probe, match)[1] != len(probe):
        raise FormatError(message("raw_value", text=text))
    return text
