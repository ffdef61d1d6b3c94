"""Eclipse Zenoh, if it is installed. No other module imports it.

By default, Zenoh listens on every network interface and scouts by multicast, and its scouting socket accepts
announcements from any machine. Our sessions use only the given endpoints and never scout.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..errors import MissingExtraError

try:
    import zenoh
except ImportError as exc:
    raise MissingExtraError(
        f"zenoh:KEY and ros2:/TOPIC need Eclipse Zenoh, which cannot be imported ({exc}); "
        "run `pip install 'iox2-video[bridge]'` (in a clone: `pip install '.[bridge]'`)"
    ) from exc

ZenohError: Final = zenoh.ZError


def reason(exc: BaseException) -> str:
    """Return Zenoh's error text without its references to source-code lines."""
    text = re.sub(r" at \S+\.rs:\d+\.?", "", str(exc).splitlines()[0])
    within = re.search(r'Message \{ msg: "(.*?)", location', text)
    return within[1] if within else text


def check_key(key: str) -> str:
    """Return the text unchanged if it names exactly one key.

    Raises:
        ValueError: The text is not a valid key, or is a pattern; the message states the reason.
    """
    try:
        zenoh.KeyExpr(key)
    except ZenohError as exc:
        raise ValueError(f"{key!r} is not a valid key: {reason(exc)}") from exc
    if "*" in key or "$" in key:
        raise ValueError(f"{key!r} is a pattern; name one key")
    return key


def open_session(
    listen: Sequence[str], connect: Sequence[str], message_max: int, patience: float = 0.0
) -> zenoh.Session:
    """Open a session.

    Args:
        listen: Endpoints to listen on, such as "tcp/0.0.0.0:7447".
        connect: Endpoints to connect to, such as "tcp/192.168.1.5:7447". Zenoh retries until they exist.
        message_max: Maximum message size in bytes. Larger messages are dropped on arrival, before memory is allocated.
        patience: How long a message of several fragments may wait for a slow network before it is dropped, in seconds,
            and a tenth of it for a small message; 0 = Zenoh's defaults, 50 ms and 1 ms.

    Raises:
        ValueError: An endpoint is malformed.
        ZenohError: An endpoint cannot be used.
    """
    settings = {
        "mode": "peer",
        "listen/endpoints": list(listen),
        "connect/exit_on_failure": False,
        # Retry in the background, indefinitely. 0 would mean a single attempt.
        "connect/timeout_ms": -1,
    }
    return zenoh.open(_config(settings, connect, message_max, patience))


def check_endpoints(connect: Sequence[str]) -> None:
    """Check endpoints without using them.

    Raises:
        ValueError: An endpoint is malformed.
    """
    _config({}, connect, 1, 0.0)


def open_client(connect: Sequence[str], message_max: int, patience: float, attempt: float) -> zenoh.Session:
    """Open a session that is a client of a router, and never listens. Zenoh reconnects if the router restarts.

    Args:
        connect: Endpoints of the router, such as "tcp/localhost:7447".
        message_max: As in `open_session`.
        patience: As in `open_session`.
        attempt: Time after which to give up connecting, in seconds.

    Raises:
        ValueError: An endpoint is malformed.
        ZenohError: The router cannot be reached.
    """
    settings = {"mode": "client", "listen/endpoints": [], "connect/timeout_ms": round(attempt * 1000)}
    return zenoh.open(_config(settings, connect, message_max, patience))


def _config(own: dict[str, Any], connect: Sequence[str], message_max: int, patience: float) -> zenoh.Config:
    config = zenoh.Config()
    settings = own | {
        "connect/endpoints": list(connect),
        "connect/retry": {"period_init_ms": 250, "period_max_ms": 2000, "period_increase_factor": 2},
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "transport/link/rx/max_message_size": message_max,
        "transport/shared_memory/enabled": False,
    }
    if patience:
        drop = "transport/link/tx/queue/congestion_control/drop"
        settings |= {
            f"{drop}/wait_before_drop": round(patience * 1e5),
            f"{drop}/max_wait_before_drop_fragments": round(patience * 1e6),
        }
    for key, value in settings.items():
        try:
            config.insert_json5(key, json.dumps(value))
        except ZenohError as exc:
            raise ValueError(f"invalid Zenoh endpoint: {reason(exc)}") from exc
    return config


def close_session(session: Any) -> None:
    """Close a session. If the other side hangs, Zenoh gives up after 10 s; then the sockets close with the process."""
    with contextlib.suppress(ZenohError):
        session.close()


def session_id(session: zenoh.Session) -> str:
    """Return the ID of a session, as hex digits."""
    return str(session.info.zid())


def has_router(session: zenoh.Session) -> bool:
    """Return whether a client is connected to its router now."""
    return bool(list(session.info.routers_zid()))


class Token:
    """Tells other sessions that something exists, by a key, until it is closed or the session ends."""

    def __init__(self, session: zenoh.Session, key: str) -> None:
        self._token: Any = session.liveliness().declare_token(key)

    def close(self) -> None:
        """Withdraw the token."""
        self._token.undeclare()


class TokenWatch:
    """Calls `changed` in a Zenoh thread with the key of each token that matches a pattern, and whether it exists.

    Tokens that exist already are told, too.
    """

    def __init__(self, session: zenoh.Session, pattern: str, changed: Callable[[str, bool], None]) -> None:
        def hear(sample: Any) -> None:
            changed(str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

        self._watch: Any = session.liveliness().declare_subscriber(pattern, hear, history=True)

    def close(self) -> None:
        """Stop watching."""
        self._watch.undeclare()


class KeyPublisher:
    """Publishes to one key. Frames that the network cannot take are dropped, not queued."""

    def __init__(self, session: zenoh.Session, key: str, encoding: str | None) -> None:
        # The type stubs of some releases are incomplete.
        self._frames: Any = session.declare_publisher(
            key, encoding=encoding, congestion_control=zenoh.CongestionControl.DROP, priority=zenoh.Priority.REAL_TIME
        )
        self._session = session
        self._key = key

    @property
    def has_subscribers(self) -> bool:
        """Whether the key has a subscriber."""
        return bool(self._frames.matching_status.matching)

    def send(self, payload: Any, attachment: bytes, encoding: str | None = None) -> None:
        """Send a frame. `encoding` is that of this message; None = the publisher's."""
        # Zenoh accepts only bytes and bytearrays, and copies them once more.
        payload = payload if isinstance(payload, bytearray) else bytes(payload)
        self._frames.put(payload, attachment=attachment, encoding=encoding)

    def send_reliably(self, attachment: bytes) -> None:
        """Send a message without payload that must not be dropped. May block until the network accepts it."""
        self._session.put(self._key, b"", attachment=attachment, congestion_control=zenoh.CongestionControl.BLOCK)

    def close(self) -> None:
        """Stop publishing."""
        self._frames.undeclare()


class KeySubscriber:
    """Subscribes to one key, and calls `received` for each message in a Zenoh thread."""

    def __init__(self, session: zenoh.Session, key: str, received: Callable[[zenoh.Sample], None]) -> None:
        self._subscriber: Any = session.declare_subscriber(key, received)

    def close(self) -> None:
        """Stop receiving."""
        self._subscriber.undeclare()


def call(session: zenoh.Session, key: str) -> None:
    """Send a message without content, unless the network cannot take it."""
    session.put(key, b"", congestion_control=zenoh.CongestionControl.DROP, priority=zenoh.Priority.REAL_TIME)


class Answerer:
    """Answers questions on one key.

    Args:
        session: The session.
        key: The key.
        answer: Called for each question in a Zenoh thread; returns the payload of the answer.
    """

    def __init__(self, session: zenoh.Session, key: str, answer: Callable[[], bytes]) -> None:
        self._queryable: Any = session.declare_queryable(key, lambda query: query.reply(key, answer()))

    def close(self) -> None:
        """Stop answering."""
        self._queryable.undeclare()


def ask(session: zenoh.Session, key: str, answered: Callable[[bytes], None], timeout: float) -> None:
    """Ask a question on a key, without waiting for the answers.

    Args:
        session: The session.
        key: The key.
        answered: Called in a Zenoh thread with the payload of each answer, at once.
        timeout: Time after which no more answers are taken, in seconds.
    """

    def hear(reply: Any) -> None:
        if reply.ok is not None:
            answered(reply.ok.payload.to_bytes())

    # All senders answer, and none waits for the others. A question that the network cannot take is dropped.
    session.get(
        key,
        hear,
        target=zenoh.QueryTarget.ALL,
        consolidation=zenoh.ConsolidationMode.NONE,
        congestion_control=zenoh.CongestionControl.DROP,
        priority=zenoh.Priority.REAL_TIME,
        express=True,
        timeout=timeout,
    )
