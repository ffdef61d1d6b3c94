"""The rule for names of services. Needs no iceoryx2."""

from __future__ import annotations

from typing import Final

from ..contract import limit
from ..errors import InvalidServiceNameError

MAX_NAME_BYTES: Final = limit("max_service_name_bytes")


def check_service_name(name: str) -> str:
    """Return the name if a service can have it.

    Raises:
        InvalidServiceNameError: It is empty, longer than 255 bytes, or not printable ASCII.
    """
    if not isinstance(name, str):
        raise InvalidServiceNameError(f"a service name is a str, not {type(name).__name__} ({name!r})")
    if not name:
        raise InvalidServiceNameError("the service name is empty; a good one looks like 'video/cam0/frame/v2'")
    if len(name) > MAX_NAME_BYTES:
        raise InvalidServiceNameError(
            f"the service name {name[:40]!r}… has {len(name)} bytes, at most {MAX_NAME_BYTES} are possible"
        )
    wrong = next((c for c in name if not " " <= c <= "~"), None)
    if wrong is not None:
        raise InvalidServiceNameError(f"the service name {name!r} contains {wrong!r}; it must be printable ASCII")
    return name
