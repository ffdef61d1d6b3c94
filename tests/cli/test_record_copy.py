"""`iox2-video record` of streams that are encoded already: the packets are in the file as they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

av: Any = pytest.importorskip("av", reason="PyAV is not installed: pip install 'iox2-video[record]'")

from gst_iceoryx2.cli.record import _summary
from gst_iceoryx2.discovery import encoded
from gst_iceoryx2.feed import read_number
from gst_iceoryx2.packets import PacketPublisher, PacketSubscriber
from gst_iceoryx2.record import Recorder, TargetError
from gst_iceoryx2.record import record as record_streams
from tests.cli.commands import Command
from tests.cli.recordings import MS, Record, decoded, running, stopped, times, wait_for_frames
from tests.conftest import Place
from tests.packets.coders import encode, number_near
from tests.processes.children import ROOT
from tests.waiting import wait_until

STEP = 40 * MS


def publish(publisher: PacketPublisher, packets: list[Any], offset: int = 0, **settings: Any) -> None:
    """Publish packets whose times count pictures, 40 ms apart."""
    for packet in packets:
        pts, dts = (time * STEP + offset + 10_000 * MS for time in (packet.pts, packet.dts))
        captured_at = 10**9 + pts
        publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=pts, dts=dts, captured_at=captured_at, **settings)


@contextmanager
def camera(tmp_path: Path, *arguments: str) -> Iterator[Command]:
    """A process that publishes the test pattern as cam0."""
    command = Command(tmp_path, "publish", "cam0", "--test", "--size", "320x240", *arguments)
    try:
        yield command
    finally:
        command.interrupt()
        command.process.wait(60)
        command.close()


def check_pattern(path: Path, said: str) -> None:
    """Check that each picture is shown once, at its time, and that the missing ones were counted."""
    frames = decoded(path)
    found = [read_number(frame.to_ndarray()[: frame.height]) or 0 for frame in frames]
    assert found == sorted(set(found))
    for number, moment in zip(found, times(frames), strict=True):
        assert abs(moment - (number - found[0]) * 1000 / 30) < 1.1
    told = re.search(r"(\d+) frames, .* s, (\d+) dropped", said)
    assert told is not None
    assert (int(told[1]), int(told[2])) == (len(found), found[-1] - found[0] + 1 - len(found))


@pytest.mark.parametrize("file", ["a.mkv", "a.mp4", "a.mov"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_packets_that_run_already_are_recorded_as_they_are(
    record: Record, tmp_path: Path, file: str, b_frames: int
) -> None:
    packets = encode("h264", 40, gop=100, b_frames=b_frames)
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        command = record("cam0", file)
        sender.wait_for_subscribers(1, timeout=60)
        publish(sender, packets)
        sender.end_of_stream()
        said = command.ends(0)
    told = "cam0: recording the packets of cam0@h264, which is encoded already; --codec x264 encodes again"
    assert told in said
    assert "cam0@h264: 320x240 h264, 40 frames, 1.6 s, 0 dropped\n" in said
    frames = decoded(tmp_path / file)
    assert times(frames) == [number * 40.0 for number in range(40)]
    assert all(number_near(frame, number) for number, frame in enumerate(frames))
    # Nothing was encoded: the file has the packets' bytes, apart from the lengths in front of the units.
    with av.open(str(tmp_path / file)) as container:
        written = sum(packet.size for packet in container.demux(video=0))
    assert abs(written - sum(packet.size for packet in packets)) < 200 + 8 * len(packets)


def test_copy_encodes_once_and_shares_the_packets(record: Record, tmp_path: Path) -> None:
    with camera(tmp_path):
        one = record("cam0", "one.mkv", "--copy")
        wait_until(lambda: encoded("cam0") == "running")
        # The second recorder finds the packets of the first one.
        other = record("cam0", "other.mkv", "--frames", "150")
        wait_until(lambda: (tmp_path / "other.mkv").exists() and (tmp_path / "other.mkv").stat().st_size > 1000)
        one.interrupt()
        check_pattern(tmp_path / "one.mkv", one.ends(130))
        # The encoder was that of the first recorder. The second one goes on with its own.
        said = other.ends(0)
    assert "recording the packets of cam0@h264" in said
    assert "the encoder started again" in said
    check_pattern(tmp_path / "other.mkv", said)


def test_copy_of_two_streams_writes_two_tracks(record: Record, tmp_path: Path) -> None:
    with (
        PacketPublisher("left", "h264", 320, 240) as left,
        PacketPublisher("right", "h264", 160, 120) as right,
        PacketSubscriber("left"),
    ):
        command = record("left@h264", "right@h264", "both.mkv", "--frames", "20")
        stop = threading.Event()
        small = encode("h264", 50, (160, 120))

        def send() -> None:
            for number, packet in enumerate(encode("h264", 50) * 20):
                for sender, one in ((left, packet), (right, small[number % 50])):
                    sender.publish(one, is_keyframe=one.is_keyframe, captured_at=time.monotonic_ns())
                if stop.wait(0.01):
                    return

        thread = threading.Thread(target=send)
        thread.start()
        said = command.ends(0)
        stop.set()
        thread.join()
    assert "left@h264: 320x240 h264, 20 frames" in said
    assert "right@h264: 160x120 h264, 20 frames" in said
    tracks = [decoded(tmp_path / "both.mkv", track) for track in (0, 1)]
    assert [(len(track), track[0].width) for track in tracks] == [(20, 320), (20, 160)]
    assert abs(times(tracks[0])[0] - times(tracks[1])[0]) < 500
    with av.open(str(tmp_path / "both.mkv")) as container:
        assert [stream.metadata["title"] for stream in container.streams.video] == ["left", "right"]


_PUBLISHER = """
import sys, time
from gst_iceoryx2.packets import PacketPublisher
from tests.packets.coders import encode
first = int(sys.argv[1])
packets = encode("h264", 25, gop=100)
with PacketPublisher("cam0", "h264", 320, 240) as publisher:
    publisher.wait_for_subscribers(1, 60)
    for packet in packets:
        at = 10**9 + (first + packet.pts) * 40_000_000
        publisher.publish(packet, is_keyframe=packet.is_keyframe, pts=at, dts=at, captured_at=at)
    time.sleep(600)
"""


def test_an_encoder_that_is_killed_is_told_and_the_file_continues_at_a_keyframe(domain: Place, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "python"), str(ROOT)))}
    recorder = Recorder(["cam0@h264"], tmp_path / "a.mkv", frames=50, timeout=60)
    with running(recorder) as results:
        for first, count, end in ((0, 25, signal.SIGKILL), (30, 50, signal.SIGINT)):
            encoder = subprocess.Popen(
                [sys.executable, "-c", _PUBLISHER, str(first)], env=environment, stderr=subprocess.DEVNULL
            )
            try:
                wait_for_frames(recorder, count)
            finally:
                encoder.send_signal(end)
                encoder.wait()
    assert results[0].tracks[0].frames == 50
    assert "cam0@h264: the encoder started again once, with a keyframe" in _summary(results[0])
    frames = decoded(tmp_path / "a.mkv")
    assert all(number_near(frame, index % 25) for index, frame in enumerate(frames))
    assert times(frames)[:25] == [40.0 * index for index in range(25)]
    assert times(frames)[25:] == sorted(times(frames)[25:])


def test_another_size_continues_in_a_second_file_and_is_told(domain: Place, tmp_path: Path) -> None:
    recorder = Recorder(["cam0@h264"], tmp_path / "day.mp4", frames=30, timeout=60)
    with running(recorder) as results:
        for size, count in (((320, 240), 15), ((640, 360), 30)):
            with PacketPublisher("cam0", "h264", *size) as sender:
                sender.wait_for_subscribers(1, timeout=60)
                publish(sender, encode("h264", 15, size, gop=100), 0 if size[0] == 320 else 20 * STEP)
                wait_for_frames(recorder, count)
    said = _summary(results[0])
    assert "the format of the packets changed, so there are 2 files" in said
    assert [path.name for path in results[0].files] == ["day.mp4", "day-2.mp4"]
    for name, width in (("day.mp4", 320), ("day-2.mp4", 640)):
        frames = decoded(tmp_path / name)
        assert [frame.width for frame in frames] == [width] * 15
        assert times(frames) == [number * 40.0 for number in range(15)]


def test_ctrl_c_leaves_a_file_that_plays(record: Record, tmp_path: Path) -> None:
    with camera(tmp_path):
        command = record("cam0", "a.mp4", "--copy")
        wait_until(lambda: (tmp_path / "a.mp4").exists() and (tmp_path / "a.mp4").stat().st_size > 20_000)
        command.interrupt()
        check_pattern(tmp_path / "a.mp4", command.ends(130))


def test_the_duration_ends_it(record: Record, tmp_path: Path) -> None:
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        # A pause of this length would end it as well, so all packets are there when it begins.
        publish(sender, encode("h264", 40, gop=100))
        record("cam0@h264", "a.mkv", "--duration", "0.8").ends(0)
    assert len(decoded(tmp_path / "a.mkv")) == 20


def test_what_cannot_be_copied_is_refused_in_a_sentence(record: Record, tmp_path: Path) -> None:
    said = record("cam0", "a.mkv", "--copy", "--max-fps", "5").ends(2)
    assert "--copy records packets as they are, so --max-fps cannot be applied; leave out --max-fps, or" in said
    said = record("cam0", "a.mkv", "--copy", "--codec", "x264", "--preset", "fast").ends(2)
    assert "so --codec and --preset cannot be applied; leave out --codec and --preset, or leave out --copy" in said
    said = record("cam0@h264", "a.mkv", "--codec", "prores").ends(2)
    assert "cam0@h264 is encoded already, so --codec cannot be applied; leave out --codec, or record cam0" in said
    assert ".mov files cannot contain av1; use .mkv or .mp4" in record("cam0@av1", "a.mov").ends(2)
    assert "no process publishes cam0@h265, and h265 cannot be encoded on demand" in record("cam0@h265", "a.mkv").ends(
        1
    )
    said = record("cam0", "a.mkv", "--copy", "--timeout", "0.3").ends(3)
    assert 'no such stream "cam0"' in said
    assert not list(tmp_path.glob("a.*"))


def test_another_codec_that_was_asked_for_encodes_again(record: Record, tmp_path: Path) -> None:
    with camera(tmp_path), PacketPublisher("cam0", "h264", 320, 240):
        said = record("cam0", "a.mkv", "--codec", "ffv1", "--frames", "5").ends(0)
    assert "recording the packets" not in said
    assert "cam0: 320x240 I420, 5 frames" in said


def test_silence_is_told_and_the_file_plays(record: Record, tmp_path: Path) -> None:
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        # A recorder that joins receives all packets since the keyframe.
        publish(sender, encode("h264", 15, gop=100))
        said = record("cam0@h264", "a.mkv", "--timeout", "1").ends(1)
    silence = "cam0@h264 did not end its stream, but sent no packet for 1 s"
    assert f"Error: {silence}. a.mkv contains everything recorded until then" in said
    assert len(decoded(tmp_path / "a.mkv")) == 15


def test_lost_and_withheld_packets_are_counted(record: Record, tmp_path: Path) -> None:
    packets = encode("h264", 400, gop=100)
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        command = record("cam0@h264", "a.mkv")
        sender.wait_for_subscribers(1, timeout=60)
        publish(sender, packets[:60])
        # The first second is in the file.
        wait_until(lambda: (tmp_path / "a.mkv").stat().st_size > 1000)
        with stopped(command):
            publish(sender, packets[60:])
            sender.end_of_stream()
        said = command.ends(0)
    told = re.search(r"(\d+) frames, .* s, (\d+) dropped, (\d+) withheld", said)
    assert told is not None
    frames, dropped, withheld = map(int, told.groups())
    # The 128 newest packets, one of which is the end of the stream, begin with number 273; the next keyframe is 300.
    assert withheld == 27
    assert frames + dropped + withheld == 400
    found = decoded(tmp_path / "a.mkv")
    assert len(found) == frames
    assert all(number_near(frame, 300 + index) for index, frame in enumerate(found[-100:]))
    assert times(found)[-1] == 399 * 40.0


def test_the_python_api_records_packets(domain: Place, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot encode cam0@h264 again"):
        Recorder(["cam0@h264"], tmp_path / "a.mkv", copy=False)
    with PacketPublisher("cam0", "h264", 320, 240) as sender:
        recorder = Recorder(["cam0"], tmp_path / "a.mkv", frames=10)
        assert recorder.is_copy
        publish(sender, encode("h264", 12, gop=100))
        done = recorder.run()
        assert done.files == (tmp_path / "a.mkv",)
        assert done.complaints == ()
        (track,) = done.tracks
        assert (track.service, track.format, track.frames) == ("video/cam0@h264/packet/v1", "h264", 10)
        assert (track.pixel_format, track.dropped, track.withheld, track.end) == ("yuv420p", 0, 0, "limit")
        done = record_streams("cam0@h264", tmp_path / "b.mp4", frames=10)
        assert done.tracks[0].frames == 10
