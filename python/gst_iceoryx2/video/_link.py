"""A subscriber's hold on the video service, taken when there is one and let go when its last publisher has gone.

One participant that keeps an old service open would force its quality of service on the next publisher. So a subscriber
without a publisher, and without frames in hand, keeps nothing but the event service.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .. import _iceoryx2, _native
from .._domain import Domain, service_identity
from .._errors import ServiceBrokenError
from .._fork import leak
from .._log import log
from ._service import qos_of
from .config import Qos
from .header import VideoFrameHeader

_LOOK_INTERVAL: Final = 0.5
# A publisher whose frames outgrow its memory is gone for about a millisecond.
_SECOND_LOOK: Final = 0.05
# Trying to open a service that is half made holds the interpreter for a second.
_REST: Final = 5.0


class Link:
    """An open video service with a subscriber port on it.

    Attributes:
        subscriber: The native port.
        qos: Quality of service as adopted.
        next_look: When to call `is_over` again, seconds of `time.monotonic`.
        tell_taken: Call it with each sample, and with None when no more is taken; None where the publisher does not
            wait for room.
    """

    __slots__ = ("_identity", "_orphaned", "_path", "_service", "next_look", "qos", "subscriber", "tell_taken")

    def __init__(
        self,
        service: _native.PubSubService,
        subscriber: _native.Subscriber,
        path: str,
        identity: tuple[int, int],
        tell_taken: Callable[[_native.Sample | None], None] | None,
    ) -> None:
        self._service = service
        self._path = path
        self._identity = identity
        self._orphaned = False
        self.subscriber = subscriber
        self.qos: Qos = qos_of(service.static_config)
        self.next_look = time.monotonic() + _LOOK_INTERVAL
        self.tell_taken = tell_taken

    def is_over(self, now: float, *, is_held: bool) -> bool:
        """Whether to let go: no publisher at two looks, or another service has taken the name.

        Call it when no frame is waiting: between the two looks everything that was sent has been received.

        Args:
            now: Seconds of `time.monotonic`.
            is_held: Whether frames are held. Their memory keeps the port and thereby the service, so that letting go
                because there is no publisher would gain nothing.
        """
        if now < self.next_look:
            return False
        self.next_look = now + _LOOK_INTERVAL
        if service_identity(self._path) not in (self._identity, None):
            # Somebody removed the files of the domain (a cleaner of /tmp), and a publisher began anew beside us.
            return True
        was_orphaned = self._orphaned
        self._orphaned = self._service.dynamic_config.number_of_publishers == 0
        if self._orphaned and not was_orphaned:
            self.next_look = now + _SECOND_LOOK
        return self._orphaned and was_orphaned and not is_held

    def hurry(self) -> None:
        """Something happened on the service that was no frame: look at once."""
        if not self._orphaned:
            self.next_look = 0.0

    def abandon(self) -> None:
        """In a forked child: keep everything native for ever."""
        for native in (self.subscriber, self._service, self.tell_taken):
            leak(native)


class Connector:
    """Takes hold of the video service of a name whenever there is one with a publisher."""

    __slots__ = ("_broken", "_domain", "_name", "_next_try", "_node", "_path", "_rest_until")

    def __init__(self, node: _native.Node, name: str) -> None:
        self._node = node
        self._name = name
        self._domain: Domain = _iceoryx2.domain_of(node)
        self._path = self._domain.service_file(name, "PublishSubscribe")
        self._next_try = 0.0
        self._rest_until = 0.0
        self._broken: tuple[int, int] | None = None

    def connect(self) -> Link | None:
        """Return a hold on the service; None while nobody publishes. Costs one stat while there is no service.

        Raises:
            ServiceError: There is one, and it cannot be had; the subclass and the message say why.
        """
        identity = service_identity(self._path)
        if identity is None or time.monotonic() < max(self._next_try, self._rest_until):
            return None
        try:
            service = _iceoryx2.open_pub_sub(self._node, self._name, VideoFrameHeader)
        except ServiceBrokenError as exc:
            # A publisher that was killed while it started is no reason to give up: the next one will mend it.
            self._rest_until = time.monotonic() + _REST
            if self._broken != identity:
                self._broken = identity
                log.warning("waiting for another publisher: %s", str(exc))
            return None
        if service is None or service.dynamic_config.number_of_publishers == 0:
            # Somebody else may keep a service without a publisher for long.
            self._next_try = time.monotonic() + _SECOND_LOOK
            return None
        subscriber = _iceoryx2.create_subscriber(self._node, service, self._name)
        waits = not service.static_config.has_safe_overflow
        tell_taken = _iceoryx2.taken_signal(self._node, self._name, subscriber) if waits else None
        return Link(service, subscriber, self._path, identity, tell_taken)

    def hurry(self) -> None:
        """Something happened on the service: look at once."""
        self._next_try = 0.0

    def abandon(self) -> None:
        """In a forked child: keep everything native for ever."""
        leak(self._node)
