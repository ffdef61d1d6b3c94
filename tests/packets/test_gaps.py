"""Faults after which a reader gave packets that no decoder could decode, or did not say that packets were missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.errors import FormatError, OutOfSharedMemoryError
from gst_iceoryx2.packets import Packet, PacketPublisher, PacketSubscriber, VideoPacketHeader
from tests.packets.conftest import WAIT_MS, numbers, rest
from tests.packets.test_hostile import SERVICE, header
from tests.packets.units import Encoder, number_of, unit
from tests.transport.raw import RawPublisher
from tests.waiting import arrived, wait_until


@pytest.fixture
def raw() -> Iterator[RawPublisher]:
    publisher = RawPublisher(SERVICE, 1 << 16, 30, VideoPacketHeader)
    yield publisher
    publisher.close()


def send(raw: RawPublisher, sequence: int, *, key: bool = False, flags: int = 0) -> None:
    raw.send(header(sequence, flags=flags | key), unit(sequence, is_keyframe=key))


def marks(packets: list[Packet]) -> list[tuple[int, bool]]:
    """Return the number of each packet, and whether packets are missing before it."""
    return [(number_of(packet), packet.is_discont) for packet in packets]


def received(subscriber: PacketSubscriber, count: int) -> list[Packet]:
    return [arrived(subscriber.receive_blocking(WAIT_MS)).copy() for _ in range(count)]


REFUSED: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "no start code": ({"data": b"\1\2\3\4", "is_keyframe": False}, FormatError),
    "no parameter sets": ({"data": b"\0\0\1\x65picture", "is_keyframe": True}, FormatError),
    "a time that is negative": ({"data": unit(0, is_keyframe=False), "is_keyframe": False, "pts": -1}, ValueError),
    "no bytes": ({"data": "text", "is_keyframe": False}, FormatError),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.proves("K1", "K2")
def test_a_packet_that_is_refused_is_missing(case: str, pub: PacketPublisher) -> None:
    """The next packet had the refused one's number, so readers gave packets that depend on what was never sent."""
    settings, error = REFUSED[case]
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=4)
        encoder.publish(2)
        assert numbers(sub, 2) == [0, 1]
        with pytest.raises(error):
            pub.publish(**settings)
        encoder.publish(4)
        assert marks(received(sub, 2)) == [(4, True), (5, False)]
        assert sub.stats[:4] == (4, 2, 1, 0)
        wait_until(lambda: pub.is_keyframe_wanted)


@pytest.mark.proves("K1", "K2")
def test_a_packet_for_which_there_is_no_memory_is_missing(
    pub: PacketPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keyframe was too large for /dev/shm, and readers went on with the packets after it."""
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=100)
        encoder.publish()
        numbers(sub, 1)
        with monkeypatch.context() as patch:
            # Everything that is free is promised to other programs.
            patch.setattr("gst_iceoryx2.video._pool._promised", lambda: 1 << 60)
            with pytest.raises(OutOfSharedMemoryError, match=SERVICE):
                encoder.publish(size=1 << 20)
        encoder.publish(3)
        assert rest(sub) == []
        assert sub.stats[:4] == (1, 3, 1, 0)


@pytest.mark.proves("K1", "K2")
def test_a_gap_in_what_a_joiner_receives_is_marked(raw: RawPublisher) -> None:
    """The joiner marked the packets before the gap instead."""
    with PacketSubscriber("cam0") as sub:
        send(raw, 0, key=True)
        send(raw, 1)
        send(raw, 5)
        assert marks(received(sub, 2)) == [(0, True), (1, False)]
        send(raw, 6)
        send(raw, 7, key=True)
        send(raw, 8)
        assert marks(received(sub, 2)) == [(7, True), (8, False)]
        assert sub.stats[:4] == (4, 2, 3, 0)


@pytest.mark.proves("K2", "K7")
def test_a_joiner_that_drops_what_it_collected_marks_the_next_keyframe(
    raw: RawPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packets that were withheld count as missing as well."""
    from gst_iceoryx2.packets import _intake

    monkeypatch.setattr(_intake, "_BACKLOG_BYTES", 250)
    with PacketSubscriber("cam0") as sub:
        for number in range(4):
            send(raw, number, key=number == 0)
        assert rest(sub) == []
        send(raw, 4, key=True)
        assert marks(received(sub, 1)) == [(4, True)]
        assert sub.stats[:4] == (1, 4, 0, 0)


@pytest.mark.proves("K1", "K2")
def test_packets_after_a_gap_of_the_publisher_are_withheld(pub: PacketPublisher) -> None:
    """A camera that lost packets said so, and readers gave what depends on them."""
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=5)
        encoder.publish(2)
        assert numbers(sub, 2) == [0, 1]
        encoder.publish(is_discont=True)
        encoder.publish(3)
        assert marks(received(sub, 1)) == [(5, True)]
        assert sub.stats[:4] == (3, 3, 0, 0)
        wait_until(lambda: pub.is_keyframe_wanted)


@pytest.mark.parametrize("is_joining", [False, True])
@pytest.mark.proves("K1")
def test_the_end_of_the_stream_is_no_keyframe(is_joining: bool, raw: RawPublisher) -> None:
    """An end with the flag of a keyframe let packets through that depend on missing ones."""
    with PacketSubscriber("cam0") as sub:
        if not is_joining:
            send(raw, 0, key=True)
            assert numbers(sub, 1) == [0]
        raw.send(header(5, flags=3), b"\0")
        send(raw, 6)
        if not is_joining:
            end = arrived(sub.receive_blocking(WAIT_MS))
            assert (end.is_eos(), end.is_keyframe) == (True, False)
        assert rest(sub) == []
        send(raw, 7, key=True)
        assert marks(received(sub, 1)) == [(7, True)]


def test_ends_of_the_stream_take_no_room_from_a_joiner(raw: RawPublisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends were counted with their payload, so a joiner withheld a group that it had room for."""
    from gst_iceoryx2.packets import _intake

    monkeypatch.setattr(_intake, "_BACKLOG_BYTES", 1000)
    with PacketSubscriber("cam0") as sub:
        send(raw, 0, key=True)
        for number in range(1, 9):
            raw.send(header(number, flags=2), bytes(400))
        send(raw, 9)
        assert numbers(sub, 2) == [0, 9]


def test_truth_of_any_type_is_a_flag(pub: PacketPublisher) -> None:
    """2 as `is_keyframe` was sent as the end of the stream."""
    with PacketSubscriber("cam0") as sub:
        for number, value in enumerate((2, np.True_, 1, [0])):
            pub.publish(unit(number, is_keyframe=True), is_keyframe=value, is_discont=value)  # type: ignore[arg-type]
            packet = arrived(sub.receive_blocking(WAIT_MS))
            assert (number_of(packet), packet.is_keyframe, packet.is_discont) == (number, True, True)


@pytest.mark.proves("K3")
def test_a_poll_without_a_wait_joins_at_the_newest_keyframe(pub: PacketPublisher) -> None:
    """It collected one packet a call, so a slow reader started two seconds late and stayed there."""
    encoder = Encoder(pub, gop=20)
    encoder.publish(50)
    with PacketSubscriber("cam0") as sub:
        found: list[Packet | None] = []
        wait_until(lambda: found.append(sub.receive_blocking(0)) or found[-1])
        assert number_of(arrived(found[-1])) == 40
        assert [number_of(arrived(sub.receive_blocking(0))) for _ in range(9)] == list(range(41, 50))
        encoder.publish(200)
        # 122 to 139 come after a gap, and the first call passes over them.
        assert number_of(arrived(sub.receive_blocking(0))) == 140


def test_what_a_joiner_received_at_once_wakes_other_threads(pub: PacketPublisher) -> None:
    """A second thread slept until the next packet, although packets were there for it."""
    found: list[int] = []

    def read(subscriber: PacketSubscriber) -> None:
        for packet in subscriber:
            found.append(number_of(packet))

    with PacketSubscriber("cam0") as sub:
        threads = [threading.Thread(target=read, args=(sub,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait_until(lambda: sub._waiter is not None and len(sub._waiter._sleepers) == 3)
        Encoder(pub, gop=20).publish(20)
        wait_until(lambda: sorted(found) == list(range(20)))
        sub.close()
        for thread in threads:
            thread.join()
