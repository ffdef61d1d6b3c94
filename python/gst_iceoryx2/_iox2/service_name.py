"""The rule for service names. This module does not import iceoryx2."""

from __future__ import annotations

import re
from typing import Final

from ..contract import contract, limit, message
from ..errors import InvalidServiceNameError

MAX_NAME_BYTES: Final = limit("max_service_name_bytes")

_ENCODED: Final = re.compile(
    f"video/(.+)@({contract('layout')['constants']['CODECS'].replace(' ', '|')})/(frame/v2|packet/v1)"
)
"""Names of encoded streams: `video/cam0@h264/packet/v1`, and the name of frames `video/cam0@h264/frame/v2`, which is
reserved for them (SPEC.md section 1).
"""

_RESULTS: Final = re.compile(r"video/.+/results/[A-Za-z0-9_.-]{1,64}/v1")


def check_service_name(name: str) -> str:
    """Return the name if it is a valid name for a service of frames.

    Raises:
        InvalidServiceNameError: The name is not a str, is empty, is longer than 255 bytes, is not printable ASCII, or
            is reserved for an encoded stream.
    """
    check_name(name)
    encoded = _ENCODED.fullmatch(name)
    if encoded is not None:
        source, codec, _ = encoded.groups()
        raise _invalid(name, message("name_of_packets", codec=codec), message("packets_advice", source=source))
    return name


def is_packet_service(name: str) -> bool:
    """Return whether a full name is that of a service of packets."""
    encoded = _ENCODED.fullmatch(name)
    return encoded is not None and encoded[3] == "packet/v1"


def is_results_service(name: str) -> bool:
    """Return whether a full name is that of a service of results."""
    return _RESULTS.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return the name if it is a valid name for a service of frames, packets or results.

    Raises:
        InvalidServiceNameError: The name is not a str, is empty, is longer than 255 bytes, or is not printable ASCII.
    """
    if not isinstance(name, str):
        raise InvalidServiceNameError(f"a service name must be a str, not {type(name).__name__} ({name!r})")
    if not name:
        raise _invalid(name, message("name_is_empty"))
    length = len(name.encode(errors="surrogatepass"))
    if length > MAX_NAME_BYTES:
        raise _invalid(name, message("name_is_long", length=length))
    wrong = next((c for c in name if not " " <= c <= "~"), None)
    if wrong is not None:
        raise _invalid(name, message("name_contains", character=wrong))
    return name


def _invalid(name: str, reason: str, advice: str | None = None) -> InvalidServiceNameError:
    advice = message("name_advice", most=MAX_NAME_BYTES) if advice is None else advice
    return InvalidServiceNameError(message("invalid_name", name=name, reason=reason, advice=advice))
