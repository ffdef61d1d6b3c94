"""Finds the readers of services: live processes that receive frames, or wait for them.

A reader of this project has a listener on the event service of the name that it reads, also while nobody publishes
(SPEC.md section 1). Listeners are found by their files, so this creates no service, and it does not import iceoryx2.
Observers such as `list`, `info` and `top` have no listener.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from .._iox2.description import read_service
from .._iox2.domain import Domain
from .._iox2.files import names as names_in
from .._iox2.liveness import holder_of, pid_of
from .._iox2.objects import SHARED_MEMORY


class Member(NamedTuple):
    """A reader or publisher of a service.

    Attributes:
        node: ID of its node.
        pid: Process ID.
        is_here: Whether `pid` is valid in the pid namespace of this process. Otherwise, it is that in another
            container.
    """

    node: int
    pid: int
    is_here: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """The members of a service.

    Attributes:
        readers: Those that receive its frames, or wait for them.
        publishers: Those that publish it.
    """

    readers: frozenset[Member] = frozenset()
    publishers: frozenset[Member] = frozenset()


class _Node(NamedTuple):
    """A live node.

    Attributes:
        member: Its ID and process.
        events: Names of its event services.
        videos: Names of its publish-subscribe services.
        listeners: Number of its listeners.
        publishes: Whether it has a publisher.
    """

    member: Member
    events: frozenset[str]
    videos: frozenset[str]
    listeners: int
    publishes: bool


class DemandFinder:
    """Finds the readers and publishers of all services of a domain.

    Args:
        domain: The domain.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        # Name and pattern of each service, by the name of its file without the suffix.
        self._services: dict[str, tuple[str, str]] = {}

    def find(self) -> dict[str, Demand]:
        """Return the readers and publishers of each service, by full name; services without either are omitted.

        This lists three folders and the folder of each node, and checks the lock of each node with a port.
        """
        self._read_services()
        found = self._nodes()
        readers: dict[str, set[Member]] = {}
        publishers: dict[str, set[Member]] = {}
        for node in found:
            for name in _read_by(node, found):
                readers.setdefault(name, set()).add(node.member)
            for name in node.videos if node.publishes and len(node.videos) == 1 else ():
                publishers.setdefault(name, set()).add(node.member)
        return {
            name: Demand(frozenset(readers.get(name, ())), frozenset(publishers.get(name, ())))
            for name in readers.keys() | publishers.keys()
        }

    def _read_services(self) -> None:
        prefix = self._domain.prefix
        stems = {
            name.removesuffix(".service")
            for name in names_in(self._domain.services)
            if name.startswith(prefix) and name.endswith(".service")
        }
        for gone in self._services.keys() - stems:
            del self._services[gone]
        for stem in stems - self._services.keys():
            record = read_service(self._domain.services / f"{stem}.service")
            # An unfinished file is read the next time.
            if record is not None:
                self._services[stem] = record.name, record.pattern

    def _nodes(self) -> list[_Node]:
        domain = self._domain
        prefix = re.escape(domain.prefix)
        listeners = set(_matches(rf"{prefix}([0-9]+)\.event", names_in(domain.root)))
        senders = set(_matches(rf"{prefix}[0-9a-f]+_([0-9]+)\.data", names_in(SHARED_MEMORY)))
        found = []
        for folder in filter(str.isdecimal, names_in(domain.nodes)):
            files = names_in(domain.nodes / folder)
            ports = set(_matches(rf"{prefix}([0-9]+)\.port_tag", files))
            tags = [name.removesuffix(".service_tag") for name in files if name.endswith(".service_tag")]
            known = [self._services[tag] for tag in tags if tag in self._services]
            own = len(ports & listeners)
            publishes = bool(ports & senders)
            if not (own or publishes):
                continue
            number = int(folder)
            holder = holder_of(number, domain)
            if holder is not None:
                events, videos = (
                    frozenset(name for name, pattern in known if pattern == wanted)
                    for wanted in ("Event", "PublishSubscribe")
                )
                member = Member(number, holder or pid_of(number), holder > 0)
                found.append(_Node(member, events, videos, own, publishes))
        return found


def _read_by(node: _Node, nodes: list[_Node]) -> frozenset[str]:
    """Return the names of the services that a node reads.

    A listener's file does not name its service. All ports of this project have a node of their own, so this is certain
    for them. For a node with several services, every service counts that it may read.
    """
    if not node.listeners:
        return frozenset()
    if len(node.events) == 1:
        # A lossless publisher has a listener of its own.
        return node.events if node.listeners > node.publishes else frozenset()
    if not node.publishes or node.listeners >= len(node.events):
        return node.events
    others = {name for other in nodes if other is not node and other.publishes for name in other.videos}
    return frozenset(name for name in node.events if name not in node.videos or name in others)


def _matches(pattern: str, texts: list[str]) -> list[str]:
    expression = re.compile(pattern)
    return [match[1] for match in map(expression.fullmatch, texts) if match is not None]
