"""Zenoh keys as ends of a bridge."""

from __future__ import annotations

import threading
from typing import Any, Final

from .._extras.zenoh import KeyPublisher, KeySubscriber, ZenohError, reason
from .errors import NetworkError
from .message import Codec, Message, pack, unpack
from .parcel import Parcel

_ENCODINGS: Final[dict[Codec, str]] = {"jpeg": "image/jpeg", "raw": "application/octet-stream"}


class FromKey:
    """Receives the newest message from a key. A message that is not taken in time is replaced by the next one."""

    def __init__(self, session: Any, key: str) -> None:
        self._changed = threading.Condition()
        self._newest: Any = None
        self._end: Any = None
        self.passed_over = 0
        self._subscriber = KeySubscriber(session, key, self._hear)

    def _hear(self, sample: Any) -> None:
        with self._changed:
            # An empty payload marks the end of a stream. It is delivered after the last picture, without replacing it.
            if not len(sample.payload):
                self._end = sample
            else:
                self.passed_over += self._newest is not None
                self._newest, self._end = sample, None
            self._changed.notify()

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the newest message (see `From.next`)."""
        with self._changed:
            if self._newest is None and self._end is None:
                self._changed.wait(timeout)
            if self._newest is not None:
                sample, self._newest = self._newest, None
            else:
                sample, self._end = self._end, None
        if sample is None:
            return None
        attachment = sample.attachment
        return unpack(sample.payload.to_bytes(), None if attachment is None else attachment.to_bytes())

    def close(self) -> None:
        """Unsubscribe from the key."""
        self._subscriber.close()


class ToKey:
    """Publishes messages to a key. A frame is encoded only while the key has a subscriber."""

    def __init__(self, session: Any, key: str, codec: Codec, quality: int) -> None:
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
