"""Network cameras that encode: `@h264` is what they send, and frames are decoded while somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.discovery import encoded, full_name
from gst_iceoryx2.errors import ServiceNotFoundError
from gst_iceoryx2.packets import LookbackError, Packet, PacketSubscriber, lookback
from gst_iceoryx2.video import VideoFrameSubscriber
from tests.gst.rtsp import Server
from tests.serve.conftest import WAIT, WAIT_MS, Serve
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")
if gstreamer_version() is None:
    pytest.skip("GStreamer is not installed", allow_module_level=True)

from gst_iceoryx2._extras.av import packet_decoder

Start = Callable[..., Serve]
Camera = Callable[..., Server]

# Parameter sets only in the description of the stream (SDP).
SDP_ONLY = (
    "x264enc tune=zerolatency key-int-max=120 ! video/x-h264,stream-format=avc ! "
    "rtph264pay config-interval=0"
)  # fmt: skip
B_FRAMES = "x264enc bframes=2 b-adapt=false key-int-max=15 ! video/x-h264,profile=main ! rtph264pay"
H265 = "x265enc key-int-max=15 speed-preset=ultrafast ! video/x-h265,profile=main ! rtph265pay"
JPEG = "jpegenc ! rtpjpegpay"


@pytest.fixture
def camera() -> Iterator[Camera]:
    """Return a function that starts a network camera with these encoders."""
    started: list[Server] = []

    def start(*encoders: str, port: str = "0") -> Server:
        started.append(Server("smpte", *encoders, port=port))
        return started[-1]

    yield start
    for server in started:
        server.close()


def door(server: Server, more: str = "") -> str:
    return f'[streams.door]\nurl = "{server.url()}"\nstop_after = "0.5s"\n{more}'


def taken(name: str, count: int) -> list[Packet]:
    with PacketSubscriber(name) as subscriber:
        return [arrived(subscriber.receive_blocking(WAIT_MS)).copy() for _ in range(count)]


def workers(served: Serve) -> list[str]:
    """Kinds of the processes that run."""
    found = []
    for child in served.children():
        with open(f"/proc/{child}/cmdline", "rb") as file:
            found.append(file.read().split(b"\0")[-2].decode())
    return sorted(found)


def about(served: Serve, name: str) -> str:
    entry = served.entry(name)
    assert entry is not None
    return entry.about


@pytest.mark.parametrize(
    ("codec", "encoder"), [("h264", SDP_ONLY), ("h264", B_FRAMES), ("h265", H265)], ids=["sdp", "b-frames", "h265"]
)
def test_packets_come_without_an_encoder_and_frames_are_decoded_on_demand(codec, encoder, serve, camera) -> None:
    server = camera(encoder)
    served = serve(door(server))
    packets: dict[int | None, Packet] = {}
    with PacketSubscriber(f"door@{codec}") as subscriber:

        def take() -> None:
            with arrived(subscriber.receive_blocking(WAIT_MS)) as packet:
                packets[packet.captured_at] = packet.copy()

        for _ in range(20):
            take()
        assert workers(served) == ["source"]
        served.wait_for("door", "running")
        assert about(served, f"door@{codec}") == f"as it comes from url rtsp://***@127.0.0.1:{server.port}/cam"
        assert about(served, "door").endswith(f", {codec} as it comes")
        frames = {}
        with VideoFrameSubscriber(full_name("door")) as reader:
            while len(frames) < 10:
                with arrived(reader.receive_blocking(WAIT_MS)) as frame:
                    frames[frame.captured_at] = frame.pts, frame.planes[0].tobytes()
            assert workers(served) == ["source"]
        last = max(time for time in frames if time is not None)
        while max(time for time in packets if time is not None) < last:
            take()
    first = next(iter(packets.values()))
    assert first.is_keyframe
    decoder = packet_decoder(codec)
    units = [av.Packet(packet.data) for packet in packets.values()]
    for unit, time in zip(units, packets, strict=True):
        unit.pts = time
    shown = {picture.pts: picture for unit in [*units, None] for picture in decoder.decode(unit)}
    for captured_at, (pts, luma) in frames.items():
        assert packets[captured_at].pts == pts
        assert shown[captured_at].to_ndarray()[:240].tobytes() == luma


def test_a_reader_that_joins_late_starts_at_the_last_keyframe(serve, camera) -> None:
    served = serve(door(camera(SDP_ONLY)))
    with PacketSubscriber("door") as first:
        for _ in range(60):
            arrived(first.receive_blocking(WAIT_MS)).release()
        # Keyframes are four seconds apart, and a camera cannot be asked for one.
        before, *_, after = taken("door", 70)
        assert before.is_keyframe
        assert after.captured_at is not None
        # The first picture is decoded from the last keyframe, and is no older than the newest packet then.
        with (
            VideoFrameSubscriber(full_name("door")) as frames,
            arrived(frames.receive_blocking(WAIT_MS)) as frame,
        ):
            assert frame.captured_at is not None
            assert frame.captured_at > after.captured_at
    served.wait_for("door", "off")


def test_h264_of_an_h265_camera_is_encoded_from_its_frames(serve, camera) -> None:
    served = serve(door(camera(H265)))
    packet = taken("door@h264", 5)[-1]
    assert packet.publisher is not None
    with PacketSubscriber("door@h264") as subscriber:
        arrived(subscriber.receive_blocking(WAIT_MS)).release()
        assert workers(served) == ["packets", "source"]
        assert about(served, "door@h264") == "from door"
        assert encoded("door", "h265") == "running"


def test_a_codec_that_the_camera_does_not_send_is_refused(serve, camera) -> None:
    served = serve(door(camera(B_FRAMES)))
    with PacketSubscriber("door@h265"):
        served.wait_for("door@h265", "waiting")
        entry = served.entry("door@h265")
        assert entry is not None
        assert entry.error == "h265 cannot be encoded on demand; read door@h264"
        served.wait_for("door", "off")


@pytest.mark.parametrize(
    ("more", "encoder", "size"),
    [
        ("[streams.door.h264]\ncrf = 30\n", B_FRAMES, (320, 240)),
        ('size = "160x120"\n', B_FRAMES, (160, 120)),
        ("", JPEG, (320, 240)),
    ],
    ids=["settings", "size", "jpeg"],
)
def test_settings_another_size_and_other_codecs_are_encoded_anew(more, encoder, size, serve, camera) -> None:
    served = serve(door(camera(encoder), more))
    with PacketSubscriber("door") as subscriber:
        with arrived(subscriber.receive_blocking(WAIT_MS)) as packet:
            assert packet.publisher is not None
            assert (packet.width, packet.height) == size
        assert workers(served) == ["packets", "source"]


def test_a_rendition_of_a_camera_that_encodes(serve, camera) -> None:
    served = serve(door(camera(B_FRAMES)))
    with VideoFrameSubscriber(full_name("door@160x-RGB")) as frames:
        with arrived(frames.receive_blocking(WAIT_MS)) as frame:
            assert (frame.format, frame.width, frame.height) == ("RGB", 160, 120)
        assert workers(served) == ["renditions", "source"]
        packet = taken("door@160x@h264", 3)[0]
        assert (packet.width, packet.height) == (160, 120)


def test_a_camera_that_was_away_continues_for_the_same_readers(serve, camera) -> None:
    server = camera(B_FRAMES)
    served = serve(door(server))
    with PacketSubscriber("door") as subscriber:
        before = arrived(subscriber.receive_blocking(WAIT_MS)).copy()
        server.close()
        served.wait_for("door@h264", "waiting")
        entry = served.entry("door@h264")
        assert entry is not None
        assert entry.error is not None
        assert "s3cret" not in entry.error
        while (packet := subscriber.receive()) is not None:
            assert not packet.is_eos()
        camera(B_FRAMES, port=server.port)

        def is_back() -> bool:
            packet = subscriber.receive_blocking(20)
            return packet is not None and packet.stream != before.stream and packet.is_keyframe and packet.is_discont

        wait_until(is_back, WAIT)
    served.wait_for("door", "off")


@pytest.mark.parametrize(("codec", "encoder"), [("h264", B_FRAMES), ("h265", H265)])
def test_what_a_camera_sends_is_kept_without_an_encoder(codec, encoder, serve, camera) -> None:
    served = serve(door(camera(encoder), 'keep = "20s"\n'))

    def has_enough() -> bool:
        try:
            return lookback("door").seconds > 1.5
        except (ServiceNotFoundError, LookbackError):
            return False

    wait_until(has_enough, WAIT)
    past = lookback("door")
    assert past.service_name == f"video/door@{codec}/packet/v1"
    assert workers(served) == ["ring", "source"]
    assert about(served, f"door@{codec}").endswith(", the last 20 s kept (at most 64 MB)")
    packets = list(past.packets(before=1))
    assert packets[0].is_keyframe
    picture = past.at(-0.5)
    assert picture.rgb.shape == (packets[0].height, packets[0].width, 3)
    # The first bar of the pattern is white, or gray.
    assert picture.rgb[10, 5].min() > 150
