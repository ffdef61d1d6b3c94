"""H.264 from x264, decoded from what a reader received that joined late, fell behind, or followed a restart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gst_iceoryx2.feed.pattern import read_number
from gst_iceoryx2.packets import Packet, PacketPublisher, PacketSubscriber
from tests.packets.conftest import WAIT_MS
from tests.packets.decoding import Decoder
from tests.pattern_encoder import PatternEncoder
from tests.waiting import arrived, wait_until

WIDTH, HEIGHT, GOP = 320, 240, 30


class X264:
    """Encodes the test pattern and publishes it. Each keyframe has its parameter sets, as byte-streams of x264 do.

    Args:
        publisher: Where to publish.
        begin: Capture time of the first picture in nanoseconds.
    """

    def __init__(self, publisher: PacketPublisher, begin: int = 0) -> None:
        self._publisher = publisher
        self._begin = begin
        self._encoder = PatternEncoder(GOP, WIDTH, HEIGHT)
        self.pictures: list[np.ndarray] = []

    def publish(self, count: int) -> None:
        for _ in range(count):
            packet = self._encoder.encode(is_keyframe=self._publisher.is_keyframe_wanted)
            self.pictures.append(self._encoder.luma)
            at = self._begin + packet.pts * 1_000_000_000 // 30
            self._publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=at, captured_at=at)


@pytest.fixture
def x264() -> Iterator[X264]:
    with PacketPublisher("cam0", "h264", WIDTH, HEIGHT) as publisher:
        yield X264(publisher)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(np.int32) - other) ** 2)
    return float(99 if error == 0 else 10 * np.log10(255**2 / error))


def check(decoder: Decoder, packet: Packet, number: int, x264: X264) -> None:
    """Check that a packet decodes to a picture of the pattern."""
    picture = decoder.decode(packet)
    assert read_number(picture) == number
    assert psnr(picture, x264.pictures[number]) > 38


@pytest.mark.proves("K1", "K3")
def test_each_picture_that_a_late_reader_decodes_is_the_one_that_was_encoded(x264: X264) -> None:
    x264.publish(45)
    with PacketSubscriber("cam0") as sub:
        decoder = Decoder()
        for number in range(30, 45):
            check(decoder, arrived(sub.receive_blocking(WAIT_MS)), number, x264)
        for number in range(45, 75):
            x264.publish(1)
            check(decoder, arrived(sub.receive_blocking(WAIT_MS)), number, x264)
        assert sub.stats[1:4] == (30, 0, 0)


@pytest.mark.proves("K3")
def test_a_late_reader_makes_the_encoder_send_a_keyframe(x264: X264) -> None:
    x264.publish(50)
    with PacketSubscriber("cam0") as sub:
        decoder = Decoder()
        for number in range(30, 50):
            check(decoder, arrived(sub.receive_blocking(WAIT_MS)), number, x264)
        wait_until(lambda: x264._publisher.is_keyframe_wanted)
        x264.publish(2)
        packets = [arrived(sub.receive_blocking(WAIT_MS)) for _ in range(2)]
        assert [packet.is_keyframe for packet in packets] == [True, False]
        # The keyframe can be decoded alone.
        fresh = Decoder()
        for number, packet in enumerate(packets, 50):
            check(fresh, packet, number, x264)


@pytest.mark.proves("K1", "K2")
def test_a_reader_that_fell_behind_decodes_no_damaged_picture(x264: X264) -> None:
    with PacketSubscriber("cam0") as sub:
        decoder = Decoder()
        x264.publish(5)
        for number in range(5):
            check(decoder, arrived(sub.receive_blocking(WAIT_MS)), number, x264)
        x264.publish(200)
        # The newest 128 packets begin with number 77.
        for number in range(90, 205):
            packet = arrived(sub.receive_blocking(WAIT_MS))
            assert packet.is_discont == (number == 90)
            check(decoder, packet, number, x264)
        assert sub.stats[:4] == (120, 13, 72, 0)


@pytest.mark.proves("K6")
def test_a_decoder_goes_on_with_the_next_publisher() -> None:
    decoder = Decoder()
    with PacketSubscriber("cam0") as sub:
        for _ in range(2):
            with PacketPublisher("cam0", "h264", WIDTH, HEIGHT) as publisher:
                x264 = X264(publisher)
                for number in range(10):
                    x264.publish(1)
                    packet = arrived(sub.receive_blocking(WAIT_MS))
                    assert packet.is_discont == (number == 0)
                    check(decoder, packet, number, x264)
