"""`iox2-video view` sends packets to viewers that decode H.264, without a browser."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gst_iceoryx2.discovery import streams
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber, publisher
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.cli.conftest import Paint, Views, end
from tests.cli.page_client import PageClient, Sent, Shown, metrics
from tests.cli.painter import close_to, colours, gray, is_painted
from tests.processes.children import Child
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")

Encode = Callable[..., Child]
BURST_LIMIT = 30


class Decoder:
    """Decodes packets one by one; fails if a packet gives no picture."""

    def __init__(self) -> None:
        self._decoder = av.CodecContext.create("h264", "r")
        self._decoder.thread_count = 1
        self._decoder.flags |= 0x80000  # AV_CODEC_FLAG_LOW_DELAY

    def rgb(self, packet: Sent) -> np.ndarray:
        (frame,) = self._decoder.decode(av.Packet(packet.data))
        picture: np.ndarray = frame.to_ndarray(format="rgb24")
        return picture


def published(count: int) -> int:
    """Wait until this many packets were published after the newest keyframe; return their number."""
    with PacketSubscriber("cam0") as subscriber:
        first = arrived(subscriber.receive_blocking(60_000)).number
        number = first
        while number < first + count:
            number = arrived(subscriber.receive_blocking(60_000)).number
    return number - first + 1


def test_a_viewer_that_joins_gets_everything_since_the_keyframe_and_then_each_packet(
    paint: Paint, encode: Encode, view: Views
) -> None:
    paint(fps=30)
    url = view("cam0")
    encode(keyint=60)
    least = published(40)

    def joins() -> bool:
        """Join; return whether packets were enough, which they are not if the encoder of a busy machine pauses."""
        before, decoder = metrics(url)["pictures_encoded_total"], Decoder()
        with PageClient(url, watch=[0], decodes=[0]) as client:
            first = client.packet()
            assert first.is_key
            assert first.about["codec"].startswith("avc1.")
            assert (first.about["width"], first.about["height"]) == (320, 240)
            assert is_painted(decoder.rgb(first))
            seen = set()
            number = first.number
            while number < first.number + least + 30:
                number += 1
                packet = client.packet()
                # The encoder was asked for a keyframe. If it comes while earlier packets are sent, they are omitted.
                assert packet.number == number or packet.is_key
                number = packet.number
                picture = decoder.rgb(packet)
                assert is_painted(picture)
                seen.add(colours(picture)[3])
            assert len(seen) >= 5
            counted = metrics(url)
        assert counted["viewers_of_packets"] == 1
        return counted["pictures_encoded_total"] == before

    wait_until(joins)


def test_a_second_viewer_joins_from_what_was_kept_for_the_first_one(paint: Paint, encode: Encode, view: Views) -> None:
    paint(fps=30)
    url = view("cam0")
    encode(keyint=60)
    with PageClient(url, watch=[0], decodes=[0]) as one:
        first = one.packet()
        while one.packet().number < first.number + 20:
            pass
        with PageClient(url, watch=[0], decodes=[0]) as other:
            joined = other.packet()
            assert joined.is_key
            packets = {joined.number: joined.data}
            while len(packets) < 30:
                packet = other.packet()
                assert packet.number == max(packets) + 1 or packet.is_key
                packets[packet.number] = packet.data
            wait_until(lambda: metrics(url)["viewers_of_packets"] == 2)
            shared = {}
            while len(shared) < 5:
                packet = one.packet()
                while packet.number > max(packets):
                    later = other.packet()
                    packets[later.number] = later.data
                if packet.number in packets:
                    shared[packet.number] = packet.data
            assert all(packets[number] == data for number, data in shared.items())


def test_pictures_and_packets_are_sent_at_the_same_time(paint: Paint, encode: Encode, view: Views) -> None:
    paint(fps=30)
    url = view("cam0")
    encode()
    with PageClient(url, watch=[0], decodes=[0]) as decodes, PageClient(url, watch=[0]) as other:
        assert decodes.packet().is_key
        for _ in range(10):
            assert is_painted(other.picture().rgb)
            assert isinstance(decodes.packet(), Sent)


def readers() -> int | None:
    """Number of subscribers of the frames of cam0."""
    return next(stream.subscribers for stream in streams() if stream.short_name == "cam0")


def test_frames_are_not_received_while_packets_are_enough_and_the_numbers_stay_right(
    paint: Paint, encode: Encode, view: Views
) -> None:
    paint(fps=20)
    url = view("cam0")
    encode(keyint=60)
    wait_until(lambda: readers() == 2)
    with PageClient(url, decodes=[0]) as client:

        def rests_and_goes_on() -> bool:
            """Return whether the numbers are right, which they are not if a busy machine really loses frames."""
            first = client.status()
            client.say(watch=[0])
            client.packet()
            client.status(packet_viewers=1)
            wait_until(lambda: client.status() and readers() == 1)
            before = client.status()
            # Two seconds later, every frame in the rate is a packet.
            while (status := client.status())["received"] < before["received"] + 60:
                pass
            assert status["state"] == "live"
            assert status["format"] == "H264"
            assert (status["width"], status["height"]) == (320, 240)
            # Without the viewer, frames are received again, and their count goes on.
            client.say(watch=[])
            wait_until(lambda: client.status() and readers() == 2)
            later = client.status(format="RGB")
            assert later["received"] >= status["received"]
            assert later["encoded"] == 0
            is_steady = abs(status["fps"] - 20) < 6 and 0 <= status["age"] < 5
            return is_steady and first["dropped"] == status["dropped"] == later["dropped"]

        wait_until(rests_and_goes_on, 120)


def test_each_frame_is_counted_once_across_changes(paint: Paint, encode: Encode, view: Views) -> None:
    url = view("cam0")
    encode(keyint=60)
    painter = paint(fps=30)
    with (
        PageClient(url, decodes=[0]) as client,
        PacketSubscriber("cam0") as packets,
        VideoFrameSubscriber("video/cam0/frame/v2") as frames,
    ):
        with arrived(packets.receive_blocking(60_000)) as packet, arrived(frames.receive_blocking(60_000)):
            first = last = packet.number, arrived(packet.sequence)
        for watch, format in (([0], "H264"), ([], "RGB"), ([0], "H264")):
            client.say(watch=watch)
            begin = client.status(format=format)["received"]
            while client.status()["received"] < begin + 100:
                pass
        end(painter)
        with arrived(frames.latest()) as frame:
            sent = arrived(frame.sequence) + 1
        while (rest := packets.receive_blocking(500)) is not None:
            with rest as packet:
                last = packet.number, arrived(packet.sequence)
        status = client.status(state="silent")
    # On a busy machine, the encoder and the subscriber may lose frames.
    lost = (last[1] - first[1]) - (last[0] - first[0]) + status["dropped"]
    # Some frames pass while it changes from one to the other.
    assert abs(status["received"] - sent) <= 60 + lost


def test_a_viewer_that_confirms_nothing_is_sent_a_second_of_video_and_then_a_keyframe(
    paint: Paint, encode: Encode, view: Views
) -> None:
    paint(fps=30)
    url = view("cam0")
    encode(keyint=60)
    published(10)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        packets, statuses = [client.packet(confirms=False)], 0
        while statuses < 6:
            one = client.next()
            if isinstance(one, Sent):
                assert one.number == packets[-1].number + 1
                packets.append(one)
                statuses = 0
            else:
                statuses += "streams" in one
        # The group that was there when it joined, and the limit.
        assert BURST_LIMIT < len(packets) < 300
        client.say(decoded=[0, packets[-1].number])
        following = client.packet()
        assert following.is_key
        assert following.number > packets[-1].number + 1
        assert is_painted(Decoder().rgb(following))
        assert client.packet().number == following.number + 1


def test_a_page_whose_decoder_failed_continues_at_a_new_keyframe(paint: Paint, encode: Encode, view: Views) -> None:
    paint(fps=30)
    url = view("cam0")
    encode(keyint=60)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        newest = client.packet()
        client.say(restart=0)
        # What was on its way before the server heard it.
        while not (packet := client.packet()).is_key:
            assert packet.number == newest.number + 1
            newest = packet
        assert packet.number > newest.number
        assert is_painted(Decoder().rgb(packet))


def test_a_killed_encoder_is_replaced_by_pictures_and_the_next_encoder_by_packets(
    paint: Paint, encode: Encode, view: Views
) -> None:
    paint(fps=30)
    url = view("cam0")
    first = encode(keyint=60)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        client.packet()
        first.kill()
        assert is_painted(client.picture().rgb)
        assert client.status(encoder=None)["packet_problem"] is None
        encode(keyint=60)
        while isinstance(one := client.next(), dict) or isinstance(one, Shown):
            if isinstance(one, Shown):
                client.say(drawn=[0, one.about["number"]])
        assert one.is_key
        assert is_painted(Decoder().rgb(one))


def test_an_encoder_that_hangs_is_replaced_by_pictures(paint: Paint, encode: Encode, view: Views) -> None:
    import signal

    paint(fps=30)
    url = view("cam0")
    encoder = encode(keyint=60)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        client.packet()
        encoder.process.send_signal(signal.SIGSTOP)
        assert is_painted(client.picture().rgb)
        assert "does not send packets" in client.status(encoder="running")["packet_problem"]
        encoder.process.send_signal(signal.SIGCONT)
        decoder = Decoder()
        while not isinstance(one := client.next(), Sent):
            if isinstance(one, Shown):
                client.say(drawn=[0, one.about["number"]])
        assert one.is_key
        assert is_painted(decoder.rgb(one))


def test_a_camera_that_pauses_is_not_taken_for_an_encoder_that_hangs(paint: Paint, encode: Encode, view: Views) -> None:
    url = view("cam0")
    encode(keyint=60)
    paint(fps=30, count=90)
    published(1)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        # On a busy machine, the encoder may pause for a second before the camera does. Then pictures are sent.
        before = (paused := client.status(state="silent", packet_problem=None))["encoded"]
        while (status := client.status(state="silent"))["silence"] < paused["silence"] + 4:
            pass
        assert status["encoded"] == before
        assert status["packet_problem"] is None
    # The newest picture is there for a viewer that joins now.
    with PageClient(url, watch=[0], decodes=[0]) as client:
        first = client.packet()
        decoder, packets = Decoder(), [first]
        while True:
            picture = decoder.rgb(packets[-1])
            if close_to(colours(picture)[3], (gray(89),) * 3) and len(packets) % 10 == 0:
                break
            packets.append(client.packet())
        assert client.status(state="silent")["encoded"] == before


def test_a_change_of_size_and_an_end_reach_the_page(paint: Paint, encode: Encode, view: Views) -> None:
    small = paint(fps=30, width=160, height=120)
    url = view("cam0")
    encode(keyint=60)
    with PageClient(url, watch=[0], decodes=[0]) as client:
        assert client.packet().about["width"] == 160
        # The frames are received no more, so the next size is seen in packets only.
        client.status(format="H264")
        end(small)
        paint(fps=30, width=320, height=240, count=30, end=True)
        while (packet := client.packet()).about["width"] == 160:
            pass
        assert packet.is_key
        assert is_painted(Decoder().rgb(packet))
        client.status(state="ended")
        # Now frames are received again. Their size before the rest is not shown.
        client.say(watch=[])
        for _ in range(4):
            assert client.status()["width"] == 320


def test_packets_that_are_not_h264_are_counted_and_pictures_are_sent_instead(
    paint: Paint, view: Views, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(fps=30)
    url = view("cam0")
    # Nothing stops a publisher of another program.
    monkeypatch.setattr(publisher, "check_packet", lambda *_, **__: None)
    bad = [b"garbage", b"\0\0\1", b"\0\0\0\1\x65\x88\x84", b"\0\0\1\x67\x64", b"\0"]
    with (
        publisher.PacketPublisher("cam0", "h264", 320, 240) as hostile,
        PageClient(url, watch=[0], decodes=[0]) as client,
    ):
        client.status(encoder="running", packet_viewers=1)
        for number in itertools.count():
            hostile.publish(bad[number % 5], is_keyframe=number % 2 == 0)
            if client.status()["invalid"] >= 8:
                break
        assert is_painted(client.picture().rgb)
        assert "keyframe" in client.status(encoder="running")["packet_problem"]
        assert metrics(url)["frames_per_second"] > 5


def test_a_backlog_without_keyframes_is_bounded(paint: Paint, view: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    from gst_iceoryx2.preview import Preview, packet_channel

    monkeypatch.setattr(packet_channel, "_MAX_KEPT", 50)
    paint(fps=30)
    sps = b"\0\0\1\x67\x64\0\x1f\xac\0\0\1\x68\xee\0\0\1"
    with (
        Preview(["cam0"]) as preview,
        PacketPublisher("cam0", "h264", 320, 240) as packets,
        PageClient(preview.url, watch=[0], decodes=[0]) as client,
    ):
        client.status(packet_viewers=1)
        packets.publish(sps + b"\x65key", is_keyframe=True)
        for number in range(200):
            packets.publish(b"\0\0\1\x41" + bytes(100), is_keyframe=False)
            if number % 10 == 0:
                while client.packet().number < number:
                    pass
        assert len(preview._channels[0].packets._kept) <= 50
        with PageClient(preview.url, watch=[0], decodes=[0]) as late:
            # Nobody can decode from the middle.
            assert isinstance(late.picture(), Shown)
            wait_until(lambda: packets.is_keyframe_wanted)
            packets.publish(sps + b"\x65key", is_keyframe=True)
            assert late.packet().is_key
