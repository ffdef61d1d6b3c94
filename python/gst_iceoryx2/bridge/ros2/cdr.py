"""Writes and reads CDR, the serialization of ROS 2 messages (OMG DDSI-RTPS, section 10; plain CDR, version 1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from ..message import Unsound

_LITTLE: Final = b"\x00\x01"
_ORDERS: Final = {b"\x00\x00": ">", _LITTLE: "<"}
_HEAD: Final = 4


def is_text(text: str) -> bool:
    """Return whether a string can be sent: UTF-8 without NUL, which ends a string in C++."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


class CdrWriter:
    """Writes the fields of one message, in their order.

    Attributes:
        parts: The message, as contiguous parts; large fields are borrowed.
    """

    def __init__(self) -> None:
        self.parts: list[Any] = [_LITTLE + b"\0\0"]
        self._size = 0

    def numbers(self, codes: str, *values: float) -> None:
        """Write numbers; `codes` has their codes as in `struct`, one for each."""
        for code, value in zip(codes, values, strict=True):
            self._add(bytes(-self._size % struct.calcsize(code)))
            self._add(struct.pack(f"<{code}", value))

    def text(self, text: str) -> None:
        """Write a string."""
        data = text.encode() + b"\0"
        self.numbers("I", len(data))
        self._add(data)

    def doubles(self, values: Sequence[float]) -> None:
        """Write a sequence of doubles with its length."""
        self.numbers("I", len(values))
        self.numbers("d" * len(values), *values)

    def data(self, size: int, parts: Sequence[Any]) -> None:
        """Write a sequence of bytes, given in contiguous parts of together `size` bytes."""
        self.numbers("I", size)
        self.parts.extend(parts)
        self._size += size

    def _add(self, data: bytes) -> None:
        self.parts.append(data)
        self._size += len(data)


class CdrReader:
    """Reads the fields of one message from an untrusted sender, in their order, in either byte order.

    Args:
        payload: The message, borrowed.

    Raises:
        Unsound: The message is not plain CDR.
    """

    def __init__(self, payload: bytes) -> None:
        order = _ORDERS.get(payload[:2]) if len(payload) >= _HEAD else None
        if order is None:
            raise Unsound(
                "message is not plain CDR",
                f"{len(payload)} bytes that begin with {payload[:_HEAD].hex()}, but expected 00000000 or 00010000",
            )
        self._order = order
        self._data = memoryview(payload)[_HEAD:]
        self._at = 0

    def numbers(self, codes: str) -> tuple[Any, ...]:
        """Read numbers; `codes` has their codes as in `struct`, one for each."""
        return tuple(self._number(code) for code in codes)

    def _number(self, code: str) -> Any:
        size = struct.calcsize(code)
        self._at += -self._at % size
        return struct.unpack(f"{self._order}{code}", self._take(size, "number"))[0]

    def text(self) -> str:
        """Read a string. Bytes that are not UTF-8 are escaped."""
        (size,) = self.numbers("I")
        return bytes(self._take(size, "string")).rstrip(b"\0").decode("utf-8", "backslashreplace")

    def data(self) -> memoryview:
        """Read a sequence of bytes; a view of the message."""
        (size,) = self.numbers("I")
        return self._take(size, "sequence")

    def _take(self, size: int, what: str) -> memoryview:
        end = self._at + size
        if end > len(self._data):
            raise Unsound(
                "message ends early",
                f"a {what} needs {size} bytes at byte {self._at}, but the message has {len(self._data)}",
            )
        view, self._at = self._data[self._at : end], end
        return view
