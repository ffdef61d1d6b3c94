"""Readers that need a keyframe ask for one, and not more often than necessary."""

from __future__ import annotations

import os
import time

import pytest

from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from tests.packets.conftest import WAIT_MS, numbers, rest
from tests.packets.units import Encoder, number_of
from tests.waiting import arrived, wait_until


@pytest.mark.proves("K3")
def test_a_reader_that_joins_late_in_a_long_group_asks_for_a_keyframe(pub: PacketPublisher) -> None:
    encoder = Encoder(pub, gop=1000, interval=30, answers=True)
    encoder.publish(30)
    with PacketSubscriber("cam0") as sub:
        assert numbers(sub, 30) == list(range(30))
        wait_until(lambda: pub.is_keyframe_wanted)
        encoder.publish(2)
        packet = arrived(sub.receive_blocking(WAIT_MS))
        assert (number_of(packet), packet.is_keyframe, packet.is_discont) == (30, True, False)
        assert not pub.is_keyframe_wanted


def test_requests_for_keyframes_leave_no_descriptors(pub: PacketPublisher) -> None:
    """A reader kept the notifier of its first request, and connections to the listeners of all other readers."""
    subs = [PacketSubscriber("cam0") for _ in range(4)]
    before = len(os.listdir("/proc/self/fd"))
    for sub in subs:
        sub.request_keyframe()
    wait_until(lambda: pub.is_keyframe_wanted)
    assert len(os.listdir("/proc/self/fd")) == before
    for sub in subs:
        sub.close()


@pytest.mark.proves("K3")
def test_readers_that_join_at_once_cost_one_keyframe(pub: PacketPublisher) -> None:
    encoder = Encoder(pub, gop=1000, interval=30, answers=True)
    encoder.publish(30)
    subs = [PacketSubscriber("cam0") for _ in range(8)]
    for sub in subs:
        assert numbers(sub, 30) == list(range(30))
    wait_until(lambda: pub.is_keyframe_wanted)
    encoder.publish(60)
    for sub in subs:
        packets = [arrived(sub.receive_blocking(WAIT_MS)).copy() for _ in range(60)]
        assert [number_of(packet) for packet in packets if packet.is_keyframe] == [30]
        sub.close()


@pytest.mark.proves("K3")
def test_a_publisher_is_not_asked_twice_within_half_a_second_of_a_keyframe(pub: PacketPublisher) -> None:
    with PacketSubscriber("cam0") as sub:
        encoder = Encoder(pub, gop=10)
        began = time.monotonic()
        encoder.publish()
        sub.request_keyframe()
        wait_until(lambda: pub.is_keyframe_wanted)
        assert time.monotonic() - began > 0.4


@pytest.mark.proves("K1", "K3")
def test_a_reader_that_finds_no_keyframe_waits_for_one_and_asks(pub: PacketPublisher) -> None:
    encoder = Encoder(pub, gop=1000, answers=True)
    encoder.publish(200)
    with PacketSubscriber("cam0") as sub:
        wait_until(lambda: rest(sub, 20) == [] and sub.stats.withheld == 128)
        wait_until(lambda: pub.is_keyframe_wanted)
        encoder.publish(3)
        assert numbers(sub, 3) == [200, 201, 202]
        assert sub.stats[:4] == (3, 128, 0, 0)
