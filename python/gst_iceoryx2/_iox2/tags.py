"""The tags of a node. A node's folder contains one tag for each of its services and ports."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Final, NamedTuple

from .domain import Domain
from .files import Identity, identity, names
from .liveness import folder_of

SERVICE_TAG: Final = ".service_tag"
PORT_TAG: Final = ".port_tag"


class Tags(NamedTuple):
    """The tags of a node.

    Attributes:
        services: Dict from the hash of a service to the identity of its tag.
        ports: IDs of the ports.
        unfinished: Paths of unfinished tags, whose service or port does not exist.
    """

    services: dict[str, Identity]
    ports: set[int]
    unfinished: list[Path]


def tags_of(node: int, domain: Domain) -> Tags:
    """Return the tags in a node's folder."""
    tags = Tags({}, set(), [])
    folder = folder_of(node, domain)
    for name in names(folder):
        with contextlib.suppress(OSError):
            status = (folder / name).lstat()
            word = name.removeprefix(domain.prefix).partition(".")[0]
            if name.endswith(SERVICE_TAG):
                tags.services[word] = identity(status)
            elif name.endswith(PORT_TAG) and word.isdecimal():
                tags.ports.add(int(word))
            else:
                continue
            if status.st_mode & stat.S_IWUSR:
                tags.unfinished.append(folder / name)
    return tags
