"""A subscriber's hold on the video service, taken when there is one and let go when its last publisher has gone.

One participant that keeps an old service open would force its quality of service on the next publisher. So a subscriber
without a publisher, and without frames in hand, keeps nothing but the event service.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Final

from .._iox2 import binding, types
from .._iox2.description import service_identity
from .._iox2.domain import Domain
from .._iox2.explain import Obstacle
from .._iox2.fork import leak
from .._iox2.obstacle import after_failure
from .._wire.header import VideoFrameHeader
from ..contract import seconds
from ..errors import ServiceBrokenError, TransportError
from ._mapping import memory_behind, unmapped_connections
from ._memory import Ledger
from ._service import qos_of
from .config import Qos

_log: Final = logging.getLogger("gst_iceoryx2")

_LOOK_INTERVAL: Final = 0.5
# A publisher whose frames outgrow its memory is gone for about a millisecond.
_SECOND_LOOK: Final = seconds("publisher_gap")
# How seldom a port that receives is asked whether it has mapped everything.
_LONGEST_CHECK_PAUSE: Final = 30.0
# How long until another attempt to map a publisher's memory.
_MAPPING_INTERVAL: Final = seconds("map_retry")
# Trying to open a service that is half made holds the interpreter for a second.
_REST: Final = 5.0


class Link:
    """An open video service with a subscriber port on it.

    Attributes:
        subscriber: The native port.
        qos: Quality of service as adopted.
        next_look: When to call `is_over` again, seconds of `time.monotonic`.
        unmapped: Connections that were not mapped at the last look.
        tell_taken: Call it with each sample, and with None when no more is taken; None where the publisher does not
            wait for room.
    """

    __slots__ = (
        "_check_pause",
        "_domain",
        "_identity",
        "_next_check",
        "_orphaned",
        "_path",
        "_service",
        "next_look",
        "qos",
        "subscriber",
        "tell_taken",
        "unmapped",
    )

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
        self._orphaned = False
        self.subscriber = subscriber
        self.qos: Qos = qos_of(service.static_config)
        self.next_look = time.monotonic() + _LOOK_INTERVAL
        self.tell_taken = tell_taken
        self.unmapped: set[str] = set()
        self._check_pause = _LOOK_INTERVAL
        self._next_check = self.next_look

    def is_cut_off(self, now: float) -> bool | None:
        """Whether a publisher is there whose memory this process could not map; such a port receives nothing from it.

        Call it when no frame is waiting.

        Args:
            now: Seconds of `time.monotonic`.

        Returns:
            True if it was so at two looks; None while it is not time to look, or not certain.
        """
        if now < self._next_check or self._orphaned:
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
        """Whether the service admits one publisher at a time."""
        return self._service.static_config.max_publishers == 1

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

    @property
    def is_in_doubt(self) -> bool:
        """Whether the publishers had gone at the last look, so that the next one decides."""
        return self._orphaned

    def hurry(self) -> None:
        """Something happened on the service that was no frame: look at once."""
        if not self._orphaned:
            self.next_look = 0.0
        self._check_pause = _LOOK_INTERVAL
        self._next_check = min(self._next_check, time.monotonic() + _SECOND_LOOK)

    def abandon(self) -> None:
        """In a forked child: keep everything native for ever."""
        for native in (self.subscriber, self._service, self.tell_taken):
            leak(native)


class ClosedReader:
    """The port of a closed subscriber whose frames are still held, in a service without safe overflow.

    The frames keep the port in the service, and a lossless publisher would wait for it. So what it gets is thrown away.
    """

    def __init__(self, link: Link, ledger: Ledger) -> None:
        self._link = link
        self._ledger = ledger

    def discard(self) -> bool:
        """Throw away the frames that wait; return whether frames are still held."""
        link, ledger = self._link, self._ledger
        # At the limit nothing can be received.
        while 0 < ledger.held < ledger.limit:
            try:
                sample = link.subscriber.receive()
            except (binding.ReceiveError, binding.ConnectionFailure):
                break
            if link.tell_taken is not None:
                link.tell_taken(sample)
            if sample is None:
                break
        return ledger.held > 0

    def _abandon(self) -> None:
        self._link.abandon()


class Connector:
    """Takes hold of the video service of a name whenever there is one with a publisher.

    Attributes:
        was_first: Whether there was a time without a publisher.
    """

    __slots__ = (
        "_broken",
        "_domain",
        "_is_local",
        "_is_told",
        "_name",
        "_next_try",
        "_node",
        "_path",
        "_rest_until",
        "_unpublished_since",
        "_was_cut_off",
        "was_first",
    )

    def __init__(self, node: types.Node, name: str) -> None:
        self._node = node
        self._name = name
        self._is_local = binding.is_local(node)
        self._domain: Domain = binding.domain_of(node)
        self._path = self._domain.service_file(name, "PublishSubscribe")
        self._next_try = 0.0
        self._rest_until = 0.0
        self._broken: tuple[int, int] | None = None
        self._was_cut_off = self._is_told = False
        self._unpublished_since: float | None = None
        self.was_first = False

    def connect(self) -> Link | None:
        """Return a hold on the service; None while nobody publishes. Costs one stat while there is no service.

        A service of a local node has no file: to see whether it is there costs an attempt to open it.

        Raises:
            ServiceError: There is one, and it cannot be had; the subclass and the message say why.
        """
        identity, now = service_identity(self._path), time.monotonic()
        if identity is None and not self._is_local:
            self.was_first = True
            return None
        if now < max(self._next_try, self._rest_until):
            return None
        try:
            return self._take_hold(identity)
        except TransportError:
            obstacle = after_failure(self._domain)
            if obstacle is None or obstacle.kind != "limit":
                raise
            # The limit may be raised, or something else of this process be closed.
            self._tell_and_rest(obstacle)
            return None

    def _take_hold(self, identity: tuple[int, int] | None) -> Link | None:
        now = time.monotonic()
        try:
            service = binding.open_pub_sub(self._node, self._name, VideoFrameHeader)
        except ServiceBrokenError as exc:
            # A publisher that was killed while it started is no reason to give up: the next one will mend it.
            self._rest_until = time.monotonic() + _REST
            if self._broken != identity:
                self._broken = identity
                _log.warning("waiting for another publisher: %s", str(exc))
            return None
        if service is None or service.dynamic_config.number_of_publishers == 0:
            # Somebody else may keep a service without a publisher for long. While a publisher's port is replaced, there
            # is none for a moment.
            if self._unpublished_since is None:
                self._unpublished_since = now
            self.was_first |= now - self._unpublished_since >= _SECOND_LOOK
            self._next_try = time.monotonic() + _SECOND_LOOK
            return None
        self._unpublished_since = None
        subscriber = binding.create_subscriber(self._node, service, self._name)
        waits = not service.static_config.has_safe_overflow
        tell_taken = binding.AckNotifier(self._node, self._name, subscriber).notify if waits else None
        return Link(self._domain, service, subscriber, self._path, identity, tell_taken)

    def give_up(self, link: Link) -> None:
        """Tell once that a publisher's memory cannot be mapped, and have it tried again with another port."""
        obstacle = after_failure(self._domain, memory_behind(link.unmapped))
        was_cut_off, self._was_cut_off = self._was_cut_off, True
        # Without a limit in the way the next attempt may work: it is not told, and made at once.
        if obstacle is not None or was_cut_off:
            self._tell_and_rest(obstacle)

    def _tell_and_rest(self, obstacle: Obstacle | None) -> None:
        self._rest_until = time.monotonic() + _MAPPING_INTERVAL
        self._was_cut_off = True
        if not self._is_told:
            self._is_told = True
            doing = f"receive from {json.dumps(self._name)}"
            otherwise = f"cannot {doing}: iceoryx2 cannot map the memory of the publisher"
            _log.warning("%s", otherwise if obstacle is None else obstacle.error(doing))

    def is_well(self) -> None:
        """Take note that everything is mapped."""
        self._was_cut_off = self._is_told = False

    def hurry(self) -> None:
        """Something happened on the service: look at once."""
        self._next_try = 0.0

    def abandon(self) -> None:
        """In a forked child: keep everything native for ever."""
        leak(self._node)
