"""A participant that reads an encoded stream on demand, and decodes every packet."""

from __future__ import annotations

import time
import zlib
from fractions import Fraction
from typing import Any, Final

import numpy as np

from gst_iceoryx2.errors import BorrowLimitError, ClosedError
from gst_iceoryx2.feed.pattern import TestPattern, read_number
from gst_iceoryx2.packets import Packet, PacketSubscriber
from gst_iceoryx2.serve import load
from tests.chaos.pattern import Bytes
from tests.chaos.role import Report, Role
from tests.chaos.served import STREAMS
from tests.chaos.tally import FaultError
from tests.packets.decoding import Decoder

_WAIT_MS: Final = 100
_NS: Final = 1_000_000_000
# At 15 packets per second, 128 packets fill the buffer in 8.5 seconds.
_LAGS: Final = (8.6, 10.5)
# Age in seconds of a packet after which a reader may fall behind, so that it catches up first.
_NEW: Final = 0.5
# Mean squared difference of the luma. Another picture of the pattern differs by more, and x264 at crf 23 by less.
_MOST_DIFFERENT: Final = 40.0


class PacketReader(Role):
    """Reads packets, and checks their order, their marks, and the picture that each gives."""

    def __init__(self, spec: dict[str, Any], report: Report) -> None:
        super().__init__(spec, report)
        self._pictures = _Pictures(self.service.rpartition("@")[0])
        self._subscriber: PacketSubscriber | None = None
        self._following = _Following()
        self._kept: list[tuple[float, int, memoryview]] = []

    def live(self) -> None:
        self.phase("opening")
        self._following = _Following()
        left = 1 << 60 if self.habit == "lag" else self.lifetime(40.0)
        with PacketSubscriber(self.service) as subscriber:
            self._subscriber = subscriber
            try:
                while not self.stop.is_set() and left > 0:
                    self.phase("waiting", again=False)
                    age = self._receive(subscriber)
                    if age is not None:
                        left -= 1
                    if age is not None and age < _NEW:
                        self._dawdle(subscriber)
            except ClosedError:
                if not self.stop.is_set():
                    raise
            finally:
                self._subscriber = None
            self._look_at_kept(everything=True)
            self.phase("closing")

    def interrupt(self) -> None:
        if (subscriber := self._subscriber) is not None:
            subscriber.close()

    def _receive(self, subscriber: PacketSubscriber) -> float | None:
        """Receive and check a packet; return its age in seconds, or None if there was none."""
        packet = subscriber.receive_blocking(_WAIT_MS)
        self._look_at_kept()
        if packet is None:
            return None
        self.phase("working")
        if packet.is_eos():
            raise FaultError(f"{self.service!r} ended, but its source has no end")
        stats = subscriber.stats
        if stats.invalid:
            raise FaultError(f"{stats.invalid} packets were refused")
        if packet.is_discont and self.rng.random() < 0.5:
            # A decoder that begins here needs nothing that came before.
            self._following.decoder = Decoder()
        self._following.note(packet, stats.withheld + stats.dropped)
        self._pictures.check(packet, self._following.decoder)
        self.counters["frames"] += 1
        self.counters["checked"] += len(packet.data)
        self.counters["dropped"], self.counters["skipped"] = stats.dropped, stats.withheld
        if self.rng.random() < 0.1 and len(self._kept) < 3:
            self._keep(packet, self.rng.uniform(0.0, 2.0))
        return packet.age

    def _keep(self, packet: Packet, seconds: float) -> None:
        self._kept.append((time.monotonic() + seconds, zlib.crc32(packet.data), packet.data))

    def _dawdle(self, subscriber: PacketSubscriber) -> None:
        """Fall behind now and then: with a full buffer, or with as many packets as can be held."""
        if self.habit == "lag" and self.rng.random() < 0.02:
            self._look_at_kept(everything=True)
            self.rest(self.rng.uniform(*_LAGS))
        elif self.habit == "hoard" and self.rng.random() < 0.02:
            self._hoard(subscriber)

    def _hoard(self, subscriber: PacketSubscriber) -> None:
        self.phase("idle")
        until = time.monotonic() + self.rng.uniform(0.5, 10.0)
        while time.monotonic() < until and not self.stop.is_set():
            try:
                packet = subscriber.receive()
            except BorrowLimitError:
                self.stop.wait(until - time.monotonic())
                break
            if packet is None:
                self.stop.wait(0.02)
                continue
            stats = subscriber.stats
            self._following.note(packet, stats.withheld + stats.dropped)
            self._pictures.check(packet, self._following.decoder)
            self.counters["frames"] += 1
            self._keep(packet, 60.0)
        self._look_at_kept(everything=True)

    def _look_at_kept(self, *, everything: bool = False) -> None:
        """Check and release packets whose time is over."""
        now = time.monotonic()
        kept = []
        for until, checksum, data in self._kept:
            if until > now and not everything:
                kept.append((until, checksum, data))
            elif zlib.crc32(data) != checksum:
                raise FaultError(f"a held packet of {self.service!r} has changed")
            else:
                self.counters["held"] += 1
        self._kept = kept


class _Following:
    """The packets of one subscriber since it was opened.

    Attributes:
        decoder: Decodes them, also across gaps and other publishers.
    """

    def __init__(self) -> None:
        self.decoder = Decoder()
        self._last: Packet | None = None
        self._missing = 0

    def note(self, packet: Packet, missing: int) -> None:
        """Compare the next packet with the last one.

        Args:
            packet: The next packet.
            missing: Packets that the subscriber has counted as withheld or dropped.

        Raises:
            FaultError: The packet is out of order, a gap is not marked or not counted, or a mark is no keyframe.
        """
        last, before = self._last, self._missing
        self._last, self._missing = packet.copy(), missing
        is_same = last is not None and last.stream == packet.stream
        if last is not None and is_same and packet.number <= last.number:
            raise FaultError(f"{packet} came after {last}")
        gap = packet.number - last.number - 1 if last is not None and is_same else None
        if packet.is_discont != (gap != 0):
            raise FaultError(f"{packet} after {last} is {'' if packet.is_discont else 'not '}marked")
        if packet.is_discont and not packet.is_keyframe:
            raise FaultError(f"{packet} is marked, but it is no keyframe")
        if gap is not None and missing - before != gap:
            raise FaultError(f"{gap} packets are missing between {last} and {packet}, counted were {missing - before}")
        if last is not None and last.publisher == packet.publisher and not _sequence(last) < _sequence(packet):
            raise FaultError(f"{packet} shows an earlier frame than {last}")


class _Pictures:
    """The pictures of a stream in streams.toml."""

    def __init__(self, name: str) -> None:
        (stream,) = (stream for stream in load(STREAMS).streams if stream.name == name)
        assert stream.size is not None
        self._width, self._height = stream.size
        self._fps = Fraction(stream.fps or 30)
        self._pattern = TestPattern(self._width, self._height, "I420", self._fps)

    def check(self, packet: Packet, decoder: Decoder) -> None:
        """Decode a packet, and compare its picture with the one of its frame.

        Raises:
            FaultError: The picture is another one.
        """
        number = round((packet.pts or 0) * self._fps / _NS)
        luma = decoder.decode(packet)
        if read_number(luma) != number:
            raise FaultError(f"{packet} shows picture {read_number(luma)}, not {number}")
        difference = float(np.mean((luma.astype(np.int32) - self._luma(number)) ** 2))
        if difference > _MOST_DIFFERENT:
            raise FaultError(f"{packet} shows picture {number} with a mean squared difference of {difference:.1f}")

    def _luma(self, number: int) -> Bytes:
        width, height = self._width, self._height
        planes = [np.zeros(shape, np.uint8) for shape in ((height, width), *((height // 2, width // 2),) * 2)]
        self._pattern.draw(tuple(planes), number)
        return planes[0]


def _sequence(packet: Packet) -> int:
    if packet.sequence is None:
        raise FaultError(f"{packet} does not tell its frame")
    return packet.sequence
