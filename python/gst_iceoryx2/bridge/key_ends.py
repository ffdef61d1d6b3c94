"""Zenoh keys as ends of a bridge."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from .._extras.zenoh import Answerer, KeyPublisher, KeySubscriber, ZenohError, ask, reason
from .._wire.stamp import monotonic_ns
from .clocks import Clocks, answer_now
from .errors import NetworkError
from .message import Codec, Message, pack, unpack
from .parcel import Parcel

_ENCODINGS: Final[dict[Codec, str]] = {"jpeg": "image/jpeg", "raw": "application/octet-stream"}


# Receivers ask for the sender's time below its key. Programs that subscribe to patterns do not see names with an "@".
_CLOCK: Final = "@clock"
# Time between two questions, in seconds: while no answer has arrived, and afterwards.
_FIRST_INTERVAL: Final = 0.1
_INTERVAL: Final = 1.0
# Later answers are too inexact.
_PATIENCE: Final = 2.0


class FromKey:
    """Receives the newest message from a key. A message that is not taken in time is replaced by the next one."""

    def __init__(self, session: Any, key: str) -> None:
        self._session = session
        self._clock_key = f"{key}/{_CLOCK}"
        self._clocks = Clocks()
        self._has_answer = False
        self._ask_at = 0.0
        self._changed = threading.Condition()
        # Messages with their time of arrival.
        self._newest: tuple[Any, int] | None = None
        self._end: tuple[Any, int] | None = None
        self.passed_over = 0
        self._subscriber = KeySubscriber(session, key, self._hear)

    def _hear(self, sample: Any) -> None:
        arrived = monotonic_ns()
        with self._changed:
            # An empty payload marks the end of a stream. It is delivered after the last picture, without replacing it.
            if not len(sample.payload):
                self._end = sample, arrived
            else:
                self.passed_over += self._newest is not None
                self._newest, self._end = (sample, arrived), None
            self._changed.notify()

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest message (see `From.next`)."""
        self._ask_if_due()
        with self._changed:
            if self._newest is None and self._end is None:
                self._changed.wait(timeout)
            message = self._newest or self._end
            if self._newest is not None:
                self._newest = None
            else:
                self._end = None
        if message is None:
            return None
        sample, arrived = message
        attachment = None if sample.attachment is None else sample.attachment.to_bytes()
        return unpack(sample.payload.to_bytes(), attachment, arrived, self._clocks)

    def _ask_if_due(self) -> None:
        """Ask all senders of the key what their clocks show."""
        now = time.monotonic()
        if now < self._ask_at:
            return
        self._ask_at = now + (_INTERVAL if self._has_answer else _FIRST_INTERVAL)
        self._has_answer = False
        asked = monotonic_ns()

        def hear(answer: bytes) -> None:
            received = monotonic_ns()
            with self._changed:
                self._has_answer |= self._clocks.note(answer, asked, received)

        ask(self._session, self._clock_key, hear, _PATIENCE)

    def close(self) -> None:
        """Unsubscribe from the key."""
        self._subscriber.close()


class ToKey:
    """Publishes messages to a key. A frame is encoded only while the key has a subscriber."""

    def __init__(self, session: Any, key: str, codec: Codec, quality: int, bridge: str) -> None:
        # Declared first, so that receivers can ask when the first frame arrives.
        self._clock = Answerer(session, f"{key}/{_CLOCK}", lambda: answer_now(bridge))
        self._publisher = KeyPublisher(session, key, _ENCODINGS[codec])
        self._codec: Codec = codec
        self._quality = quality

    @property
    def is_wanted(self) -> bool:
        """Whether the key has a subscriber."""
        return self._publisher.has_subscribers

    def put(self, parcel: Parcel) -> int:
        """Publish a frame (see `To.put`)."""
        message: Message = pack(parcel, self._codec, self._quality, parcel.hops)
        try:
            if parcel.is_end:
                self._publisher.send_reliably(message.attachment)
            else:
                self._publisher.send(message.payload, message.attachment)
        except ZenohError as exc:
            raise NetworkError(f"cannot send: {reason(exc)}") from exc
        return len(message.payload) + len(message.attachment)

    def close(self) -> None:
        """Stop publishing."""
        self._publisher.close()
        self._clock.close()
