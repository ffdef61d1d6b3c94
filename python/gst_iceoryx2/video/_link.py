"""A subscriber's connection to the video service: opened when a publisher exists, dropped when the last one is gone.

A subscriber that kept an old service alive would force its quality of service on the next publisher. So a subscriber
without a publisher and without held frames keeps only the event service.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable
from typing import Final

from .._iox2 import binding, types
from .._iox2.description import service_identity
from .._iox2.domain import Domain
from .._iox2.explain import Obstacle
from .._iox2.fork import guard_port, leak
from .._iox2.obstacle import after_failure
from .._wire.header import VideoFrameHeader
from ..contract import message, seconds
from ..errors import ServiceBrokenError, TransportError
from ._mapping import memory_behind, unmapped_connections
from ._memory import Ledger
from ._service import qos_of
from .config import Qos

_log: Final = logging.getLogger("gst_iceoryx2")

_LOOK_INTERVAL: Final = 0.5
# A publisher that replaces its memory disappears for about a millisecond, so two checks this far apart decide.
_SECOND_LOOK: Final = seconds("publisher_gap")
# Longest time between two checks that a port has mapped the memory of all publishers.
_LONGEST_CHECK_PAUSE: Final = 30.0
# Time between two attempts to map a publisher's memory.
_MAPPING_INTERVAL: Final = seconds("map_retry")
# Time between two attempts to open a half-created service. Each attempt blocks the interpreter for a second.
_REST: Final = 5.0


class Link:
    """An open video service and a subscriber port on it.

    Attributes:
        subscriber: The native port.
        qos: Quality of service chosen by the creator of the service.
        next_look: When to call `is_over` again, in seconds of `time.monotonic`.
        unmapped: Connections that were unmapped at the last check.
        is_waited_for: Whether a publisher may block until this port has room.
        tell_taken: Function to call with each received sample, and with None when no sample is left.
    """

    def __init__(
        self,
        domain: Domain,
        service: types.PubSubService,
        subscriber: types.Subscriber,
        path: str,
        identity: tuple[int, int] | None,
        tell_taken: Callable[[types.Sample | None], None] | None,
    ) -> None:
        self._domain = domain
        self._service = service
        self._path = path
        self._identity = identity
        self._is_unpublished = False
        self.subscriber = subscriber
        self.qos: Qos = qos_of(service.static_config)
        self.next_look = time.monotonic() + _LOOK_INTERVAL
        self.is_waited_for = tell_taken is not None
        self.tell_taken = tell_taken or _ignore
        self.unmapped: set[str] = set()
        self._check_pause = _LOOK_INTERVAL
        self._next_check = self.next_look

    def is_cut_off(self, now: float) -> bool | None:
        """Return whether a publisher's memory could not be mapped, so that its frames do not arrive.

        Call it when no frame is waiting.

        Args:
            now: Current time in seconds of `time.monotonic`.

        Returns:
            True if two checks in a row found this; None if it is not time to check or the result is uncertain.
        """
        if now < self._next_check or self._is_unpublished:
            return None
        try:
            before, self.unmapped = self.unmapped, unmapped_connections(self._domain, self.subscriber.id.value)
        except OSError:
            self._next_check = now + self._check_pause
            return None
        if self.unmapped & before:
            return True
        pause = _SECOND_LOOK if self.unmapped else self._check_pause
        self._next_check = now + pause
        self._check_pause = min(2 * self._check_pause, _LONGEST_CHECK_PAUSE)
        self.next_look = min(self.next_look, self._next_check)
        return None if self.unmapped else False

    @property
    def has_sole_publisher(self) -> bool:
        """Whether the service admits only one publisher."""
        return self._service.static_config.max_publishers == 1

    def is_over(self, now: float, *, is_held: bool) -> bool:
        """Return whether to disconnect: two checks found no publisher, or the service files were replaced.

        Call it when no frame is waiting: then everything that was sent before the first check has been received.

        Args:
            now: Current time in seconds of `time.monotonic`.
            is_held: Whether frames are held. They keep the service alive, so disconnecting would not help the next
                publisher.
        """
        if now < self.next_look:
            return False
        self.next_look = now + _LOOK_INTERVAL
        if service_identity(self._path) not in (self._identity, None):
            # The service files were removed, for example by a cleaner of /tmp, and a publisher created new ones.
            return True
        was_unpublished = self._is_unpublished
        self._is_unpublished = self._service.dynamic_config.number_of_publishers == 0
        if self._is_unpublished and not was_unpublished:
            self.next_look = now + _SECOND_LOOK
        return self._is_unpublished and was_unpublished and not is_held

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last check found no publisher, so that the next check decides."""
        return self._is_unpublished

    def hurry(self) -> None:
        """Make the next check immediate, because the publishers have changed."""
        if not self._is_unpublished:
            self.next_look = 0.0
        self._check_pause = _LOOK_INTERVAL
        self._next_check = min(self._next_check, time.monotonic() + _SECOND_LOOK)


# Maximum number of a closed reader's frames discarded in one call; more than a publisher sends between two calls.
_DISCARDED_AT_ONCE: Final = 1000


def _ignore(_: types.Sample | None) -> None:
    pass


class ClosedReader:
    """Port of a closed subscriber whose frames are still held, in a service without safe overflow.

    The held frames keep the port in the service, and a lossless publisher would wait for it. So any frames that it
    receives are discarded.
    """

    def __init__(self, link: Link, ledger: Ledger) -> None:
        self._link = link
        self._ledger = ledger
        guard_port(self)

    def discard(self) -> bool:
        """Discard all waiting frames; return whether frames are still held."""
        link, ledger = self._link, self._ledger
        for _ in range(_DISCARDED_AT_ONCE):
            # At the limit, the port cannot receive.
            if not 0 < ledger.held < ledger.limit:
                break
            try:
                sample = link.subscriber.receive()
            except (binding.ReceiveError, binding.ConnectionFailure):
                sample = None
            link.tell_taken(sample)
            if sample is None:
                break
            # Drop the reference, because a sample counts as borrowed until its last reference is gone.
            del sample
        return ledger.held > 0

    def _abandon(self) -> None:
        leak(self._link)


class Connector:
    """Connects to the video service with a given name as soon as it has a publisher.

    Attributes:
        node: The subscriber's node.
        was_first: Whether this subscriber existed before the publisher.
    """

    def __init__(self, node: types.Node, name: str, header: type[ctypes.Structure] = VideoFrameHeader) -> None:
        self.node = node
        self._name = name
        self._header = header
        self._is_local = binding.is_local(node)
        self._domain: Domain = binding.domain_of(node)
        self._path = self._domain.service_file(name, "PublishSubscribe")
        self._next_try = 0.0
        self._rest_until = 0.0
        self._broken: tuple[int, int] | None = None
        self._was_cut_off = self._is_reported = False
        self._unpublished_since: float | None = None
        self.was_first = False

    def connect(self) -> Link | None:
        """Return a connection; None while there is no publisher.

        While there is no service, this only costs one `stat` call. A local node's service has no file, so checking for
        it means trying to open it.

        Raises:
            ServiceError: The service exists but cannot be opened; the subclass and the message say why.
        """
        identity, now = service_identity(self._path), time.monotonic()
        if identity is None and not self._is_local:
            self.was_first = True
            return None
        if now < max(self._next_try, self._rest_until):
            return None
        try:
            return self._open(identity)
        except TransportError:
            obstacle = after_failure(self._domain)
            if obstacle is None or obstacle.kind != "limit":
                raise
            # Try again later: the limit may be raised, or the process may free resources.
            self._report_and_rest(obstacle)
            return None

    def _open(self, identity: tuple[int, int] | None) -> Link | None:
        now = time.monotonic()
        try:
            service = binding.open_pub_sub(self.node, self._name, self._header)
        except ServiceBrokenError as exc:
            # A publisher was killed during startup. The next one repairs the service.
            self._rest_until = time.monotonic() + _REST
            if self._broken != identity:
                self._broken = identity
                _log.warning("waiting for another publisher: %s", str(exc))
            return None
        if service is None or service.dynamic_config.number_of_publishers == 0:
            # Another participant may keep a service without a publisher open for a long time. A publisher that replaces
            # its port also disappears briefly.
            if self._unpublished_since is None:
                self._unpublished_since = now
            self.was_first |= now - self._unpublished_since >= _SECOND_LOOK
            self._next_try = time.monotonic() + _SECOND_LOOK
            return None
        self._unpublished_since = None
        subscriber = binding.create_subscriber(self.node, service, self._name)
        # Publishers of packets never wait.
        waits = self._header is VideoFrameHeader and not service.static_config.has_safe_overflow
        tell_taken = binding.AckNotifier(self.node, self._name, subscriber).notify if waits else None
        return Link(self._domain, service, subscriber, self._path, identity, tell_taken)

    def give_up(self, link: Link) -> None:
        """Log once that a publisher's memory cannot be mapped; the next `connect` tries again with a new port."""
        obstacle = after_failure(self._domain, memory_behind(link.unmapped))
        was_cut_off, self._was_cut_off = self._was_cut_off, True
        # If no limit was hit, the next attempt may succeed: try again immediately, without logging.
        if obstacle is not None or was_cut_off:
            self._report_and_rest(obstacle)

    def _report_and_rest(self, obstacle: Obstacle | None) -> None:
        self._rest_until = time.monotonic() + _MAPPING_INTERVAL
        self._was_cut_off = True
        if not self._is_reported:
            self._is_reported = True
            if obstacle is not None:
                _log.warning("%s", obstacle.error(message("receive_from", service=self._name)))
                return
            doing, cause = "map the memory of the publisher", "FailedToEstablishConnection"
            _log.warning("%s", message("iceoryx2_failed", operation=doing, service=self._name, cause=cause))

    def is_well(self) -> None:
        """Record that the memory of all publishers is mapped."""
        self._was_cut_off = self._is_reported = False

    def hurry(self) -> None:
        """Make the next check immediate, because the publishers may have changed."""
        self._next_try = 0.0
