"""Packets between processes: restarts, kills, forks and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from tests.packets.conftest import WAIT_MS
from tests.packets.units import Encoder, number_of
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

Start = Callable[..., Child]


def follow(child: Child, wanted: Callable[[list[int]], bool]) -> list[int]:
    """Return the next report of a reader that is wanted."""
    while not wanted(report := child.told()):
        pass
    return report


def test_a_reader_that_joins_in_mid_group_receives_the_whole_group(start: Start) -> None:
    # As many as wait for a subscriber that does not read for a while.
    writer = start("publish", 40, 20, 120)
    writer.told()
    with PacketSubscriber("cam0") as sub:
        first = arrived(sub.receive_blocking(WAIT_MS))
        assert first.is_keyframe
        assert first.is_discont
        left = range(number_of(first) + 1, 120)
        assert [number_of(arrived(sub.receive_blocking(WAIT_MS))) for _ in left] == list(left)
        assert sub.stats[1:4] == (sub.stats.withheld, 0, 0)
    writer.tell()
    assert writer.ends() == 0, writer.complaint()


@pytest.mark.proves("K6", "L8")
def test_readers_follow_a_publisher_that_is_killed_and_started_again(start: Start) -> None:
    """The reader neither leaves the service in a state that the next publisher cannot use, nor decodes half a group."""
    reader = start("read", 5)
    assert reader.told() == "there"
    seen: list[int] = []
    for _ in range(3):
        # As many as wait for a reader that does not run for a while.
        writer = start("publish", 1000, 1, 120)
        stream = writer.told()
        first = follow(reader, lambda report: report[1] not in seen)
        assert first == [0, stream, True]
        seen.append(stream)
        for number in range(1, 30):
            assert reader.told() == [number, stream, False]
        writer.kill()
    end(reader)
    # The next participant removes what the last publisher left.
    PacketPublisher("cam0", "h264", 640, 480).close()


def end(reader: Child) -> None:
    reader.tell()
    assert reader.ends() == 0, reader.complaint()


@pytest.mark.proves("K6")
def test_a_publisher_that_ends_orderly_is_followed_as_well(start: Start) -> None:
    reader = start("read")
    assert reader.told() == "there"
    streams = []
    for _ in range(2):
        with PacketPublisher("cam0", "h264", 640, 480) as pub:
            Encoder(pub, 10).publish(5)
            streams.append(pub.stream)
            assert [reader.told()[0] for _ in range(5)] == list(range(5))
    assert len(set(streams)) == 2
    end(reader)


@pytest.mark.proves("K6", "K7")
def test_a_killed_reader_costs_the_publisher_nothing(
    start: Start,
) -> None:
    with PacketPublisher("cam0", "h264", 640, 480) as pub:
        encoder = Encoder(pub, 10)
        for _ in range(4):
            reader = start("read", 16)
            assert reader.told() == "there"
            wait_until(lambda: pub.num_subscribers >= 1)
            encoder.publish(60)
            reader.told()
            reader.kill()
            encoder.publish(300)
        wait_until(lambda: pub.num_subscribers == 0)
        assert pub.stats.dropped == 0


@pytest.mark.proves("K1", "K7")
def test_a_stopped_reader_loses_packets_and_goes_on_at_a_keyframe(start: Start) -> None:
    with PacketPublisher("cam0", "h264", 640, 480) as pub:
        reader = start("read")
        assert reader.told() == "there"
        wait_until(lambda: pub.num_subscribers == 1)
        encoder = Encoder(pub, 50)
        encoder.publish(10)
        assert [reader.told()[0] for _ in range(10)] == list(range(10))
        reader.kill(signal.SIGSTOP)
        encoder.publish(300)
        reader.kill(signal.SIGCONT)
        assert reader.told() == [200, pub.stream, True]
        assert reader.told() == [201, pub.stream, False]
        end(reader)


@pytest.mark.proves("L10")
def test_a_forked_child_leaves_its_parents_ports_alone(start: Start) -> None:
    child = start("fork_with_ports")
    told = child.told()
    assert told == {"status": 0, "errors": ["ForkedError"] * 6, "following": [6, 7, 8]}
    assert child.told() == 5
    assert child.ends() == 0, child.complaint()
    assert child.complaint() == ""


@pytest.mark.proves("P4")
def test_ctrl_c_ends_a_wait(start: Start) -> None:
    child = start("wait_for_ctrl_c")
    assert child.told() == "there"
    child.kill(signal.SIGINT)
    assert child.told() == "interrupted"
    assert child.ends() == 0, child.complaint()
