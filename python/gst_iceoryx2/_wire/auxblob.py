"""The aux blob behind a frame's pixels: a caps string and meta records (SPEC.md section 3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..contract import limit
from ..errors import FormatError

MAX_METAS: Final = limit("max_metas")
"""Records that are read from one blob at most (SPEC.md section 7)."""

MAX_AUX: Final = limit("max_aux_bytes")
"""Bytes of a received blob that are read at most (SPEC.md section 7)."""

_WORD: Final = struct.Struct("<I")


class ParsedAux(NamedTuple):
    """What a blob says: the caps string, unchecked, and the meta records as they came."""

    caps: str | None
    metas: list[bytes]


def build_aux(caps: str | None, metas: Iterable[bytes | bytearray | memoryview], limit: int | None = None) -> bytes:
    """Write a blob: the caps always, then each record with which the blob has at most `limit` bytes.

    Args:
        caps: Caps as GStreamer writes them; None or "" for none.
        metas: Records, for example from `encode_meta`; they are not looked into.
        limit: Bytes that the blob may have; None for no limit. A result that is longer all the same is one whose caps
            do not fit: a frame with so little room goes without a blob.

    Returns:
        New bytes.

    Raises:
        FormatError: The caps contain NUL or a lone surrogate.
    """
    try:
        text = (caps or "").encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"caps: {error}") from None
    if b"\0" in text:
        raise FormatError("caps: a caps string cannot contain NUL")
    size = _WORD.size + len(text) + _WORD.size
    parts: list[bytes | bytearray | memoryview] = []
    count = 0
    for meta in metas:
        length = len(meta)
        if limit is None or size + _WORD.size + length <= limit:
            parts += (_WORD.pack(length), meta)
            size += _WORD.size + length
            count += 1
    return b"".join((_WORD.pack(len(text)), text, _WORD.pack(count), *parts))


def parse_aux(buffer: bytes | bytearray | memoryview) -> ParsedAux:
    """Read a blob that anybody may have written; what is cut off or contradictory leaves what came before it.

    Args:
        buffer: The blob: bytes, or a memoryview of bytes.

    Returns:
        The caps (None if there are none or they are no text; unchecked: `parse_caps` judges them) and up to 64 records
        (copies, not looked into: `decode_meta` judges them). Never raises on any content.
    """
    view = memoryview(buffer)
    caps, at = _block(view, 0)
    if caps is None or at + _WORD.size > len(view):
        return ParsedAux(_text(caps), [])
    (count,) = _WORD.unpack_from(view, at)
    at += _WORD.size
    metas: list[bytes] = []
    for _ in range(min(count, MAX_METAS)):
        meta, at = _block(view, at)
        if meta is None:
            break
        metas.append(bytes(meta))
    return ParsedAux(_text(caps), metas)


def _block(view: memoryview, at: int) -> tuple[memoryview | None, int]:
    """Return the length-prefixed bytes at `at` and the position after them; None if they reach beyond the end."""
    start = at + _WORD.size
    if start > len(view):
        return None, at
    (length,) = _WORD.unpack_from(view, at)
    end = start + length
    return (view[start:end], end) if end <= len(view) else (None, at)


def _text(caps: memoryview | None) -> str | None:
    if not caps:
        return None
    try:
        text = str(caps, "utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
