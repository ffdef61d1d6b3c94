"""The aux blob after a frame's pixels: a caps string and meta records (SPEC.md section 3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..contract import limit, message
from ..errors import FormatError

MAX_METAS: Final = limit("max_metas")
"""Maximum number of records read from one blob (SPEC.md section 7)."""

MAX_AUX: Final = limit("max_aux_bytes")
"""Maximum number of bytes read from a received blob (SPEC.md section 7)."""

_WORD: Final = struct.Struct("<I")


class ParsedAux(NamedTuple):
    """Contents of a blob: the caps string (unchecked) and the meta records (undecoded)."""

    caps: str | None
    metas: list[bytes]


def build_aux(caps: str | None, metas: Iterable[bytes | bytearray | memoryview], limit: int | None = None) -> bytes:
    """Build a blob from the caps and those records that fit into `limit` bytes.

    Args:
        caps: Caps in GStreamer's notation; None or "" = no caps.
        metas: Meta records, for example from `encode_meta`; their contents are not checked.
        limit: Maximum size of the blob in bytes; None = no limit. The caps are always written. If the result is longer
            than `limit`, even the caps did not fit, and the frame must be sent without a blob.

    Returns:
        The blob as new bytes.

    Raises:
        FormatError: The caps contain NUL or a lone surrogate.
    """
    try:
        text = (caps or "").encode()
    except UnicodeEncodeError as error:
        raise FormatError(f"caps: {error}") from None
    if b"\0" in text:
        raise FormatError(f"caps: {message('contains_nul')}")
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
    """Read a blob, which any process may have written. Reading stops at the first truncated part.

    Args:
        buffer: The blob: bytes, or a memoryview of bytes.

    Returns:
        The caps, unchecked (`parse_caps` checks them). None if the blob has no caps, or if they contain NUL or are not
        UTF-8. Also up to 64 meta records, copied and undecoded (`decode_meta` decodes them). Invalid content never
        raises an error.
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
    """Return the length-prefixed bytes at `at` and the position after them; None if they are truncated."""
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
