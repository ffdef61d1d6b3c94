"""The iceoryx2 domain of this process: a root path and a prefix for file names. Does not import iceoryx2."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ..contract import limit, message
from ..errors import DomainError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOMAIN_VARIABLE: Final = "IOX2_VIDEO_DOMAIN"
DEFAULT_ROOT: Final = "/tmp/iceoryx2"
DEFAULT_PREFIX: Final = "iox2_"

_FORBIDDEN: Final = '<>"|?*'
"""Characters that iceoryx2 does not accept in paths, in addition to control characters and non-ASCII characters.
Source: iceoryx2-bb/system-types/src/path.rs and container/src/string/mod.rs."""

MAX_ROOT_BYTES: Final = limit("max_domain_root_bytes")
"""A socket name `<root>/<prefix><30 digits>.event` must fit into the 108 bytes of sockaddr_un. Source: unix(7)."""

Scalar: TypeAlias = str | int | float | bool
Pattern: TypeAlias = Literal["PublishSubscribe", "Event"]
# Number that is hashed together with a service's name. Source: iceoryx2/src/service/messaging_pattern.rs.
_PATTERN_NUMBER: Final[Mapping[Pattern, int]] = {"PublishSubscribe": 0, "Event": 1}


@dataclass(frozen=True, slots=True)
class Domain:
    """The place where iceoryx2 participants keep their files; only participants in the same domain see each other.

    Attributes:
        root: Absolute path, at most 65 bytes.
        prefix: Start of the name of every file and shared memory object.
        config_file: Path of the iceoryx2 configuration that set the values; None if there is none.
        service_dir: Folder for service descriptions, relative to `root`.
        node_dir: Folder for nodes, relative to `root`.
    """

    root: str = DEFAULT_ROOT
    prefix: str = DEFAULT_PREFIX
    config_file: str | None = None
    service_dir: str = "services"
    node_dir: str = "nodes"

    def __post_init__(self) -> None:
        size = len(os.fsencode(self.root))
        if not os.path.isabs(self.root):
            raise DomainError(message("relative_root", text=self.root))
        if size > MAX_ROOT_BYTES:
            raise DomainError(message("long_root", text=self.root, size=size, most=MAX_ROOT_BYTES))
        _check_characters("root path", self.root, _FORBIDDEN)
        if not self.prefix:
            raise DomainError(message("empty_prefix"))
        _check_characters("prefix", self.prefix, _FORBIDDEN + "/\\")

    @property
    def services(self) -> Path:
        """Path of the folder for service descriptions."""
        return Path(self.root, self.service_dir)

    @property
    def nodes(self) -> Path:
        """Path of the folder for nodes."""
        return Path(self.root, self.node_dir)

    def service_file(self, name: str, pattern: Pattern) -> str:
        """Return the path of the file that describes a service while it exists."""
        digest = hashlib.sha1(f"{_PATTERN_NUMBER[pattern]}{name}".encode(), usedforsecurity=False).hexdigest()
        return f"{self.root}/{self.service_dir}/{self.prefix}{digest}.service"

    def service_files(self, name: str) -> tuple[str, ...]:
        """Return the paths of the files that describe the video service and the event service with this name."""
        return tuple(self.service_file(name, pattern) for pattern in _PATTERN_NUMBER)


def _check_characters(what: str, text: str, forbidden: str) -> None:
    for character in text:
        if not (character.isascii() and character.isprintable()) or character in forbidden:
            raise DomainError(
                message("domain_contains", what=what, text=text, character=character, forbidden=forbidden)
            )


def current_domain(environ: Mapping[str, str] = os.environ) -> Domain:
    """Return the domain of this process, as specified in SPEC.md section 1.

    ``IOX2_VIDEO_DOMAIN=ROOT[:PREFIX]`` takes precedence over ``~/.config/iceoryx2/iceoryx2.toml``, and this file over
    ``/etc/iceoryx2/iceoryx2.toml``. ``config/iceoryx2.toml`` in the working directory is not read.

    Raises:
        DomainError: The variable or a configuration file cannot be used.
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
    folders = (*([Path(home, ".config")] if home else []), Path("/etc"))
    # Files that cannot be accessed are skipped. This process may have no access to its home (systemd's ProtectHome,
    # HOME=/root after setuid), or the disk may be gone.
    files = (folder / "iceoryx2" / "iceoryx2.toml" for folder in folders)
    file = next(filter(os.path.isfile, files), None)
    if file is None:
        return Domain()
    try:
        values = read_toml(file)
    except (OSError, ValueError) as exc:
        raise DomainError(message("no_configuration", file=file, cause=exc)) from exc
    _check_characters("configuration path", str(file), _FORBIDDEN)

    def setting(key: str, default: str) -> str:
        return str(values.get(f"global.{key}", default))

    return Domain(
        setting("root-path", DEFAULT_ROOT).rstrip("/") or "/",
        setting("prefix", DEFAULT_PREFIX),
        str(file),
        setting("service.directory", "services"),
        setting("node.directory", "nodes"),
    )


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document into dicts and lists.

    Raises:
        ValueError: The text is not valid TOML; the message ends with "(at line 2, column 7)" or "(at end of document)".
    """
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ValueError("its values are nested too deeply") from exc


def read_toml(path: str | Path) -> dict[str, Scalar]:
    """Read a TOML file into a flat dict with dotted keys; lists and dates are skipped.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not valid TOML in UTF-8.
    """
    return dict(_scalars(parse_toml(Path(path).read_text(encoding="utf-8")), ""))


def _scalars(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Scalar]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{path}{key}.")
        elif isinstance(value, Scalar):
            yield path + key, value
