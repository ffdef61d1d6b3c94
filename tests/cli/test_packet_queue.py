"""A bridge withholds packets that cannot be decoded, and its queue to a slow link is bounded."""

from __future__ import annotations

import pytest

from gst_iceoryx2._wire.packet import VideoPacketHeader
from gst_iceoryx2.bridge.packet_queue import Gate, PacketQueue


def header(sequence: int, *, is_keyframe: bool = False, stream: int = 9, is_end: bool = False) -> VideoPacketHeader:
    return VideoPacketHeader(stream=stream, sequence=sequence, flags=is_keyframe + 2 * is_end)


def test_packets_between_a_gap_and_a_keyframe_are_withheld() -> None:
    gate = Gate()
    assert not gate.takes(header(4))
    assert gate.takes(header(5, is_keyframe=True))
    assert not gate.is_discont()
    assert gate.takes(header(6))
    assert not gate.takes(header(6)), "a repetition"
    assert not gate.takes(header(8))
    assert not gate.takes(header(9))
    assert gate.takes(header(10, is_keyframe=True))
    assert gate.is_discont()
    assert not gate.is_discont()
    assert gate.takes(header(11, is_end=True))
    assert gate.takes(header(12))
    assert not gate.takes(header(3, stream=8))
    assert gate.takes(header(4, stream=8, is_keyframe=True))
    assert gate.is_discont()
    assert gate.withheld == 4


def test_a_queue_holds_no_more_than_a_group_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("gst_iceoryx2.bridge.packet_queue.time.monotonic", lambda: now)
    queue: PacketQueue[int] = PacketQueue()
    for number in range(75):
        queue.push(number, 100, is_keyframe=number % 30 == 0)
        now += 1 / 30
    assert (len(queue), queue.dropped, queue.is_late) == (15, 60, False)
    assert [queue.pop() for _ in range(16)] == [*range(60, 75), None]
    # Packets that have just arrived are not dropped at a keyframe.
    for number in range(25, 35):
        queue.push(number, 100, is_keyframe=number == 30)
        now += 1 / 30
    assert [queue.pop() for _ in range(10)] == list(range(25, 35))


@pytest.mark.parametrize(("count", "size"), [(129, 100), (17, 4 << 20)])
def test_a_queue_without_keyframes_is_bounded(count: int, size: int) -> None:
    queue: PacketQueue[int] = PacketQueue()
    for number in range(count):
        queue.push(number, size, is_keyframe=False)
    assert (len(queue), queue.dropped) == (0, count)
    queue.push(200, size, is_keyframe=False)
    queue.push(201, 0, is_keyframe=False)
    queue.push(202, size, is_keyframe=True)
    assert [queue.pop(), queue.pop(), queue.pop()] == [201, 202, None]
