"""Encoded streams on demand: a reader of packets starts camera and encoder, once for all readers."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gst_iceoryx2.doctor import Finding, examine
from gst_iceoryx2.feed import TestPattern, read_number
from gst_iceoryx2.packets import PacketSubscriber
from gst_iceoryx2.video import VideoFramePublisher, VideoFrameSubscriber
from tests.cli.commands import Command
from tests.packets.decoding import Decoder
from tests.serve.conftest import WAIT_MS, Serve
from tests.waiting import arrived, wait_until

pytest.importorskip("av")

FILE = """
[streams.cam0]
test = true
size = "320x240"
fps = 30
stop_after = "0.5s"
"""
Start = Callable[..., Serve]


def expected(number: int) -> np.ndarray:
    """Return the luma of a picture of the test pattern."""
    planes = np.zeros((240, 320), np.uint8), np.zeros((120, 160), np.uint8), np.zeros((120, 160), np.uint8)
    TestPattern(320, 240, "I420").draw(planes, number)
    return planes[0]


@pytest.mark.proves("K4", "K5")
def test_a_reader_of_packets_starts_the_stream_and_its_encoder(serve: Start) -> None:
    served = serve(FILE)
    served.wait_for("cam0", "off")
    decoder = Decoder()
    with PacketSubscriber("cam0") as sub:
        served.wait_for("cam0@h264", "running")
        served.wait_for("cam0", "running")
        assert len(served.children()) == 2
        for index in range(40):
            packet = arrived(sub.receive_blocking(WAIT_MS))
            assert packet.is_discont == (index == 0)
            picture = decoder.decode(packet)
            # The pattern counts its frames, and each packet has the identity of its frame.
            number = read_number(picture)
            assert number == packet.sequence
            assert np.mean((picture.astype(int) - expected(number)) ** 2) < 20
            assert packet.age is not None
        entry = served.entry("cam0@h264")
        assert entry is not None
        assert (entry.readers, entry.about) == (1, "from cam0")
    served.wait_for("cam0@h264", None)
    served.wait_for("cam0", "off")
    wait_until(lambda: not served.children())


@pytest.mark.proves("K3", "K5")
def test_a_second_reader_starts_at_a_keyframe_and_no_second_encoder(serve: Start) -> None:
    served = serve(f'{FILE}h264 = {{ keyint = "60s" }}\n')
    with PacketSubscriber("cam0") as one:
        for _ in range(25):
            arrived(one.receive_blocking(WAIT_MS))
        with PacketSubscriber("cam0") as other:
            first = arrived(other.receive_blocking(WAIT_MS))
            assert first.is_keyframe
            # It asked for a keyframe, because the last one was more than half a second ago.
            while not (packet := arrived(one.receive_blocking(WAIT_MS))).is_keyframe:
                pass
            assert packet.number < 1800
            assert packet.stream == first.stream
        assert len(served.children()) == 2


def test_keyframes_come_as_often_as_the_file_says(serve: Start) -> None:
    serve(f'{FILE}h264 = {{ preset = "ultrafast", crf = 30, keyint = "500ms" }}\n')
    with PacketSubscriber("cam0") as sub:
        keyframe = arrived(sub.receive_blocking(WAIT_MS)).captured_at or 0
        seen = 1
        while seen < 4:
            packet = arrived(sub.receive_blocking(WAIT_MS))
            # The first frame that is 500 ms younger than the last keyframe is the next one.
            assert packet.is_keyframe == ((packet.captured_at or 0) - keyframe >= 500_000_000)
            if packet.is_keyframe:
                keyframe = packet.captured_at or 0
                seen += 1


def test_keyframes_go_on_after_a_capture_time_in_the_future(serve: Start) -> None:
    """One wrong time, an hour ahead, and no keyframe came for an hour unless a reader asked for one."""
    serve('[streams.other]\ntest = true\nh264 = { keyint = "200ms" }\n')
    picture = np.zeros((240, 320), np.uint8)
    with VideoFramePublisher("video/other/frame/v2") as publisher, PacketSubscriber("other") as sub:
        keyframes: list[int] = []
        numbers = itertools.count()
        # Eight keyframes take 1.4 s: a count of frames would end sooner on a quick machine.
        until = time.monotonic() + WAIT_MS / 1000
        while time.monotonic() < until:
            number = next(numbers)
            ahead = 3600 * 10**9 if keyframes and keyframes[-1] == number - 1 and len(keyframes) == 2 else 0
            publisher.publish(picture, format="GRAY8", captured_at=time.monotonic_ns() + ahead)
            packet = sub.receive_blocking(20)
            if packet is not None and packet.is_keyframe:
                keyframes.append(number)
            if len(keyframes) == 8:
                return
        raise AssertionError(f"keyframes came with {keyframes}")


@pytest.mark.proves("K6", "D5")
def test_a_killed_encoder_is_started_again_and_readers_go_on_at_a_keyframe(serve: Start) -> None:
    served = serve(FILE)
    decoder = Decoder()
    with PacketSubscriber("cam0") as sub:
        served.wait_for("cam0@h264", "running")
        first = arrived(sub.receive_blocking(WAIT_MS))
        (encoder,) = (
            pid for pid in served.children() if b"packets" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        )
        os.kill(encoder, signal.SIGKILL)
        while (packet := arrived(sub.receive_blocking(WAIT_MS))).stream == first.stream:
            pass
        assert packet.is_keyframe
        assert packet.is_discont
        assert read_number(decoder.decode(packet)) == packet.sequence


def test_a_rendition_can_be_encoded(serve: Start) -> None:
    served = serve(FILE)
    with PacketSubscriber("cam0@160x120@h264") as sub:
        packet = arrived(sub.receive_blocking(WAIT_MS))
        assert (packet.width, packet.height) == (160, 120)
        assert Decoder().decode(packet).shape == (120, 160)
        assert len(served.children()) == 3


def test_a_stream_that_somebody_else_publishes_is_encoded_without_a_file(serve: Start) -> None:
    served = serve(None)
    planes: tuple[np.ndarray, ...] = tuple(np.zeros(shape, np.uint8) for shape in ((240, 320), (120, 160), (120, 160)))
    with VideoFramePublisher("video/other/frame/v2") as publisher, PacketSubscriber("other") as sub:
        packet = None

        def is_there() -> bool:
            nonlocal packet
            publisher.publish(planes, format="BGR" if len(planes) == 1 else "I420")
            packet = sub.receive_blocking(20)
            return packet is not None

        wait_until(is_there)
        assert packet is not None
        assert packet.is_keyframe
        assert len(served.children()) == 1
        # Another size is another stream of packets.
        planes = (np.zeros((241, 161, 3), np.uint8),)
        wait_until(lambda: is_there() and packet is not None and packet.width == 161)
        assert (packet.height, packet.is_keyframe, packet.is_discont) == (241, True, True)
        assert Decoder().decode(packet).shape == (241, 161)
        assert len(served.children()) == 1


def test_a_codec_without_an_encoder_is_told(serve: Start) -> None:
    served = serve(FILE)
    with PacketSubscriber("cam0", "h265"):
        served.wait_for("cam0@h265", "waiting")
        entry = served.entry("cam0@h265")
        assert entry is not None
        assert entry.error == "h265 cannot be encoded on demand; read cam0@h264"
        found = [finding for finding in examine() if finding.check == "encoders"]
        assert [finding.status for finding in found] == ["ok", "problem"]
        assert found[1].text == f"cam0@h265 is wanted, but is not encoded by process {served.pid}: {entry.error}"


def test_doctor_says_how_to_install_the_pyav_that_serve_misses(
    serve: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy was to correct the file, which had no mistake."""
    missing = tmp_path / "missing" / "av.py"
    missing.parent.mkdir()
    missing.write_text("raise ImportError('hidden by this test')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(missing.parent), os.environ.get("PYTHONPATH", ""))))
    served = serve(FILE)
    with PacketSubscriber("cam0"):
        # While the source starts, the encoder's error is not told.
        served.wait_for("cam0", "running")
        found: list[Finding] = []

        def is_found() -> bool:
            found[:] = [one for one in examine() if one.check == "encoders" and one.status == "problem"]
            return bool(found)

        wait_until(is_found, WAIT_MS / 1000)
    assert "need PyAV" in found[0].text
    assert found[0].remedy == "pip install 'iox2-video[record]'"


def test_another_setting_of_the_encoder_applies_after_a_reload(serve: Start) -> None:
    served = serve(FILE)
    assert served.file is not None
    with PacketSubscriber("cam0") as sub:
        first = arrived(sub.receive_blocking(WAIT_MS))
        served.file.write_text(f'{FILE}h264 = {{ bitrate = "100k" }}\n')
        served.command.process.send_signal(signal.SIGHUP)
        while (packet := arrived(sub.receive_blocking(WAIT_MS))).stream == first.stream:
            pass
        assert packet.is_keyframe
        # About 3 kB a frame with the default quality.
        assert sum(len(arrived(sub.receive_blocking(WAIT_MS)).data) for _ in range(30)) < 30_000


def test_list_and_info_show_a_stream_that_is_encoded(
    serve: Start, iox2_video: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    served = serve(FILE)
    with VideoFrameSubscriber("video/cam0/frame/v2") as sub:
        arrived(sub.receive_blocking(WAIT_MS))
    # A reader of frames starts no encoder.
    assert "cam0@h264" not in iox2_video("list").stdout
    with PacketSubscriber("cam0"):
        served.wait_for("cam0@h264", "running")
        assert "cam0@h264 " in iox2_video("list").stdout
        done = iox2_video("info", "cam0@h264")
        shown = done.stdout
        assert done.returncode == 0, done.stderr
        assert "video/cam0@h264/packet/v1" in shown
        assert f"process {served.pid}" in shown


def test_an_encoder_that_runs_goes_on_beside_a_supervisor_which_takes_over_at_its_end(
    serve: Start, tmp_path: Path
) -> None:
    from gst_iceoryx2.codec import packets_for

    camera = Command(tmp_path, "publish", "cam0", "--test", "--size", "320x240")
    with packets_for("cam0") as source, PacketSubscriber("cam0") as sub:
        first = arrived(sub.receive_blocking(WAIT_MS))
        served = serve(None)
        for _ in range(40):
            assert arrived(sub.receive_blocking(WAIT_MS)).stream == first.stream
        assert source.is_encoding
        assert not served.children()
        source.close()
        while (packet := arrived(sub.receive_blocking(WAIT_MS))).stream == first.stream:
            pass
        assert packet.is_keyframe
        served.wait_for("cam0@h264", "running")
    camera.interrupt()
    camera.process.wait(20)
    camera.close()


def test_an_encoder_without_frames_leaves_the_stream_to_a_supervisor_that_starts(serve: Start) -> None:
    from gst_iceoryx2.codec import packets_for

    with packets_for("cam0") as source, PacketSubscriber("cam0") as sub:
        served = serve(FILE)
        packet = arrived(sub.receive_blocking(WAIT_MS))
        # Whichever was quicker encodes, and only this one.
        for _ in range(40):
            assert arrived(sub.receive_blocking(WAIT_MS)).stream == packet.stream
        assert len(served.children()) == 2 - source.is_encoding
        assert source.error is None


def test_no_second_encoder_runs_if_the_supervisor_encodes(serve: Start) -> None:
    from gst_iceoryx2.codec import packets_for

    served = serve(FILE)
    served.wait_for("cam0", "off")
    with packets_for("cam0") as source, PacketSubscriber(source.service) as sub:
        for _ in range(30):
            arrived(sub.receive_blocking(WAIT_MS))
        assert not source.is_encoding
        assert len(served.children()) == 2
