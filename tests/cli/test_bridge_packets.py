"""`iox2-video bridge --codec h264`: packets of x264 cross a key, and are decoded at the far end on demand."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

zenoh = pytest.importorskip("zenoh", reason="Zenoh is not installed: pip install 'iox2-video[bridge]'")
av: Any = pytest.importorskip("av")

from gst_iceoryx2 import jpeg
from gst_iceoryx2._iox2.domain import current_domain
from gst_iceoryx2._wire.stamp import boot_id
from gst_iceoryx2.discovery.demand import DemandFinder
from gst_iceoryx2.feed import TestPattern
from gst_iceoryx2.feed.pattern import read_number
from gst_iceoryx2.packets import Packet, PacketSubscriber
from gst_iceoryx2.video import VideoFrame, VideoFramePublisher, VideoFrameSubscriber
from tests.cli.bridges import FAR, NEAR, Bridge, flat, free_port, local_session
from tests.cli.h264_camera import HEIGHT, MS, WIDTH, Camera
from tests.cli.other_machine import AHEAD, Relay, other_machine, slow_link
from tests.conftest import Place
from tests.waiting import arrived, wait_until


@pytest.fixture
def camera(domain: Place) -> Iterator[Camera]:
    one = Camera()
    yield one
    one.close()


def next_packet(subscriber: PacketSubscriber) -> Packet:
    return arrived(subscriber.receive_blocking(60_000))


def check(packet: Packet, camera: Camera) -> None:
    """Check that a packet is the camera's, with everything known of it."""
    assert packet.sequence is not None
    assert bytes(packet.data) == camera.packets[packet.sequence]
    assert (packet.width, packet.height, packet.codec) == (WIDTH, HEIGHT, "h264")
    assert (packet.pts, packet.duration, packet.publisher) == (packet.sequence * MS, 33, 7)


def number_in(frame: Any) -> int:
    return read_number(frame.planes[0])


def frames_are_published() -> bool:
    found = DemandFinder(current_domain()).find().get(FAR)
    return found is not None and bool(found.publishers)


# -- what crosses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), [("near", "far"), ("near@h264", "far@h264")])
def test_packets_cross_with_every_byte_and_the_identity_and_time_of_their_frames(
    bridge: Bridge, key: str, camera: Camera, source: str, target: str
) -> None:
    bridge(source, f"zenoh:{key}", *(() if "@" in source else ("--codec", "h264")))
    bridge(f"zenoh:{key}", target)
    with PacketSubscriber("far") as subscriber:
        expected = None
        for _ in range(60):
            packet = next_packet(subscriber)
            check(packet, camera)
            assert packet.is_keyframe or expected is not None
            assert packet.sequence == expected or expected is None
            assert packet.sequence is not None
            assert packet.stamp == camera.stamps[packet.sequence]
            expected = packet.sequence + 1
            del packet
        assert subscriber.stats[2:4] == (0, 0)
    assert not frames_are_published()


def test_frames_are_decoded_while_somebody_reads_them(bridge: Bridge, key: str, camera: Camera) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "h264")
    bridge(f"zenoh:{key}", "far")
    with PacketSubscriber("far") as packets:
        next_packet(packets).release()
        assert not frames_are_published()
        for _ in range(2):
            with VideoFrameSubscriber(FAR) as subscriber:
                last = -1
                for _ in range(20):
                    frame = arrived(subscriber.receive_blocking(60_000))
                    number = number_in(frame)
                    assert number > last
                    last = number
                    assert (frame.format, frame.width, frame.height, frame.pts) == ("I420", WIDTH, HEIGHT, number * MS)
                    assert (frame.origin.publisher, frame.origin.sequence) == (7, number)
                    assert frame.captured_at == frame.origin.capture
                    assert frame.captured_at_error == 0.0
                    del frame
            wait_until(lambda: not frames_are_published())


def test_a_reader_gets_a_picture_at_once_also_if_no_packet_comes(bridge: Bridge, key: str, camera: Camera) -> None:
    """The bridge decodes the packets since the newest keyframe, and shows the newest picture."""
    bridge("near", f"zenoh:{key}", "--codec", "h264")
    bridge(f"zenoh:{key}", "far")
    with PacketSubscriber("far") as packets:
        while (packet := next_packet(packets)).sequence % 30 != 20:
            packet.release()
        newest = camera.pause()
        while packet.sequence != newest:
            packet = next_packet(packets)
        with VideoFrameSubscriber(FAR) as subscriber:
            frame = arrived(subscriber.receive_blocking(60_000))
            assert number_in(frame) == newest
            del frame, packet


def test_the_end_of_a_stream_crosses_and_packets_go_on(bridge: Bridge, key: str, camera: Camera) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "h264")
    bridge(f"zenoh:{key}", "far")
    with PacketSubscriber("far") as subscriber:
        for _ in range(2):
            check(next_packet(subscriber), camera)
            camera.end()
            while not next_packet(subscriber).is_eos():
                pass
            camera.resume()
        check(next_packet(subscriber), camera)


def test_a_receiver_that_joins_late_makes_the_encoder_send_a_keyframe(bridge: Bridge, key: str, domain: Place) -> None:
    """The encoder makes a keyframe only if it is asked, and the first receiver has one already."""
    camera = Camera(gop=100_000)
    try:
        bridge("near", f"zenoh:{key}", "--codec", "h264")
        bridge(f"zenoh:{key}", "other")
        with PacketSubscriber("other") as first:
            next_packet(first).release()
            bridge(f"zenoh:{key}", "far")
            with PacketSubscriber("far") as subscriber:
                packet = next_packet(subscriber)
                assert packet.is_keyframe
                check(packet, camera)
                del packet
    finally:
        camera.close()


def test_a_key_carries_jpeg_and_later_packets_and_jpeg_again(bridge: Bridge, key: str, camera: Camera) -> None:
    """The sender was restarted with another codec."""
    bridge(f"zenoh:{key}", "far")
    with VideoFrameSubscriber(FAR) as subscriber:
        for _ in range(2):
            with local_session() as session:
                frame = None
                deadline = time.monotonic() + 60
                while (frame is None or frame.format != "BGR") and time.monotonic() < deadline:
                    session.put(key, jpeg.encode_rgb(flat((1, 2, 3))))
                    frame = subscriber.receive_blocking(100)
                assert frame is not None
                assert frame.format == "BGR"
                del frame
            sender = bridge("near", f"zenoh:{key}", "--codec", "h264")
            while (frame := arrived(subscriber.receive_blocking(60_000))).format != "I420":
                pass
            assert number_in(frame) >= 0
            del frame
            sender.interrupt()
            sender.ends(130)


def test_a_bridge_encodes_a_stream_that_no_other_process_encodes(bridge: Bridge, key: str, domain: Place) -> None:
    command = bridge("near", f"zenoh:{key}", "--codec", "h264")
    bridge(f"zenoh:{key}", "far")
    pattern = TestPattern(WIDTH, HEIGHT, "I420")
    with VideoFramePublisher(NEAR) as publisher, VideoFrameSubscriber(FAR) as subscriber:
        seen: list[int] = []
        number = 0
        deadline = time.monotonic() + 60
        while len(seen) < 20:
            assert time.monotonic() < deadline, command.err
            with publisher.loan(WIDTH, HEIGHT, "I420") as frame:
                pattern.draw(frame.planes, number)
            number += 1
            received = subscriber.receive_blocking(1000 / 30)
            if received is not None:
                seen.append(number_in(received))
                assert received.origin.sequence == seen[-1]
            del received
        assert seen == sorted(set(seen))
    command.interrupt()
    command.ends(130)


def test_without_pyav_packets_are_published_and_the_bridge_says_why_there_are_no_frames(
    bridge: Bridge, key: str, camera: Camera
) -> None:
    program = "import sys; sys.modules['av'] = None; from gst_iceoryx2.cli import main; main(sys.argv[2:])"
    bridge("near@h264", f"zenoh:{key}")
    receiver = bridge(f"zenoh:{key}", "far", prefix=(sys.executable, "-c", program))
    with PacketSubscriber("far") as subscriber:
        check(next_packet(subscriber), camera)
        receiver.says("far has only packets: video files and conversions of formats need PyAV")
        check(next_packet(subscriber), camera)


def test_packets_go_from_key_to_key(bridge: Bridge, key: str, camera: Camera) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "h264")
    bridge(f"zenoh:{key}", f"zenoh:{key}/next")
    bridge(f"zenoh:{key}/next", "far")
    heard: list[Any] = []
    with PacketSubscriber("far") as subscriber, local_session() as session:
        session.declare_subscriber(f"{key}/next", heard.append)
        for _ in range(30):
            check(next_packet(subscriber), camera)
        wait_until(lambda: heard)
    assert str(heard[0].encoding) == "video/h264"
    # Both bridges that the packet has crossed are in its message.
    assert heard[0].attachment.to_bytes()[8:10] == b"\4\2"


def test_an_encoder_runs_only_while_the_key_has_a_receiver(bridge: Bridge, key: str, domain: Place) -> None:
    bridge("near", f"zenoh:{key}", "--codec", "h264").says(" to ")

    def is_wanted() -> bool:
        found = DemandFinder(current_domain()).find().get("video/near@h264/packet/v1")
        return found is not None and bool(found.readers)

    assert not is_wanted()
    receiver = bridge(f"zenoh:{key}", "far")
    wait_until(is_wanted)
    receiver.interrupt()
    receiver.ends(130)
    wait_until(lambda: not is_wanted())


# -- over a link -----------------------------------------------------------------------------------------------------

_FAR_CAMERA = """
import sys, time
from tests.cli.h264_camera import Camera
Camera()
"""


@pytest.fixture
def far_domain() -> Iterator[Place]:
    place = Place()
    yield place
    place.remove()


def with_its_packet(subscriber: VideoFrameSubscriber, packets: PacketSubscriber) -> tuple[VideoFrame, Packet]:
    """Return a new frame and its packet. Some frames or packets come alone, if others were lost."""
    deadline = time.monotonic() + 60
    frame, packet = arrived(subscriber.latest(60)), next_packet(packets)
    while (ahead := arrived(packet.sequence) - arrived(frame.origin.sequence)) != 0:
        assert time.monotonic() < deadline, f"the packets are {ahead} frames ahead"
        if ahead > 0:
            frame = arrived(subscriber.receive_blocking(60_000))
        else:
            packet = next_packet(packets)
    return frame, packet


def test_packets_and_frames_of_another_machine_have_times_of_this_one(
    bridge: Bridge, key: str, domain: Place, far_domain: Place, tmp_path: Path
) -> None:
    prefix = other_machine(tmp_path, far_domain.variable)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root / "python"), str(root)))}
    with (
        subprocess.Popen([*prefix, sys.executable, "-c", _FAR_CAMERA], env=environment) as camera,
        slow_link() as link,
        PacketSubscriber("far") as packets,
        VideoFrameSubscriber(FAR) as subscriber,
    ):
        sender = bridge("near@h264", f"zenoh:{key}", "--listen", link.listen, prefix=prefix)
        try:
            bridge(f"zenoh:{key}", "far", "--connect", link.connect)
            frame, packet = with_its_packet(subscriber, packets)
            while frame.captured_at_error is None:
                frame, packet = with_its_packet(subscriber, packets)
            assert frame.captured_at is not None
            assert frame.origin.capture is not None
            assert frame.origin.boot_id != boot_id()
            error = abs(frame.captured_at - (frame.origin.capture - AHEAD * 1000 * MS)) / 1e9
            assert error <= frame.captured_at_error
            assert (packet.stamp.boot_id, packet.captured_at) == (boot_id(), frame.captured_at)
            assert packet.publisher == frame.origin.publisher == 7
            del frame, packet
        finally:
            camera.kill()
            sender.process.kill()


def test_a_slow_link_gives_whole_pictures_and_recovers(bridge: Bridge, key: str, domain: Place) -> None:
    camera = Camera(gop=30, noise=100)
    port = free_port()
    try:
        bridge("near", f"zenoh:{key}", "--codec", "h264", "--listen", f"tcp/127.0.0.1:{port}")
        with Relay(port) as relay, PacketSubscriber("far") as subscriber:
            bridge(f"zenoh:{key}", "far", "--connect", f"tcp/127.0.0.1:{relay.port}")
            decoder = av.CodecContext.create("h264", "r")
            decoder.options, decoder.thread_count = {"err_detect": "explode"}, 1
            wait_until(lambda: subscriber.is_connected and len(camera.packets) > 60, 60)
            begin = time.monotonic()
            gaps = last = 0
            size = sum(map(len, list(camera.packets.values())[-30:]))
            # A third of what the camera sends.
            relay.rate = size / 3
            while gaps < 2:
                assert time.monotonic() < begin + 100, "the slow link lost no packet"
                packet = next_packet(subscriber)
                check(packet, camera)
                for picture in decoder.decode(av.Packet(bytes(packet.data))):
                    assert read_number(picture.to_ndarray()[:HEIGHT]) == packet.sequence
                gaps += packet.is_discont and last > 0
                last = packet.sequence
                del packet
            relay.rate = None
            deadline = time.monotonic() + 60
            while (age := arrived(next_packet(subscriber).age)) > 1:
                assert time.monotonic() < deadline, f"packets are {age} s old"
    finally:
        camera.close()


# -- what cannot be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cam0", "cam1", "--codec", "h264"), "cam1 takes frames as they are; --codec h264 is only for a zenoh:KEY"),
        (("cam0", "sh4lt:/tmp/x", "--codec", "h264"), "sh4lt:/tmp/x takes frames as they are"),
        (("sh4lt:/tmp/x", "zenoh:x", "--codec", "h264"), "sh4lt:/tmp/x has no encoder; bridge it to a service NAME"),
        (("zenoh:x", "cam0", "--codec", "h264"), "packets from zenoh:x are forwarded as they are"),
        (("cam0@h264", "zenoh:x", "--codec", "jpeg"), "cam0@h264 has packets already; leave out --codec jpeg"),
        (("cam0@h265", "zenoh:x", "--codec", "h264"), "cam0@h265 has packets already; leave out --codec h264"),
        (("cam0@h264", "sh4lt:/tmp/x"), "sh4lt:/tmp/x takes raw video, not packets; bridge cam0 to it"),
        (("cam0", "cam1@h264"), "cam1@h264 takes packets, but cam0 has frames; bridge a key or cam0@h264 to it"),
        (("cam0", "zenoh:x", "--codec", "h264", "--max-fps", "5"), "--max-fps cannot leave out packets"),
    ],
)
def test_ends_and_codecs_that_do_not_match_are_usage_errors(
    bridge: Bridge, arguments: tuple[str, ...], text: str
) -> None:
    assert text in bridge(*arguments).ends(2)
