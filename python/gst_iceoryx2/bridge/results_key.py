"""Zenoh keys that carry results, as sources of a bridge, and the check of their messages. Layout: docs/bridge.md."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final

from .._extras.zenoh import KeySubscriber
from .._wire.fault import Fault
from .._wire.result_payload import decode_tables
from .._wire.results import MAX_RESULTS_BYTES, VideoResultsHeader, validate_results
from .._wire.stamp import Stamp, boot_id, monotonic_ns
from ..contract import limit
from .clocks import Clocks
from .ends import FramesOnly
from .key_ends import AskedClocks
from .message import RESULTS, Unsound, opened
from .parcel import Parcel

_RESULTS_MAX: Final = limit("results_buffer_size")
# Bytes of all messages that wait.
_BYTES_MAX: Final = 4 * MAX_RESULTS_BYTES


def unpack_results(payload: bytes, attachment: bytes | None, arrived: int, clocks: Clocks) -> Parcel:
    """Check a message with results from an untrusted sender, and unpack it.

    Args:
        payload: Payload of the message.
        attachment: Attachment of the message.
        arrived: When the message arrived, in nanoseconds of CLOCK_MONOTONIC.
        clocks: The clocks of other bridges.

    Returns:
        The results, with the key of their frame, and with its times on this machine, if they are known.

    Raises:
        Unsound: The message is damaged, or was not sent by a bridge.
    """
    if attachment is None:
        raise Unsound("message without results", f"{len(payload)} bytes")
    kind, hops, rest = opened(attachment)
    if kind != RESULTS:
        raise Unsound("message of frames on a key of results", f"kind {kind}")
    header = VideoResultsHeader.from_buffer_copy(rest)
    broken = validate_results(header, len(payload)) or decode_tables(payload, header.entries)
    if isinstance(broken, Fault):
        raise Unsound("invalid results", str(broken))
    stamp = header.stamp
    moments = clocks.translate(stamp, hops[-1] if hops else None, arrived)
    captured = None if moments.error is None else moments.captured_at
    header.stamp = Stamp(boot_id(), stamp.publisher, stamp.sequence, captured, moments.due_at)
    return Parcel(results=header, data=payload, captured_at=captured, hops=hops)


class FromResultsKey(FramesOnly):
    """Receives results from a key. If too many wait, the oldest are dropped.

    Attributes:
        passed_over: Number of results that did not arrive or were dropped, by the gaps in their numbers.
    """

    def __init__(self, session: Any, key: str) -> None:
        self._clocks = AskedClocks(session, key)
        self.passed_over = 0
        # Publisher and next number of the latest results.
        self._stream: int | None = None
        self._expected = 0
        self._changed = threading.Condition()
        # Messages with their time of arrival.
        self._waiting: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._subscriber = KeySubscriber(session, key, self._hear)

    def _hear(self, sample: Any) -> None:
        with self._changed:
            self._waiting.append((sample, monotonic_ns()))
            self._bytes += _size(sample)
            while len(self._waiting) > _RESULTS_MAX or self._bytes > _BYTES_MAX:
                self._take()
            self._changed.notify()

    def _take(self) -> tuple[Any, int]:
        """Remove and return the oldest message. The caller must hold the lock."""
        sample, arrived = self._waiting.popleft()
        self._bytes -= _size(sample)
        return sample, arrived

    def next(self, timeout: float) -> Parcel | None:
        """Wait for the next results (see `From.next`)."""
        self._clocks.ask_if_due()
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout)
            if not self._waiting:
                return None
            sample, arrived = self._take()
        attachment = None if sample.attachment is None else sample.attachment.to_bytes()
        parcel = unpack_results(sample.payload.to_bytes(), attachment, arrived, self._clocks)
        return parcel if self._is_new(parcel.results) else None

    def _is_new(self, header: VideoResultsHeader | None) -> bool:
        """Return whether results were not received before. A sending bridge that is restarted repeats the last ones."""
        if header is None:
            return False
        ahead = header.sequence - self._expected if header.stream == self._stream else 0
        # A larger step back is not a repetition. If it were, one forged number would stop all later results.
        if -_RESULTS_MAX <= ahead < 0:
            return False
        self.passed_over += max(ahead, 0)
        self._stream, self._expected = header.stream, header.sequence + 1
        return True

    def close(self) -> None:
        """Unsubscribe from the key."""
        self._subscriber.close()


def _size(sample: Any) -> int:
    """Return the number of bytes of a message. An attachment that will be refused can be as large as a payload."""
    return len(sample.payload) + (0 if sample.attachment is None else len(sample.attachment))
