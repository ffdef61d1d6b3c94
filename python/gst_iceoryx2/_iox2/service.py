"""Names of services, and the descriptions that iceoryx2 writes: ``<root>/services/*.service``, one TOML text each.

This package finds services by reading these files, which is harmless. iceoryx2's own listing opens the lock files of
nodes. Closing any descriptor of such a file drops the POSIX locks of the whole process, including those of a second
copy of iceoryx2 (the GStreamer plugin). Needs no iceoryx2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..contract import limit, message
from ..errors import InvalidServiceNameError
from .domain import Domain, Scalar, read_toml

MAX_NAME_BYTES: Final = limit("max_service_name_bytes")

FINISHED_MODE: Final = 0o400
"""Mode of a file that its creator has finished. Source: iceoryx2-cal/src/static_storage/file.rs."""


def check_service_name(name: str) -> str:
    """Return a name that can name a service.

    Raises:
        InvalidServiceNameError: It is empty, longer than 255 bytes or not printable ASCII.
    """
    if not isinstance(name, str):
        raise InvalidServiceNameError(f"a service name is a str, not {type(name).__name__} ({name!r})")
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


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """What a service's description says.

    Attributes:
        name: Name of the service.
        pattern: iceoryx2's messaging pattern: "PublishSubscribe", "Event", ….
        version: Release of iceoryx2 that made it, "0.10.0"; "0.9 or older" where the file does not tell.
        values: All values of the file under dotted keys.
    """

    name: str
    pattern: str
    version: str
    values: Mapping[str, Scalar]

    def type_of(self, part: Literal["payload", "user_header"]) -> str:
        """What the service carries as payload or user header, in words: "u8 of 1 byte, alignment 8"."""
        path = f"messaging_pattern.{self.pattern}.message_type_details.{part}"
        name, size, align = (self.values.get(f"{path}.{key}", "?") for key in ("type_name", "size", "alignment"))
        slices = "slices of " if self.values.get(f"{path}.variant") == "Dynamic" else ""
        return f"{slices}{name} ({size} bytes, alignment {align})"


def read_service(path: str | Path) -> ServiceRecord | None:
    """Read one service description.

    Returns:
        What it says; None if the file has gone, is not finished yet, or is no description.
    """
    try:
        values = read_toml(path)
    except (OSError, ValueError):
        return None
    name = values.get("service_name")
    patterns = {key.split(".")[1] for key in values if key.startswith("messaging_pattern.")}
    if not isinstance(name, str) or len(patterns) != 1:
        return None
    numbers = [values.get(f"iceoryx2_version.{part}") for part in ("major", "minor", "patch")]
    # Releases before 0.10 wrote no version into the file.
    version = "0.9 or older" if None in numbers else ".".join(map(str, numbers))
    return ServiceRecord(name, patterns.pop(), version, values)


def list_services(domain: Domain) -> Iterator[ServiceRecord]:
    """Every finished service description of a domain, in the order of its file names."""
    try:
        names = sorted(os.listdir(domain.services))
    except (FileNotFoundError, PermissionError):
        return
    for name in names:
        if name.startswith(domain.prefix) and name.endswith(".service"):
            record = read_service(domain.services / name)
            if record is not None:
                yield record


def service_identity(path: str) -> tuple[int, int] | None:
    """What tells this incarnation of a service from the next one of its name; None while it is not there or unfinished.

    Costs one stat. Opening a description that its creator has not finished would block for a second.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    if stat.S_IMODE(status.st_mode) != FINISHED_MODE:
        return None
    return status.st_ino, status.st_mtime_ns
