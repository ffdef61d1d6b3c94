"""The rule for service names. This module does not import iceoryx2."""

from __future__ import annotations

from typing import Final

from ..contract import limit, message
from ..errors import InvalidServiceNameError

MAX_NAME_BYTES: Final = limit("max_service_name_bytes")


def check_service_name(name: str) -> str:
    """Return the name if it is a valid service name.

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


def _invalid(name: str, reason: str) -> InvalidServiceNameError:
    return InvalidServiceNameError(message("invalid_name", name=name, reason=reason, most=MAX_NAME_BYTES))
