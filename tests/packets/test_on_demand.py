"""Packets in any case: a stream is encoded by one process, which may be this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.codec import packets_for
from gst_iceoryx2.discovery import encoded
from gst_iceoryx2.errors import FormatError, FrameTimeoutError
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import Packet, PacketPublisher, PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher
from tests.cli.commands import Command
from tests.packets.coders import WAIT_MS, encode
from tests.waiting import arrived, wait_until


@pytest.fixture
def camera(tmp_path: Path, domain: Any) -> Iterator[Command]:
    """A process that publishes the test pattern as cam0."""
    command = Command(tmp_path, "publish", "cam0", "--test", "--size", "320x240")
    yield command
    command.interrupt()
    command.process.wait(20)
    command.close()


class Reader:
    """Reads packets and checks that each shows its frame."""

    def __init__(self, name: str) -> None:
        self.subscriber = PacketSubscriber(name)
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1
        self._decoder.flags |= 0x80000  # AV_CODEC_FLAG_LOW_DELAY

    def next(self) -> Packet:
        packet = arrived(self.subscriber.receive_blocking(WAIT_MS)).copy()
        (frame,) = self._decoder.decode(av.Packet(bytes(packet.data)))
        assert read_number(frame.to_ndarray()[: frame.height]) == packet.sequence
        return packet

    def close(self) -> None:
        self.subscriber.close()


def test_a_stream_that_no_process_encodes_is_encoded_here_for_all_readers(camera: Command) -> None:
    assert encoded("cam0") is None
    with packets_for("cam0") as source:
        assert source.service == "video/cam0@h264/packet/v1"
        one, other = Reader(source.service), Reader("cam0")
        packets = [one.next() for _ in range(10)]
        wait_until(lambda: source.is_encoding)
        assert encoded("cam0") == "running"
        assert {packet.stream for packet in packets} == {other.next().stream}
        one.close()
        other.close()
    assert encoded("cam0") is None
    assert not source.is_encoding


def test_a_second_one_waits_and_takes_over_when_the_first_ends(camera: Command) -> None:
    reader = Reader("cam0")
    with packets_for("cam0@h264") as first:
        before = reader.next()
        wait_until(lambda: first.is_encoding)
        with packets_for("cam0") as second:
            assert {reader.next().stream for _ in range(10)} == {before.stream}
            assert not second.is_encoding
            first.close()
            while (packet := reader.next()).stream == before.stream:
                before = packet
            assert packet.is_discont
            assert packet.is_keyframe
            wait_until(lambda: second.is_encoding)
            assert (packet.captured_at or 0) > (before.captured_at or 0)
    reader.close()


def test_two_that_start_at_once_agree_on_one_encoder(camera: Command) -> None:
    reader = Reader("cam0")
    with packets_for("cam0") as one, packets_for("cam0") as other:
        assert len({reader.next().stream for _ in range(30)}) == 1
        assert one.is_encoding != other.is_encoding
        assert one.error is other.error is None
    reader.close()


def test_it_leaves_a_stream_to_another_encoder_until_that_ends(camera: Command) -> None:
    (packet,) = encode("h264", 1)
    reader = PacketSubscriber("cam0")
    with PacketPublisher("cam0", "h264", 320, 240) as publisher, packets_for("cam0") as source:
        # Long enough for it to look several times.
        until = time.monotonic() + 1
        while time.monotonic() < until:
            publisher.publish(packet, is_keyframe=True)
            assert arrived(reader.receive_blocking(WAIT_MS)).stream == publisher.stream
            assert not source.is_encoding
        publisher.close()
        assert arrived(reader.receive_blocking(WAIT_MS)).stream != publisher.stream
        wait_until(lambda: source.is_encoding)
    reader.close()


def test_pictures_that_cannot_be_encoded_are_told_instead_of_silence(domain: Any) -> None:
    refuses = pytest.raises(FormatError, match="cannot encode cam0@h264")
    with VideoFramePublisher("video/cam0/frame/v2") as publisher, refuses as told, packets_for("cam0") as source:
        publisher.wait_for_subscribers(1, timeout=60)
        # Wider than x264 can encode.
        publisher.publish(np.zeros((2, 20_000, 3), np.uint8))
        wait_until(lambda: source.error is not None)
        with pytest.raises(FormatError):
            source.check()
        raise FrameTimeoutError("no packet arrived")
    assert isinstance(told.value.__cause__, FrameTimeoutError)


def test_codecs_that_cannot_be_encoded_are_refused(domain: Any) -> None:
    refuses = pytest.raises(FormatError, match=r"no process publishes cam0@h265, and h265 cannot be encoded on demand")
    with refuses, packets_for("cam0", "h265"):
        pass
    with PacketPublisher("cam0", "h265", 320, 240), packets_for("cam0", "h265") as source:
        assert source.service == "video/cam0@h265/packet/v1"
        assert not source.is_encoding
