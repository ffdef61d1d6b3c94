"""The clocks of other bridges, compared with this machine's CLOCK_MONOTONIC. Layout of the answers: docs/bridge.md."""

from __future__ import annotations

import struct
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from .._wire.clock import INT64_MAX
from .._wire.stamp import Stamp, boot_id, monotonic_ns

_MAGIC: Final = b"IOX2CLK\x01"
_ANSWER: Final = struct.Struct("<8s8s16sQ")
_NO_BOOT: Final = bytes(16)

# Largest difference between the rates of two clocks: a nanosecond in 5 µs. Quartz stays below half of this.
_DRIFT: Final = 5_000
# Answers older than this are not used, in nanoseconds.
_WINDOW: Final = 30_000_000_000
_ANSWERS_MAX: Final = 32
_ERROR_MAX: Final = 1_000_000_000
# Any program can answer, so only this many bridges are remembered.
_BRIDGES_MAX: Final = 16


class Shift(NamedTuple):
    """What to add to the times of another clock to get times of this machine's, and the largest error, in ns."""

    offset: int
    error: int


class Moments(NamedTuple):
    """Times of a frame on this machine's CLOCK_MONOTONIC, in nanoseconds.

    Attributes:
        captured_at: Capture time; if it is unknown, the time of arrival.
        due_at: Time to display the frame; None = unknown.
        error: Largest error of both; None = the capture time is unknown.
    """

    captured_at: int
    due_at: int | None
    error: int | None


class _Answer(NamedTuple):
    at: int
    offset: int
    error: int

    def error_at(self, now: int) -> int:
        """Return the largest error at a later time, because clocks drift."""
        return self.error + abs(now - self.at) // _DRIFT


@dataclass(slots=True)
class _Clock:
    """The clock of one bridge."""

    boot_id: bytes
    answers: deque[_Answer]

    def note(self, answer: _Answer) -> None:
        """Keep an answer, and forget earlier ones if they contradict it, because then the clock was changed."""
        now = answer.at
        if any(abs(answer.offset - one.offset) > answer.error + one.error_at(now) for one in self.answers):
            self.answers.clear()
        self.answers.append(answer)

    def shift(self, now: int) -> Shift | None:
        usable = [answer for answer in self.answers if now - answer.at <= _WINDOW]
        best = min(usable, key=lambda answer: answer.error_at(now), default=None)
        if best is None or best.error_at(now) > _ERROR_MAX:
            return None
        return Shift(best.offset, best.error_at(now))


class Clocks:
    """Knows how the clocks of other bridges differ from this machine's.

    A bridge that receives asks the sender for its time, about once per second. The sender's clock showed this time at
    some moment between question and answer, so the offset is right to half of the round trip. The best of the latest
    answers counts: the one whose half round trip plus drift since then is the smallest.
    """

    def __init__(self) -> None:
        # Answers arrive in threads of Zenoh.
        self._lock = threading.Lock()
        self._clocks: dict[str, _Clock] = {}

    def note(self, answer: bytes, asked: int, received: int) -> bool:
        """Note an answer, which any program may have sent.

        Args:
            answer: What `answer_now` returned there.
            asked: When the question was sent, in nanoseconds of CLOCK_MONOTONIC.
            received: When the answer arrived.

        Returns:
            Whether the answer can be used.
        """
        if len(answer) != _ANSWER.size or not 0 <= received - asked <= 2 * _ERROR_MAX:
            return False
        magic, bridge, boot, told = _ANSWER.unpack(answer)
        if magic != _MAGIC or told > INT64_MAX:
            return False
        with self._lock:
            clock = self._clocks.pop(bridge.hex(), None)
            if clock is None or clock.boot_id != boot:
                clock = _Clock(boot, deque(maxlen=_ANSWERS_MAX))
            clock.note(_Answer(received, (asked + received) // 2 - told, (received - asked + 1) // 2))
            # The latest is the last.
            self._clocks[bridge.hex()] = clock
            if len(self._clocks) > _BRIDGES_MAX:
                del self._clocks[next(iter(self._clocks))]
        return True

    def translate(self, stamp: Stamp, bridge: str | None, arrived: int) -> Moments:
        """Translate the times of a stamp, which any program may have sent.

        Args:
            stamp: The stamp.
            bridge: ID of the bridge that sent it; None = unknown.
            arrived: When it arrived, in nanoseconds of CLOCK_MONOTONIC.
        """
        shift = self._shift(stamp.boot_id, bridge, arrived)
        captured = None if shift is None or stamp.capture is None else stamp.capture + shift.offset
        # A picture cannot be taken after it arrived.
        if shift is None or captured is None or not 0 <= captured <= arrived + shift.error:
            return Moments(arrived, None, None)
        due = None if stamp.due is None else stamp.due + shift.offset
        return Moments(min(captured, arrived), due if due is not None and 0 <= due <= INT64_MAX else None, shift.error)

    def _shift(self, boot: bytes, bridge: str | None, now: int) -> Shift | None:
        with self._lock:
            clock = self._clocks.get(bridge or "")
            measured = clock.shift(now) if clock is not None and clock.boot_id == boot else None
        is_our_boot = boot == boot_id() != _NO_BOOT
        # Containers with a time namespace have the same boot ID and another clock.
        if is_our_boot and (measured is None or abs(measured.offset) <= measured.error):
            return Shift(0, 0)
        return measured


def answer_now(bridge: str) -> bytes:
    """Return the answer of a bridge with this ID to the question what its clock shows."""
    return _ANSWER.pack(_MAGIC, bytes.fromhex(bridge), boot_id(), monotonic_ns())
