"""The text form of a GstStructure: a name and fields (tests/vectors/README.md states the grammar).

The rules are those of `gst_structure_to_string()` and `gst_structure_from_string()` (gst/gststructure.c), bounded: any
process may have written the text, so it is measured and its brackets are counted before it is parsed, and every
step looks at each character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .._errors import FormatError
from .values import (
    OPEN_QUOTED,
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

MAX_TEXT_BYTES: Final = 16 * 1024
MAX_NESTING: Final = 8
"""Bounds of a caps or structure string (SPEC.md section 7)."""

_S: Final = f"[{SPACE}]*"
# Matches a quote with or without its end: an unclosed one costs one pass, not one for each quote character in it.
_TOKEN: Final = re.compile(
    rf'(?P<quoted>{OPEN_QUOTED}(?P<close>"?))|[\[\]{{}}<>()]|[A-Za-z0-9_\-+/:.*,;={SPACE}]+', re.DOTALL
)
_SCALAR: Final = re.compile(SCALAR, re.DOTALL)
_ITEM: Final = re.compile(rf"{_S}({SCALAR}){_S}(?:,|\Z)", re.DOTALL)
_NAME: Final = re.compile(rf"{_S}([A-Za-z][A-Za-z0-9_\-+/:.*]*)")
_NEW_NAME: Final = re.compile(rf"(?=[A-Za-z]){PORTABLE_WORD}")
_NEW_FIELD_NAME: Final = re.compile(PORTABLE_WORD)
_FEATURE: Final = re.compile(WORD)
_CAST: Final = rf"(?P<cast>\({_S}(?P<type>{WORD}){_S}\){_S})?"
_FIELD: Final = re.compile(rf"{_S},{_S}({WORD}){_S}={_S}{_CAST}")
_NEXT_ITEM: Final = re.compile(rf"[{SPACE},]*{_CAST}")

_OPEN: Final = {"[": "]", "{": "}", "<": ">", "(": ")"}
_CLOSE: Final = frozenset(_OPEN.values())
_SQUARE: Final = re.compile(r"[\[\]]")

_STRINGS: Final = ("string", "str", "s", "gchararray")
_STRUCTURES: Final = ("structure", "GstStructure")
_CAPS: Final = ("caps", "GstCaps")
_TAGS: Final = ("taglist", "GstTagList")
_NOT_ACCEPTED: Final = {"sample": "sample", "GstSample": "sample", "GstSegment": "segment"}
"""Types whose text cannot be followed: base64 of more text, and text that is parsed with its escapes in it."""
_CONTAINERS: Final = ("list", "array", "uniquelist")
"""What newer releases name behind a slash: `(int/list)`, `(/uniquelist)`."""


def check_text(text: str, level: int = 0) -> None:
    """Refuse text that is too long, too deeply nested, unbalanced, or has characters outside quotes that do not belong.

    Args:
        text: Structure or caps text.
        level: Brackets and quotes that it is in.

    Raises:
        FormatError: With what is wrong, and where.
    """
    if level > MAX_NESTING:
        raise FormatError(f"brackets and quotes nest more than {MAX_NESTING} deep")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise FormatError(str(error)) from None
    if size > MAX_TEXT_BYTES:
        raise FormatError(f"the text has {size} bytes, at most {MAX_TEXT_BYTES} are read")
    if "\0" in text:
        raise FormatError("the text contains NUL")
    closers: list[str] = []
    at = 0
    for token in _TOKEN.finditer(text):
        if token.start() != at:
            break
        at = token.end()
        first = text[token.start()]
        if first in _OPEN:
            closers.append(_OPEN[first])
            if level + len(closers) > MAX_NESTING:
                raise FormatError(f"brackets nest more than {MAX_NESTING} deep at character {token.start()}")
        elif first in _CLOSE:
            if not closers or closers.pop() != first:
                raise FormatError(f"{first!r} at character {token.start()} closes nothing")
        elif token["quoted"] is not None and not token["close"]:
            raise FormatError(f"the quote at character {token.start()} is not closed")
    if at != len(text):
        raise FormatError(f"{text[at]!r} at character {at} stands outside quotes")
    if closers:
        raise FormatError(f"{closers[-1]!r} is missing at the end")


def read_structure(text: str) -> tuple[str, dict[str, FieldValue]]:
    """Read structure text: its name and its fields in order.

    Raises:
        FormatError: The text is no structure or exceeds a bound.
    """
    check_text(text)
    name, at = read_name(text)
    return name, read_fields(text, at)


def read_name(text: str) -> tuple[str, int]:
    """Return the name at the start of text that was checked, and the position after it.

    Raises:
        FormatError: There is none.
    """
    match = _NAME.match(text)
    if match is None:
        raise FormatError("there is no name that starts with a letter")
    return match[1], match.end()


def read_features(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """Return the caps features in parentheses at position `at` of text that was checked, and the position after them.

    Raises:
        FormatError: Something in the parentheses is no name.
    """
    if not text.startswith("(", at):
        return (), at
    end = text.index(")", at)
    features = tuple(feature.strip() for feature in text[at + 1 : end].split(","))
    if not all(map(_FEATURE.fullmatch, features)):
        raise FormatError(f"there are no features at character {at}")
    return features, end + 1


def read_fields(text: str, at: int, level: int = 0) -> dict[str, FieldValue]:
    """Read the fields in text that was checked, from position `at` to the end.

    Raises:
        FormatError: Something there is not of the form `, name=value`.
    """
    body = text.rstrip(SPACE).removesuffix(";").rstrip(SPACE).removesuffix(",").rstrip(SPACE)
    fields: dict[str, FieldValue] = {}
    while at < len(body):
        match = _FIELD.match(body, at)
        if match is None:
            raise FormatError(f"there is no field of the form ', name=value' at character {at}")
        fields[match[1]], at = _read_value(body, match, level)
    return fields


def write_structure(name: str, fields: Mapping[str, FieldValue]) -> str:
    """Write structure text exactly as `gst_structure_to_string()` does, semicolon included.

    An int becomes a gint where 32 bits do, else a gint64; a list with one such item becomes a list of gint64.

    Raises:
        FormatError: A name or value that GStreamer could not read back, or text beyond a bound.
        TypeError: A value of a type that has no form.
    """
    if not _NEW_NAME.fullmatch(name):
        raise FormatError(f"{name!r} is no structure name: a letter, then letters, digits or _-+/:.")
    parts = [name]
    for field, value in fields.items():
        if not _NEW_FIELD_NAME.fullmatch(field):
            raise FormatError(f"{field!r} is no field name: letters, digits or _-+/:.")
        try:
            parts.append(f", {field}={_write_value(value)}")
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else FormatError
            raise kind(f"field {field!r}: {error}") from error
    text = "".join((*parts, ";"))
    check_text(text)
    return text


def _read_value(body: str, field: re.Match[str], level: int = 0) -> tuple[FieldValue, int]:
    """Return the value behind the match of `, name=(type)` and the position after it."""
    start = field.end()
    end = _end_of_value(body, start)
    if end is None:
        raise FormatError(f"field {field[1]!r} has no value")
    opener = body[start]
    if opener in "{<":
        items = _read_items(body[start + 1 : end - 1], field["type"])
        if items is not None:
            return (items if opener == "{" else tuple(items)), end
    elif opener != "[":
        value = read_scalar(body[start:end], field["type"])
        if value is not None:
            return value, end
    _check_nested(field[1], field["type"], None, body[start:end], level)
    return RawValue(body[start if field["cast"] is None else field.start("cast") : end]), end


def _end_of_value(text: str, start: int) -> int | None:
    """Return the position after the word, the string or the brackets at `start`; None if there is nothing of these."""
    if text.startswith(("[", "{", "<"), start):  # parentheses are for types
        return _closing(text, start)
    scalar = _SCALAR.match(text, start)
    return None if scalar is None else scalar.end()


def _closing(text: str, start: int) -> int:
    """Return the position after the bracket that closes the one at `start` in text that was checked."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        first = text[token.start()]
        depth += (first in _OPEN) - (first in _CLOSE)
        if depth == 0:
            return token.end()
    raise FormatError(f"{text[start]!r} at character {start} is not closed")


def _check_nested(field: str, type_name: str | None, inherited: str | None, value: str, level: int) -> None:
    """Read on into a value that stays raw text, wherever GStreamer would parse what is in it.

    Its parser must find the end of everything where this one does: behind an end that only it sees, it parses what was
    taken for a string here. And it tries brackets without a type as a structure, then as caps, in a time that doubles
    with each pair.
    """
    if type_name is not None:
        inherited = _item_type(field, type_name) or inherited
    if value[0] == '"':
        if inherited is None or inherited in _STRINGS:
            return
        text = read_scalar(value, "string")
        if not isinstance(text, str):
            raise FormatError(f"field {field!r}: there is no sound string in the quotes")
        if inherited in _STRUCTURES + _CAPS + _TAGS:
            _check_structure(text, level + 1, inherited in _CAPS)
        elif any(opener in text for opener in "[{<"):  # no other reader is known to parse them
            raise FormatError(f"field {field!r}: there are brackets in quotes of type {inherited}")
    elif value[0] == "[" and inherited in _STRUCTURES + _CAPS:
        # GStreamer looks for the end of these without looking at quotes.
        depth, ends = 0, []
        for bracket in _SQUARE.finditer(value):
            depth += 1 if bracket[0] == "[" else -1
            if depth == 0:
                ends.append(bracket.end())
        if ends[:1] != [len(value)]:
            raise FormatError(f"field {field!r}: brackets in quotes in brackets do not close in order")
        _check_structure(value[1:-1], level + 1, inherited in _CAPS)
    elif value[0] in _OPEN:
        _check_items(field, inherited, value, level + 1)


def _item_type(field: str, type_name: str) -> str:
    """Return the type of items that the text in parentheses names, empty if it names a container only."""
    item, slash, container = type_name.partition("/")
    for name in (item, container):
        if name in _NOT_ACCEPTED:
            raise FormatError(f"field {field!r}: {_NOT_ACCEPTED[name]} values are not accepted")
    if slash and container not in _CONTAINERS:
        raise FormatError(f"field {field!r}: there is no list and no array behind the slash in {type_name}")
    return item


def _check_structure(text: str, level: int, caps: bool) -> None:
    check_text(text, level)
    _, at = read_name(text)
    if caps:
        _, at = read_features(text, at)
    read_fields(text, at, level)


def _check_items(field: str, type_name: str | None, value: str, level: int) -> None:
    """Check what is in a list, an array or a range; missing commas are GStreamer's to refuse."""
    inner = value[1:-1]
    match = _NEXT_ITEM.match(inner)
    while match is not None and match.end() < len(inner):
        end = _end_of_value(inner, match.end())
        if end is None:
            raise FormatError(f"field {field!r}: there is no value at character {match.end()} in its brackets")
        item = inner[match.end() : end]
        if value[0] == "[" and item[0] in '"[{<':
            raise FormatError(f"field {field!r}: only words stand in brackets that are no (structure) and no (caps)")
        _check_nested(field, match["type"], type_name, item, level)
        match = _NEXT_ITEM.match(inner, end)
    if match is not None and match["cast"] is not None:
        raise FormatError(f"field {field!r}: there is no value behind {match['cast']}")


def _read_items(inner: str, type_name: str | None) -> list[Scalar] | None:
    """Read the inside of a flat list of values of one type; None if it is anything else."""
    if type_name is not None and not is_known_type(type_name):
        return None
    items: list[Scalar] = []
    at = 0
    more = bool(inner.strip(SPACE))
    while more:
        match = _ITEM.match(inner, at)
        item = None if match is None else read_scalar(match[1], type_name)
        if match is None or item is None or (items and type(item) is not type(items[0])):
            return None
        items.append(item)
        at = match.end()
        more = at < len(inner) or match[0].endswith(",")
    return items


def _write_value(value: FieldValue) -> str:
    if isinstance(value, RawValue):
        return _write_raw(value.text)
    if isinstance(value, (list, tuple)):
        written = [write_scalar(item) for item in value]
        types = {type_name for type_name, _ in written}
        if types == {"int", "gint64"}:
            types = {"gint64"}
        if len(types) > 1:
            raise FormatError(f"the items of a list are of one type, these are {', '.join(sorted(types))}")
        begin, end = ("{ ", " }") if isinstance(value, list) else ("< ", " >")
        # GStreamer calls an empty list one of int.
        return f"({types.pop() if types else 'int'}){begin}{', '.join(text for _, text in written)}{end}"
    type_name, text = write_scalar(value)
    return f"({type_name}){text}"


def _write_raw(text: str) -> str:
    """Return `text` if it is exactly one value: it must not bring fields along."""
    probe = f"x, x={text}"
    check_text(probe)
    match = _FIELD.match(probe, 1)
    if match is None or probe.endswith(tuple(f"{SPACE},;")) or _read_value(probe, match)[1] != len(probe):
        raise FormatError(f"{text!r} is not the text of one value")
    return text
