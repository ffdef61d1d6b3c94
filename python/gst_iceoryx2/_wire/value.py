"""The text form of single values in caps and structures: numbers, strings, fractions.

It is the format of `gst_value_serialize()` and `gst_value_deserialize()` (gst/gstvalue.c). This module recognizes fewer
spellings than GStreamer and treats the other ones as strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from ..contract import message
from ..errors import FormatError

SPACE: Final = " \t\n\f\r"
WORD: Final = r"[A-Za-z0-9_\-+/:.*]+"
"""Pattern for text that is accepted without quotes when reading (GST_ASCII_IS_STRING)."""
PORTABLE_WORD: Final = r"[A-Za-z0-9_\-+/:.]+"
"""Pattern for text that is written without quotes. GStreamer 1.22 does not accept an asterisk outside quotes."""
SCALAR: Final = rf'"[^"\\]*(?:\\.[^"\\]*)*"|{WORD}'
"""Pattern for a quoted string or a word; use it with re.DOTALL."""

_INT32: Final = range(-(2**31), 2**31)
_INT64: Final = range(-(2**63), 2**63)
_FRACTION_PART: Final = range(-(2**31) + 1, 2**31)  # gst_value_set_fraction() refuses G_MININT
_MAX_DOUBLE_CHARS: Final = 64

_BARE: Final = re.compile(PORTABLE_WORD)
_INTEGER: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,18})")
_DOUBLE: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_RATIO: Final = re.compile(r"([+-]?[0-9]{1,10})/([+-]?[0-9]{1,10})")
_ESCAPE: Final = re.compile(rb"\\(?:([0-3][0-7]{2})|(.))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RawValue:
    """A value of any other type in GStreamer's notation, including its type: `(bitmask)0x3`."""

    text: str


Scalar: TypeAlias = bool | int | float | str | Fraction
FieldValue: TypeAlias = Scalar | RawValue | Sequence[Scalar]
"""Value of a field. A list is a GstValueList `{ … }` and a tuple is a GstValueArray `< … >`, with items of one type."""


def is_known_type(name: str) -> bool:
    """Return whether this module can read values of this type."""
    return name in _READERS


def read_scalar(token: str, type_name: str | None) -> Scalar | None:
    """Read a word or quoted string as the given type, or else as the first type that fits; None if it does not fit."""
    if type_name is not None:
        reader = _READERS.get(type_name)
        return None if reader is None else reader(token)
    if not token.startswith('"'):
        for reader in (_read_int, _read_decimal, _read_fraction, _read_bool):
            value = reader(token)
            if value is not None:
                return value
    return _read_string(token)


def write_scalar(value: object) -> tuple[str, str]:
    """Return the type name and the text of a value.

    Raises:
        FormatError: GStreamer cannot represent the value.
        TypeError: GStreamer cannot represent its type.
    """
    if hasattr(value, "item"):
        value = value.item()  # numpy's scalars are not ints, floats or bools
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, int):
        # Convert first: with a subclass of int, such as an IntEnum, `in` would iterate over the whole range.
        value = int(value)
        if value not in _INT64:
            raise FormatError(f"{value} does not fit into a signed 64-bit integer")
        return "int" if value in _INT32 else "gint64", str(value)
    if isinstance(value, float):
        return "double", format(value, ".17g")
    if isinstance(value, Fraction):
        numerator, denominator = int(value.numerator), int(value.denominator)
        if numerator not in _FRACTION_PART or denominator not in _FRACTION_PART:
            most = _FRACTION_PART[-1]
            raise FormatError(message("fraction", numerator=numerator, denominator=denominator, most=most))
        return "fraction", f"{numerator}/{denominator}"
    if isinstance(value, str):
        return "string", _write_string(value)
    kind = type(value).__name__
    raise TypeError(f"a {kind} cannot be represented: use bool, int, float, str, Fraction or a flat list of them")


def _read_int(token: str) -> int | None:
    return int(token) if _INTEGER.fullmatch(token) and int(token) in _INT32 else None


def _read_int64(token: str) -> int | None:
    return int(token) if _INTEGER.fullmatch(token) and int(token) in _INT64 else None


def _read_decimal(token: str) -> float | None:
    return float(token) if len(token) <= _MAX_DOUBLE_CHARS and _DOUBLE.fullmatch(token) else None


def _read_double(token: str) -> float | None:
    return float(token) if _NO_NUMBER.fullmatch(token) else _read_decimal(token)


def _read_fraction(token: str) -> Fraction | None:
    match = _RATIO.fullmatch(token)
    if match is None:
        return None
    numerator, denominator = int(match[1]), int(match[2])
    if denominator == 0 or numerator not in _FRACTION_PART or denominator not in _FRACTION_PART:
        return None
    return Fraction(numerator, denominator)


def _read_bool(token: str) -> bool | None:
    word = token.lower()
    if word in ("true", "yes", "t", "1"):
        return True
    return False if word in ("false", "no", "f", "0") else None


def _read_string(token: str) -> str | None:
    if not token.startswith('"'):
        return None if token == "NULL" else token  # GStreamer's spelling of a null pointer
    inner = token[1:-1]
    if "\\" not in inner:
        return inner
    try:
        text = _ESCAPE.sub(_unescape, inner.encode()).decode()
    except ValueError:
        return None
    return None if "\0" in text else text


def _unescape(match: re.Match[bytes]) -> bytes:
    octal, other = match.groups()
    if octal is not None:
        return bytes((int(octal, 8),))
    if other in b"0123":
        raise FormatError("an octal escape has three digits")
    return bytes(other)


_READERS: Final[dict[str, Callable[[str], Scalar | None]]] = {
    name: reader
    for names, reader in (
        ("int i gint", _read_int),
        ("gint64", _read_int64),
        ("double d gdouble", _read_double),
        ("fraction GstFraction", _read_fraction),
        ("boolean bool b gboolean", _read_bool),
        ("string str s gchararray", _read_string),
    )
    for name in names.split()
}

# gst_string_wrap() keeps bare characters, puts a backslash before other printable ASCII, and writes other bytes in
# octal.
_WRAPPED: Final = tuple(
    chr(byte) if _BARE.fullmatch(chr(byte)) else f"\\{chr(byte)}" if 0x20 <= byte < 0x7F else f"\\{byte:03o}"
    for byte in range(256)
)


def _write_string(value: str) -> str:
    if "\0" in value:
        raise FormatError(message("contains_nul"))
    if _BARE.fullmatch(value) and value != "NULL":
        return value
    return f'"{"".join([_WRAPPED[byte] for byte in value.encode()])}"'
