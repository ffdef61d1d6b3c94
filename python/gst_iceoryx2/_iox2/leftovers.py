"""Find and remove the leftovers of a domain's dead nodes, using the IDs in their tags.

Each node has a folder with a tag for each of its services and ports. iceoryx2 0.10.0 creates the tag before the service
or port and removes it last. There is one exception: when a service ends, its tag is removed just before its memory and
its description. A node is dead if no process holds the lock on its monitor file; this check also works across pid
namespaces.

Other files are kept, because their owner cannot be determined: names in /dev/shm do not contain the owner's folder, and
processes in other pid namespaces or of other users are not visible.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path
from typing import Final, NamedTuple

from ..contract import seconds
from .description import ServiceRecord, read_service
from .domain import Domain
from .explain import RELEASE
from .files import Identity, identity, names, remove
from .liveness import dead_nodes, folder_of, is_old, monitors, node_ids, pid_of
from .objects import objects
from .tags import PORT_TAG, SERVICE_TAG, tags_of

# A participant that is waiting for a service's memory renews its tag every 25 ms. Source: iceoryx2/src/config.rs.
_TAG_IS_RENEWED: Final = seconds("tag_renewal")


class _Description(NamedTuple):
    """A service description; `record` is None if it is unfinished or cannot be read."""

    path: Path
    status: os.stat_result
    record: ServiceRecord | None

    @property
    def is_finished(self) -> bool:
        return not self.status.st_mode & stat.S_IWUSR

    @property
    def service_id(self) -> int | None:
        """ID of the service in the names of shared memory objects."""
        return None if self.record is None or self.record.version != RELEASE else self.record.service_id

    def remove(self, domain: Domain) -> None:
        """Remove the description and the memory of its service, unless the file has been replaced."""
        with contextlib.suppress(OSError):
            if identity(self.path.lstat()) == identity(self.status):
                remove(item.path for item in objects(domain) if item.ids == (self.service_id,))
                remove([self.path])


class Remains:
    """A snapshot of the leftovers of a domain's dead nodes.

    Attributes:
        dead: IDs of the dead nodes that may be removed.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        # Read descriptions before tags, so that the tag of each description already exists.
        self._descriptions = _descriptions(domain)
        dead = set(dead_nodes(domain))
        nodes = {node: tags_of(node, domain) for node in node_ids(domain)}
        self.dead = nodes.keys() & dead
        self._nodes = {node: nodes[node] for node in self.dead}
        self._used: dict[str, set[tuple[int, Identity]]] = {}
        for node in nodes.keys() - self.dead:
            for digest, tag in nodes[node].services.items():
                self._used.setdefault(digest, set()).add((node, tag))
        self._keep_what_is_elsewhere()

    def _keep_what_is_elsewhere(self) -> None:
        """Keep the dead nodes of a container with a different /dev/shm, where their services may be alive.

        iceoryx2 would mistake such a service for a half-created one and remove its description.
        """
        there = {number for item in objects(self._domain) if item.is_finished for number in item.ids}
        doubtful = {
            digest
            for digest, description in self._descriptions.items()
            if digest in self._used and description.service_id is not None and description.service_id not in there
        }
        if not any(doubtful & node.services.keys() for node in self._nodes.values()):
            return
        # A live node either uses the service, or waits for it in this /dev/shm and renews its tag.
        time.sleep(_TAG_IS_RENEWED)
        used = {
            digest
            for digest in doubtful
            for node, tag in self._used[digest]
            if tags_of(node, self._domain).services.get(digest) == tag
        }
        self.dead = {node for node in self.dead if not used & self._nodes[node].services.keys()}

    def remove_before(self) -> None:
        """Remove files that would block iceoryx2's own clean-up or that it forgets."""
        nodes = [self._nodes[node] for node in self.dead]
        ports: set[int] = set().union(*(node.ports for node in nodes))
        digests = {digest for node in nodes for digest in node.services if digest not in self._used}
        services: set[int | None] = set()
        for digest, description in self._descriptions.items():
            if digest in digests and description.is_finished:
                services.add(description.service_id)
            elif digest in digests or self._has_ended(digest, description):
                description.remove(self._domain)
        for item in objects(self._domain):
            # When iceoryx2 runs as root, it waits indefinitely for such unsized memory to get a size.
            is_unsized = not item.is_finished and item.status.st_size == 0
            if (is_unsized or item.path.suffix == ".event_mgmt") and (ports | services).intersection(item.ids):
                remove([item.path])
        # The service's clean-up misses a listener that it has not counted yet.
        remove(Path(self._domain.root, f"{self._domain.prefix}{port}.event") for port in ports)
        remove(path for node in nodes for path in node.unfinished)

    def _has_ended(self, digest: str, description: _Description) -> bool:
        """Return whether a process died while ending a service: its tag is gone, but its description still exists."""
        record, service_id = description.record, description.service_id
        is_tagged = digest in self._used or any(digest in node.services for node in self._nodes.values())
        if is_tagged or not description.is_finished or record is None or service_id is None:
            return False
        if not any(item.ids == (service_id,) for item in objects(self._domain)):
            return True
        # The service's memory still exists, so the node also exists. It belongs to the process that created the service
        # or to one that used a service with the same name.
        digests = {_digest(self._domain, file) for file in self._domain.service_files(record.name)}
        return any(
            digests & self._nodes[node].services.keys() or pid_of(node) == pid_of(service_id) for node in self.dead
        )

    def remove_nodes(self) -> None:
        """Remove the remaining files of the dead nodes themselves.

        A node that still has a tag is kept, because the service or port that the tag names still exists.
        """
        for node in self.dead:
            folder = folder_of(node, self._domain)
            left = names(folder)
            if not any(name.endswith((SERVICE_TAG, PORT_TAG)) for name in left):
                remove(folder / name for name in left)
                with contextlib.suppress(OSError):
                    folder.rmdir()
                remove(monitors(node, self._domain))
        self._remove_connections()

    def _remove_connections(self) -> None:
        """Remove connections without a tag for either port. iceoryx2 forgets them if a port died while joining."""
        ports: set[int] = set().union(*(self._nodes[node].ports for node in self.dead))
        found = [item for item in objects(self._domain) if len(item.ids) == 2 and ports.intersection(item.ids)]
        if found:
            there: set[int] = set().union(*(tags_of(node, self._domain).ports for node in node_ids(self._domain)))
            remove(item.path for item in found if not there.intersection(item.ids))


def unused_descriptions(domain: Domain) -> list[_Description]:
    """Return descriptions without a tag in any node of the domain, live or dead, unless they are being created."""
    found = _descriptions(domain)
    tagged = {digest for node in node_ids(domain) for digest in tags_of(node, domain).services}
    return [
        description
        for digest, description in found.items()
        if digest not in tagged
        and is_old(description.status)
        and (not description.is_finished or description.service_id is not None)
    ]


def remove_unused_descriptions(domain: Domain) -> None:
    """Remove `unused_descriptions` and their shared memory."""
    for description in unused_descriptions(domain):
        description.remove(domain)


def unknown_memory(domain: Domain) -> list[os.stat_result]:
    """Return shared memory with the domain's prefix that does not belong to any node or service in its folder."""
    known = {description.service_id for description in _descriptions(domain).values()}
    for node in node_ids(domain):
        known |= tags_of(node, domain).ports
    return [item.status for item in objects(domain) if item.ids and not known.intersection(item.ids)]


def services_without_memory(domain: Domain) -> set[str]:
    """Return the names of services that a live node uses, but whose memory is not in this /dev/shm."""
    # The order of these reads matters, because a service that is ending loses its tag first.
    descriptions = _descriptions(domain)
    there = {number for item in objects(domain) for number in item.ids}
    living = node_ids(domain).keys() - dead_nodes(domain)
    used = {digest for node in living for digest in tags_of(node, domain).services}
    return {
        found.record.name
        for digest, found in descriptions.items()
        if digest in used and found.is_finished and found.record and found.service_id not in there | {None}
    }


def _descriptions(domain: Domain) -> dict[str, _Description]:
    """Return all service descriptions by the hash that the names of their tags contain."""
    found = {}
    for name in names(domain.services):
        path = domain.services / name
        if name.startswith(domain.prefix) and name.endswith(".service"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found[_digest(domain, name)] = _Description(path, status, read_service(path))
    return found


def _digest(domain: Domain, path: str) -> str:
    return os.path.basename(path).removeprefix(domain.prefix).removesuffix(".service")
