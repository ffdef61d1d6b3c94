"""A node of ROS 2: connects to the router, and makes topics visible (rmw_zenoh's keys and liveliness tokens)."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any, Final, Literal

from ..._extras.zenoh import (
    KeyPublisher,
    KeySubscriber,
    Token,
    TokenWatch,
    ZenohError,
    check_endpoints,
    close_session,
    has_router,
    open_client,
    reason,
    session_id,
)
from ..errors import EndpointError, NetworkError
from ..message import MESSAGE_MAX
from .messages import Parts
from .topic import MessageType

_log: Final = logging.getLogger("gst_iceoryx2")

ROUTER: Final = "tcp/localhost:7447"
"""Where `rmw_zenohd` listens."""

_REMEDY: Final = "start one with `ros2 run rmw_zenoh_cpp rmw_zenohd`, or name another with --connect"
# Time of one attempt to connect, and between two looks, in seconds.
_ATTEMPT: Final = 1.0
_LOOK: Final = 1.0
# How long a picture may wait for the router, in seconds. Part of a picture is useless, so waiting is cheaper.
_PATIENCE: Final = 1.0

# Releases whose messages have no hashes.
_WITHOUT_HASHES: Final = ("humble",)
_NO_HASH: Final = "TypeHashNotSupported"
# Reliable, volatile, the last 10 messages; no deadline, lifespan or lease. REP 2003 recommends it for cameras.
_QOS: Final = "1:2:1,10:,:,:,,"

_ATTACHMENT: Final = struct.Struct("<qqB16s")
_GID: Final = 16

Kind = Literal["MP", "MS"]


class Node:
    """A node that connects to the router when it can.

    Args:
        name: Name of the node.
        domain: ROS domain.
        connect: Endpoints of the router; empty = `ROUTER`.

    Raises:
        EndpointError: An endpoint is malformed.
    """

    def __init__(self, name: str, domain: int, connect: Sequence[str]) -> None:
        self._name = name
        self._domain = domain
        self._connect = tuple(connect) or (ROUTER,)
        try:
            check_endpoints(self._connect)
        except ValueError as exc:
            raise EndpointError(str(exc)) from exc
        self._session: Any = None
        self._attempts = count()
        self._opened = ExitStack()
        self._ids = count(1)
        self._look_at = 0.0
        self._is_told = False

    def connect(self) -> bool:
        """Connect if that is due, and log once that there is no router, or that it is back.

        Returns:
            Whether there is a session.
        """
        now = time.monotonic()
        if now < self._look_at:
            return self._session is not None
        if self._session is None:
            self._open()
        elif has_router(self._session):
            self._tell_connected()
        else:
            self._tell("lost the ROS 2 router at", "reconnecting")
        self._look_at = time.monotonic() + _LOOK
        return self._session is not None

    def _open(self) -> None:
        # Zenoh spends the whole attempt on the first endpoint if it fails, so each attempt begins with another one.
        first = next(self._attempts) % len(self._connect)
        try:
            session = open_client(self._connect[first:] + self._connect[:first], MESSAGE_MAX, _PATIENCE, _ATTEMPT)
        except ZenohError:
            self._tell("no ROS 2 router at", "retrying")
            return
        self._session = session
        self._opened.callback(close_session, session)
        self._tell_connected()
        self._declare(Token, session, f"{self._prefix}/0/0/NN/{self._place}")

    def _tell(self, what: str, then: str) -> None:
        if not self._is_told:
            self._is_told = True
            _log.warning("%s %s; %s; %s", what, " or ".join(self._connect), _REMEDY, then)

    def _tell_connected(self) -> None:
        if self._is_told:
            self._is_told = False
            _log.warning("connected to the ROS 2 router at %s", " or ".join(self._connect))

    @property
    def _prefix(self) -> str:
        return f"@ros2_lv/{self._domain}/{session_id(self._session)}"

    @property
    def _place(self) -> str:
        # Neither an enclave nor a namespace.
        return f"%/%/{self._name}"

    def _token(self, kind: Kind, topic: str, type: MessageType) -> str:
        names = f"{topic.replace('/', '%')}/{type.dds_name}/{_hash_of(type)}"
        return f"{self._prefix}/0/{next(self._ids)}/{kind}/{self._place}/{names}/{_QOS}"

    def _declare(self, make: Callable[..., Any], *arguments: Any) -> Any:
        made = make(*arguments)
        self._opened.callback(made.close)
        return made

    def publisher(self, topic: str, type: MessageType) -> TopicPublisher:
        """Create a publisher. The node must be connected, and closes it."""
        token = self._token("MP", topic, type)
        publisher = self._declare(KeyPublisher, self._session, self._key(topic, type, _hash_of(type)), None)
        self._declare(Token, self._session, token)
        return TopicPublisher(publisher, hashlib.sha256(token.encode()).digest()[:_GID])

    def subscribe(self, topic: str, type: MessageType, heard: Callable[[Any], None]) -> None:
        """Call `heard` in a Zenoh thread with each message, whatever its hash. The node must be connected."""
        self._declare(KeySubscriber, self._session, self._key(topic, type, "*"), heard)
        self._declare(Token, self._session, self._token("MS", topic, type))

    def watch(self, kind: Kind, topic: str, type: MessageType, changed: Callable[[str, bool], None]) -> None:
        """Call `changed` in a Zenoh thread when a publisher (MP) or subscriber (MS) of a topic comes or leaves."""
        names = f"{topic.replace('/', '%')}/{type.dds_name}"
        self._declare(TokenWatch, self._session, f"@ros2_lv/{self._domain}/*/*/*/{kind}/*/*/*/{names}/*/*", changed)

    def _key(self, topic: str, type: MessageType, hash: str) -> str:
        return f"{self._domain}/{topic[1:]}/{type.dds_name}/{hash}"

    def close(self) -> None:
        """Withdraw everything, and close the session."""
        self._opened.close()
        self._session = None


def _hash_of(type: MessageType) -> str:
    """Return the hash that this machine's release of ROS 2 uses."""
    return _NO_HASH if os.environ.get("ROS_DISTRO") in _WITHOUT_HASHES else type.hash


class TopicPublisher:
    """Publishes messages on a topic, with the attachment that subscribers expect.

    Args:
        publisher: The publisher of the key.
        gid: ID of this publisher in ROS 2, 16 bytes.
    """

    def __init__(self, publisher: KeyPublisher, gid: bytes) -> None:
        self._publisher = publisher
        self._gid = gid
        self._numbers = count(1)
        # Kept, because the kernel takes longer to provide new memory than it takes to fill it.
        self._message = bytearray()

    @property
    def has_subscribers(self) -> bool:
        """Whether the topic has a subscriber."""
        return self._publisher.has_subscribers

    def send(self, parts: Parts) -> int:
        """Send a message, given in parts, and return its number of bytes. The parts are copied.

        Raises:
            NetworkError: Zenoh refuses it.
        """
        message = self._joined(parts)
        attachment = _ATTACHMENT.pack(next(self._numbers), time.time_ns(), _GID, self._gid)
        try:
            self._publisher.send(message, attachment)
        except ZenohError as exc:
            raise NetworkError(f"cannot send: {reason(exc)}") from exc
        return len(message) + len(attachment)

    def _joined(self, parts: Parts) -> bytearray:
        size = sum(map(len, parts))
        if len(self._message) != size:
            self._message = bytearray(size)
        at = 0
        with memoryview(self._message) as view:
            for part in parts:
                view[at : at + len(part)] = part
                at += len(part)
        return self._message


def sender_of(attachment: bytes | None) -> tuple[int, int] | None:
    """Return the publisher, as a number, and the sequence number in an attachment; None if it has another form."""
    if attachment is None or len(attachment) != _ATTACHMENT.size:
        return None
    sequence, _, length, gid = _ATTACHMENT.unpack(attachment)
    if length != _GID or sequence < 0:
        return None
    # All ones mean "unknown" in stamps.
    return int.from_bytes(gid[:8], "little") >> 1, sequence
