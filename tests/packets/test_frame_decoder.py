"""`feed.FrameDecoder` decodes the packets of a stream while its frames are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2._wire.header import BUFFER_FLAGS
from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.errors import TooManyPortsError
from gst_iceoryx2.feed import FrameDecoder, SettingError, SourceError, TestPattern, frame_decoder
from gst_iceoryx2.feed.pattern import read_number
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.packets.conftest import WAIT_MS
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")

CAM = full_name("cam0")
MS = 1_000_000
ENCODERS = {"h264": "libx264", "h265": "libx265", "av1": "libsvtav1"}
OPTIONS = {
    "h264": {"preset": "veryfast"},
    "h265": {"preset": "ultrafast", "x265-params": "log-level=none:repeat-headers=1"},
    "av1": {"preset": "12", "svtav1-params": "lookahead=0:pred-struct=1"},
}


@cache
def encoded(codec: str, count: int, b_frames: int = 0, size: tuple[int, int] = (320, 240)) -> list[Any]:
    """Encode pictures of the test pattern, with one keyframe at the beginning; their timestamps are their numbers."""
    width, height = size
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = Fraction(1, 30), Fraction(30), 1000
    encoder.max_b_frames = b_frames
    encoder.options = OPTIONS[codec] | ({} if b_frames or codec != "h264" else {"tune": "zerolatency"})
    packets = []
    for number in range(count):
        picture = np.zeros((height * 3 // 2, width), np.uint8)
        chroma = picture[height:].reshape(2, height // 2, width // 2)
        TestPattern(width, height, "I420").draw((picture[:height], *chroma), number)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def give(decoder: FrameDecoder, packets: list[Any]) -> None:
    """Give packets to a decoder. Picture 7 has the timestamp 7 ms, and was captured at 7 ms + 1 ns."""
    for packet in packets:
        at = packet.pts * MS
        decoder.take(bytes(packet), is_keyframe=packet.is_keyframe, pts=at, captured_at=at + 1, duration=MS)


def number_of(frame: VideoFrame) -> int | None:
    return read_number(frame.planes[0])


@pytest.fixture
def decoder() -> Iterator[Callable[..., FrameDecoder]]:
    made = []

    def make(codec: str = "h264", **settings: Any) -> FrameDecoder:
        made.append(FrameDecoder("cam0", codec, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 0), ("h265", 3), ("av1", 0)])
def test_frames_show_the_pictures_of_their_packets_in_order_with_their_times(codec, b_frames, decoder) -> None:
    packets = encoded(codec, 30, b_frames)
    one = decoder(codec, framerate=Fraction(30))
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        # A decoder needs some packets before the first picture, and a subscriber has room for ten frames.
        give(one, packets[:8])
        for number in range(20):
            with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                assert (frame.format, frame.width, frame.height) == ("I420", 320, 240)
                assert number_of(frame) == number
                assert (frame.pts, frame.captured_at, frame.duration) == (number * MS, number * MS + 1, MS)
                assert frame.sequence == number
                assert "framerate=(fraction)30/1" in (frame.caps or "")
            give(one, packets[number + 8 : number + 9])
    assert (one.damaged, one.lost) == (0, 0)


def test_nothing_is_published_and_nothing_decoded_before_frames_are_wanted(decoder) -> None:
    one = decoder()
    give(one, encoded("h264", 30))
    # The place of the publisher is free.
    VideoFramePublisher(CAM).close()
    assert one.sent == 0
    assert one._thread is None


def test_frames_that_become_wanted_in_mid_stream_begin_with_the_newest_picture(decoder) -> None:
    packets = encoded("h264", 110)
    one = decoder()
    give(one, packets[:100])
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
            assert number_of(frame) == 99
        give(one, packets[100:])
        for number in range(100, 110):
            with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                assert number_of(frame) == number
    assert one.sent == 11


def test_a_stream_that_is_wanted_again_continues_for_the_same_reader(decoder) -> None:
    packets = encoded("h264", 90)
    one = decoder()
    with VideoFrameSubscriber(CAM) as subscriber:
        for begin in (0, 30, 60):
            give(one, packets[begin : begin + 20])
            one.is_wanted = True
            with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                assert not frame.is_eos()
                assert number_of(frame) == begin + 19
            one.is_wanted = False
            wait_until(_is_free)
            give(one, packets[begin + 20 : begin + 30])
            assert subscriber.receive() is None


def _is_free() -> bool:
    """Whether nobody publishes the frames."""
    try:
        VideoFramePublisher(CAM).close()
    except TooManyPortsError:
        return False
    return True


def test_a_stream_that_begins_without_a_keyframe_is_decoded_from_the_first_one(decoder) -> None:
    packets = encoded("h264", 20)
    one = decoder()
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        give(one, packets[10:])
        give(one, packets[:3])
        with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
            assert (number_of(frame), frame.sequence) == (0, 0)
    assert one.damaged == 0


def test_a_new_size_is_published_as_it_is(decoder) -> None:
    one = decoder(format="RGB")
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        for size in ((320, 240), (640, 480), (320, 240)):
            give(one, encoded("h264", 5, 0, size))
            sizes = set()
            while (size, "RGB") not in sizes:
                with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                    sizes.add(((frame.width, frame.height), frame.format))


def test_a_decoder_that_is_too_slow_continues_at_a_keyframe(decoder) -> None:
    packets = encoded("h264", 200)
    one = decoder()
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        # Nothing can decode 600 pictures as fast as they are copied.
        give(one, packets * 3)
        assert one.lost > 0
        for packet in packets[190:]:
            one.take(bytes(packet), is_keyframe=False, pts=packet.pts * MS, captured_at=None)
        one.take(bytes(packets[0]), is_keyframe=True, pts=1000 * MS, captured_at=None)
        while True:
            with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                assert frame.flags & BUFFER_FLAGS["CORRUPTED"] == 0
                if frame.pts == 1000 * MS:
                    assert number_of(frame) == 0
                    break


def test_damaged_packets_are_counted_and_later_ones_shown(decoder) -> None:
    packets = encoded("h264", 10)
    one = decoder()
    with VideoFrameSubscriber(CAM) as subscriber:
        one.is_wanted = True
        for _ in range(3):
            one.take(b"\0\0\1\x65" + bytes(range(1, 256)), is_keyframe=True, pts=None, captured_at=None)
        give(one, packets)
        while True:
            with arrived(subscriber.receive_blocking(WAIT_MS)) as frame:
                if number_of(frame) == 9:
                    break
    assert one.damaged >= 3


def test_a_stream_that_shows_nothing_is_an_error(decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_decoder, "_BLIND_MAX", 0.1)
    one = decoder(about="the test")
    one.is_wanted = True

    garbage = [b"\0\0\1\x65garbage"]
    with pytest.raises(SourceError, match="cannot decode the packets of the test: no picture for 0 s"):
        wait_until(lambda: one.take(*garbage, is_keyframe=True, pts=None, captured_at=None))


def test_frames_that_somebody_else_publishes_are_an_error(decoder) -> None:
    one = decoder()
    with VideoFramePublisher(CAM):
        one.is_wanted = True

        with pytest.raises(TooManyPortsError, match='service "video/cam0/frame/v2" already has 1'):
            wait_until(lambda: give(one, encoded("h264", 10)))


def test_a_format_that_cannot_be_produced_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot convert h264 to NV12_64Z32; use one of I420, "):
        FrameDecoder("cam0", "h264", format="NV12_64Z32")
