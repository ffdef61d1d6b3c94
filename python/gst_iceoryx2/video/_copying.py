"""The sending side of a service whose samples are copied into shared memory: packets and results."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from .._iox2 import binding, types
from .._iox2.cleanup import clean_up_if_stale
from .._iox2.domain import Domain
from .._iox2.types import Node
from .._wire.stamp import new_publisher_id
from ._pool import Pool
from ._sender import Sender
from ._service import check_ports, open_for_publishing
from .config import Qos


class NumberedHeader(Protocol):
    """A header with the number of its sample."""

    sequence: int

    def __bytes__(self) -> bytes: ...


class CopyingSender(Sender):
    """Sends bytes by copying them into shared memory, and numbers the samples.

    Attributes:
        stream: Random ID of this publisher.
        sent: Number of samples sent; `sequence` also counts dropped ones and ends of the stream.
    """

    def __init__(
        self,
        node: types.Node,
        domain: Domain,
        events: types.EventService,
        notifier: types.Notifier,
        pool: Pool,
        name: str,
    ) -> None:
        self.stream: Final = new_publisher_id()
        self.sent = 0
        super().__init__(node, domain, events, notifier, pool, name)

    def send(self, data: bytes | memoryview, header: NumberedHeader) -> int:
        """Send a sample; return the number of subscribers that receive it.

        Raises:
            OutOfSharedMemoryError: The sample is larger than all previous ones, and there is not enough shared memory.
            ClosedError: This sender is closed.
        """
        size = len(data)
        while True:
            with self._lock:
                pool = self._open_pool()
                loan = pool.loan(size)
                if loan is None:
                    # The gap in the numbers tells readers that a sample is missing.
                    self.sequence += 1
                    self.dropped += 1
                    return 0
                if pool.number == self._waited:
                    ctypes.memmove(loan.payload_ptr, np.frombuffer(data, np.uint8).ctypes.data, size)
                    self._begin_sample(header)
                    header.sequence = self.sequence
                    receivers = self._dispatch(loan, bytes(header))
                    self.sequence += 1
                    self.sent += 1
                    self._ended = self._end_is_due = False
                    return receivers
                del loan
            self._wait_for_readers()

    def _begin_sample(self, header: Any) -> None:
        """Note that a sample is about to be sent. The caller holds the lock."""

    def _send_end(self, pool: Pool) -> int:
        """Send nothing: by default, a stream has no end."""
        return 0


Made = TypeVar("Made", bound=CopyingSender)


def open_sender(
    make: Callable[[Node, Domain, types.EventService, types.Notifier, Pool, str], Made],
    name: str,
    header: type[ctypes.Structure],
    qos: Qos,
    node: Node | None,
    *,
    max_subscribers: int,
    max_bytes: int,
    first_bytes: int,
) -> Made:
    """Open or create a service, and create its sender.

    Args:
        make: Makes the sender from a node, its domain, the event service, a notifier, a pool and the name.
        name: Name of the service, already checked.
        header: Type of the user header.
        qos: Quality of service for a new service.
        node: Node to use; None creates one.
        max_subscribers: Subscribers that a new service admits.
        max_bytes: Size of the largest sample in bytes; 0 = grow as needed.
        first_bytes: Size of the first chunks if `max_bytes` is 0.

    Raises:
        ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        OutOfSharedMemoryError: There is not enough shared memory.
    """
    max_subscribers, max_publishers = check_ports(max_subscribers, 1)
    own = binding.create_node_for(name) if node is None else node
    domain = binding.domain_of(own)
    if node is not None:
        clean_up_if_stale(domain)
    events = binding.open_event(own, name)
    notifier = binding.notifier_on(events, own, name)
    service = open_for_publishing(own, name, notifier, qos, max_subscribers, max_publishers, header=header, default=qos)
    return make(own, domain, events, notifier, Pool(own, service, name, max_bytes, 0, first_bytes), name)
