"""What dead nodes of a domain left, found by the ids in their tags; the twin of crates/core/src/iox2/leftovers.rs.

Each node has a folder with a tag for each of its services and ports. iceoryx2 0.10.0 makes the tag first, and removes
it last. Only a service that ends loses its tag just before its memory and its description. A node is dead if nobody
holds the lock on its monitor, which tells across pid namespaces.

Nothing else is removed, because nothing else can be known. Names in /dev/shm do not tell the folder of their owner, and
processes of other users and pid namespaces cannot be seen.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .._contract import seconds
from .domain import Domain, Pattern
from .explain import RELEASE
from .liveness import forget_ended, is_gone, is_old
from .service import ServiceRecord, read_service

SHARED_MEMORY: Final = Path("/dev/shm")

# Mode of shared memory that is being made. Source: iceoryx2-cal/src/dynamic_storage/posix_shared_memory.rs.
_IN_THE_MAKING: Final = 0o200
# A participant that waits for a service's memory renews its tag every 25 ms. Source: iceoryx2/src/config.rs.
_TAG_IS_RENEWED: Final = seconds("tag_renewal")
# How long the counter of nodes is waited for: longer than until it counts as left behind.
_COUNTER_PATIENCE: Final = seconds("node_counter_timeout")
# The object that counts the nodes of a prefix, by its usual name: the hash is that of the type in it.
_COUNTER: Final = f"9204dd183d1c4d8e1ff592a30766ffa6765aa8b5_node.{RELEASE.replace('.', '_')}.global_mgmt"
_SERVICE_TAG, _PORT_TAG = ".service_tag", ".port_tag"

_Identity = tuple[int, int, int]


class _Object(NamedTuple):
    """A shared memory object whose name has iceoryx2's exact form.

    Attributes:
        path: Where it is.
        status: Its status.
        ids: Ids of the service or the ports in its name; empty for the counter that all nodes of a prefix share.
    """

    path: Path
    status: os.stat_result
    ids: tuple[str, ...]

    @property
    def is_finished(self) -> bool:
        return stat.S_IMODE(self.status.st_mode) != _IN_THE_MAKING

    @property
    def is_left_behind(self) -> bool:
        """Whether it holds nothing, and a process of this user died while it made it."""
        holds_nothing = not self.is_finished and (self.status.st_size == 0 or not self.ids)
        return holds_nothing and self.status.st_uid == os.geteuid() and is_old(self.status)


class _Node(NamedTuple):
    """The tags of a node.

    Attributes:
        services: For each service, by its hash, what tells its tag from the next one of that name.
        ports: Ids.
        unfinished: Tags that were not finished, of which nothing exists.
    """

    services: dict[str, _Identity]
    ports: set[str]
    unfinished: list[Path]


class _Description(NamedTuple):
    """A service's description; `record` is None while it is not finished, or if it cannot be read."""

    path: Path
    status: os.stat_result
    record: ServiceRecord | None

    @property
    def is_finished(self) -> bool:
        return not self.status.st_mode & stat.S_IWUSR

    @property
    def number(self) -> int | None:
        """Id of the service in names of shared memory."""
        values = {} if self.record is None or self.record.version != RELEASE else self.record.values
        high, low = (values.get(f"unique_service_id.{part}") for part in ("unique_value", "payload_value"))
        return high << 64 | low if isinstance(high, int) and isinstance(low, int) else None

    def remove(self, domain: Domain) -> int:
        """Remove it with the memory of its service, if it is still the same file; return how many files."""
        with contextlib.suppress(OSError):
            if _identity(self.path.lstat()) == _identity(self.status):
                memory = _remove(item.path for item in objects(domain) if item.ids == (str(self.number),))
                self.path.unlink()
                return memory + 1
        return 0


class Remains:
    """What the dead nodes of a domain left, as it was at one moment.

    Attributes:
        dead: Ids of the dead nodes that may be removed.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        # Descriptions before tags: the tag of each description is there by then.
        self._descriptions = _descriptions(domain)
        dead = dead_nodes(domain)
        nodes = {identifier: _node(domain, identifier) for identifier in _node_ids(domain)}
        self.dead = nodes.keys() & dead
        self._nodes = {identifier: nodes[identifier] for identifier in self.dead}
        self._used: dict[str, set[tuple[str, _Identity]]] = {}
        for identifier in nodes.keys() - self.dead:
            for digest, identity in nodes[identifier].services.items():
                self._used.setdefault(digest, set()).add((identifier, identity))
        self._leave_what_is_elsewhere()

    def _leave_what_is_elsewhere(self) -> None:
        """Leave out the nodes of a container with another /dev/shm, where a service of theirs may live.

        iceoryx2 would take such a service for half made and remove its description.
        """
        there = {number for item in objects(self._domain) if item.is_finished for number in item.ids}
        doubtful = {
            digest
            for digest, description in self._descriptions.items()
            if digest in self._used and description.number is not None and str(description.number) not in there
        }
        if not any(doubtful & node.services.keys() for node in self._nodes.values()):
            return
        # The living either use the service, or wait for it here.
        time.sleep(_TAG_IS_RENEWED)
        used = {
            digest
            for digest in doubtful
            for identifier, identity in self._used[digest]
            if _node(self._domain, identifier).services.get(digest) == identity
        }
        self.dead = {identifier for identifier in self.dead if not used & self._nodes[identifier].services.keys()}

    def remove_before(self) -> int:
        """Remove what iceoryx2's own clean-up does not get past, or forgets; return how many files."""
        removed = 0
        nodes = [self._nodes[identifier] for identifier in self.dead]
        ports: set[str] = set().union(*(node.ports for node in nodes))
        digests = {digest for node in nodes for digest in node.services if digest not in self._used}
        services: set[str] = set()
        for digest, description in self._descriptions.items():
            if digest in digests and description.is_finished:
                services.add(str(description.number))
            elif digest in digests or self._has_ended(digest, description):
                removed += description.remove(self._domain)
        for item in objects(self._domain):
            # As root, iceoryx2 waits indefinitely for memory without a size to get one.
            is_trap = not item.is_finished and item.status.st_size == 0
            if (is_trap or item.path.suffix == ".event_mgmt") and (ports | services).intersection(item.ids):
                removed += _remove([item.path])
        # A listener that was not counted yet is not known to its service.
        removed += _remove(Path(self._domain.root, f"{self._domain.prefix}{port}.event") for port in ports)
        return removed + _remove(path for node in nodes for path in node.unfinished)

    def _has_ended(self, digest: str, description: _Description) -> bool:
        """Whether a process died while it ended a service, which loses its tag first and its description last."""
        record, number = description.record, description.number
        is_tagged = digest in self._used or any(digest in node.services for node in self._nodes.values())
        if is_tagged or not description.is_finished or record is None or number is None:
            return False
        if not any(item.ids == (str(number),) for item in objects(self._domain)):
            return True
        # It still has its memory, so the node is there: of the process that made it, or of one that used its name.
        patterns: tuple[Pattern, ...] = ("PublishSubscribe", "Event")
        names = {_digest(self._domain, self._domain.service_file(record.name, pattern)) for pattern in patterns}
        return any(
            names & self._nodes[identifier].services.keys() or _pid_of(int(identifier)) == _pid_of(number)
            for identifier in self.dead
        )

    def remove_nodes(self) -> int:
        """Remove what is left of the dead nodes themselves; return how many nodes cannot go yet.

        A node that still has a tag needs it: what the tag names is there.
        """
        failed = 0
        for identifier in self.dead:
            folder = self._domain.nodes / identifier
            if any(name.endswith((_SERVICE_TAG, _PORT_TAG)) for name in _names(folder)):
                failed += 1
                continue
            _remove(folder / name for name in _names(folder))
            with contextlib.suppress(OSError):
                folder.rmdir()
            _remove(_monitors(self._domain, identifier))
        self._remove_connections()
        return failed

    def _remove_connections(self) -> None:
        """Remove connections that no end has a tag for any more: iceoryx2 forgets one whose end died as it joined."""
        ports: set[str] = set().union(*(self._nodes[identifier].ports for identifier in self.dead))
        found = [item for item in objects(self._domain) if len(item.ids) == 2 and ports.intersection(item.ids)]
        if found:
            nodes = [_node(self._domain, identifier) for identifier in _node_ids(self._domain)]
            there: set[str] = set().union(*(node.ports for node in nodes))
            _remove(item.path for item in found if not there.intersection(item.ids))


def dead_nodes(domain: Domain) -> list[str]:
    """Ids of the nodes whose process has ended; one listing, and some ten µs for each node of another process.

    One that was killed before it had a lock is told by its age: it has nothing yet but its own files.
    """
    found = {int(identifier): has_monitor for identifier, has_monitor in _node_ids(domain).items()}
    forget_ended(found.keys())
    beginning = f"{domain.root}/{domain.node_dir}/{domain.prefix}"
    return [
        str(number)
        for number, has_monitor in found.items()
        if (is_gone(number, f"{beginning}{number}.node_monitor") if has_monitor else _is_old_node(domain, str(number)))
    ]


def remove_left_behind(domain: Domain) -> int:
    """Remove shared memory whose maker died before it was finished; return how many objects.

    The counter of nodes keeps everybody from starting, so a young one is waited for.
    """
    removed = 0
    deadline = time.monotonic() + _COUNTER_PATIENCE
    while True:
        removed += _remove(item.path for item in objects(domain) if item.is_left_behind)
        if not has_trap(domain) or time.monotonic() > deadline:
            return removed
        time.sleep(0.01)


def has_trap(domain: Domain) -> bool:
    """Whether a process of this user has not finished the counter that all nodes need: nobody can start."""
    try:
        found = [os.lstat(SHARED_MEMORY / f"{domain.prefix}{_COUNTER}")]
    except OSError:
        # It is not there yet, or a configuration gives it another name.
        found = [item.status for item in objects(domain) if not item.ids]
    me = os.geteuid()
    return any(stat.S_IMODE(status.st_mode) == _IN_THE_MAKING and status.st_uid == me for status in found)


def unused_descriptions(domain: Domain) -> list[_Description]:
    """Descriptions that no node of the domain has a tag for, living or dead, and that are not just being made."""
    found = _descriptions(domain)
    tagged = {digest for identifier in _node_ids(domain) for digest in _node(domain, identifier).services}
    return [
        description
        for digest, description in found.items()
        if digest not in tagged
        and is_old(description.status)
        and (not description.is_finished or description.number is not None)
    ]


def remove_unused_descriptions(domain: Domain) -> int:
    """Remove `unused_descriptions` with their shared memory, on request; return how many files."""
    return sum(description.remove(domain) for description in unused_descriptions(domain))


def unknown_memory(domain: Domain) -> list[os.stat_result]:
    """Shared memory with the domain's prefix that no node and no service of its folder names."""
    known = {str(description.number) for description in _descriptions(domain).values()}
    for identifier in _node_ids(domain):
        known |= _node(domain, identifier).ports
    return [item.status for item in objects(domain) if item.ids and not known.intersection(item.ids)]


def objects(domain: Domain) -> Iterator[_Object]:
    """Shared memory objects with the domain's prefix and iceoryx2's exact form of name, of whatever folder."""
    # <prefix><hash of the type>_<id>.dynamic, _<port>.data, _<port>__<segment>.data, _<port>_<port>.connection, …
    name = re.compile(
        re.escape(domain.prefix) + r"[0-9a-f]{40}_(?:(\d+)(?:_(\d+)|__(?:\d+|mgmt))?|node\.\d+_\d+_\d+)\.[a-z_]+",
        re.ASCII,
    )
    with contextlib.suppress(OSError), os.scandir(SHARED_MEMORY) as found:
        for item in found:
            match = name.fullmatch(item.name)
            if match is not None:
                with contextlib.suppress(OSError):
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield _Object(Path(item.path), status, tuple(filter(None, match.groups())))


def _is_old_node(domain: Domain, identifier: str) -> bool:
    """Whether all that there is of a node without a monitor was left behind."""
    _, *others = _monitors(domain, identifier)
    folder = domain.nodes / identifier
    found = []
    for path in (*others, *([folder / name for name in _names(folder)] or [folder])):
        with contextlib.suppress(OSError):
            found.append(path.stat())
    return bool(found) and all(map(is_old, found))


def _monitors(domain: Domain, identifier: str) -> list[Path]:
    """The file that a node's process has locked, and the two beside it. Source: iceoryx2-bb/posix/process_state.rs."""
    beginning = f"{domain.prefix}{identifier}.node_monitor"
    return [domain.nodes / f"{beginning}{end}" for end in ("", "_owner_lock", "_context")]


def _node_ids(domain: Domain) -> dict[str, bool]:
    """Ids of all nodes, known by a folder or a file beside it; for each, whether its monitor is there."""
    names = _names(domain.nodes)
    file = re.compile(rf"{re.escape(domain.prefix)}([0-9]+)\.node_monitor(_owner_lock|_context)?")
    found: dict[str, bool] = {}
    for match in filter(None, map(file.fullmatch, names)):
        found[match[1]] = found.get(match[1], False) or match[2] is None
    for name in names:
        # The name of a folder has no prefix, and two domains may share a root.
        if name not in found and name.isascii() and name.isdecimal():
            files = _names(domain.nodes / name)
            if all(one.startswith(domain.prefix) for one in files):
                found[name] = False
    return dict(sorted(found.items()))


def _node(domain: Domain, identifier: str) -> _Node:
    node = _Node({}, set(), [])
    folder = domain.nodes / identifier
    for name in _names(folder):
        with contextlib.suppress(OSError):
            status = (folder / name).lstat()
            word = name.removeprefix(domain.prefix).partition(".")[0]
            if name.endswith(_SERVICE_TAG):
                node.services[word] = _identity(status)
            elif name.endswith(_PORT_TAG):
                node.ports.add(word)
            else:
                continue
            if status.st_mode & stat.S_IWUSR:
                node.unfinished.append(folder / name)
    return node


def _descriptions(domain: Domain) -> dict[str, _Description]:
    """All service descriptions, by the hash that their tags are called after."""
    found = {}
    for name in _names(domain.services):
        path = domain.services / name
        if name.startswith(domain.prefix) and name.endswith(".service"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found[_digest(domain, name)] = _Description(path, status, read_service(path))
    return found


def _digest(domain: Domain, path: str) -> str:
    return os.path.basename(path).removeprefix(domain.prefix).removesuffix(".service")


def _pid_of(number: int) -> int:
    """Process number in the id of a node or a service."""
    # Seconds, nanoseconds, pid and counter, 32 bits each. Source: iceoryx2-bb/posix/src/unique_system_id.rs.
    return number >> 64 & 0xFFFFFFFF


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _remove(paths: Collection[Path] | Iterator[Path]) -> int:
    removed = 0
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    return removed
