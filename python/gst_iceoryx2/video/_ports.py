"""The ports of a publisher: it opens or creates its service here."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from .._iox2 import binding, types
from .._iox2.cleanup import clean_up_if_stale
from .._iox2.domain import Domain
from .._wire.header import VideoFrameHeader
from ._pool import Pool
from ._service import check_ports, open_for_publishing
from .config import Qos


class Ports(NamedTuple):
    """What a sender needs to send on one service.

    Attributes:
        node: The node.
        domain: The node's domain.
        events: The event service.
        notifier: A notifier on it.
        service: The service itself.
        pool: The native publisher and its memory.
        name: Name of the service.
    """

    node: types.Node
    domain: Domain
    events: types.EventService
    notifier: types.Notifier
    service: types.PubSubService
    pool: Pool
    name: str


def open_ports(
    name: str,
    qos: Qos,
    node: types.Node | None,
    *,
    max_subscribers: int,
    max_publishers: int = 1,
    header: type[ctypes.Structure] = VideoFrameHeader,
    default: Qos | None = None,
    **memory: int,
) -> Ports:
    """Open or create a service, and create its publisher.

    Args:
        name: Name of the service, already checked.
        qos: Quality of service for a new service.
        node: Node to use; None creates one.
        max_subscribers: Subscribers that a new service admits.
        max_publishers: Publishers that a new service admits.
        header: Type of the user header.
        default: The values of `qos` that the program did not ask for; None = `Qos()`.
        memory: Sizes for the `Pool`.

    Raises:
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        OutOfSharedMemoryError: There is not enough shared memory.
    """
    max_subscribers, max_publishers = check_ports(max_subscribers, max_publishers)
    own = binding.create_node_for(name) if node is None else node
    domain = binding.domain_of(own)
    if node is not None:
        clean_up_if_stale(domain)
    events = binding.open_event(own, name)
    notifier = binding.notifier_on(events, own, name)
    service = open_for_publishing(
        own, name, notifier, qos, max_subscribers, max_publishers, header=header, default=default
    )
    return Ports(own, domain, events, notifier, service, Pool(own, service, name, **memory), name)
