"""Access units of H.264 that look like an encoder's, and whose bytes tell their number."""

from __future__ import annotations

import itertools
from typing import Any

from gst_iceoryx2.packets import Packet, PacketPublisher

_SETS = b"\0\0\0\1\x67sps\0\0\1\x68pps"
_KEY, _DELTA = b"\0\0\1\x65", b"\0\0\0\1\x41"
MS = 1_000_000


def unit(number: int, *, is_keyframe: bool, size: int = 100) -> bytes:
    """Return an access unit."""
    head = _SETS + _KEY if is_keyframe else _DELTA
    return head + f"number {number} ".encode().ljust(size, b".")


def number_of(packet: Packet) -> int:
    """Return the number in a unit."""
    return int(bytes(packet.data).partition(b"number ")[2].split()[0])


class Encoder:
    """Publishes units, with a keyframe every `gop` units; capture times are `interval` ms apart.

    Args:
        publisher: Where to publish.
        gop: Units from a keyframe to the next one.
        interval: Milliseconds from one capture to the next.
        answers: Whether it makes a keyframe when a reader wants one.
    """

    def __init__(self, publisher: PacketPublisher, gop: int, interval: int = 10, *, answers: bool = False) -> None:
        self._publisher = publisher
        self._gop = gop
        self._interval = interval
        self._answers = answers
        self._numbers = itertools.count()
        self._since = gop

    def publish(self, count: int = 1, size: int = 100, **settings: Any) -> None:
        """Publish some units."""
        for number in itertools.islice(self._numbers, count):
            wanted = self._answers and self._publisher.is_keyframe_wanted
            is_keyframe = self._since >= self._gop or wanted
            self._since = 1 if is_keyframe else self._since + 1
            at = number * self._interval * MS
            data = unit(number, is_keyframe=is_keyframe, size=size)
            self._publisher.publish(data, is_keyframe=is_keyframe, pts=at, captured_at=at, **settings)
