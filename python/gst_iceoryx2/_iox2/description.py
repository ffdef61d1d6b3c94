"""Read iceoryx2's service descriptions: ``<root>/services/*.service``, one TOML file each.

This package finds services by reading these files, which has no side effects. iceoryx2's own listing opens the lock
files of nodes. Closing any descriptor of such a file drops the POSIX locks of the whole process, including those of a
second copy of iceoryx2 (the GStreamer plugin). This module does not import iceoryx2.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .domain import Domain, Scalar, read_toml

FINISHED_MODE: Final = 0o400
"""Mode of a finished file. Source: iceoryx2-cal/src/static_storage/file.rs."""


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """The contents of a service description.

    Attributes:
        name: Name of the service.
        pattern: iceoryx2's messaging pattern, such as "PublishSubscribe" or "Event".
        version: iceoryx2 release that created the service, such as "0.10.0"; "0.9 or older" if the file does not state
            it.
        values: Dict from dotted key to value, for all values in the file.
    """

    name: str
    pattern: str
    version: str
    values: Mapping[str, Scalar]

    @property
    def service_id(self) -> int | None:
        """ID of the service in the names of shared memory objects."""
        high, low = (self.values.get(f"unique_service_id.{part}") for part in ("unique_value", "payload_value"))
        return high << 64 | low if isinstance(high, int) and isinstance(low, int) else None

    def type_of(self, part: Literal["payload", "user_header"]) -> str:
        """Describe the type of the payload or user header, for example "slices of u8 (1 byte, alignment 1)"."""
        path = f"messaging_pattern.{self.pattern}.message_type_details.{part}"
        name, size, align = (self.values.get(f"{path}.{key}", "?") for key in ("type_name", "size", "alignment"))
        slices = "slices of " if self.values.get(f"{path}.variant") == "Dynamic" else ""
        return f"{slices}{name} ({size} byte{'' if size == 1 else 's'}, alignment {align})"


def read_service(path: str | Path) -> ServiceRecord | None:
    """Read one service description.

    Returns:
        The contents; None if the file does not exist, is unfinished, or is not a description.
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
    # Releases before 0.10 do not write a version.
    version = "0.9 or older" if None in numbers else ".".join(map(str, numbers))
    return ServiceRecord(name, patterns.pop(), version, values)


def list_services(domain: Domain) -> Iterator[ServiceRecord]:
    """Yield every finished service description of a domain, sorted by file name."""
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
    """Return the inode and modification time of a description. They change when the service is created again.

    This only costs one `stat` call. It protects callers from opening a service with an unfinished description, which
    would block for a second.

    Args:
        path: Path of the description, from `Domain.service_file`.

    Returns:
        Inode and modification time; None if the description does not exist or is unfinished.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    if stat.S_IMODE(status.st_mode) != FINISHED_MODE:
        return None
    return status.st_ino, status.st_mtime_ns
