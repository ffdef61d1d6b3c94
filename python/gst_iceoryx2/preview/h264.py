"""What a browser must know about H.264 before it decodes a stream."""

from __future__ import annotations

import re
from typing import Final

# A sequence parameter set behind its start code: profile, constraints, level (ITU-T H.264 sections 7.3.1 and 7.3.2.1).
_SPS: Final = re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67](...)", re.DOTALL)
_START_CODES: Final = (b"\0\0\1", b"\0\0\0\1")


def codec_string(keyframe: bytes) -> str | None:
    """Return the codec of a keyframe as browsers name it, such as `avc1.64001f` (RFC 6381 section 3.3).

    Args:
        keyframe: An access unit in byte-stream format.

    Returns:
        The name; None if the access unit has no sequence parameter set.
    """
    found = _SPS.search(keyframe)
    return None if found is None else f"avc1.{found[1].hex()}"


def is_byte_stream(packet: bytes) -> bool:
    """Return whether a packet begins with a start code."""
    return packet.startswith(_START_CODES)
