"""A publisher and a subscriber of packets in one process: what arrives, where a reader starts, what is withheld."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time

import numpy as np
import pytest

from gst_iceoryx2.discovery import names, require
from gst_iceoryx2.errors import (
    BorrowLimitError,
    ClosedError,
    FormatError,
    FrameReleasedError,
    InvalidServiceNameError,
    ServiceMismatchError,
    ServiceNotFoundError,
    TooManyPortsError,
)
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from gst_iceoryx2.packets.subscriber import PacketSubscriberStats
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber, create_node, open_video_service
from tests.packets.conftest import WAIT_MS, numbers, rest
from tests.packets.units import MS, Encoder, number_of, unit
from tests.waiting import arrived, wait_until


@pytest.mark.proves("K4")
def test_a_packet_arrives_as_it_was_sent(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub, VideoFramePublisher("video/cam0/frame/v2") as frames:
        with VideoFrameSubscriber("video/cam0/frame/v2") as reader:
            frames.publish(np.zeros((480, 640, 3), np.uint8), captured_at=12345)
            stamp = arrived(reader.receive_blocking(WAIT_MS)).stamp
        Encoder(pub, 10).publish()
        numbers(sub, 1)
        data = unit(7, is_keyframe=True)
        assert pub.publish(data, is_keyframe=True, pts=3, dts=2, duration=40 * MS, stamp=stamp) == 1
        packet = arrived(sub.receive_blocking(WAIT_MS))
        assert bytes(packet.data) == data
        assert packet.data.readonly
        assert (packet.pts, packet.dts, packet.duration) == (3, 2, 40 * MS)
        assert (packet.width, packet.height, packet.codec, packet.is_keyframe) == (640, 480, "h264", True)
        assert (packet.stream, packet.number) == (pub.stream, 1)
        assert (packet.publisher, packet.sequence, packet.captured_at) == (stamp.publisher, 0, 12345)
        assert packet.stamp == stamp
        assert not packet.is_eos()
        assert not packet.is_discont
        assert (packet.age or 0) > 0
        assert sub.stats == PacketSubscriberStats(2, 0, 0, 0, 1, 16)
        assert pub.stats == (2, 0)


def test_times_that_are_not_set_are_none(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0@h264") as sub:
        before = time.monotonic_ns()
        pub.publish(unit(0, is_keyframe=True), is_keyframe=True)
        packet = arrived(sub.receive_blocking(WAIT_MS))
        assert (packet.pts, packet.dts, packet.duration, packet.sequence, packet.publisher) == (None,) * 5
        assert before <= (packet.captured_at or 0) <= time.monotonic_ns()


def test_data_outlives_its_packet_and_copies_outlive_both(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, 10)
        encoder.publish()
        numbers(sub, 1)
        encoder.publish()
        packet = arrived(sub.receive_blocking(WAIT_MS))
        data, copies = packet.data, [packet.copy(), copy.copy(packet), pickle.loads(pickle.dumps(packet))]
        with packet:
            pass
        with pytest.raises(FrameReleasedError, match="was released"):
            _ = packet.data
        with pytest.raises(FrameReleasedError):
            packet.copy()
        assert sub.stats.held == 1
        encoder.publish(500)
        assert bytes(data) == unit(1, is_keyframe=False)
        del data
        assert sub.stats.held == 0
        for one in copies:
            assert (number_of(one), one.number, one.pts, one.is_keyframe) == (1, 1, 10 * MS, False)


@pytest.mark.proves("K1", "K3")
def test_a_reader_that_joins_starts_at_the_newest_keyframe(pub: PacketPublisher) -> None:
    encoder = Encoder(pub, gop=20)
    encoder.publish(50)
    with PacketSubscriber("cam0") as sub:
        first = arrived(sub.receive_blocking(WAIT_MS))
        assert (number_of(first), first.is_keyframe, first.is_discont) == (40, True, True)
        assert numbers(sub, 9) == list(range(41, 50))
        encoder.publish(15)
        assert numbers(sub, 15) == list(range(50, 65))
        assert sub.stats[:4] == (25, 40, 0, 0)
    # They span 0.09 s of capture time.
    assert not pub.is_keyframe_wanted


def test_a_reader_that_was_there_before_receives_everything() -> None:
    with PacketSubscriber("cam0") as sub:
        assert sub.receive() is None
        with PacketPublisher("cam0", "h264", 640, 480) as pub:
            Encoder(pub, gop=30).publish(100)
            packets = [arrived(sub.receive_blocking(WAIT_MS)).copy() for _ in range(10)]
            assert numbers(sub, 0) == []
    # It starts at the newest of the keyframes that have arrived by then.
    assert [number_of(packet) for packet in packets] == list(range(90, 100))


def test_a_reader_that_reads_receives_each_packet(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=30)
        for number in range(200):
            encoder.publish()
            assert numbers(sub, 1) == [number]
        assert sub.stats[:4] == (200, 0, 0, 0)


@pytest.mark.proves("K1", "K2")
def test_after_an_overflow_a_reader_goes_on_at_the_next_keyframe(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=50)
        encoder.publish(10)
        assert numbers(sub, 10) == list(range(10))
        encoder.publish(300)
        received = rest(sub)
        # The newest 128 packets are waiting: 182 to 309.
        assert received == list(range(200, 310))
        assert sub.stats[:4] == (120, 18, 172, 0)
        wait_until(lambda: pub.is_keyframe_wanted)


@pytest.mark.proves("K2")
def test_where_a_reader_goes_on_after_a_gap_is_marked(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=50)
        encoder.publish(10)
        numbers(sub, 10)
        encoder.publish(300)
        packet = arrived(sub.receive_blocking(WAIT_MS))
        assert (packet.is_discont, packet.is_keyframe) == (True, True)
        assert not arrived(sub.receive_blocking(WAIT_MS)).is_discont


@pytest.mark.proves("K2")
def test_a_publisher_tells_of_a_gap_of_its_own(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=1)
        encoder.publish()
        numbers(sub, 1)
        encoder.publish(is_discont=True)
        assert arrived(sub.receive_blocking(WAIT_MS)).is_discont


def test_a_packet_that_is_larger_than_all_before_arrives(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=4)
        for number, size in enumerate((100, 100, 1 << 18, 1 << 20, 100, 3 << 20, 100)):
            encoder.publish(size=size)
            packet = arrived(sub.receive_blocking(WAIT_MS))
            assert number_of(packet) == number
            assert len(packet.data) > size
        assert sub.stats[:4] == (7, 0, 0, 0)


@pytest.mark.proves("L6")
def test_the_end_of_the_stream_ends_loops_and_reaches_readers_that_join(pub: PacketPublisher) -> None:
    encoder = Encoder(pub, gop=20)
    with PacketSubscriber("cam0") as sub:
        encoder.publish(30)
        assert pub.end_of_stream() == 1
        assert [number_of(packet) for packet in sub] == list(range(20, 30))
        encoder.publish()
        assert numbers(sub, 1) == [30]
        assert sub.stats[:4] == (11, 20, 0, 0)
        pub.end_of_stream()
        end = arrived(sub.receive_blocking(WAIT_MS))
        assert (end.is_eos(), end.width, bytes(end.data), end.is_keyframe) == (True, 0, b"", False)
    with PacketSubscriber("cam0") as late:
        assert [number_of(packet) for packet in late] == list(range(20, 31))


@pytest.mark.proves("P3")
def test_a_reader_that_holds_too_many_packets_is_told(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=100)
        encoder.publish()
        numbers(sub, 1)
        encoder.publish(20)
        held = [arrived(sub.receive()) for _ in range(16)]
        with pytest.raises(BorrowLimitError, match="16 packets are already held, but the limit is 16"):
            sub.receive()
        assert [number_of(packet) for packet in held] == list(range(1, 17))
        held.clear()
        assert numbers(sub, 4) == list(range(17, 21))


@pytest.mark.proves("M4", "K7")
def test_packets_that_are_held_do_not_change(pub: PacketPublisher) -> None:
    subs = [PacketSubscriber("cam0") for _ in range(8)]
    encoder = Encoder(pub, gop=100)
    encoder.publish()
    held = []
    for sub in subs:
        numbers(sub, 1)
    for _ in range(16):
        encoder.publish(130, size=1000)
        held += [arrived(sub.receive()) for sub in subs if not sub.stats.held >= 16]
    numbers_before = [packet.number for packet in held]
    encoder.publish(1000)
    assert [number_of(packet) for packet in held] == numbers_before
    assert pub.stats.dropped == 0
    for sub in subs:
        sub.close()


def test_closing_wakes_a_reader_that_waits() -> None:
    sub = PacketSubscriber("cam0")
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            sub.receive_blocking()
        except ClosedError as exc:
            caught.append(exc)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: sub._waiter is not None and sub._waiter._sleepers)
    sub.close()
    thread.join(10)
    assert len(caught) == 1
    for call in (sub.receive, sub.request_keyframe):
        with pytest.raises(ClosedError):
            call()


def test_a_closed_publisher_is_told(pub: PacketPublisher) -> None:
    pub.close()
    pub.close()
    for call in (lambda: pub.publish(unit(0, is_keyframe=True), is_keyframe=True), pub.end_of_stream):
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(ClosedError):
        _ = pub.is_keyframe_wanted
    assert pub.is_closed
    assert "closed" in repr(pub)


@pytest.mark.asyncio
async def test_an_event_loop_receives(pub: PacketPublisher) -> None:
    async def publish() -> None:
        encoder = Encoder(pub, gop=10)
        for _ in range(5):
            encoder.publish()
            await asyncio.sleep(0.005)
        pub.end_of_stream()

    with PacketSubscriber("cam0") as sub:
        task = asyncio.create_task(publish())
        assert [number_of(packet) async for packet in sub] == list(range(5))
        await task


def test_a_second_publisher_is_refused(pub: PacketPublisher) -> None:
    with pytest.raises(TooManyPortsError, match="already has 1"):
        PacketPublisher("cam0", "h264", 640, 480)
    PacketPublisher("cam0", "h265", 640, 480).close()


def test_a_publisher_needs_a_size() -> None:
    for width, height in ((0, 480), (640, 32769)):
        with pytest.raises(ValueError, match="must be"):
            PacketPublisher("cam0", "h264", width, height)


@pytest.mark.proves("K10")
def test_a_service_of_frames_under_the_name_is_refused() -> None:
    from tests.transport import raw

    owner = raw.node()
    service = raw.video_service(owner, "video/cam0@h264/packet/v1")
    with pytest.raises(ServiceMismatchError, match=r"not packets .*112-byte header VideoPacketHeader"):
        PacketPublisher("cam0", "h264", 640, 480)
    del service, owner


@pytest.mark.parametrize("name", ["video/cam0@h264/packet/v1", "video/cam0@h264/frame/v2"])
@pytest.mark.proves("K10")
def test_frames_cannot_be_read_or_published_under_the_name(pub: PacketPublisher, name: str) -> None:
    for kind in (VideoFramePublisher, VideoFrameSubscriber):
        with pytest.raises(InvalidServiceNameError, match=r"use gst_iceoryx2\.packets for packets"):
            kind(name)
    with pytest.raises(InvalidServiceNameError, match="reserved"):
        open_video_service(create_node(), name)


@pytest.mark.proves("K10")
def test_a_stream_of_packets_is_no_stream_of_frames(pub: PacketPublisher) -> None:
    assert names() == []
    with pytest.raises(ServiceNotFoundError, match=r"stream of h264 packets, not of frames; read it with"):
        require("cam0@h264")


@pytest.mark.proves("K9")
def test_what_cannot_be_sent_is_refused(pub: PacketPublisher) -> None:
    key = unit(0, is_keyframe=True)
    for data, settings, words in (
        ("text", {}, "must be bytes"),
        (np.zeros((4, 4), np.uint8)[:, ::2], {}, "contiguous"),
        (b"", {}, "has 0"),
        (key[4:], {}, "start code"),
    ):
        with pytest.raises(FormatError, match=words):
            pub.publish(data, is_keyframe=False, **settings)
    for name in ("pts", "dts", "duration", "captured_at"):
        with pytest.raises(ValueError, match=name):
            pub.publish(key, is_keyframe=True, **{name: -1})
    assert pub.stats == (0, 0)


def test_a_port_cannot_be_pickled(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        for port in (pub, sub):
            with pytest.raises(TypeError, match="cannot pickle"):
                pickle.dumps(port)


@pytest.mark.proves("K7")
def test_memory_does_not_grow_while_nobody_reads(pub: PacketPublisher) -> None:
    """What waits for a slow reader is also in the history, so it needs no memory of its own."""
    from gst_iceoryx2.video._pool import LOANS

    subs = [PacketSubscriber("cam0") for _ in range(8)]
    encoder = Encoder(pub, gop=10)
    encoder.publish(1000)
    pool = pub._sender._pool
    assert pool is not None
    assert (pool.number, pool._chunks) == (1, 128 + 16 + 2)
    assert pool._max_chunks == 8 * 16 + 128 + LOANS + 1
    for sub in subs:
        sub.close()
