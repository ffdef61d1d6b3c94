"""Which iceoryx2 domain this process uses, and what its files say; no iceoryx2 needed.

A domain is a root path and a file name prefix. Services are described in ``<root>/services/*.service`` as TOML. Reading
these files is how services are found: iceoryx2's own listing opens the lock files of nodes, and closing any descriptor
of such a file drops the POSIX locks of the whole process, those of a second copy of iceoryx2 (the plugin) included.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from .._contract import limit
from ..errors import DomainError
from .toml import Scalar, read_toml

DOMAIN_VARIABLE: Final = "IOX2_VIDEO_DOMAIN"
DEFAULT_ROOT: Final = "/tmp/iceoryx2"
DEFAULT_PREFIX: Final = "iox2_"

_FORBIDDEN: Final = '<>"|?*'
"""Characters that iceoryx2 takes in no path on any system, besides control characters and what is not ASCII. Source:
iceoryx2-bb/system-types/src/path.rs and container/src/string/mod.rs."""

MAX_ROOT_BYTES: Final = limit("max_domain_root_bytes")
"""A socket `<root>/<prefix><30 digits>.event` must fit the 108 bytes of sockaddr_un. Source: unix(7)."""

FINISHED_MODE: Final = 0o400
"""Mode of a file that its creator has finished. Source: iceoryx2-cal/src/static_storage/file.rs."""

Pattern: TypeAlias = Literal["PublishSubscribe", "Event"]
# The number that goes into a service's hash. Source: iceoryx2/src/service/messaging_pattern.rs.
_PATTERN_NUMBER: Final[Mapping[Pattern, int]] = {"PublishSubscribe": 0, "Event": 1}


@dataclass(frozen=True, slots=True)
class Domain:
    """Where the participants that can see each other keep their files.

    Attributes:
        root: Absolute path, at most 65 bytes.
        prefix: Begins the name of every file and shared memory object.
        config_file: The iceoryx2 configuration that gave the values; None where there is none.
        service_dir: Folder of the service descriptions, below `root`.
        node_dir: Folder of the nodes, below `root`.
    """

    root: str = DEFAULT_ROOT
    prefix: str = DEFAULT_PREFIX
    config_file: str | None = None
    service_dir: str = "services"
    node_dir: str = "nodes"

    def __post_init__(self) -> None:
        size = len(os.fsencode(self.root))
        if not os.path.isabs(self.root):
            raise DomainError(f"the root path {_quoted(self.root)} of the iceoryx2 domain is not absolute")
        if size > MAX_ROOT_BYTES:
            raise DomainError(
                f"the root path {_quoted(self.root)} of the iceoryx2 domain has {size} bytes, at most {MAX_ROOT_BYTES} "
                "are usable (the names of sockets below it are limited to 108): choose a shorter one"
            )
        _check_characters("root path", self.root, _FORBIDDEN)
        if not self.prefix:
            raise DomainError("the prefix of the iceoryx2 domain is empty: give one such as iox2_")
        _check_characters("prefix", self.prefix, _FORBIDDEN + "/\\")

    @property
    def services(self) -> Path:
        """Folder of the service descriptions."""
        return Path(self.root, self.service_dir)

    @property
    def nodes(self) -> Path:
        """Folder of the nodes."""
        return Path(self.root, self.node_dir)

    def service_file(self, name: str, pattern: Pattern) -> str:
        """Path at which a service is described while it exists."""
        digest = hashlib.sha1(f"{_PATTERN_NUMBER[pattern]}{name}".encode(), usedforsecurity=False).hexdigest()
        return f"{self.root}/{self.service_dir}/{self.prefix}{digest}.service"


def _quoted(text: str) -> str:
    """As Rust quotes it, so that both languages tell a fault alike."""
    return json.dumps(text, ensure_ascii=False)


def _check_characters(what: str, text: str, forbidden: str) -> None:
    for character in text:
        if not (character.isascii() and character.isprintable()) or character in forbidden:
            raise DomainError(
                f"the {what} {_quoted(text)} of the iceoryx2 domain contains {character!r}: iceoryx2 takes printable "
                f"ASCII without {' '.join(forbidden)} there: choose another one"
            )


def current_domain(environ: Mapping[str, str] = os.environ) -> Domain:
    """The domain of this process, as SPEC.md section 1 has it.

    ``IOX2_VIDEO_DOMAIN=ROOT[:PREFIX]`` goes before ``~/.config/iceoryx2/iceoryx2.toml``, that before
    ``/etc/iceoryx2/iceoryx2.toml``; ``config/iceoryx2.toml`` in the working directory is not read.

    Raises:
        DomainError: The variable or a file says something unusable.
    """
    domain = _configured(environ)
    value = environ.get(DOMAIN_VARIABLE)
    if value:
        root, colon, prefix = value.rpartition(":")
        if not colon:
            root, prefix = value, domain.prefix
        return Domain(root, prefix, domain.config_file, domain.service_dir, domain.node_dir)
    return domain


def _configured(environ: Mapping[str, str]) -> Domain:
    home = environ.get("HOME")
    folders = [Path(home, ".config")] if home else []
    for folder in (*folders, Path("/etc")):
        file = folder / "iceoryx2" / "iceoryx2.toml"
        # A file that cannot be reached is not there for this process: its home may be closed to it (systemd's
        # ProtectHome, HOME=/root after setuid), or on a disk that is gone.
        if not os.path.isfile(file):
            continue
        try:
            values = read_toml(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise DomainError(f"the iceoryx2 configuration {file} cannot be read: {exc}") from exc
        _check_characters("configuration file", str(file), _FORBIDDEN)

        def text(key: str, default: str, values: Mapping[str, Scalar] = values) -> str:
            return str(values.get(f"global.{key}", default))

        return Domain(
            text("root-path", DEFAULT_ROOT).rstrip("/") or "/",
            text("prefix", DEFAULT_PREFIX),
            str(file),
            text("service.directory", "services"),
            text("node.directory", "nodes"),
        )
    return Domain()


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
        values = read_toml(Path(path).read_text(encoding="utf-8"))
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
