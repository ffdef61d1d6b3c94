"""Zenoh keys as ends of a bridge."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from .._extras.zenoh import Answerer, KeyPublisher, KeySubscriber, ZenohError, ask, call, reason
from .._wire.packet import PACKET_FLAG_DISCONT
from .._wire.stamp import monotonic_ns
from .clocks import Clocks, answer_now
from .errors import NetworkError
from .message import Codec, Message, is_keyframe, is_packet, pack, unpack
from .packet_queue import Gate, PacketQueue
from .parcel import Parcel

_ENCODINGS: Final[dict[Codec, str]] = {
    "jpeg": "image/jpeg",
    "raw": "application/octet-stream",
    "h264": "video/h264",
}

# Receivers ask for the sender's time and for keyframes below its key. Programs that subscribe to patterns do not see
# names with an "@".
_CLOCK: Final = "@clock"
_KEYFRAME: Final = "@keyframe"
# Time between two requests for a keyframe, in seconds.
_REQUEST_INTERVAL: Final = 1.0
# Time between two questions, in seconds: until there are some answers to choose from, and afterwards.
_FIRST_INTERVAL: Final = 0.1
_FIRST_ANSWERS: Final = 8
_INTERVAL: Final = 1.0
# Later answers are too inexact.
_PATIENCE: Final = 2.0


class AskedClocks(Clocks):
    """The clocks of the senders of a key, which are asked over the key."""

    def __init__(self, session: Any, key: str) -> None:
        super().__init__()
        self._session = session
        self._key = f"{key}/{_CLOCK}"
        self._has_answer = False
        self._answers = 0
        self._ask_at = 0.0

    def ask_if_due(self) -> None:
        """Ask all senders of the key what their clocks show."""
        now = time.monotonic()
        if now < self._ask_at:
            return
        is_settled = self._has_answer and self._answers >= _FIRST_ANSWERS
        self._ask_at = now + (_INTERVAL if is_settled else _FIRST_INTERVAL)
        self._has_answer = False
        asked = monotonic_ns()

        def hear(answer: bytes) -> None:
            received = monotonic_ns()
            if self.note(answer, asked, received):
                self._has_answer = True
                self._answers += 1

        ask(self._session, self._key, hear, _PATIENCE)


class FromKey:
    """Receives messages from a key: the newest frame, or each packet.

    A frame that is not taken in time is replaced by the next one. Packets wait, at most a group of pictures.
    """

    def __init__(self, session: Any, key: str) -> None:
        self._session = session
        self._keyframe_key = f"{key}/{_KEYFRAME}"
        self._clocks = AskedClocks(session, key)
        self._changed = threading.Condition()
        # Messages with their time of arrival.
        self._newest: tuple[Any, int] | None = None
        self._end: tuple[Any, int] | None = None
        self._skipped = 0
        self._packets: PacketQueue[tuple[Any, int]] = PacketQueue()
        self._gate = Gate()
        self._requested_at = 0.0
        self._subscriber = KeySubscriber(session, key, self._hear)

    @property
    def passed_over(self) -> int:
        """Number of frames replaced by newer ones, and of packets that were dropped, or could not be decoded."""
        return self._skipped + self._packets.dropped + self._gate.withheld

    def want(self, is_wanted: bool) -> None:
        """A key is always received."""

    def _hear(self, sample: Any) -> None:
        arrived = monotonic_ns()
        attachment = None if sample.attachment is None else sample.attachment.to_bytes()
        with self._changed:
            if attachment is not None and is_packet(attachment):
                self._packets.push((sample, arrived), len(sample.payload), is_keyframe=is_keyframe(attachment))
                self._changed.notify()
                return
            # An empty payload marks the end of a stream. It is delivered after the last picture, without replacing it.
            if not len(sample.payload):
                self._end = sample, arrived
            else:
                self._skipped += self._newest is not None
                self._newest, self._end = (sample, arrived), None
            self._changed.notify()

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the next packet or the newest frame (see `From.next`)."""
        self._clocks.ask_if_due()
        with self._changed:
            if self._newest is None and self._end is None and not self._packets:
                self._changed.wait(timeout)
            message = self._take()
        if message is None:
            return None
        sample, arrived = message
        attachment = None if sample.attachment is None else sample.attachment.to_bytes()
        parcel = unpack(sample.payload.to_bytes(), attachment, arrived, self._clocks)
        if parcel.header is not None:
            if not self._gate.takes(parcel.header):
                self.request_keyframe()
                return None
            if self._gate.is_discont():
                parcel.header.flags |= PACKET_FLAG_DISCONT
        return parcel

    def _take(self) -> tuple[Any, int] | None:
        """Return the next message, if there is one. The caller must hold the lock."""
        if self._packets:
            return self._packets.pop()
        message = self._newest or self._end
        if self._newest is not None:
            self._newest = None
        else:
            self._end = None
        return message

    def request_keyframe(self) -> None:
        """Ask the senders for a keyframe (see `From.request_keyframe`)."""
        now = time.monotonic()
        if now >= self._requested_at + _REQUEST_INTERVAL:
            self._requested_at = now
            call(self._session, self._keyframe_key)

    def close(self) -> None:
        """Unsubscribe from the key."""
        self._subscriber.close()


class ToKey:
    """Publishes messages to a key. A frame is encoded only while the key has a subscriber."""

    def __init__(self, session: Any, key: str, codec: Codec, quality: int, bridge: str) -> None:
        # Declared first, so that receivers can ask when the first frame arrives.
        self._clock = Answerer(session, f"{key}/{_CLOCK}", lambda: answer_now(bridge))
        self._requests = KeySubscriber(session, f"{key}/{_KEYFRAME}", self._hear_request)
        self._publisher = KeyPublisher(session, key, _ENCODINGS[codec])
        self.is_keyframe_wanted = False
        self._codec: Codec = codec
        self._quality = quality

    @property
    def is_wanted(self) -> bool:
        """Whether the key has a subscriber."""
        return self._publisher.has_subscribers

    def _hear_request(self, _: object) -> None:
        self.is_keyframe_wanted = True

    def tend(self) -> None:
        """Nothing is due without frames."""

    def put(self, parcel: Parcel) -> int:
        """Publish a frame or a packet (see `To.put`)."""
        header = parcel.header
        if header is not None and header.is_keyframe:
            self.is_keyframe_wanted = False
        message: Message = pack(parcel, self._codec, self._quality, parcel.hops)
        try:
            if parcel.is_end:
                self._publisher.send_reliably(message.attachment)
            else:
                encoding = None if header is None else f"video/{header.codec_name}"
                self._publisher.send(message.payload, message.attachment, encoding)
        except ZenohError as exc:
            raise NetworkError(f"cannot send: {reason(exc)}") from exc
        return len(message.payload) + len(message.attachment)

    def close(self) -> None:
        """Stop publishing."""
        for end in (self._publisher, self._requests, self._clock):
            end.close()
