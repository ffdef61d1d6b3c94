"""Which iceoryx2 domain this process uses: a root path and a prefix of file names. Needs no iceoryx2."""

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
"""Characters that iceoryx2 takes in no path on any system, besides control characters and what is not ASCII. Source:
iceoryx2-bb/system-types/src/path.rs and container/src/string/mod.rs."""

MAX_ROOT_BYTES: Final = limit("max_domain_root_bytes")
"""A socket `<root>/<prefix><30 digits>.event` must fit the 108 bytes of sockaddr_un. Source: unix(7)."""

Scalar: TypeAlias = str | int | float | bool
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
            raise DomainError(message("relative_root", text=self.root))
        if size > MAX_ROOT_BYTES:
            raise DomainError(message("long_root", text=self.root, size=size, most=MAX_ROOT_BYTES))
        _check_characters("root path", self.root, _FORBIDDEN)
        if not self.prefix:
            raise DomainError(message("empty_prefix"))
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


def _check_characters(what: str, text: str, forbidden: str) -> None:
    for character in text:
        if not (character.isascii() and character.isprintable()) or character in forbidden:
            raise DomainError(
                message("domain_contains", what=what, text=text, character=character, forbidden=forbidden)
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
    folders = (*([Path(home, ".config")] if home else []), Path("/etc"))
    # A file that cannot be reached does not count: the home may be closed to this process (systemd's ProtectHome,
    # HOME=/root after setuid), or on a disk that is gone.
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


def read_toml(path: str | Path) -> dict[str, Scalar]:
    """Read the scalars of a TOML file under dotted keys; lists and dates are left out.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not TOML in UTF-8.
    """
    try:
        return dict(_scalars(tomllib.loads(Path(path).read_text(encoding="utf-8")), ""))
    except RecursionError as exc:
        raise ValueError("its values are nested too deeply") from exc


def _scalars(table: Mapping[str, Any], path: str) -> Iterator[tuple[str, Scalar]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{path}{key}.")
        elif isinstance(value, Scalar):
            yield path + key, value
