"""`encoder = "…"` in `[streams.NAME.h264]`: a GStreamer encoder instead of x264 through PyAV."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gst_iceoryx2._plugin import gstreamer_version
from gst_iceoryx2.discovery import full_name
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import Packet, PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher
from tests.cli.commands import Command
from tests.gst.remote import clean_environment, run
from tests.serve.conftest import WAIT, WAIT_MS, Serve, children_of
from tests.waiting import arrived, wait_until

av: Any = pytest.importorskip("av")
if gstreamer_version() is None:
    pytest.skip("GStreamer is not installed", allow_module_level=True)

from gst_iceoryx2._extras.av import packet_decoder

Start = Callable[..., Serve]

X264 = "x264enc tune=zerolatency key-int-max=10 ! h264parse"
B_FRAMES = "x264enc bframes=2 b-adapt=false rc-lookahead=0 key-int-max=10 ! video/x-h264,profile=main"


def file(encoder: str) -> str:
    return (
        '[streams.cam0]\ntest = true\nsize = "320x240"\nformat = "NV12"\nfps = 30\nstop_after = "0.5s"\n'
        f'[streams.cam0.h264]\nencoder = "{encoder}"\n'
    )


def needs(element: str) -> None:
    """Skip the test if GStreamer does not have an element."""
    if run(["gst-inspect-1.0", element], clean_environment(), timeout=60).returncode != 0:
        pytest.skip(f"GStreamer's {element} is not installed")


@pytest.mark.parametrize("encoder", [X264, "openh264enc gop-size=10", B_FRAMES], ids=["x264", "openh264", "b-frames"])
def test_each_packet_has_the_identity_of_its_frame(encoder: str, serve: Start) -> None:
    needs(encoder.split()[0])
    served = serve(file(encoder))
    packets: list[Packet] = []
    with PacketSubscriber("cam0") as subscriber:
        while len(packets) < 45:
            with arrived(subscriber.receive_blocking(WAIT_MS)) as packet:
                packets.append(packet.copy())
        served.wait_for("cam0@h264", "running")
        entry = served.entry("cam0@h264")
        assert entry is not None
        # The pipeline is no reader of its own.
        served.wait_for("cam0", "running")
        assert (entry.readers, entry.about) == (1, "from cam0")
    assert sum(packet.is_keyframe for packet in packets) >= 3
    decoder = packet_decoder("h264")
    frames: dict[int, Packet] = {}
    shown = []
    for number, packet in enumerate(packets):
        unit = av.Packet(packet.data)
        unit.pts, frames[number] = number, packet
        shown += decoder.decode(unit)
    assert len(shown) > 35
    # On a busy machine, the process may miss a frame, whose packet then has no identity.
    known = [picture for picture in shown if frames[picture.pts].sequence is not None]
    assert len(known) > 20
    for picture in known:
        # The pattern counts its frames.
        assert read_number(picture.to_ndarray()[:240]) == frames[picture.pts].sequence
        assert frames[picture.pts].age is not None
    served.wait_for("cam0", "off")
    wait_until(lambda: not served.children())


@pytest.mark.parametrize(
    ("encoder", "text"),
    [
        ("nosuchenc ! h264parse", 'cam0@h264: GStreamer cannot create the pipeline: no element "nosuchenc"'),
        ("x264enc nosuch=1", 'no property "nosuch" in element "x264enc"'),
        ("x264enc ! identity error-after=3", "the pipeline failed in identity0: Failed after iterations as requested"),
        ("x264enc ! identity eos-after=3", "cannot encode cam0@h264: its pipeline has ended"),
        ("audioconvert", "cannot encode cam0@h264: GStreamer cannot create the pipeline: could not link"),
    ],
)  # fmt: skip
def test_what_fails_is_told_in_gstreamers_words(encoder: str, text: str, serve: Start) -> None:
    needs("x264enc")
    served = serve(file(encoder))
    with PacketSubscriber("cam0"):

        def is_told() -> bool:
            entry = served.entry("cam0@h264")
            return entry is not None and text in (entry.error or "")

        wait_until(is_told, WAIT)


def test_an_encoder_that_fails_is_not_running_and_record_tells_why(serve: Start, tmp_path: Path) -> None:
    """A failing encoder was listed as running during each attempt, and `record --copy` only said that nothing came."""
    needs("x264enc")
    served = serve(file("nosuchenc"))
    told = Command(tmp_path, "record", "cam0", "a.mkv", "--copy", "--timeout", "15").ends(3)
    assert 'no element "nosuchenc"' in told
    log = served.command.out + served.command.err
    assert "cam0@h264: starting" in log
    assert "cam0@h264: running" not in log
    assert list(tmp_path.glob("*.mkv")) == []


def test_clip_and_bridge_tell_why_an_encoder_gives_no_packets(serve: Start, tmp_path: Path) -> None:
    """`clip` only said that no packet had arrived, and `bridge` said nothing."""
    pytest.importorskip("zenoh")
    needs("x264enc")
    served = serve(file("nosuchenc").replace("test = true", 'test = true\nkeep = "5s"'))
    wait_until(lambda: (entry := served.entry("cam0@h264")) is not None and entry.is_failing, WAIT)
    told = Command(tmp_path, "clip", "cam0", "a.mp4").ends(1)
    assert "no packet has arrived yet" in told
    assert 'no element "nosuchenc"' in told
    key = f"zenoh:test/{os.getpid()}/{time.monotonic_ns()}"
    sender = Command(tmp_path, "bridge", "cam0", key, "--codec", "h264")
    receiver = Command(tmp_path, "bridge", key, "far0")
    sender.says('no element "nosuchenc"', WAIT)
    assert "no packets from cam0@h264: " in sender.err
    for command in (sender, receiver):
        command.interrupt()
        command.ends(130)


def test_a_killed_pipeline_is_started_again_for_the_same_readers(serve: Start) -> None:
    needs("x264enc")
    served = serve(file(X264))
    with PacketSubscriber("cam0") as subscriber:
        before = arrived(subscriber.receive_blocking(WAIT_MS)).copy()
        (pipeline,) = {child for worker in served.children() for child in children_of(worker)}
        os.kill(pipeline, signal.SIGKILL)

        def is_back() -> bool:
            packet = subscriber.receive_blocking(20)
            return packet is not None and packet.stream != before.stream and packet.is_keyframe and packet.is_discont

        wait_until(is_back, WAIT)


def test_another_size_and_the_end_of_the_stream_go_through(serve: Start) -> None:
    import numpy as np

    needs("x264enc")
    serve(file(X264).replace("test = true\n", 'pipeline = "videotestsrc num-buffers=0"\n').replace(
        'size = "320x240"\nformat = "NV12"\nfps = 30\n', "")
    )  # fmt: skip
    with PacketSubscriber("cam0") as subscriber, VideoFramePublisher(full_name("cam0")) as publisher:
        seen: list[tuple[int, int]] = []
        number = 0
        for width, height in ((320, 240), (160, 120)):
            picture = np.full((height, width, 3), 90, np.uint8)
            while (width, height) not in seen:
                with publisher.loan(width, height, "BGR") as frame:
                    frame.numpy_view()[...] = picture
                    frame.pts = number * 33_000_000
                number += 1
                packet = subscriber.receive_blocking(33)
                if packet is not None:
                    seen.append((packet.width, packet.height))
                    assert packet.publisher is not None
                    packet.release()
        publisher.end_of_stream()
        while not arrived(subscriber.receive_blocking(WAIT_MS)).is_eos():
            pass


def test_frames_without_times_give_packets_without_a_frame(serve: Start) -> None:
    import numpy as np

    needs("x264enc")
    serve(file(X264).replace("test = true\n", 'pipeline = "videotestsrc num-buffers=0"\n').replace(
        'size = "320x240"\nformat = "NV12"\nfps = 30\n', "")
    )  # fmt: skip
    picture = np.full((240, 320, 3), 90, np.uint8)
    with PacketSubscriber("cam0") as subscriber, VideoFramePublisher(full_name("cam0")) as publisher:

        def packet() -> Packet | None:
            publisher.publish(picture)
            return subscriber.receive_blocking(33)

        wait_until(lambda: (found := packet()) is not None and found.publisher is None and found.age is not None, WAIT)
